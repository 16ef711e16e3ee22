//! Why a callback is in quarantine, refused or not kept, in words for the operator.

use super::super::labels::CallbackRefusal;
use crate::callback::event::QuarantineReason;
use crate::callback::inbox::{AppendError, InboxError};

/// What an operator does about a callback in quarantine.
pub(super) fn quarantined(reason: QuarantineReason) -> &'static str {
    match reason {
        QuarantineReason::LinkHost => {
            "a callback is in quarantine: a link in it leads to none of callback.link_hosts; it is acknowledged and not delivered"
        }
        QuarantineReason::Hospital => {
            "a callback is in quarantine: it is about another hospital than the tenant's hospital_id; it is acknowledged and not delivered"
        }
        QuarantineReason::Undecryptable => {
            "a callback is in quarantine: it is signed, and telephone or identity number do not decrypt; was the token changed on one side? It is not acknowledged"
        }
        QuarantineReason::SharedLate => {
            "a callback is in quarantine: its signature came with another body more than a minute ago; it is acknowledged and not delivered"
        }
        QuarantineReason::SharedOften => {
            "a callback is in quarantine: its signature came with too many other bodies; it is acknowledged and not delivered"
        }
    }
}

/// What an operator should know about a refused callback. The caller is told none of it.
pub(super) fn refused(reason: CallbackRefusal) -> &'static str {
    match reason {
        CallbackRefusal::Route => "a callback was refused: not POST /callback/{tenant}, or no such tenant",
        CallbackRefusal::Rate => "a callback was refused: more than callback.max_per_source_per_s from its address",
        CallbackRefusal::Network => "a callback was refused: its address is in none of callback.networks",
        CallbackRefusal::Secret => {
            "a callback was refused: the last part of its path is not that of callback.secret_file"
        }
        CallbackRefusal::Headers => {
            "a callback was refused: appId, timestamp and signature are not there exactly once each, or timestamp is not 13 digits"
        }
        CallbackRefusal::AppId => "a callback was refused: its appId is not the tenant's",
        CallbackRefusal::Signature => {
            "a callback was refused: its signature is not the tenant's; was the token changed on one side?"
        }
        CallbackRefusal::Stale => {
            "a callback was refused: signed longer ago than callback.past_ms; is this machine's clock right?"
        }
        CallbackRefusal::Ahead => {
            "a callback was refused: signed further ahead than callback.ahead_ms; is this machine's clock right?"
        }
        CallbackRefusal::Reflected => {
            "a callback was refused: it carries a signature that this gateway made for the platform; somebody sees its requests: find out who, and have the token replaced"
        }
        CallbackRefusal::TooLarge => "a callback was refused: larger than callback.max_body",
        CallbackRefusal::Slow => "a callback was refused: its body was cut, or slower than callback.body_timeout_ms",
        CallbackRefusal::Body => {
            "a callback was refused: its body is neither a JSON object nor a form, or says something twice"
        }
        CallbackRefusal::Field => {
            "a callback was refused: status, hospitalId, studyId or reportId is missing or of a wrong type"
        }
        CallbackRefusal::Cipher => {
            "a callback was refused: it is not signed, and telephone and identity number do not decrypt or are both empty"
        }
    }
}

/// The word for it in lines.
pub(crate) fn not_stored(error: AppendError) -> &'static str {
    match error {
        AppendError::Busy => "busy",
        AppendError::Full => "full",
        AppendError::QuarantineFull => "quarantine_full",
        AppendError::Inbox(InboxError::Failed) => "failed",
        AppendError::Inbox(InboxError::Late) => "timeout",
        AppendError::Inbox(InboxError::Unconfirmed) => "commit_unconfirmed",
        AppendError::Inbox(InboxError::DiskFull) => "disk_full",
        AppendError::Inbox(InboxError::Broken) => "broken",
        AppendError::Inbox(InboxError::Unreadable) => "unreadable",
        AppendError::Inbox(InboxError::Closed) => "closed",
    }
}
