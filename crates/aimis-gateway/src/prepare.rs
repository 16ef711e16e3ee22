//! A configuration becomes what requests are judged by: secrets read, keys expanded, trust built.
//!
//! Everything that can be wrong with files is found here, before a thread runs; `check` calls the same.

use std::sync::Arc;
use std::time::Duration;

use aimis_core::cipher::{self, FieldCipher};
use aimis_core::codes::Codes;
use aimis_core::order::{self, Rules};
use aimis_core::sign::{self, Signer};
use aimis_core::token::{self, Token};
use http::{HeaderValue, Uri};
use rustls::RootCertStore;
use rustls_pki_types::ServerName;
use zeroize::Zeroizing;

use crate::audit;
use crate::callback::deliver::{Target, TargetError};
use crate::callback::inbox;
use crate::callback::{self, prepare::CallbackError};
use crate::client;
use crate::clock::Moment;
use crate::config::{self, Config, TokenSource};
use crate::edge::tls::files::{FileError, Offer};
use crate::edge::tls::reload::First;
use crate::forward::apis::Apis;
use crate::forward::cache::key::CacheKeys;
use crate::forward::cache::shared::keys::FileKeys;
use crate::forward::cache::terms::Terms;
use crate::forward::cors::Cors;
use crate::forward::decode::body::BodyBounds;
use crate::keyring::{self, Key, Keyring, Source, Switch};
use crate::regular_file;
use crate::secrets::{self, SecretError};
use crate::sent::Sent;
use crate::snapshot::{MergeBounds, Snapshot};
use crate::store::connection::Target as StoreTarget;
use crate::store::prepare::{StoreFileError, keys as store_keys};
use crate::telemetry::labels::ListenerName;
use crate::telemetry::patient_tag::PatientTagger;
use crate::telemetry::traces::{Destination, TracesError};
use crate::tenant::{Tenant, TenantName, Tenants};
use crate::upstream::connect::{Bounds, Connector};
use crate::upstream::multiplexed::Http2;
use crate::upstream::tls::{TlsFileError, Trust};
use crate::ways::Ways;

