//! What the benches' programs share: the question and its answer, the job between them, HTTP/1.1 at its
//! barest, and how what is measured is started, watched and written down.
//!
//! | program | what it is |
//! |---|---|
//! | `load` | asks, over kept connections, as fast as it can or at a fixed rate |
//! | `upstream` | the platform, reduced to what makes every answer earned: signature, time, both ciphertexts |
//! | `bare` | the leanest proxy that does the job with hyper: what a gateway could cost |
//! | `peers` | starts all of them, the gateway and its peers, and measures them in turn |
//! | `scale` | starts gateways by themselves and with what several share, and measures them in turn |
//!
//! None of them uses `aimis-core`: a fault in it must show as a refused question, not cancel itself out.

pub mod answer;
pub mod clock;
pub mod held;
pub mod job;
pub mod machine;
pub mod place;
pub mod processes;
pub mod question;
pub mod results;
pub mod upstream;
pub mod wire;
