//! What stands in clear beside a sealed answer: changed, it is refused and counted, whoever reads it.

use super::bed::Bed;
use super::{HIT, MISS, told};

/// Changes a field of the one answer that is kept.
fn change(bed: &Bed, field: &str, to: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
    let mut connection = bed.server.connection();
    let keys: Vec<Vec<u8>> = redis::cmd("KEYS")
        .arg("aimis:{*}:answer:*")
        .query(&mut connection)
        .unwrap();
    let [key] = &keys[..] else { panic!("one answer") };
    let now = redis::cmd("HGET").arg(key).arg(field).query(&mut connection).unwrap();
    let changed = match to(now) {
        Some(value) => redis::cmd("HSET").arg(key).arg(field).arg(value).exec(&mut connection),
        None => redis::cmd("HDEL").arg(key).arg(field).exec(&mut connection),
    };
    changed.unwrap();
}

async fn refused(bed: &Bed, gateway: usize) -> Option<f64> {
    let series = "aimis_cache_faults_total{reason=\"value\"}";
    bed.gateways[gateway].metric(series).await
}

#[tokio::test]
async fn what_no_gateway_wrote_beside_an_answer_is_counted_as_well() {
    let bed = Bed::start(2).await;
    assert_eq!(told(&bed.gateways[0].studies().await), MISS);
    type Change = fn(Vec<u8>) -> Option<Vec<u8>>;
    let flipped: Change = |mut value| {
        value[0] ^= 0x40;
        Some(value)
    };
    let shorter: Change = |value| Some(value[1..].to_vec());
    let gone: Change = |_| None;
    let signed: Change = |value| Some([b"-", &value[..]].concat());
    let changes = [
        ("t", flipped),
        ("f", flipped),
        ("r", flipped),
        ("e", flipped),
        ("v", shorter),
        ("v", gone),
        ("e", gone),
        ("f", signed),
    ];
    for (count, (field, to)) in changes.into_iter().enumerate() {
        change(&bed, field, to);

        let answer = bed.gateways[1].studies().await;

        assert_eq!(told(&answer), MISS, "{field}");
        assert_eq!(answer.header("x-aimis-warnings"), None, "{field}");
        assert_eq!(refused(&bed, 1).await, Some(count as f64 + 1.0), "{field}");
        assert_eq!(told(&bed.gateways[0].studies().await), HIT, "{field}");
    }
}

#[tokio::test]
async fn whoever_has_a_copy_is_not_told_a_longer_life_for_it() {
    let bed = Bed::start(1).await;
    assert_eq!(told(&bed.gateways[0].studies().await), MISS);
    for (count, field) in ["t", "f", "r", "e"].into_iter().enumerate() {
        assert_eq!(told(&bed.gateways[0].studies().await), HIT);
        change(&bed, field, |mut digits| {
            let last = digits.last_mut().unwrap();
            *last = if *last == b'9' { b'8' } else { *last + 1 };
            Some(digits)
        });

        let answer = bed.gateways[0].studies().await;

        assert_eq!(answer.header("x-aimis-origin"), Some("platform"), "{field}");
        assert_eq!(refused(&bed, 0).await, Some(count as f64 + 1.0), "{field}");
    }
}
