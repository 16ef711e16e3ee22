//! The systems that may ask: who a request comes from, and what that client may ask for.
//!
//! | file | says |
//! |---|---|
//! | [`identify`](mod@identify) | which client a connection and its headers are |
//! | `keys` | which client a key is of |
//! | [`permissions`] | what a client may ask for, rule by rule |
//! | `prepare` | how the configuration's clients become these |
//! | [`failures`] | how many failed sign-ins an address may make |
//!
//! The platform trusts the hospital's token for everything, so which client may see what is decided here or
//! nowhere (platform-api.md, section 4).

pub mod failures;
pub mod identify;
mod keys;
pub mod permissions;
mod prepare;

use std::sync::Arc;

use crate::config::{AnswerCharset, AnswerStatus, Language};
use crate::forward::decode::Dialects;
use crate::telemetry::log::Loggable;
use permissions::Permissions;

pub use identify::{Clients, SignInFault};
pub use prepare::clients;

/// A client's name from the configuration: lower-case letters, digits and dashes, at most 32. It is chosen
/// by an operator and may stand in logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientName(Arc<str>);

impl ClientName {
    /// Wraps a name that the configuration has checked.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Loggable for &ClientName {
    fn write_json(&self, out: &mut Vec<u8>) {
        crate::telemetry::log::write_string(out, &self.0);
    }
}

/// A system that may ask.
pub struct Client {
    /// Its name; `None` for whoever asks where no clients are configured, and only this machine can.
    pub name: Option<ClientName>,
    /// Position in the configuration; 0 for whoever asks where no clients are configured.
    pub index: usize,
    /// What it may ask for.
    pub permissions: Permissions,
    /// Put into its requests that name no hospital, before the tenant's.
    pub hospital_id: Option<String>,
    /// Put into its requests that name no union, before the tenant's.
    pub union_id: Option<String>,
    /// How its bodies are understood.
    pub dialects: Dialects,
    /// Refuses what is repaired for others.
    pub strict: bool,
    /// A study list without one kind of study is asked for kind by kind.
    pub merge_study_types: bool,
    /// How it wants to be answered.
    pub answers: Answers,
}

/// How a client wants to be answered.
#[derive(Clone, Copy, Debug)]
pub struct Answers {
    /// The HTTP status of failures.
    pub status: AnswerStatus,
    /// Non-ASCII characters as escapes.
    pub ascii_json: bool,
    /// The charset of bodies.
    pub charset: AnswerCharset,
    /// The language of our own messages, where the request asks for none.
    pub language: Language,
}
