//! The listener that the platform's callbacks come to, and how a callback proves where it comes from.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::entry::optional_table;
use crate::config::kind::address::{ListenAddr, address};
use crate::config::kind::choice::{choices, one_of};
use crate::config::kind::link_host::{LinkHost, link_host};
use crate::config::kind::mode::{FileMode, mode};
use crate::config::kind::network::{Network, network};
use crate::config::kind::number::{integer, millis, size};
use crate::config::kind::path::{path, secret_path};
use crate::config::kind::target::{TargetUrl, target_url};
use crate::config::kind::{Kind, one_or_more, switch};
use crate::config::section::section;
use crate::config::tables::delivery::TargetCharset;
use crate::config::tables::tls::LanTls;

section! {
    /// The listener that the platform's callbacks come to: `POST /callback/{tenant}`, with the secret behind it if
    /// there is one. Without this table there is neither listener nor inbox. What a callback has to prove
    /// (`signature`, `secret_file`, `networks`, `link_hosts`) can differ for a tenant.
    pub struct Callback {
        /// Where callbacks are taken. Beyond loopback addresses and unix sockets only where something tells the
        /// platform from others: `signature = "required"`, `secret_file`, `networks`, or client certificates that
        /// are required.
        listen: Vec<ListenAddr> = one_or_more(address()).or("127.0.0.1:8081");
        /// Who may use the unix sockets of `listen`; see `lan.socket_mode`.
        socket_mode: FileMode = mode().or("0660");
        /// TLS for the callers; see `lan.tls`. With this table every TCP address of `listen` speaks TLS, except those
        /// written with `plain:` in front.
        tls: Option<LanTls> = optional_table();
        /// Whether the three headers of a signature have to be there. A wrong signature is always refused.
        signature: CallbackSignature = one_of().or("if_present");
        /// How old the time of a signature may be.
        past as "past_ms": Duration = millis(1_000, 3_600_000).or(300_000);
        /// How far the time of a signature may be ahead of our clock (`clock.offset_ms` included).
        ahead as "ahead_ms": Duration = millis(0, 3_600_000).or(60_000);
        /// The file that holds the last part of the path, and nothing else: 16 to 128 of `A-Za-z0-9._~-`. The platform
        /// is told `https://…/callback/{tenant}/{secret}`.
        secret_file: Option<PathBuf> = secret_path().optional("secrets/callback.path");
        /// Networks that callbacks come from; without them, from anywhere. The address is that of the connection: behind
        /// a reverse proxy it is the proxy's.
        networks: Option<Vec<Network>> = one_or_more(network()).optional("192.0.2.0/24");
        /// Hosts that links of a callback may lead to; `*.` in front means any host below. A callback with a link to
        /// another host, or one that is not https, is kept in quarantine and not delivered. Without it any link is
        /// delivered, and the number of different hosts is exported.
        link_hosts: Option<Vec<LinkHost>> = one_or_more(link_host()).optional("pacs.qq.com");
        /// The largest body.
        max_body: usize = size(1 << 10, 1 << 20).or("64KiB");
        /// The longest the head of a request may take to arrive, from its first byte.
        header_timeout as "header_timeout_ms": Duration = millis(100, 120_000).or(10_000);
        /// The longest the body of a request may take to arrive.
        body_timeout as "body_timeout_ms": Duration = millis(100, 120_000).or(10_000);
        /// The longest the caller may take to accept the next part of an answer.
        write_timeout as "write_timeout_ms": Duration = millis(100, 600_000).or(30_000);
        /// How long a connection is kept without a request.
        idle_timeout as "idle_timeout_ms": Duration = millis(100, 3_600_000).or(75_000);
        /// Connections at a time, over all addresses; a further one is answered 503 and closed.
        max_connections: usize = integer(1, 100_000).or(256);
        /// Connections at a time from one address, or from one /64 network of IPv6; 0 is no limit. Raise it where one
        /// reverse proxy stands before all callers.
        max_connections_per_source: usize = integer(0, 100_000).or(64);
        /// Callbacks a second from one address, or from one /64 network of IPv6, before anything is decrypted or
        /// compared; a further one is answered 429. As many again may come at once. 0 is no limit.
        max_per_source_per_s: u32 = integer(0, 1_000_000).or(200);
        /// The longest a TLS handshake may take, from the connection's beginning.
        handshake_timeout as "handshake_timeout_ms": Duration = millis(100, 120_000).or(5_000);
        /// The most header lines in a request.
        max_headers: usize = integer(10, 1_000).or(100);
        /// The largest head of a request, its first line and all header lines together.
        max_head_bytes: usize = size(8 << 10, 1 << 20).or("16KiB");
        /// The longest a connection is read on behind a refusal that ends it, so that the refusal is not lost.
        linger_timeout as "linger_timeout_ms": Duration = millis(100, 30_000).or(2_000);
    }
}

