//! The listener for whoever operates the gateway.

use std::time::Duration;

use crate::config::kind::address::{ListenAddr, address};
use crate::config::kind::mode::{FileMode, mode};
use crate::config::kind::number::{integer, millis};
use crate::config::kind::{Kind, one_or_more};
use crate::config::section::section;

section! {
    /// The listener for whoever operates the gateway, as `aimis-gateway cache purge` does. It knows no sign-in, so it
    /// can be on this machine only; without this table there is none.
    pub struct Admin {
        /// Where it is served: loopback addresses and unix sockets.
        listen: Vec<ListenAddr> = one_or_more(address()).or("127.0.0.1:9465");
        /// Who may use its unix sockets: connecting needs the right to write.
        socket_mode: FileMode = mode().or("0660");
        /// Connections at a time; a further one is closed.
        max_connections: usize = integer(1, 10_000).or(16);
        /// The longest a request to this listener may take, and the longest an idle connection is kept.
        timeout as "timeout_ms": Duration = millis(100, 60_000).or(5_000);
    }
}
