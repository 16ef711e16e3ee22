//! The way back: the platform says that a report is ready, and the HIS learns it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use aimis_simulator::{Account, Callback, CallbackReply, CallbackSender, Recorded, Running, Switches};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{TIMEOUT, masked};
use crate::cli::output::Failure;

/// The tenant's name in the demo's configuration.
pub(super) const TENANT: &str = "demo-hospital";

/// Where the demo's inbox is; gone with everything in it when dropped.
pub(super) struct Directory(PathBuf);

impl Directory {
    /// A new one, for this user alone.
    pub(super) fn new() -> Result<Self, Failure> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(std::io::Error::other)?;
        let path = std::env::temp_dir().join(format!("aimis-demo-{}", hex::encode(random)));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left is sealed, and its key is beside it: made-up persons.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A callback on its way.
pub(super) struct Way {
    url: String,
    sent: String,
    reply: CallbackReply,
    his: String,
    event: String,
    delivered: String,
    /// The HIS has what the platform told, in the clear.
    pub(super) whole: bool,
}

impl Way {
    /// Sends a callback as the platform does, and waits for it at the HIS.
    pub(super) fn go(runtime: &Runtime, listener: SocketAddr, simulator: &Running) -> Result<Self, Failure> {
        let missing = || Failure::Problem("the demo's callback did not reach the HIS".to_owned());
        let his = simulator.his.as_ref().ok_or_else(missing)?;
        let (account, callback) = (Account::demo(), Callback::demo());
        let url = format!("http://{listener}/callback/{TENANT}");
        let sender = CallbackSender::new(&url, &account)?.timeout(TIMEOUT);
        let reply = runtime.block_on(sender.send(&callback))?;
        let arrived = runtime.block_on(async { tokio::time::timeout(TIMEOUT, his.wait_for_deliveries(1)).await });
        arrived.map_err(|_| missing())?;
        let deliveries = his.deliveries();
        let delivery = deliveries.first().ok_or_else(missing)?;
        let fields = callback.fields(&account, &Switches::default());
        let mut sent: serde_json::Map<String, Value> = fields.into_iter().collect();
        for name in ["phoneNum", "idNum"] {
            if let Some(Value::String(ciphertext)) = sent.get_mut(name) {
                *ciphertext = masked(ciphertext);
            }
        }
        let clear = delivery.json();
        Ok(Self {
            whole: reply.is_received()
                && clear["studyId"] == sent["studyId"]
                && clear["phoneNum"] == "13800138000"
                && clear["verified"] == "signed",
            url,
            sent: Value::Object(sent).to_string(),
            reply,
            his: his.url(),
            event: header(delivery, "webhook-id"),
            delivered: String::from_utf8_lossy(&delivery.body).into_owned(),
        })
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "sent_by_platform": self.sent,
            "acknowledged": String::from_utf8_lossy(&self.reply.body),
            "event": self.event,
            "delivered": self.delivered,
            "whole": self.whole,
        })
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut say = |line: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{line}");
        };
        say("4. Later the platform calls back: a report is ready (encrypted and signed; masked here):");
        say(&format!("   POST {}", self.url));
        say(&format!("   {}", self.sent));
        say("");
        say("5. The gateway acknowledges it when it is safe on the disk:");
        say(&format!("   HTTP {}", self.reply.status));
        say(&format!("   {}", String::from_utf8_lossy(&self.reply.body)));
        say("");
        say("6. The HIS gets it, in plain JSON, and again until it says that it has it:");
        say(&format!("   POST {}", self.his));
        say(&format!("   webhook-id: {}", self.event));
        say(&format!("   {}", self.delivered));
        say("");
        text
    }
}

fn header(delivery: &Recorded, name: &str) -> String {
    let found = delivery
        .headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map_or_else(String::new, |(_, value)| value.clone())
}
