//! The configuration: read once, from a file and the environment, into types that cannot be wrong.
//!
//! ```text
//! file (TOML or JSON) ─┐
//! AIMIS_… variables ───┼─> tree with places ─> tables ─> Config, or every complaint at once
//! sidecar variables ───┘
//! ```
//!
//! Later sources win: default, file, environment. The keys stand in `tables`, one entry each, and all else
//! (schema, documents, `config print`) follows from those entries. Secret files are named here and read elsewhere.

mod check;
mod credentials;
mod entry;
mod environment;
mod file;
mod full;
mod kind;
mod load;
mod markdown;
mod origin;
mod otel;
mod plain;
mod print;
mod problem;
mod read_json;
mod read_toml;
mod schema;
mod section;
mod sidecar;
mod suggest;
mod tables;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use check::fetchers;
pub use check::{
    ANSWERS_APART, PLAIN_LAN, UNSIGNED_CALLBACKS, keeps_answers_apart, notices, takes_plain_http,
    takes_unsigned_callbacks,
};
pub use environment::environment;
pub(crate) use environment::is_secret;
pub use full::full_toml;
pub use kind::address::ListenAddr;
pub use kind::alias::Alias;
pub use kind::attribute::Attribute;
pub use kind::database::DatabaseUrl;
pub use kind::digest::{CertificateMatch, Sha256Digest};
pub use kind::end::End;
pub use kind::header::HeaderKey;
pub use kind::link_host::LinkHost;
pub use kind::mode::FileMode;
pub use kind::network::Network;
pub use kind::number::{Rate, Share};
pub use kind::origin::PageOrigin;
pub(crate) use kind::percent::decoded as percent_decoded;
pub use kind::proxy::{Bypass, ProxyChoice};
pub use kind::redis_url::RedisUrl;
pub use kind::secret::HiddenText;
pub use kind::syslog::Syslog;
pub use kind::target::TargetUrl;
pub use kind::text::Text;
pub use kind::token::{SecretText, TokenSource};
pub use kind::url::{BaseUrl, Host, HostPort};
pub use load::{Loaded, SourceFile, Sources, load};
pub(crate) use load::{check_again, settings_of};
pub use markdown::markdown;
pub use origin::Origin;
pub use otel::OTEL_UNSPOKEN;
pub use plain::Plain;
pub use print::Format;
pub use problem::{ConfigError, Problem};
pub use schema::schema;
pub use section::{Content, Setting};
pub(crate) use suggest::nearest;
pub use tables::Config;
pub use tables::admin::Admin;
pub use tables::audit::{Audit, Fsync, OnFailure, SHORTEST_RETENTION_DAYS};
pub use tables::breaker::Breaker;
pub use tables::cache::{Cache, CachedApi, CachedLinks, TenantCache};
pub use tables::callback::{Callback, CallbackSignature, TenantCallback};
pub use tables::client::Client;
pub use tables::code::{Code, CodeClass};
pub use tables::delivery::{Delivery, TargetCharset};
pub use tables::emptiness::Emptiness;
pub use tables::inbox::Inbox;
pub use tables::lan::{AnswerCharset, AnswerStatus, Lan, Language, UnknownFields};
pub use tables::limits::{ClientQuota, Limits, OwnClientQuota, OwnTenantQuota, TenantQuota, Weights};
pub use tables::platform::Platform;
pub use tables::process::{Drain, Log, LogFormat, LogLevel, Runtime, Telemetry};
pub(crate) use tables::protocol::MOST_CORRECTION;
pub use tables::protocol::{
    Clock, Crypto, Dates, HexCase, Identity, IdentityMode, KeyForm, MissingIdentity, Padding, Sign, SignatureEncoding,
    TimestampUnit,
};
pub use tables::pull::Pull;
pub use tables::reconcile::Reconcile;
pub use tables::reload::{Reload, Rotation};
pub use tables::store::Store;
pub use tables::tenant::Tenant;
pub use tables::tls::{ClientAuth, LanTls};
pub use tables::traces::{Sampler, Traces};
