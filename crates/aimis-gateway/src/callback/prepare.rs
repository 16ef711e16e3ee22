//! A configuration becomes what callbacks are judged by.

use std::path::PathBuf;
use std::sync::Arc;

use super::hospital::{Hospital, Hospitals, PathSecret};
use super::verify::Rules;
use crate::config::{self, Callback, CallbackSignature, Config};
use crate::edge::tls::files::{FileError, Offer};
use crate::edge::tls::reload::First;
use crate::secrets::{self, SecretError};
use crate::telemetry::labels::ListenerName;
use crate::tenant::{Tenant, Tenants};

/// Why a callback listener cannot be put to work.
#[derive(Debug, thiserror::Error)]
pub enum CallbackError {
    /// The secret part of a path is not usable.
    #[error("callback.secret_file of tenant {tenant}, {}: {error}", .path.display())]
    Secret {
        /// Whose.
        tenant: String,
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        error: SecretError,
    },
    /// A file of its TLS is not usable.
    #[error(transparent)]
    Tls(#[from] FileError),
    /// The system gave no randomness.
    #[error("the system denied a resource: {}", .0.kind())]
    System(#[from] std::io::Error),
}

/// What a configuration gives for callbacks.
pub struct Prepared {
    /// The tenants.
    pub hospitals: Hospitals,
    /// What the listener shows to callers, if it speaks TLS.
    pub tls: Option<First>,
}

/// Reads the files that the callback sections name; `None` where no callbacks are taken.
///
/// # Errors
/// [`CallbackError`].
pub fn prepare(config: &Config, tenants: &Tenants) -> Result<Option<Prepared>, CallbackError> {
    let Some(callback) = &config.callback else {
        return Ok(None);
    };
    let all = tenants.all().iter().zip(&config.tenants);
    let all: Result<Vec<_>, _> = all
        .map(|(tenant, settings)| hospital(tenant, &settings.callback, callback))
        .collect();
    let tls = callback.tls.as_ref();
    let tls = tls.map(|settings| First::read(settings, Offer::Http1, ListenerName::Callback));
    Ok(Some(Prepared {
        hospitals: Hospitals::new(all?, rules(callback, callback.signature))?,
        tls: tls.transpose()?,
    }))
}

fn hospital(
    tenant: &Arc<Tenant>,
    settings: &config::TenantCallback,
    callback: &Callback,
) -> Result<Hospital, CallbackError> {
    let secret = settings.secret_file.as_ref().map(|path| {
        secrets::read_path_secret(path).map_err(|error| CallbackError::Secret {
            tenant: tenant.name.as_str().to_owned(),
            path: secrets::in_full(path),
            error,
        })
    });
    let keys = || tenant.keyring.all().iter().map(|held| &held.key);
    Ok(Hospital {
        name: tenant.name.clone(),
        app_id: tenant.app_id.clone(),
        hospital_id: tenant.hospital_id.clone(),
        rules: rules(callback, settings.signature),
        signers: keys().map(|key| key.signer().clone()).collect(),
        ciphers: keys().map(|key| key.cipher().clone()).collect(),
        sent: tenant.sent.clone(),
        secret: secret.transpose()?.map(|text| PathSecret::new(&text)),
        networks: settings.networks.clone(),
        link_hosts: settings.link_hosts.clone(),
    })
}

fn rules(callback: &Callback, signature: CallbackSignature) -> Rules {
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Rules {
        signature,
        past_ms: millis(callback.past),
        ahead_ms: millis(callback.ahead),
    }
}
