//! Pingora relaying blindly: it neither encrypts nor signs; the load does that for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clap::Parser;
use pingora_core::Result;
use pingora_core::server::Server;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

#[derive(Parser)]
struct Arguments {
    /// Where to listen, on 127.0.0.1.
    #[arg(long)]
    port: u16,
    /// Where the platform is, on 127.0.0.1.
    #[arg(long)]
    upstream: u16,
    /// Worker threads.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// The certificate to trust: TLS is spoken with the platform.
    #[arg(long)]
    tls: Option<PathBuf>,
}

struct Relay {
    upstream: u16,
    tls: bool,
}

#[async_trait]
impl ProxyHttp for Relay {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut Self::CTX) -> Result<Box<HttpPeer>> {
        let mut peer = HttpPeer::new(("127.0.0.1", self.upstream), self.tls, "localhost".to_owned());
        // As long as a connection may be kept by the others.
        peer.options.idle_timeout = Some(Duration::from_secs(60));
        Ok(Box::new(peer))
    }
}

fn main() {
    let arguments = Arguments::parse();
    let tls = arguments.tls.is_some();
    let conf = ServerConf {
        threads: arguments.workers,
        // With it a worker's connections would wander, and so would its pool's.
        work_stealing: false,
        upstream_keepalive_pool_size: 128,
        ca_file: arguments.tls.map(|file| file.display().to_string()),
        // It is ended by a signal, with nothing to be waited for.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let relay = Relay {
        upstream: arguments.upstream,
        tls,
    };
    let mut service = http_proxy_service(&Arc::clone(&server.configuration), relay);
    service.add_tcp(&format!("127.0.0.1:{}", arguments.port));
    server.add_service(service);
    server.run_forever();
}
