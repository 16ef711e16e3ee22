//! The way to the store: one server, the master that sentinels name, or a cluster.

use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    RedisConnectionInfo, RedisError, RedisResult, TlsCertificates, Value,
};

use super::prepare::Access;
use crate::config::{HostPort, RedisUrl};

/// Parts of the time for connecting that one node of a cluster may take.
const SHARES: u32 = 4;

/// Where the store is, and how it is entered.
pub(crate) struct Target {
    pub(super) urls: Vec<RedisUrl>,
    pub(super) kind: Kind,
    pub(super) access: Access,
    pub(super) sentinels: Access,
    pub(super) tls: Option<TlsCertificates>,
    pub(super) connect_timeout: Duration,
}

/// What the servers of a [`Target`] are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Single,
    /// Sentinels, and the master's name.
    Sentinel(String),
    Cluster,
}

/// A connection; many requests are under way on it. Cloning gives another handle.
#[derive(Clone)]
pub(crate) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    /// Sends one command, and waits as long as it takes.
    pub(super) async fn send(&mut self, cmd: &Cmd) -> RedisResult<Value> {
        let value = match self {
            Self::One(connection) => connection.req_packed_command(cmd).await,
            Self::Cluster(connection) => connection.req_packed_command(cmd).await,
        };
        value?.extract_error()
    }
}

impl Target {
    /// Connects and signs in, within the time for that. The address is the master's that the sentinels named.
    pub(super) async fn connect(&self) -> RedisResult<(Connection, Option<HostPort>)> {
        let connecting = async {
            match &self.kind {
                Kind::Single => Ok((self.one(&self.urls[0]).await?, None)),
                Kind::Cluster => Ok((self.cluster().await?, None)),
                Kind::Sentinel(name) => {
                    let peer = self.master(name).await?;
                    let url = RedisUrl {
                        peer: peer.clone(),
                        ..self.urls[0].clone()
                    };
                    let mut connection = self.one(&url).await?;
                    // A sentinel may not have noticed yet that it was made a replica.
                    let role = connection.send(&redis::cmd("ROLE")).await?;
                    match role {
                        Value::Array(parts) if parts.first().is_some_and(|role| text(role) == Some("master")) => {
                            Ok((connection, Some(peer)))
                        }
                        _ => Err(failure("the server that the sentinels name is no master")),
                    }
                }
            }
        };
        within(self.connect_timeout, connecting).await
    }

    /// Whom the sentinels name now; `None` where there are none.
    pub(super) async fn named_master(&self) -> Option<HostPort> {
        let Kind::Sentinel(name) = &self.kind else { return None };
        within(self.connect_timeout, self.master(name)).await.ok()
    }

    /// The first answer of a sentinel.
    async fn master(&self, name: &str) -> RedisResult<HostPort> {
        let mut last = failure("no sentinel knows the master");
        for url in &self.urls {
            match self.ask_sentinel(url, name).await {
                Ok(Some(peer)) => return Ok(peer),
                Ok(None) => {}
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn ask_sentinel(&self, url: &RedisUrl, name: &str) -> RedisResult<Option<HostPort>> {
        // Several may be down, and share the time for connecting.
        let share = self.connect_timeout / u32::try_from(self.urls.len() + 1).unwrap_or(u32::MAX);
        let asking = async {
            let url = RedisUrl {
                database: 0,
                ..url.clone()
            };
            let mut connection = self
                .client(&url, &self.sentinels)?
                .get_multiplexed_async_connection_with_config(
                    &AsyncConnectionConfig::new()
                        .set_response_timeout(None)
                        .set_connection_timeout(None),
                )
                .await?;
            let mut cmd = redis::cmd("SENTINEL");
            cmd.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
            connection.req_packed_command(&cmd).await?.extract_error()
        };
        let Value::Array(parts) = within(share, asking).await? else {
            return Ok(None);
        };
        let [host, port] = &parts[..] else { return Ok(None) };
        let peer = text(host).zip(text(port)).and_then(|(host, port)| {
            let host = if host.contains(':') {
                format!("[{host}]")
            } else {
                host.to_owned()
            };
            HostPort::parse(&format!("{host}:{port}"))
        });
        peer.map(Some).ok_or_else(|| failure("a sentinel names no address"))
    }

    async fn one(&self, url: &RedisUrl) -> RedisResult<Connection> {
        // Both times are kept by whoever waits.
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_connection_timeout(None);
        let client = self.client(url, &self.access)?;
        let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        Ok(Connection::One(connection))
    }

    async fn cluster(&self) -> RedisResult<Connection> {
        let nodes = self.urls.iter().map(|url| info(url, &self.access));
        let nodes = nodes.collect::<RedisResult<Vec<_>>>()?;
        // A node that hangs must not take all of the time in which the others are connected. And whoever waits keeps the time of
        // a call: the driver would take a node that is late for a connection that is lost.
        let share = self.connect_timeout / SHARES;
        let mut builder = ClusterClient::builder(nodes)
            .connection_timeout(share)
            .response_timeout(self.connect_timeout)
            .retries(3)
            .min_retry_wait(1)
            .max_retry_wait(10);
        if let Some(tls) = &self.tls {
            builder = builder.certs(tls.clone());
        }
        Ok(Connection::Cluster(builder.build()?.get_async_connection().await?))
    }

    fn client(&self, url: &RedisUrl, access: &Access) -> RedisResult<Client> {
        let info = info(url, access)?;
        match &self.tls {
            Some(tls) => Client::build_with_tls(info, tls.clone()),
            None => Client::open(info),
        }
    }
}

/// Puts certificates in the form of the driver.
pub(super) fn certificates(ca: Option<Vec<u8>>, own: Option<(Vec<u8>, Vec<u8>)>) -> TlsCertificates {
    TlsCertificates {
        client_tls: own.map(|(client_cert, client_key)| ClientTlsConfig {
            client_cert,
            client_key,
        }),
        root_cert: ca,
    }
}

fn info(url: &RedisUrl, access: &Access) -> RedisResult<ConnectionInfo> {
    let (host, port) = (url.peer.host.bare(), url.peer.port);
    let address = if url.tls {
        ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: None,
        }
    } else {
        ConnectionAddr::Tcp(host, port)
    };
    let mut settings = RedisConnectionInfo::default()
        .set_db(url.database.into())
        // What an old server does not know it answers with an error, and an ACL may not allow it.
        .set_skip_set_lib_name();
    if let Some(user) = &access.user {
        settings = settings.set_username(user);
    }
    if let Some(password) = &access.password {
        settings = settings.set_password(password.as_str());
    }
    Ok(address.into_connection_info()?.set_redis_settings(settings))
}

/// Bounds what the driver does by the runtime's timer.
async fn within<T>(time: Duration, what: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    match tokio::time::timeout(time, what).await {
        Ok(done) => done,
        Err(_elapsed) => Err(RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut))),
    }
}

fn failure(what: &'static str) -> RedisError {
    RedisError::from((redis::ErrorKind::Client, what))
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}
