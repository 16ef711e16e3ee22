//! A configuration becomes what requests are judged by: secrets read, keys expanded, trust built.
//!
//! Everything that can be wrong with files is found here, before a thread runs; `check` calls the same.

use std::sync::Arc;

use aimis_core::cipher::{self, FieldCipher};
use aimis_core::codes::Codes;
use aimis_core::order::{self, Rules};
use aimis_core::sign::{self, Signer};
use aimis_core::token::{self, Fingerprint, Token};
use http::{HeaderValue, Uri};
use rustls_pki_types::ServerName;

use crate::client;
use crate::config::{self, Config, Host, TokenSource};
use crate::edge::tls::files::{FileError, Offer};
use crate::edge::tls::reload::First;
use crate::forward::apis::Apis;
use crate::forward::cache_key::CacheKeys;
use crate::forward::cors::Cors;
use crate::forward::decode::body::BodyBounds;
use crate::secrets::{self, SecretError};
use crate::snapshot::{MergeBounds, Snapshot};
use crate::telemetry::patient_tag::PatientTagger;
use crate::tenant::{Tenant, TenantName, Tenants};
use crate::upstream::connect::Connector;
use crate::upstream::tls::{self, TrustError};

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
    /// The file of further authorities is not usable.
    #[error("platform.extra_ca_file {}: {error}", .path.display())]
    Trust {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong.
        error: TrustError,
    },
    /// A file of the LAN listener's TLS is not usable.
    #[error(transparent)]
    LanTls(#[from] FileError),
    /// The platform's host cannot be a name in a certificate.
    #[error("platform.base_url: {host} cannot be verified by TLS")]
    HostName {
        /// The host.
        host: String,
    },
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
    /// Which token each tenant has, in the configuration's order.
    pub fingerprints: Vec<Fingerprint>,
}

/// Reads the files that a configuration names and builds from them.
///
/// # Errors
/// [`PrepareError`] for the first file that is not usable.
pub fn prepare(config: &Config) -> Result<Prepared, PrepareError> {
    let apis = Apis::builtin();
    let host =
        HeaderValue::from_str(&config.platform.base_url.authority()).expect("a host and a port are legal in a header");
    let mut tenants = Vec::with_capacity(config.tenants.len());
    let mut fingerprints = Vec::with_capacity(config.tenants.len());
    for (index, settings) in config.tenants.iter().enumerate() {
        let token = token(settings)?;
        fingerprints.push(token.fingerprint());
        tenants.push(Arc::new(tenant(index, settings, &token, &apis, &host)));
    }
    let tag_key = match &config.log.patient_tag_key_file {
        Some(path) => secrets::read_key(path).map_err(|error| PrepareError::TagKey {
            path: secrets::in_full(path),
            error,
        })?,
        None => secrets::random_key()?,
    };
    Ok(Prepared {
        connector: connector(config)?,
        lan_tls: lan_tls(&config.lan)?,
        fingerprints,
        snapshot: Snapshot {
            clients: client::clients(config, &apis),
            tenants: Tenants::new(tenants),
            codes: Codes::builtin(),
            cache_keys: CacheKeys::new(&tag_key),
            tagger: PatientTagger::new(&tag_key),
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

fn lan_tls(lan: &config::Lan) -> Result<Option<First>, FileError> {
    let offer = if lan.http2 { Offer::Http2 } else { Offer::Http1 };
    lan.tls
        .as_ref()
        .map(|settings| First::read(settings, offer))
        .transpose()
}

fn token(settings: &config::Tenant) -> Result<Token, PrepareError> {
    let form = key_form(settings.crypto.key_form);
    let (read, path) = match &settings.token {
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

fn tenant(index: usize, settings: &config::Tenant, token: &Token, apis: &Apis, host: &HeaderValue) -> Tenant {
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
        signer: signer(token, &settings.sign),
        cipher: field_cipher(token, &settings.crypto),
        app_id_header: header(&settings.app_id),
        platform_host: host.clone(),
        uris: apis.names().into_iter().map(uri).collect(),
    }
}

fn connector(config: &Config) -> Result<Connector, PrepareError> {
    let platform = &config.platform;
    let base = &platform.base_url;
    // Read for `http` as well: a file that is wrong should not show on the day of the change to `https`.
    let trust = tls::client_config(platform.extra_ca_file.as_deref()).map_err(|error| PrepareError::Trust {
        path: platform
            .extra_ca_file
            .as_deref()
            .map(secrets::in_full)
            .unwrap_or_default(),
        error,
    })?;
    let tls = if base.https {
        let name = ServerName::try_from(bare(&base.host)).map_err(|_| PrepareError::HostName {
            host: base.host.to_string(),
        })?;
        Some((name, trust))
    } else {
        None
    };
    let (host, port) = match &platform.connect_to {
        Some(peer) => (bare(&peer.host), peer.port),
        None => (bare(&base.host), base.port),
    };
    Ok(Connector::new(host, port, tls, platform.connect_timeout))
}

/// A host without the brackets that an IPv6 address has in a URL.
fn bare(host: &Host) -> String {
    match host {
        Host::Name(name) => name.to_string(),
        Host::Ip(ip) => ip.to_string(),
    }
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

        assert!(matches!(error, PrepareError::Trust { .. }), "{error}");
        assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
    }
}
