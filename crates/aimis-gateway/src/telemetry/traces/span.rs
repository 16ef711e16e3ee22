//! A span: what something took, and what is known of it. By type nothing in it can name a person.

use std::sync::Arc;
use std::time::Duration;

use super::context::Trace;
use crate::callback::event::EventId;
use crate::callback::inbox::Reason;
use crate::client::ClientName;
use crate::config::Host;
use crate::edge::request_id::RequestId;
use crate::tenant::TenantName;

/// What a span is of, in OTLP's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something that was asked of us.
    Server = 2,
    /// Something that we asked of others.
    Client = 3,
}

/// One span, when it is over.
#[derive(Clone)]
pub struct Span {
    /// Which trace, which span, and of which it is a part.
    pub trace: Trace,
    /// What it is of.
    pub kind: Kind,
    /// A name out of few.
    pub name: &'static str,
    /// When it began, since 1970.
    pub start: Duration,
    /// When it ended.
    pub end: Duration,
    /// What else is known.
    pub attributes: Vec<(&'static str, Value)>,
    /// It failed, and not by what the caller sent.
    pub failed: bool,
}

/// What an attribute may hold: words and numbers of the program, names of the configuration, ids.
#[derive(Clone)]
pub enum Value {
    /// A word of ours.
    Word(&'static str),
    /// A number.
    Integer(i64),
    /// Seconds.
    Seconds(Duration),
    /// A tenant's name.
    Tenant(TenantName),
    /// A client's name.
    Client(ClientName),
    /// A request's id.
    Request(RequestId),
    /// An event's id.
    Event(EventId),
    /// Why a delivery failed.
    Reason(Reason),
    /// A host of the configuration.
    Host(Host),
    /// A text of the configuration.
    Text(Arc<str>),
}

impl Span {
    /// Adds what is known.
    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    /// Adds what may be known.
    #[must_use]
    pub(super) fn maybe(self, name: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
}

macro_rules! values {
    ($($from:ty => $variant:ident),+ $(,)?) => { $(impl From<$from> for Value {
        fn from(value: $from) -> Self {
            Self::$variant(value)
        }
    })+ };
}
values! {
    &'static str => Word, i64 => Integer, Duration => Seconds, TenantName => Tenant, ClientName => Client,
    RequestId => Request, EventId => Event, Reason => Reason, Host => Host,
}

impl From<u16> for Value {
    fn from(value: u16) -> Self {
        Self::Integer(value.into())
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Integer(value.try_into().unwrap_or(i64::MAX))
    }
}
