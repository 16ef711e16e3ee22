//! A business code and its message: how the platform says no, with HTTP 200.

use std::borrow::Cow;

/// Why a question is not answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: i64,
    pub(super) message: Cow<'static, str>,
}

impl Refusal {
    pub(super) fn new(code: i64, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}
