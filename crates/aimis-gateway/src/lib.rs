//! aimis-gateway: between a hospital's information system and Tencent's medical imaging platform.
//!
//! A HIS sends plaintext JSON to a base URL on its LAN; the gateway encrypts the personal fields, signs,
//! forwards to the platform and relays the answer byte for byte.
//!
//! Where to look:
//!
//! | question | module |
//! |---|---|
//! | what happens to a request? | [`forward`], read along its `mod.rs` |
//! | what happens to a callback? | [`callback`], read along its `mod.rs` |
//! | how does a HIS fetch what callbacks said? | [`pull`] |
//! | how is the platform reached? | [`upstream`], a layer a file |
//! | what does a refusal say? | [`rejection`] |
//! | who may ask what? | [`client`] |
//! | how much may be asked? | [`limit`] |
//! | what do several gateways share? | [`store`] |
//! | how are connections served and bounded? | [`edge`], [`listener`], [`sources`] |
//! | which threads are there? | [`app`], [`worker`], `control`; [`pulse`] tells whether they turn |
//! | what does the system around it see? | [`hardening`], [`inherited`], [`notify`], [`concealed`] |
//! | which settings are a risk? | [`security`] |
//! | are answers emptier than they were? | `emptiness` |
//! | who looked at whom? | [`audit`] |
//! | what can be set? | [`config`] |
//! | what is counted and logged? | [`telemetry`] |
//! | what can an operator do while it runs? | [`admin`] |
//! | what would become of a request? | [`explain`] |
//! | does the way to the platform work, step by step? | [`doctor`] |
//! | what does the command line do? | [`cli`] |

pub mod admin;
pub mod app;
pub mod audit;
pub mod cache_truth;
pub mod callback;
pub mod cli;
pub mod client;
pub mod clock;
pub mod concealed;
pub mod config;
mod control;
pub mod descriptors;
mod disk;
pub mod doctor;
pub mod edge;
mod emptiness;
pub mod explain;
pub mod forward;
pub mod hardening;
pub mod inherited;
mod json_charset;
mod key_file;
pub mod keyring;
pub mod limit;
pub mod listener;
pub mod live;
pub mod local;
mod nobody;
pub mod notify;
pub mod openapi;
mod post;
pub mod prepare;
pub mod pull;
pub mod pulse;
mod reconcile;
pub mod regular_file;
pub mod rejection;
pub mod secrets;
pub mod security;
pub mod seen;
pub mod sent;
pub mod snapshot;
pub mod sources;
pub mod store;
pub mod telemetry;
pub mod tenant;
mod token_end;
pub mod upstream;
mod ways;
pub mod worker;

/// Version of the gateway.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
