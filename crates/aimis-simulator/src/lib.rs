//! The imaging platform and a small HIS, for tests, demos and benches.
//!
//! An independent reading of the platform's interface: nothing here uses `aimis-core`, so that a misreading
//! on either side fails a test instead of agreeing with itself. The platform is as strict as its
//! documentation and as faulty as a test asks ([`Fault`]); it keeps every request byte for byte
//! ([`Recorded`]). All values in it are made up.
//!
//! ```
//! use aimis_simulator::{Account, Fault, PATIENT_STUDIES, Platform, PlatformOptions};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let platform = Platform::start(PlatformOptions::default()).await?;
//! platform.push_fault(Fault::ResetBeforeHead); // the first attempt fails, the second is answered
//! let url = platform.url_for(PATIENT_STUDIES, &Account::demo().app_id);
//! // ... let the gateway call `platform.base_url()`, then look at `platform.requests()`
//! # assert!(url.ends_with("/thirdparty/patientStudies/900001"));
//! # assert!(platform.requests().is_empty());
//! # std::io::Result::Ok(())
//! # })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! | module | subject |
//! |---|---|
//! | `platform` | the three APIs: authentication, strict fields, look-up |
//! | `data` | patients, studies, report links; the demo's |
//! | `crypto`, `account`, `clock` | signature and field encryption, credentials, time |
//! | `fault` | what goes wrong, and for which request |
//! | `wire` | HTTP/1.1 by hand over TCP or TLS |
//! | `record` | what was received and answered |
//! | `callback`, `client` | callbacks sent, honest and forged |
//! | `his` | the receiver of deliveries |
//! | [`control`], `run` | levers for people and scripts; everything at once |

mod account;
mod callback;
mod client;
mod clock;
pub mod control;
mod crypto;
mod data;
mod date;
mod fault;
mod his;
mod platform;
mod record;
mod run;
mod wire;

pub use account::{Account, DEMO_APP_ID, DEMO_HOSPITAL, DEMO_TOKEN, DEMO_UNION};
pub use callback::{Callback, CallbackReply, CallbackSender, Encoding};
pub use clock::Clock;
pub use crypto::{KeyForm, Padding, SignatureEncoding, Switches, TimestampUnit, Undecryptable};
pub use data::{Data, Patient, Study};
pub use fault::Fault;
pub use his::His;
pub use platform::{
    Canned, DataOnError, PATIENT_CONSULTATIONS, PATIENT_REPORT_URL, PATIENT_STUDIES, Platform, PlatformOptions,
};
pub use record::Recorded;
pub use run::{RunOptions, Running, run};
