//! What changes while the process runs: the configuration and its files, and the tenants' tokens among them.

use std::time::Duration;

use crate::config::kind::number::{integer, millis, seconds};
use crate::config::kind::{Kind, switch};
use crate::config::section::section;

section! {
    /// How changes of the configuration and of the files that it names are noticed. `SIGHUP` has them looked at at
    /// once. What cannot be used changes nothing.
    pub struct Reload {
        /// How often the files are looked at, by their content; 0 means only on `SIGHUP`. Files of listeners' TLS have
        /// `reload_interval_ms` of their own.
        poll as "poll_s": Duration = seconds(0, 86_400).or(10);
    }
}

section! {
    /// How a tenant comes from one token to another: see docs/operations.md.
    pub struct Rotation {
        /// Whether a new token is tried with a question about nobody, and used when the platform has answered that.
        /// Otherwise the token of `token_file` is used as soon as it is there, and that of `next_token_file` only when
        /// the platform refuses the other.
        canary: bool = switch().or(true);
        /// How often such a token is tried.
        canary_interval as "canary_interval_ms": Duration = millis(100, 3_600_000).or(30_000);
        /// How long callbacks under a token are taken that was in `token_file` and is in no file any more, and how long
        /// requests may go back to it.
        overlap as "overlap_s": Duration = seconds(0, 30 * 86_400).or(86_400);
        /// Questions one behind the other for which the platform refused the token in use and took another one of the
        /// tenant's, until that is used first.
        refusals: usize = integer(1, 1_000).or(3);
    }
}
