//! The bodies of answers, in the platform's envelope.
//!
//! ```text
//! {"code":0,"message":"success","data":{"leaseSeconds":300,"events":[{"lease":"evt_…-1","attempt":1,"event":{…}}]}}
//! {"code":0,"message":"success","data":{"acked":2,"nacked":0,"lost":[]}}
//! ```

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use zeroize::Zeroizing;

use super::Settled;
use crate::callback::inbox::Lease;

/// Bytes of an item beside its event.
const ITEM: usize = 128;

/// Events with their leases. Like the events it is wiped when dropped.
pub(super) fn events(items: &[(Lease, u32, Bytes)], lease: Duration) -> Bytes {
    let size: usize = items.iter().map(|(_, _, event)| event.len() + ITEM).sum();
    // All room at once: a growing buffer would leave copies behind.
    let mut body = Zeroizing::new(Vec::with_capacity(size + ITEM));
    let head = format!(
        "{{\"code\":0,\"message\":\"success\",\"data\":{{\"leaseSeconds\":{},\"events\":[",
        lease.as_secs()
    );
    body.extend_from_slice(head.as_bytes());
    for (index, (lease, attempt, event)) in items.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let item = format!("{comma}{{\"lease\":\"{lease}\",\"attempt\":{attempt},\"event\":");
        body.extend_from_slice(item.as_bytes());
        body.extend_from_slice(event);
        body.push(b'}');
    }
    body.extend_from_slice(b"]}}");
    Bytes::from_owner(body)
}

/// What became of leases.
pub(super) fn settled(settled: &Settled) -> Bytes {
    let Settled { acked, nacked, lost } = settled;
    let body = json!({
        "code": 0,
        "message": "success",
        "data": { "acked": acked, "nacked": nacked, "lost": lost },
    });
    Bytes::from(body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::event::EventId;

    #[test]
    fn an_answer_is_json_with_any_number_of_events() {
        let lease = Lease {
            event: EventId::from_bytes([7; 16]),
            number: u64::MAX,
        };
        let item = (lease, u32::MAX, Bytes::from_static(b"{\"a\":1}"));

        for count in 0..3 {
            let items = vec![item.clone(); count];
            let body = events(&items, Duration::from_secs(300));
            let value: serde_json::Value = serde_json::from_slice(&body).unwrap();

            assert_eq!(
                (&value["code"], &value["data"]["leaseSeconds"]),
                (&json!(0), &json!(300))
            );
            let all = value["data"]["events"].as_array().unwrap();
            assert_eq!(all.len(), count);
            assert!(all.iter().all(|item| item["event"] == json!({"a": 1})));
            assert!(all.iter().all(|item| item["lease"] == lease.to_string()));
        }
    }
}
