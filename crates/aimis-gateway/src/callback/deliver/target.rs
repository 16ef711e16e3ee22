//! A target: where a tenant's events go, and how they show there where they come from. Made from the configuration
//! and its files before anything runs; no other address is ever sent to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::{HeaderValue, Uri};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::sign::SingleCertAndKey;
use rustls_pki_types::ServerName;

use super::webhook::{KeyError, Signer};
use crate::config::{TargetCharset, Tenant, TenantCallback};
use crate::edge::tls::files::{FileFault, TlsFile, certificates, certified, expiry, read};
use crate::secrets::{self, SecretError};
use crate::tenant::TenantName;
use crate::upstream::tls::{add, public_roots};

/// A file of a target is not usable.
#[derive(Debug, thiserror::Error)]
#[error("callback.{key} of tenant {tenant}{}: {fault}", .path.as_ref().map_or_else(String::new, |path| format!(", {}", path.display())))]
pub struct TargetError {
    /// Whose.
    pub tenant: String,
    /// The key of the configuration.
    pub key: &'static str,
    /// The file it names.
    pub path: Option<PathBuf>,
    /// What is wrong.
    pub fault: TargetFault,
}

/// What is wrong with a target.
#[derive(Debug, thiserror::Error)]
pub enum TargetFault {
    /// The key for signatures.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The bearer key.
    #[error(transparent)]
    Bearer(#[from] SecretError),
    /// The bearer key cannot stand in a header.
    #[error("has a character in it that a header cannot have")]
    NoHeader,
    /// A certificate, a key or an authority.
    #[error(transparent)]
    Tls(#[from] FileFault),
    /// There is no such name in any certificate.
    #[error("its host cannot be verified by TLS")]
    HostName,
}

/// Where a tenant's events go.
pub struct Target {
    /// Whose.
    pub(super) tenant: TenantName,
    /// By name or address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// The value of `Host`.
    pub(super) authority: HeaderValue,
    /// Path and query.
    pub(super) path: Uri,
    /// The name to verify, and how; `None` for plain HTTP.
    pub(super) tls: Option<(ServerName<'static>, Arc<ClientConfig>)>,
    pub(super) bearer: Option<HeaderValue>,
    pub(super) signer: Option<Signer>,
    pub(super) charset: TargetCharset,
    pub(super) success_codes: Vec<i32>,
}

impl Target {
    /// A tenant's target with the files it needs; `None` where events are only kept.
    ///
    /// # Errors
    /// [`TargetError`] for the first file that is of no use.
    pub fn read(settings: &Tenant) -> Result<Option<Self>, TargetError> {
        let callback = &settings.callback;
        let Some(url) = &callback.target else { return Ok(None) };
        let wrong = |key, path: Option<&Path>, fault: TargetFault| TargetError {
            tenant: settings.name.to_string(),
            key,
            path: path.map(secrets::in_full),
            fault,
        };
        // Read for `http` as well: a file that is wrong should not show on the day of the change to `https`.
        let trust = trust(callback).map_err(|(key, path, fault)| wrong(key, Some(path), fault.into()))?;
        let tls = if url.origin.https {
            let name = ServerName::try_from(url.origin.host.bare());
            Some((name.map_err(|_| wrong("target", None, TargetFault::HostName))?, trust))
        } else {
            None
        };
        let signer = callback.target_secret_file.as_deref().map(|current| {
            let previous = callback.target_previous_secret_file.as_deref();
            Signer::read(current, previous).map_err(|(path, error)| {
                let is_current = path == current;
                let key = if is_current {
                    "target_secret_file"
                } else {
                    "target_previous_secret_file"
                };
                wrong(key, Some(path), error.into())
            })
        });
        let bearer = callback
            .target_bearer_file
            .as_deref()
            .map(|path| bearer(path).map_err(|fault| wrong("target_bearer_file", Some(path), fault)));
        Ok(Some(Self {
            tenant: TenantName::new(&settings.name),
            host: url.origin.host.bare(),
            port: url.origin.port,
            authority: HeaderValue::from_str(&url.origin.authority()).expect("a host and a port are legal in a header"),
            path: Uri::try_from(&*url.path).expect("the configuration checked the path"),
            tls,
            bearer: bearer.transpose()?,
            signer: signer.transpose()?,
            charset: callback.target_charset,
            success_codes: callback.target_success_codes.clone(),
        }))
    }

    /// Whose it is.
    pub(crate) fn tenant(&self) -> &TenantName {
        &self.tenant
    }

    /// Its host, by name or address, and its port.
    pub(crate) fn place(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// The name to verify, and how; `None` for plain HTTP.
    pub(crate) fn tls(&self) -> Option<&(ServerName<'static>, Arc<ClientConfig>)> {
        self.tls.as_ref()
    }
}

fn bearer(path: &Path) -> Result<HeaderValue, TargetFault> {
    let key = secrets::read_password(path)?;
    let mut value =
        HeaderValue::from_bytes(&[b"Bearer ", key.as_slice()].concat()).map_err(|_| TargetFault::NoHeader)?;
    value.set_sensitive(true);
    Ok(value)
}

/// A file that is of no use, with the key that names it.
type Wrong<'a> = (&'static str, &'a Path, FileFault);

/// TLS 1.2 or newer, certificates always verified; ours is shown if there is one.
fn trust(callback: &TenantCallback) -> Result<Arc<ClientConfig>, Wrong<'_>> {
    let mut roots = public_roots();
    if let Some(path) = callback.target_ca_file.as_deref() {
        add(&mut roots, path).map_err(|fault| ("target_ca_file", path, fault))?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("the provider supports TLS 1.2 and 1.3")
        .with_root_certificates(roots);
    let files = (
        callback.target_client_cert_file.as_deref(),
        callback.target_client_key_file.as_deref(),
    );
    let mut config = match files {
        (Some(certificate), Some(key)) => {
            let of_certificate = |fault| ("target_client_cert_file", certificate, fault);
            let of_key = |fault| ("target_client_key_file", key, fault);
            let chain = read(certificate)
                .and_then(|pem| certificates(&pem))
                .and_then(|chain| expiry(&chain).map(|_| chain))
                .map_err(of_certificate)?;
            let pem = read(key).map_err(of_key)?;
            let own = certified(chain, &pem, &provider).map_err(|(file, fault)| match file {
                TlsFile::Certificate => of_certificate(fault),
                TlsFile::Key | TlsFile::ClientCa => of_key(fault),
            })?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own)))
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
