//! One look at the store from outside of a gateway, for `doctor`: uses what a gateway uses, and changes nothing.

use std::time::Duration;

use redis::Value;

use super::ask::{Ask, Take, script};
use super::connection::Target;
use super::fault::Fault;
use super::keys::Keys;
use crate::clock::Clock;

/// What was seen.
pub(crate) struct Probe {
    /// Gateways that share it now.
    pub(crate) gateways: u32,
    /// How long a call took that judges a limit.
    pub(crate) took: Duration,
}

/// Connects, judges a limit that nobody has, and counts the gateways.
///
/// # Errors
/// Why that is not possible.
pub(crate) async fn probe(target: &Target, prefix: &str, timeout: Duration) -> Result<Probe, Fault> {
    let clock = Clock::system();
    let (mut connection, _) = target.connect().await.map_err(|error| Fault::of(&error))?;
    let keys = Keys::new(prefix, false);
    let key = keys.common("{probe}");
    // So small that it is gone by the time that anybody looks.
    let limits = [Take {
        key: &key,
        period: Duration::from_micros(1),
        burst: 1,
        weight: 1,
        max_wait: Duration::ZERO,
        for_hits: false,
    }];
    let ask = Ask {
        limits: &limits,
        look_up: None,
    };
    let script = script();
    let mut took = Duration::ZERO;
    // The first call may have to bring the script along.
    for _ in 0..2 {
        let began = clock.moment();
        let call = script.run(&mut connection, |cmd| ask.write(cmd));
        let told = tokio::time::timeout(timeout.max(Duration::from_secs(1)), call).await;
        told.map_err(|_| Fault::Timeout)?.map_err(|error| Fault::of(&error))?;
        took = clock.moment().since(began);
    }
    let mut cmd = redis::cmd("ZCARD");
    cmd.arg(keys.gateways());
    match connection.send(&cmd).await {
        Ok(Value::Int(gateways)) => Ok(Probe {
            gateways: u32::try_from(gateways).unwrap_or(u32::MAX),
            took,
        }),
        Ok(_) => Err(Fault::Reply),
        Err(error) => Err(Fault::of(&error)),
    }
}
