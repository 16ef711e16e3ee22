//! The files of `[store]`, read once.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::connection::{Kind, Target, certificates};
use crate::config;
use crate::edge::tls::files::{self, FileFault};
use crate::key_file::{self, Fault};
use crate::secrets::{self, SecretError};

/// A file of the store is not usable.
#[derive(Debug, thiserror::Error)]
pub enum StoreFileError {
    /// A password, or a key.
    #[error("store.{key} {}: {error}", .path.display())]
    Password {
        /// The key that names the file.
        key: &'static str,
        /// Its path in full.
        path: PathBuf,
        /// What is wrong with it.
        error: SecretError,
    },
    /// A file that holds no key.
    #[error("store.{key} {} is no key: it needs 32 bytes, or their 64 hex digits (`openssl rand -hex 32`)", .path.display())]
    NoKey {
        /// The key that names the file.
        key: &'static str,
        /// Its path in full.
        path: PathBuf,
    },
    /// A certificate or its key. The text is our own: that of the PEM reader quotes the file.
    #[error("store.{key} {}: {fault}", .path.display())]
    Tls {
        /// The key that names the file.
        key: &'static str,
        /// Its path in full.
        path: PathBuf,
        /// What is wrong with it.
        fault: FileFault,
    },
}

/// The keys of what is kept in the store: that of `key_file` and of `other_key_file`.
pub(crate) type KeyFiles = (Zeroizing<[u8; 32]>, Option<Zeroizing<[u8; 32]>>);

/// Reads the keys of what is kept in the store.
///
/// # Errors
/// The first file that is of no use.
pub(crate) fn keys(settings: &config::Store) -> Result<Option<KeyFiles>, StoreFileError> {
    let read = |key, path: &Option<PathBuf>| {
        let Some(path) = path else { return Ok(None) };
        let read = key_file::read(path);
        read.map(Some).map_err(|fault| match fault {
            Fault::Unreadable(path, error) => StoreFileError::Password { key, path, error },
            Fault::NoKey(path) => StoreFileError::NoKey { key, path },
        })
    };
    let other = read("other_key_file", &settings.other_key_file)?;
    Ok(read("key_file", &settings.key_file)?.map(|key| (key, other)))
}

/// User and password. Not to be shown.
#[derive(Clone, Default)]
pub(super) struct Access {
    pub(super) user: Option<String>,
    pub(super) password: Option<Zeroizing<String>>,
}

impl Target {
    /// As configured.
    ///
    /// # Errors
    /// The first file that is of no use.
    pub(crate) fn read(settings: &config::Store) -> Result<Self, StoreFileError> {
        let kind = match &settings.sentinel_master {
            Some(name) => Kind::Sentinel(name.to_string()),
            None if settings.cluster => Kind::Cluster,
            None => Kind::Single,
        };
        let ca = settings
            .ca_file
            .as_deref()
            .map(|path| pem("ca_file", path))
            .transpose()?;
        let own = match (&settings.client_cert_file, &settings.client_key_file) {
            (Some(certificate), Some(key)) => Some((pem("client_cert_file", certificate)?, key_pem(key)?)),
            _ => None,
        };
        Ok(Self {
            tls: settings.redis_url[0].tls.then(|| certificates(ca, own)),
            access: access(
                settings.user.as_deref(),
                "password_file",
                settings.password_file.as_deref(),
            )?,
            sentinels: access(
                settings.sentinel_user.as_deref(),
                "sentinel_password_file",
                settings.sentinel_password_file.as_deref(),
            )?,
            urls: settings.redis_url.clone(),
            kind,
            connect_timeout: settings.connect_timeout,
        })
    }
}

fn access(user: Option<&str>, key: &'static str, path: Option<&Path>) -> Result<Access, StoreFileError> {
    let password = path.map(|path| {
        let wrong = |error| StoreFileError::Password {
            key,
            path: secrets::in_full(path),
            error,
        };
        let bytes = secrets::read_password(path).map_err(wrong)?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(Zeroizing::new(text.to_owned())),
            Err(_) => Err(wrong(SecretError::PasswordControl)),
        }
    });
    Ok(Access {
        user: user.map(str::to_owned),
        password: password.transpose()?,
    })
}

/// Certificates in PEM, looked at so that what is wrong is told now.
fn pem(key: &'static str, path: &Path) -> Result<Vec<u8>, StoreFileError> {
    let read = files::read(path).and_then(|pem| files::certificates(&pem).map(|_| pem));
    let pem = read.map_err(|fault| wrong(key, path, fault))?;
    Ok(pem.to_vec())
}

fn key_pem(path: &Path) -> Result<Vec<u8>, StoreFileError> {
    let pem = files::read(path).map_err(|fault| wrong("client_key_file", path, fault))?;
    Ok(pem.to_vec())
}

fn wrong(key: &'static str, path: &Path, fault: FileFault) -> StoreFileError {
    StoreFileError::Tls {
        key,
        path: secrets::in_full(path),
        fault,
    }
}
