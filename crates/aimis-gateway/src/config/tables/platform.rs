//! The imaging platform and the way to it.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::kind::number::{integer, millis, size};
use crate::config::kind::path::{path, secret_path};
use crate::config::kind::proxy::{Bypass, ProxyChoice, bypass, proxy};
use crate::config::kind::text::{Text, user};
use crate::config::kind::url::{BaseUrl, HostPort, base_url, host_port};
use crate::config::kind::{Kind, one_or_more, switch};
use crate::config::section::section;

section! {
    /// The imaging platform and the way to it.
    pub struct Platform {
        /// Scheme, host and port. `http` only to a loopback host, or with `allow_plaintext`.
        base_url: BaseUrl = base_url().or("https://pacs.qq.com");
        /// Allows `http` to any host: for test networks, since requests carry signatures and answers carry findings.
        allow_plaintext: bool = switch().or(false);
        /// Connect to this host and port instead, for instance a gap device; TLS still checks the certificate of
        /// the host in `base_url`, and the `Host` header still names it.
        connect_to: Option<HostPort> = host_port().optional("10.0.0.9:8443");
        /// A PEM file of certificate authorities that are trusted beside the public ones.
        extra_ca_file: Option<PathBuf> = path().optional("certs/extra-ca.pem");
        /// The certificate that the platform is shown, if it asks for one, in PEM, followed by those between it and
        /// its authority. Only together with `client_key_file`.
        client_cert_file: Option<PathBuf> = path().optional("certs/platform-client.pem");
        /// The key of that certificate, in PEM and not encrypted.
        client_key_file: Option<PathBuf> = secret_path().optional("certs/platform-client.key");
        /// The hospital's HTTP proxy. It is asked for a tunnel (CONNECT), whatever the scheme of `base_url`, and sees
        /// neither requests nor signatures. With `https` TLS is spoken to the proxy itself as well. A tenant can differ.
        proxy: Option<ProxyChoice> = proxy().optional("http://proxy.hospital:3128");
        /// Our user at the proxy, for Basic authentication. Only together with `proxy_password_file`.
        proxy_user: Option<Text> = user(256).optional("aimis");
        /// The file that holds the password and nothing else, no line end either (`printf %s`).
        proxy_password_file: Option<PathBuf> = secret_path().optional("secrets/proxy.password");
        /// Hosts that are connected to without the proxy: names, names with all below them (`.hospital.lan`),
        /// addresses and networks. It is the host in `connect_to` that counts where that is set, else the one in
        /// `base_url`; a name is not looked up for it.
        no_proxy: Option<Vec<Bypass>> = one_or_more(bypass()).optional("10.0.0.0/8");
        /// How long the addresses of a name are used before it is looked up again. Connections to addresses that are
        /// gone by then finish what they do and are closed. While DNS fails the last good addresses are used.
        dns_ttl as "dns_ttl_ms": Duration = millis(0, 3_600_000).or(30_000);
        /// Failed connects in a row after which an address is left out for `eject_ms`, unless it is the last.
        eject_after: usize = integer(1, 1_000).or(3);
        /// How long an address is left out; 0 means never.
        eject as "eject_ms": Duration = millis(0, 3_600_000).or(30_000);
        /// Age at which a connection is replaced; 0 means never.
        max_connection_age as "max_connection_age_ms": Duration = millis(0, 86_400_000).or(300_000);
        /// The longest a call may take: waiting, connecting, all attempts and the answer together.
        deadline as "deadline_ms": Duration = millis(100, 120_000).or(10_000);
        /// The longest that look-up, connecting, the proxy's tunnel and the TLS handshake may take together.
        connect_timeout as "connect_timeout_ms": Duration = millis(100, 60_000).or(3_000);
        /// How long an unused connection is kept.
        idle_timeout as "idle_timeout_ms": Duration = millis(0, 3_600_000).or(30_000);
        /// Unused connections kept by each worker.
        max_idle_per_worker: usize = integer(0, 10_000).or(64);
        /// Connections of each worker at a time.
        max_connections_per_worker: usize = integer(1, 10_000).or(512);
        /// The largest answer.
        max_body: usize = size(64 << 10, 256 << 20).or("8MiB");
        /// Requests after which a connection is replaced; 0 means never.
        max_requests_per_connection: usize = integer(0, 1_000_000).or(0);
        /// Whether HTTP/2 is offered, over TLS; a platform that does not want it is spoken to in HTTP/1.1.
        http2: bool = switch().or(false);
        /// Questions at a time on one HTTP/2 connection, if the platform allows as many; for more another is opened.
        http2_max_streams: usize = integer(1, 1_000).or(100);
        /// How often an HTTP/2 connection is tried for life; 0 means never.
        http2_ping as "http2_ping_ms": Duration = millis(0, 3_600_000).or(20_000);
        /// How long the answer to that may take until the connection is given up.
        http2_ping_timeout as "http2_ping_timeout_ms": Duration = millis(100, 120_000).or(5_000);
        /// Times that a question is asked again at most: when no connection came about, when it ended before the
        /// answer, on status 502, 503 and 504, and once on a transient code. All within `deadline_ms`.
        max_retries: u32 = integer(0, 5).or(2);
        /// The longest wait before the first retry, doubled for each further one; the wait itself is random.
        retry_base as "retry_base_ms": Duration = millis(0, 10_000).or(50);
        /// The longest wait before any retry. A `Retry-After` of the platform can be longer.
        retry_max as "retry_max_ms": Duration = millis(0, 60_000).or(1_000);
    }
}
