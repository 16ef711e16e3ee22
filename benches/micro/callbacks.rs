//! What a callback calls: the judgement of its signature, and its append to an inbox in a file.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

use aimis_core::codes::Codes;
use aimis_core::sign::Timestamp;
use aimis_gateway::callback::event::{NewEvent, Origin, Payload, Signed};
use aimis_gateway::callback::inbox::sqlite::Role;
use aimis_gateway::callback::inbox::{self, Inbox, Kind, Parts};
use aimis_gateway::callback::verify::{Proof, Rules, Signatory, verify};
use aimis_gateway::clock::Clock;
use aimis_gateway::config::{self, CallbackSignature, Sources};
use aimis_gateway::sent::Sent;
use aimis_gateway::telemetry::metrics::Metrics;
use aimis_gateway::tenant::TenantName;
use http::{HeaderMap, HeaderValue};
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

use super::{Bed, COUNTED, NOW, TIMED, TRIES, WARM};

/// Bytes of a callback's fields, as the platform's examples have them.
const PAYLOAD: usize = 1024;
/// Callbacks that stand ready: as many as one piece is called for, however it is measured.
const READY: u32 = {
    let timed = TIMED * TRIES as u32;
    WARM + if timed > COUNTED { timed } else { COUNTED }
};

/// A good signature under the tenant's only token; the gateway has asked lately, too.
pub(super) fn verification(bed: &'static Bed) -> Box<dyn FnMut()> {
    let signer = bed.tenant.keyring.current().signer().clone();
    let signed = signer.sign(&bed.tenant.app_id, bed.at);
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("appid", &*bed.tenant.app_id),
        ("timestamp", signed.timestamp()),
        ("signature", signed.signature()),
    ] {
        headers.insert(name, HeaderValue::from_str(value).unwrap());
    }
    let rules = Rules {
        signature: CallbackSignature::Required,
        past_ms: 300_000,
        ahead_ms: 60_000,
    };
    let sent = Sent::new(rules.past_ms + rules.ahead_ms);
    sent.remember(Timestamp::from_millis(NOW - 1));
    let signers = [signer];
    Box::new(move || {
        let signatory = Signatory {
            app_id: &bed.tenant.app_id,
            signers: &signers,
            sent: Some(&sent),
        };
        let proof = verify(black_box(&headers), &signatory, rules, bed.at);
        assert!(matches!(proof, Ok(Proof::Signed { signer: 0, .. })));
    })
}

/// One append at a time, each of a study of its own: sealed here, handed over, stored and synced by the thread that writes.
pub(super) fn arrival(_: &'static Bed) -> Box<dyn FnMut()> {
    let mut arrivals = Arrivals::new();
    Box::new(move || arrivals.take_one())
}

struct Arrivals {
    ready: std::vec::IntoIter<NewEvent>,
    runtime: Runtime,
    /// Closed before its directory goes.
    inbox: Arc<dyn Inbox>,
    _directory: Directory,
}

impl Arrivals {
    fn new() -> Self {
        let directory = Directory::new();
        let clock = Clock::manual(NOW);
        let text = format!(
            "[callback]\n[inbox]\npath = \"{0}/inbox.db\"\nkey_file = \"{0}/inbox.key\"\n\
             [[tenants]]\nname = \"bench\"\napp_id = \"900001\"\n",
            directory.0.display()
        );
        let token = [("AIMIS_TENANTS__0__TOKEN", "0123456789abcdef0123456789abcdef")];
        let loaded = config::load(&Sources::text("bench.toml", text).with_env(token)).unwrap();
        let metrics = Metrics::new(&["bench"], &[], &Codes::builtin());
        let mut parts = Parts::of_command(clock, Arc::clone(&metrics.inbox));
        parts.abort = Arc::new(|what| panic!("{what}"));
        let inbox = inbox::open(&loaded.config.inbox, Role::Gateway, parts).unwrap();
        let ready: Vec<NewEvent> = (0..READY).map(|number| event(&*inbox, number)).collect();
        Self {
            ready: ready.into_iter(),
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
            inbox,
            _directory: directory,
        }
    }

    fn take_one(&mut self) {
        let event = self.ready.next().unwrap();
        let appended = self.runtime.block_on(self.inbox.append(event)).unwrap();
        assert_eq!(appended.kind, Kind::Accepted);
    }
}

/// A callback of its own study and signature.
fn event(inbox: &dyn Inbox, number: u32) -> NewEvent {
    let (tenant, tags, now) = (TenantName::new("bench"), inbox.tags(), Timestamp::from_millis(NOW));
    let study = format!("S{number}");
    let mut json = format!("{{\"studyId\":\"{study}\",\"fill\":\"");
    json.extend(std::iter::repeat_n('x', PAYLOAD - json.len() - 2));
    json.push_str("\"}");
    let json = json.into_bytes();
    NewEvent {
        study: tags.study(&tenant, "H0001", &study),
        identity: tags.identity(&tenant, "H0001", &study, "R1", 3),
        body: tags.body(&tenant, &json),
        origin: Origin::Callback {
            gist: tags.body(&tenant, &json),
        },
        payload: Payload::new(Zeroizing::new(json)),
        signed: Some(Signed {
            triple: tags.triple(&tenant, "900001", now, study.as_bytes()),
            signed_at: now,
            valid_until: now,
        }),
        quarantine: None,
        received_at: now,
        tenant,
    }
}

/// A directory of an inbox's own, on the disk of the target; it goes with this.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-micro-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}
