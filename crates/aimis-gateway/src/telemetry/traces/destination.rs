//! The collector, as the configuration names it, with the files that it takes to reach it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::ServerName;

use super::span::Value;
use crate::config::{Traces, percent_decoded};
use crate::edge::tls::files::FileFault;
use crate::post::{AGENT, Place};
use crate::secrets::{self, SecretError};
use crate::upstream::tls::{add, public_roots};

/// What it takes to reach the collector is not usable.
#[derive(Debug, thiserror::Error)]
#[error("traces.{key}{}: {fault}", .path.as_ref().map_or_else(String::new, |path| format!(" {}", path.display())))]
pub struct TracesError {
    /// The key of the configuration.
    pub key: &'static str,
    /// The file it names.
    pub path: Option<PathBuf>,
    /// What is wrong.
    pub fault: TracesFault,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum TracesFault {
    /// The file of headers.
    #[error(transparent)]
    File(#[from] SecretError),
    /// The headers themselves.
    #[error("is not a list of name=value, divided by commas, with values that are percent-encoded")]
    Headers,
    /// The authorities.
    #[error(transparent)]
    Tls(#[from] FileFault),
    /// There is no such name in any certificate.
    #[error("its host cannot be verified by TLS")]
    HostName,
}

/// Where spans are posted to.
pub struct Destination {
    host: String,
    port: u16,
    tls: Option<(ServerName<'static>, Arc<ClientConfig>)>,
    path: Uri,
    /// What each request carries.
    headers: HeaderMap,
}

/// Without the headers, which may hold a key.
impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Destination({}:{})", self.host, self.port)
    }
}

impl Destination {
    /// The collector with the files it needs; `None` where nothing is traced.
    ///
    /// # Errors
    /// [`TracesError`] for the first that is of no use.
    pub fn read(settings: &Traces) -> Result<Option<Self>, TracesError> {
        let Some(url) = settings.target() else { return Ok(None) };
        let wrong = |key, path: Option<&Path>, fault| TracesError {
            key,
            path: path.map(secrets::in_full),
            fault,
        };
        let mut roots = public_roots();
        if let Some(path) = &settings.ca_file {
            add(&mut roots, path).map_err(|fault| wrong("ca_file", Some(path), fault.into()))?;
        }
        let tls = if url.origin.https {
            let name = ServerName::try_from(url.origin.host.bare())
                .map_err(|_| wrong("endpoint", None, TracesFault::HostName))?;
            let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("the provider supports TLS 1.2 and 1.3")
                .with_root_certificates(roots)
                .with_no_client_auth();
            Some((name, Arc::new(config)))
        } else {
            None
        };
        let mut headers = HeaderMap::new();
        if let Some(path) = &settings.headers_file {
            let text = secrets::read_password(path);
            let text = text.map_err(|error| wrong("headers_file", Some(path), error.into()))?;
            let read = std::str::from_utf8(&text).ok().and_then(own_headers);
            headers = read.ok_or_else(|| wrong("headers_file", Some(path), TracesFault::Headers))?;
        } else if let Some(text) = &settings.headers {
            headers = own_headers(text.expose()).ok_or_else(|| wrong("headers", None, TracesFault::Headers))?;
        }
        let authority =
            HeaderValue::from_str(&url.origin.authority()).expect("a host and a port are legal in a header");
        headers.insert(HOST, authority);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        Ok(Some(Self {
            host: url.origin.host.bare(),
            port: url.origin.port,
            tls,
            path: Uri::try_from(&*url.path).expect("the configuration checked the path"),
            headers,
        }))
    }

    pub(super) fn place(&self) -> Place<'_> {
        Place {
            host: &self.host,
            port: self.port,
            tls: self.tls.as_ref(),
        }
    }

    pub(super) fn request(&self, body: bytes::Bytes) -> Request<Full<bytes::Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

/// `name=value,name=value`, as the OTLP exporter specification has it.
fn own_headers(text: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for part in text.split(',').filter(|part| !part.trim().is_empty()) {
        let (name, value) = part.split_once('=')?;
        let name = HeaderName::try_from(name.trim()).ok()?;
        let mut value = HeaderValue::from_bytes(&percent_decoded(value.trim())?).ok()?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Some(headers)
}

/// What is told of this process: its name first, then what the configuration adds.
pub(super) fn resource(settings: &Traces, instance: &'static str) -> Vec<(Box<str>, Value)> {
    let added = settings.resource_attributes.iter().flatten();
    // Older than the variable for it alone, and still in use.
    let named = added.clone().find(|attribute| &*attribute.name == "service.name");
    let service = match named {
        Some(attribute) if &*settings.service_name == "aimis-gateway" => Arc::clone(&attribute.value),
        _ => (&*settings.service_name).into(),
    };
    let own: [(&str, Value); 3] = [
        ("service.name", Value::Text(service)),
        ("service.version", Value::Word(crate::VERSION)),
        ("service.instance.id", Value::Word(instance)),
    ];
    let others = added.filter(|attribute| !own.iter().any(|(name, _)| **name == *attribute.name));
    let others: Vec<_> = others
        .map(|attribute| (Box::from(&*attribute.name), Value::Text(Arc::clone(&attribute.value))))
        .collect();
    own.into_iter()
        .map(|(name, value)| (Box::from(name), value))
        .chain(others)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_the_standard_has_them() {
        let headers = own_headers("authorization=Bearer%20a%3Db, X-Team = imaging,").unwrap();
        assert_eq!(headers["authorization"], "Bearer a=b");
        assert_eq!(headers["x-team"], "imaging");
        assert!(headers["authorization"].is_sensitive());
        for wrong in ["a", "a b=c", "a=%", "a=%0a", "=x"] {
            assert!(own_headers(wrong).is_none(), "{wrong}");
        }
    }
}
