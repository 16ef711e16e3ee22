//! The three headers: who asks, when, and the proof of knowing the token (platform-api.md, section 2).

use super::refusal::Refusal;
use super::state::State;
use crate::account::ReadyAccount;
use crate::crypto::TimestampUnit;
use crate::wire::Head;
use std::sync::Arc;

/// The account, and which of its keys made the signature.
///
/// A header given twice is refused like one that is missing: which of the two a server believes is
/// chance, and a gateway that passes a caller's headers on beside its own would show here.
pub(super) fn authenticate(
    state: &State,
    path_app_id: &str,
    head: &Head,
    now_ms: i64,
) -> Result<(Arc<ReadyAccount>, usize), Refusal> {
    let app_id = head
        .single("appId")
        .ok_or(Refusal::new(90_001, "invalid token: one appId header is needed"))?;
    if app_id != path_app_id {
        return Err(Refusal::new(90_001, "invalid token: appId of header and path differ"));
    }
    let account = state
        .account(app_id)
        .ok_or(Refusal::new(90_001, "invalid token: appId is not known"))?;
    let timestamp = head
        .single("timestamp")
        .ok_or(Refusal::new(90_001, "invalid token: one timestamp header is needed"))?;
    check_time(state, timestamp, now_ms)?;
    let signature = head
        .single("signature")
        .ok_or(Refusal::new(90_002, "invalid signature: one header is needed"))?;
    let encoding = state.switches().signature_encoding;
    let key = account
        .keys
        .iter()
        .position(|key| key.sign(app_id, timestamp, encoding) == signature);
    let key = key.ok_or(Refusal::new(90_002, "invalid signature"))?;
    Ok((account, key))
}

fn check_time(state: &State, timestamp: &str, now_ms: i64) -> Result<(), Refusal> {
    let (digits, unit_ms) = match state.switches().timestamp_unit {
        TimestampUnit::Ms => (13, 1),
        TimestampUnit::S => (10, 1000),
    };
    if timestamp.len() != digits || !timestamp.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::new(90_001, "invalid token: timestamp is malformed"));
    }
    let signed_ms = timestamp.parse::<i64>().unwrap_or(0) * unit_ms;
    if (now_ms - signed_ms).abs() > state.timestamp_window_ms() {
        return Err(Refusal::new(90_001, "invalid token: timestamp is expired"));
    }
    Ok(())
}