/// Why a configuration cannot be put to work, though every value in it is valid.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A tenant's token is not usable.
    #[error("token of tenant {tenant}{}: {error}", place(.path))]
    Token {
        /// Whose.
        tenant: String,
        /// Its file, if it comes from one.
        path: Option<std::path::PathBuf>,
        /// What is wrong.
        error: SecretError,
    },
    /// The key of the patients' tags is not usable.
    #[error("log.patient_tag_key_file {}: {error}", .path.display())]
    TagKey {
        /// Its file.
        path: std::path::PathBuf,
        /// What is wrong.
        error: SecretError,
    },
    /// A file of TLS towards the platform is not usable.
    #[error(transparent)]
    PlatformTls(#[from] TlsFileError),
    /// A password for the proxy is not usable.
    #[error("{key} {}: {error}", .path.display())]
    ProxyPassword {
        /// The key that names its file.
        key: String,
        /// Its file.
        path: std::path::PathBuf,
        /// What is wrong.
        error: SecretError,
    },
    /// A file of the LAN listener's TLS is not usable.
    #[error(transparent)]
    LanTls(#[from] FileError),
    /// A file of the store is not usable.
    #[error(transparent)]
    Store(#[from] StoreFileError),
    /// A target of events is not usable.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A file of the callback listener is not usable.
    #[error(transparent)]
    Callback(#[from] CallbackError),
    /// The keys of the audit trail are not those that it needs.
    #[error(transparent)]
    AuditKeys(#[from] audit::OpenError),
    /// The keys of the inbox are not those that it needs.
    #[error(transparent)]
    InboxKeys(#[from] inbox::OpenError),
    /// The host of the platform or a proxy cannot be a name in a certificate.
    #[error("{key}: {host} cannot be verified by TLS")]
    HostName {
        /// The key that names it.
        key: String,
        /// The host.
        host: String,
    },
    /// What it takes to reach the collector of traces is not usable.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// The system gave no randomness.
    #[error("the system denied a resource: {}", .0.kind())]
    System(#[from] std::io::Error),
}

fn place(path: &Option<std::path::PathBuf>) -> String {
    path.as_ref()
        .map_or_else(String::new, |path| format!(" in {}", path.display()))
}

/// What a configuration gives.
pub struct Prepared {
    /// What requests are judged by.
    pub snapshot: Snapshot,
    /// The way to the platform.
    pub connector: Connector,
    /// What the LAN listener shows to callers, if it speaks TLS.
    pub lan_tls: Option<First>,
    /// What callbacks are judged by, where they are taken.
    pub callbacks: Option<callback::prepare::Prepared>,
    /// The way to what replicas share, where they share anything.
    pub(crate) store: Option<StoreTarget>,
    /// What seals the answers that they share.
    pub(crate) cache_files: Option<FileKeys>,
    /// Where events are delivered to, where callbacks are taken.
    pub targets: Vec<Target>,
    /// Where spans go to, if there are any.
    pub traces: Option<Destination>,
    /// Tenants, by position, that use another token than before.
    pub switches: Vec<(usize, Switch)>,
}

/// What was in force before, of which some is kept.
#[derive(Clone, Copy)]
pub struct Before<'a> {
    /// What requests were judged by.
    pub snapshot: &'a Snapshot,
    /// The configuration it was made of.
    pub config: &'a Config,
    /// The time, for tokens that nothing names any more.
    pub now: Moment,
}

/// Reads the files that a configuration names and builds from them.
///
/// # Errors
/// [`PrepareError`] for the first file that is not usable.
pub fn prepare(config: &Config) -> Result<Prepared, PrepareError> {
    prepare_after(config, None)
}

/// The same in the place of what was `before`: tenants that stay go on with the token that they use, if it is live, and
/// with the memory of what they sent; and keys that were made for this run stay.
///
/// # Errors
/// [`PrepareError`] for the first file that is not usable.
pub fn prepare_after(config: &Config, before: Option<Before<'_>>) -> Result<Prepared, PrepareError> {
    let apis = Apis::builtin();
    let host = platform_host(config);
    let way_out = way_out(config)?;
    let mut tenants = Vec::with_capacity(config.tenants.len());
    let mut switches = Vec::new();
    for (index, settings) in config.tenants.iter().enumerate() {
        let mut keyring = keyring(settings, &config.rotation)?;
        let old = before.and_then(|before| Some((before.now, before.tenant(settings)?)));
        if let Some((now, old)) = old {
            let (following, switch) = keyring.following(&old.keyring, now);
            keyring = following;
            switches.extend(switch.map(|switch| (index, switch)));
        }
        let mut tenant = tenant(index, settings, keyring, &apis, &host, way_out.of_tenants[index]);
        let kept = old.and_then(|(_, old)| old.sent.clone());
        tenant.sent = sent(config, settings).map(|new| kept.unwrap_or(new));
        tenants.push(Arc::new(tenant));
    }
    let tag_key = tag_key(config)?;
    let made_up = |config: &Config| config.log.patient_tag_key_file.is_none();
    let tagger = match before {
        Some(before) if made_up(config) && made_up(before.config) => before.snapshot.tagger.clone(),
        _ => PatientTagger::new(&tag_key),
    };
    let cache_keys = match before {
        // Answers that are kept would not be found under others.
        Some(before) => Arc::clone(&before.snapshot.cache_keys),
        None => Arc::new(CacheKeys::new(&tag_key)),
    };
    let tenants = Tenants::new(tenants);
    Ok(Prepared {
        connector: way_out.connector,
        callbacks: callback::prepare::prepare(config, &tenants)?,
        store: config.store.as_ref().map(StoreTarget::read).transpose()?,
        cache_files: cache_files(config)?,
        targets: targets(config)?,
        traces: Destination::read(&config.traces)?,
        lan_tls: lan_tls(&config.lan)?,
        switches,
        snapshot: Snapshot {
            clients: client::clients(config, &apis),
            tenants,
            codes: codes(config),
            cache_keys,
            tagger,
            // Set by whoever writes one: the key is made at the first start, not by a check.
            audit: None,
            apis,
            cors: Cors::new(
                config
                    .lan
                    .cors_origins
                    .iter()
                    .flatten()
                    .map(ToString::to_string)
                    .collect(),
            ),
            log_client_address: config.log.client_address,
            body_bounds: BodyBounds {
                max: config.lan.max_body,
                timeout: config.lan.body_timeout,
            },
            merge_bounds: MergeBounds {
                at_once: config.lan.merge_concurrency,
                max_body: config.platform.max_body,
            },
        },
    })
}

/// Makes sure that what the gateway wrote under its own keys can be read with those of `config`: the audit trail, and the
/// inbox where callbacks are taken. A check and a start ask this; a reload asks what runs. Makes no key and changes nothing.
/// What a shell hands over can be read once, so it is not read here.
///
/// # Errors
/// [`PrepareError`] for the first that cannot.
pub fn check_keys(config: &Config, needed: audit::Needed) -> Result<(), PrepareError> {
    if let Some(audit) = &config.audit
        && !regular_file::is_own_descriptor(&audit.key_file)
    {
        audit::check_keys(audit, needed)?;
    }
    if config.callback.is_some() && !regular_file::is_own_descriptor(&config.inbox.key_file) {
        inbox::check_keys(&config.inbox)?;
    }
    Ok(())
}

/// The way to the platform; no tenant's token is needed for it.
pub(crate) struct WayOut {
    /// Opens connections.
    pub(crate) connector: Connector,
    /// Each tenant's way, in the configuration's order.
    pub(crate) of_tenants: Vec<usize>,
    /// Whom the platform is trusted by.
    pub(crate) roots: Arc<RootCertStore>,
}

/// Reads the files of `[platform]`, and the proxies' passwords.
pub(crate) fn way_out(config: &Config) -> Result<WayOut, PrepareError> {
    // Read for `http` as well: a file that is wrong should not show on the day of the change to `https`.
    let trust = Trust::read(&config.platform)?;
    let mut ways = Ways::new(config, &trust)?;
    let tenants = config.tenants.iter().enumerate();
    let of_tenants = tenants.map(|(index, settings)| ways.of(index, settings));
    Ok(WayOut {
        of_tenants: of_tenants.collect::<Result<_, _>>()?,
        roots: Arc::clone(&trust.roots),
        connector: connector(config, ways, trust)?,
    })
}

/// What the platform is called in the `Host` header.
pub(crate) fn platform_host(config: &Config) -> HeaderValue {
    HeaderValue::from_str(&config.platform.base_url.authority()).expect("a host and a port are legal in a header")
}

/// The key of the patients' tags, or one for this run.
pub(crate) fn tag_key(config: &Config) -> Result<Zeroizing<[u8; 32]>, PrepareError> {
    match &config.log.patient_tag_key_file {
        Some(path) => secrets::read_key(path).map_err(|error| PrepareError::TagKey {
            path: secrets::in_full(path),
            error,
        }),
        None => Ok(secrets::random_key()?),
    }
}

/// The built-in table, and what the configuration has otherwise.
pub(crate) fn codes(config: &Config) -> Codes {
    config.codes.iter().fold(Codes::builtin(), |codes, code| {
        codes.with_override(code.api.as_deref(), code.code, code.class.class(), code.retry)
    })
}

pub(crate) fn lan_tls(lan: &config::Lan) -> Result<Option<First>, FileError> {
    let offer = if lan.http2 { Offer::Http2 } else { Offer::Http1 };
    lan.tls
        .as_ref()
        .map(|settings| First::read(settings, offer, ListenerName::Lan))
        .transpose()
}

impl<'a> Before<'a> {
    /// The tenant as it was, if it is the same.
    fn tenant(&self, settings: &config::Tenant) -> Option<&'a Arc<Tenant>> {
        let mut all = self.snapshot.tenants.all().iter();
        all.find(|old| old.name.as_str() == &*settings.name && old.app_id == *settings.app_id)
    }
}

/// Reads a tenant's tokens.
pub(crate) fn keyring(settings: &config::Tenant, rotation: &config::Rotation) -> Result<Keyring, PrepareError> {
    let file = |path: &std::path::PathBuf| TokenSource::File(path.clone());
    let named = [
        (Source::Token, Some(settings.token.clone())),
        (Source::Next, settings.next_token_file.as_ref().map(file)),
        (Source::Previous, settings.previous_token_file.as_ref().map(file)),
    ];
    let mut keys = Vec::with_capacity(named.len());
    for (source, place) in named {
        let Some(place) = place else { continue };
        let token = token(settings, &place)?;
        let (signer, cipher) = (signer(&token, &settings.sign), field_cipher(&token, &settings.crypto));
        keys.push((source, Key::new(token.fingerprint(), signer, cipher)));
    }
    let terms = keyring::Terms {
        canary: rotation.canary,
        overlap: rotation.overlap,
        refusals: rotation.refusals,
    };
    Ok(Keyring::new(keys, terms))
}

/// Reads one of a tenant's tokens.
fn token(settings: &config::Tenant, place: &TokenSource) -> Result<Token, PrepareError> {
    let form = key_form(settings.crypto.key_form);
    let (read, path) = match place {
        TokenSource::File(path) => (secrets::read_token(path, form), Some(secrets::in_full(path))),
        TokenSource::Inline(text) => (
            Token::parse(text.expose().as_bytes(), form).map_err(SecretError::from),
            None,
        ),
    };
    read.map_err(|error| PrepareError::Token {
        tenant: settings.name.to_string(),
        path,
        error,
    })
}

/// A tenant whose way to the platform is number `way`.
pub(crate) fn tenant(
    index: usize,
    settings: &config::Tenant,
    keyring: Keyring,
    apis: &Apis,
    host: &HeaderValue,
    way: usize,
) -> Tenant {
    let header = |text: &str| HeaderValue::from_str(text).expect("an appId is legal in a header");
    let uri = |api: &str| {
        Uri::try_from(format!("/thirdparty/{api}/{}", &*settings.app_id)).expect("an appId is legal in a path")
    };
    Tenant {
        index,
        name: TenantName::new(&settings.name),
        app_id: settings.app_id.to_string(),
        hospital_id: settings.hospital_id.as_deref().map(str::to_owned),
        union_id: settings.union_id.as_deref().map(str::to_owned),
        rules: rules(settings),
        cache: apis
            .names()
            .into_iter()
            .map(|api| terms(&settings.cache, api))
            .collect(),
        way,
        keyring: Arc::new(keyring),
        app_id_header: header(&settings.app_id),
        platform_host: host.clone(),
        sent: None,
        uris: apis.names().into_iter().map(uri).collect(),
    }
}

/// How answers of one API are kept.
fn terms(settings: &config::TenantCache, api: &str) -> Terms {
    let own = settings.of_api(api);
    let or = |own: Option<Duration>, all: Duration| own.unwrap_or(all);
    let own = own.as_ref();
    Terms {
        enabled: settings.enabled && own.is_some_and(|own| own.enabled),
        coalesce: settings.coalesce,
        fresh: or(own.and_then(|own| own.fresh), settings.fresh),
        negative: or(own.and_then(|own| own.negative), settings.negative),
        stale_if_error: or(own.and_then(|own| own.stale_if_error), settings.stale_if_error),
        stale_while_revalidate: or(
            own.and_then(|own| own.stale_while_revalidate),
            settings.stale_while_revalidate,
        ),
    }
}

fn cache_files(config: &Config) -> Result<Option<FileKeys>, StoreFileError> {
    let keys = config.store.as_ref().map(store_keys).transpose()?.flatten();
    Ok(keys.map(|(key, other)| FileKeys::new(&key, other.as_deref())))
}

fn targets(config: &Config) -> Result<Vec<Target>, TargetError> {
    let targets = config
        .tenants
        .iter()
        .filter_map(|tenant| Target::read(tenant).transpose());
    targets.collect()
}

/// Where callbacks are taken, what a tenant's requests are signed for is remembered for as long as a callback with such
/// a signature would be fresh. A callback's timestamp has 13 digits, so requests signed by the second cannot be meant.
fn sent(config: &Config, tenant: &config::Tenant) -> Option<Arc<Sent>> {
    let callback = config.callback.as_ref()?;
    if tenant.sign.timestamp_unit != config::TimestampUnit::Ms {
        return None;
    }
    let window = (callback.past + callback.ahead).as_millis();
    Some(Arc::new(Sent::new(u64::try_from(window).unwrap_or(u64::MAX))))
}

fn connector(config: &Config, ways: Ways, trust: Trust) -> Result<Connector, PrepareError> {
    let platform = &config.platform;
    let base = &platform.base_url;
    let tls = if base.https {
        let name = ServerName::try_from(base.host.bare()).map_err(|_| PrepareError::HostName {
            key: "platform.base_url".to_owned(),
            host: base.host.to_string(),
        })?;
        Some((name, trust.platform))
    } else {
        None
    };
    let (host, port) = match &platform.connect_to {
        Some(peer) => (peer.host.bare(), peer.port),
        None => (base.host.bare(), base.port),
    };
    let bounds = Bounds::of(platform);
    let http2 = Http2::of(platform);
    Ok(Connector::new(host, port, tls, bounds, ways.into_list(), http2))
}

/// The form of a token under the configuration.
pub fn key_form(form: config::KeyForm) -> token::KeyForm {
    match form {
        config::KeyForm::Raw => token::KeyForm::Raw,
        config::KeyForm::Hex => token::KeyForm::Hex,
    }
}

/// A signer under the configuration's switches.
pub fn signer(token: &Token, settings: &config::Sign) -> Signer {
    let encoding = match settings.encoding {
        config::SignatureEncoding::HexLower => sign::SignatureEncoding::HexLower,
        config::SignatureEncoding::HexUpper => sign::SignatureEncoding::HexUpper,
        config::SignatureEncoding::Base64 => sign::SignatureEncoding::Base64,
    };
    let unit = match settings.timestamp_unit {
        config::TimestampUnit::Ms => sign::TimestampUnit::Milliseconds,
        config::TimestampUnit::S => sign::TimestampUnit::Seconds,
    };
    Signer::new(token, encoding, unit)
}

/// A cipher under the configuration's switches.
pub fn field_cipher(token: &Token, settings: &config::Crypto) -> FieldCipher {
    let padding = match settings.padding {
        config::Padding::Pkcs7 => cipher::Padding::Pkcs7,
        config::Padding::Zero => cipher::Padding::Zero,
    };
    let case = match settings.hex_case {
        config::HexCase::Lower => cipher::HexCase::Lower,
        config::HexCase::Upper => cipher::HexCase::Upper,
    };
    FieldCipher::new(token, padding, case)
}

fn rules(settings: &config::Tenant) -> Rules {
    Rules {
        identity_mode: match settings.identity.mode {
            config::IdentityMode::Off => order::IdentityMode::Off,
            config::IdentityMode::Warn => order::IdentityMode::Warn,
            config::IdentityMode::Strict => order::IdentityMode::Strict,
        },
        missing: match settings.identity.missing {
            config::MissingIdentity::Reject => order::MissingIdentity::Reject,
            config::MissingIdentity::EncryptEmpty => order::MissingIdentity::EncryptEmpty,
            config::MissingIdentity::Omit => order::MissingIdentity::Omit,
        },
        upgrade_15: settings.identity.upgrade_15,
        max_range_days: settings.dates.max_range_days,
        default_range_days: settings.dates.default_range_days,
        ..Rules::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    #[test]
    fn an_authority_that_is_not_there_is_told_even_where_no_tls_is_used() {
        let text = "[platform]\nbase_url = \"http://127.0.0.1:9080\"\nextra_ca_file = \"/nowhere/ca.pem\"\n\
                    [[tenants]]\nname = \"demo\"\napp_id = \"900001\"\n";
        let token = [("AIMIS_TENANTS__0__TOKEN", "0123456789abcdef0123456789abcdef")];
        let loaded = config::load(&Sources::text("demo.toml", text.to_owned()).with_env(token)).unwrap();

        let error = prepare(&loaded.config).err().unwrap();

        assert!(matches!(error, PrepareError::PlatformTls(_)), "{error}");
        assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
    }
}
