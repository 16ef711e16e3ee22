//! The ways to the platform that a configuration asks for: straight ahead, or through one proxy or several.

use std::path::PathBuf;

use rustls_pki_types::ServerName;

use crate::config::{Config, ProxyChoice, Tenant, Text};
use crate::prepare::PrepareError;
use crate::secrets;
use crate::upstream::proxy::{Credentials, Proxy};
use crate::upstream::tls::Trust;

/// All ways, each once: tenants with the same way share its connections.
pub(crate) struct Ways {
    common: Wanted,
    /// The platform is reached without a proxy by everyone (`platform.no_proxy`).
    bypassed: bool,
    trust: std::sync::Arc<rustls::ClientConfig>,
    list: Vec<(Wanted, Option<Proxy>)>,
}

/// A way as the configuration has it; equal ones are one.
#[derive(Clone, PartialEq)]
struct Wanted {
    choice: ProxyChoice,
    user: Option<(Text, PathBuf)>,
}

impl Wanted {
    fn new(choice: Option<&ProxyChoice>, user: Option<&Text>, password: Option<&PathBuf>) -> Self {
        Self {
            choice: choice.cloned().unwrap_or(ProxyChoice::Direct),
            user: user.cloned().zip(password.cloned()),
        }
    }
}

impl Ways {
    /// The common way first. A password that is of no use is told even where every tenant has another way.
    pub(crate) fn new(config: &Config, trust: &Trust) -> Result<Self, PrepareError> {
        let platform = &config.platform;
        let host = platform
            .connect_to
            .as_ref()
            .map_or(&platform.base_url.host, |peer| &peer.host);
        let common = Wanted::new(
            platform.proxy.as_ref(),
            platform.proxy_user.as_ref(),
            platform.proxy_password_file.as_ref(),
        );
        let mut ways = Self {
            common: common.clone(),
            bypassed: platform.no_proxy.iter().flatten().any(|bypass| bypass.covers(host)),
            trust: trust.proxy.clone(),
            list: Vec::new(),
        };
        ways.add(common, "platform")?;
        Ok(ways)
    }

    /// The position of a tenant's way.
    pub(crate) fn of(&mut self, index: usize, tenant: &Tenant) -> Result<usize, PrepareError> {
        let own = Wanted::new(
            tenant.proxy.as_ref().or(Some(&self.common.choice)),
            tenant.proxy_user.as_ref(),
            tenant.proxy_password_file.as_ref(),
        );
        let wanted = if tenant.proxy.is_none() && own.user.is_none() {
            self.common.clone()
        } else {
            own
        };
        self.add(wanted, &format!("tenants[{index}]"))
    }

    /// What the connector is made of.
    pub(crate) fn into_list(self) -> Vec<Option<Proxy>> {
        self.list.into_iter().map(|(_, proxy)| proxy).collect()
    }

    fn add(&mut self, wanted: Wanted, at: &str) -> Result<usize, PrepareError> {
        if let Some(known) = self.list.iter().position(|(known, _)| *known == wanted) {
            return Ok(known);
        }
        let proxy = self.proxy(&wanted, at)?.filter(|_| !self.bypassed);
        self.list.push((wanted, proxy));
        Ok(self.list.len() - 1)
    }

    fn proxy(&self, wanted: &Wanted, at: &str) -> Result<Option<Proxy>, PrepareError> {
        let ProxyChoice::Through(url) = &wanted.choice else {
            return Ok(None);
        };
        let credentials = wanted.user.as_ref().map(|(user, path)| -> Result<_, PrepareError> {
            let password = secrets::read_password(path).map_err(|error| PrepareError::ProxyPassword {
                key: format!("{at}.proxy_password_file"),
                path: secrets::in_full(path),
                error,
            })?;
            Ok(Credentials::basic(user, &password))
        });
        let tls = if url.https {
            let name = ServerName::try_from(url.host.bare()).map_err(|_| PrepareError::HostName {
                key: format!("{at}.proxy"),
                host: url.host.to_string(),
            })?;
            Some((name, self.trust.clone()))
        } else {
            None
        };
        Ok(Some(Proxy {
            host: url.host.bare(),
            port: url.port,
            tls,
            credentials: credentials.transpose()?,
        }))
    }
}