section! {
    /// What a callback of this tenant has to prove, and where it is delivered to.
    pub struct TenantCallback {
        /// Whether the three headers of a signature have to be there. A wrong signature is always refused.
        signature: CallbackSignature = one_of().or("if_present");
        /// The file that holds the last part of the path, and nothing else: 16 to 128 of `A-Za-z0-9._~-`.
        secret_file: Option<PathBuf> = secret_path().optional("secrets/first-hospital.callback-path");
        /// Networks that callbacks come from; without them, from anywhere.
        networks: Option<Vec<Network>> = one_or_more(network()).optional("192.0.2.0/24");
        /// Hosts that links of a callback may lead to.
        link_hosts: Option<Vec<LinkHost>> = one_or_more(link_host()).optional("pacs.qq.com");
        /// Whether callbacks that were missed are looked for; see the section `reconcile`. It needs `hospital_id` and
        /// `union_id`, and costs some of the quota at the platform.
        reconcile: bool = switch().or(false);
        /// The address of the HIS that events are posted to; without it they are kept until they are fetched. Redirects
        /// are not followed. Put no secret into it: it is shown by `config print`.
        target: Option<TargetUrl> = target_url().optional("https://his.hospital.example/imaging-events");
        /// Allows a `target` with `http` on another machine: events carry names of patients, their numbers and links to
        /// their findings, so this is for a network that nobody listens on.
        target_allow_plaintext: bool = switch().or(false);
        /// The charset that events are written in. The `Content-Type` names it.
        target_charset: TargetCharset = one_of().or("utf-8");
        /// Values of `code` in the HIS's answer that mean that it has the event. An answer without `code` is judged by
        /// its status alone.
        target_success_codes: Vec<i32> = one_or_more(integer(-2_000_000_000, 2_000_000_000)).or(0);
        /// The file with the key that events are signed with (Standard Webhooks, `webhook-signature`): `whsec_` and
        /// base64 of 24 to 64 bytes, nothing else. Without it events are not signed.
        target_secret_file: Option<PathBuf> = secret_path().optional("secrets/first-hospital.webhook");
        /// The key before that one: while the HIS changes over, events carry signatures of both.
        target_previous_secret_file: Option<PathBuf> = secret_path().optional("secrets/first-hospital.webhook-previous");
        /// The file with a key that the HIS is shown (`Authorization: Bearer`), and nothing else.
        target_bearer_file: Option<PathBuf> = secret_path().optional("secrets/first-hospital.bearer");
        /// A PEM file of certificate authorities that are trusted for `target` beside the public ones.
        target_ca_file: Option<PathBuf> = path().optional("certs/hospital-ca.pem");
        /// The certificate that the HIS is shown, if it asks for one, in PEM, followed by those between it and its
        /// authority. Only together with `target_client_key_file`.
        target_client_cert_file: Option<PathBuf> = path().optional("certs/his-client.pem");
        /// The key of that certificate, in PEM and not encrypted.
        target_client_key_file: Option<PathBuf> = secret_path().optional("certs/his-client.key");
    }
}

choices! {
    /// Whether a callback has to be signed.
    pub enum CallbackSignature {
        /// A callback without signature is refused.
        Required = "required",
        /// A callback may come without signature: then only its encrypted fields show where it comes from, and these can be copied from another.
        IfPresent = "if_present",
        /// Signatures are not looked at.
        Off = "off",
    }
}
