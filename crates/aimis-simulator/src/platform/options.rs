//! What a platform is started with.

use crate::account::Account;
use crate::clock::Clock;
use crate::crypto::Switches;
use crate::data::Data;
use crate::wire::Response;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// How to start a platform; the default is the demo account and data on a free loopback port.
#[derive(Clone)]
pub struct PlatformOptions {
    /// Address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Serve HTTPS with this.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// The partners known.
    pub accounts: Vec<Account>,
    /// The patients and studies known; the accounts' hospitals and consortia are added.
    pub data: Data,
    /// How far a timestamp may lie from the platform's clock, either way.
    pub timestamp_window: Duration,
    /// How section 9's open questions are read.
    pub switches: Switches,
    /// Whether a list without studies is an error 100004 rather than an empty list.
    pub empty_is_100004: bool,
    /// The form of `data` in refusals.
    pub data_on_error: DataOnError,
    /// The platform's clock.
    pub clock: Clock,
    /// Whether requests are kept; they are counted in any case.
    pub record: bool,
    /// How many are kept, the newest; 256 MiB in any case.
    pub record_limit: usize,
    /// Open a control port here; loopback only.
    pub control: Option<SocketAddr>,
}

impl Default for PlatformOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: None,
            accounts: vec![Account::demo()],
            data: Data::demo(),
            timestamp_window: Duration::from_secs(300),
            switches: Switches::default(),
            empty_is_100004: false,
            data_on_error: DataOnError::default(),
            clock: Clock::system(),
            record: true,
            record_limit: 10_000,
            control: None,
        }
    }
}

/// The form of `data` in refusals, which the documentation leaves open (section 7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataOnError {
    /// No such member.
    Absent,
    /// `null`.
    #[default]
    Null,
    /// `{}`.
    EmptyObject,
    /// `[]`.
    EmptyList,
}

/// A canned answer, for proofs of fidelity to the byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canned {
    /// HTTP status.
    pub status: u16,
    /// Value of `Content-Type`; empty sends none.
    pub content_type: String,
    /// Further headers, as they are.
    pub headers: Vec<(String, String)>,
    /// The body's bytes.
    pub body: Vec<u8>,
}

impl Canned {
    pub(super) fn to_response(&self) -> Response {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| (name.clone().into(), value.clone()))
            .collect();
        Response {
            status: self.status,
            content_type: self.content_type.clone().into(),
            headers,
            body: self.body.clone(),
        }
    }
}

impl From<Vec<u8>> for Canned {
    fn from(body: Vec<u8>) -> Self {
        Self {
            status: 200,
            content_type: "application/json; charset=utf-8".to_owned(),
            headers: Vec::new(),
            body,
        }
    }
}

impl From<&[u8]> for Canned {
    fn from(body: &[u8]) -> Self {
        body.to_vec().into()
    }
}

impl<const N: usize> From<&[u8; N]> for Canned {
    fn from(body: &[u8; N]) -> Self {
        body.to_vec().into()
    }
}

impl From<&str> for Canned {
    fn from(body: &str) -> Self {
        body.as_bytes().into()
    }
}

impl From<String> for Canned {
    fn from(body: String) -> Self {
        body.into_bytes().into()
    }
}
