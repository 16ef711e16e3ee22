//! What replicas share.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::kind::number::{integer, millis};
use crate::config::kind::path::{path, secret_path};
use crate::config::kind::redis_url::{RedisUrl, redis_url};
use crate::config::kind::text::{Text, identifier, text};
use crate::config::kind::{Kind, one_or_more, switch};
use crate::config::section::section;

section! {
    /// A Redis or Valkey (6.2 or newer) that several gateways share, so that quotas hold for all of them together. While
    /// it is away each gateway goes by its part of the quotas, and nothing is refused for that alone.
    pub struct Store {
        /// Where it is: one server, or with `sentinel_master` the sentinels, or with `cluster` some nodes of the cluster.
        /// `rediss` is TLS. No user and no password: these have keys of their own.
        redis_url: Vec<RedisUrl> = one_or_more(redis_url()).required("rediss://redis.hospital.example:6380");
        /// The name under which the sentinels in `redis_url` know the master. It is followed when they promote another.
        sentinel_master: Option<Text> = text(128).optional("aimis");
        /// Whether the servers in `redis_url` are nodes of a cluster.
        cluster: bool = switch().or(false);
        /// Allows `redis` to other machines: for networks where nobody listens, since password and keys are not hidden there.
        allow_plaintext: bool = switch().or(false);
        /// Our user there (an ACL user). Only together with `password_file`; without it the password is the default user's.
        user: Option<Text> = text(256).optional("aimis");
        /// The file that holds the password and nothing else, no line end either (`printf %s`).
        password_file: Option<PathBuf> = secret_path().optional("secrets/redis.password");
        /// Our user at the sentinels, if they want one. Only together with `sentinel_password_file`.
        sentinel_user: Option<Text> = text(256).optional("aimis");
        /// The file that holds the password for the sentinels.
        sentinel_password_file: Option<PathBuf> = secret_path().optional("secrets/sentinel.password");
        /// A PEM file of the authorities that its certificate is checked against; without it the public ones.
        ca_file: Option<PathBuf> = path().optional("certs/redis-ca.pem");
        /// The certificate that it is shown, if it asks for one, in PEM. Only together with `client_key_file`.
        client_cert_file: Option<PathBuf> = path().optional("certs/redis-client.pem");
        /// The key of that certificate, in PEM and not encrypted.
        client_key_file: Option<PathBuf> = secret_path().optional("certs/redis-client.key");
        /// What every key there begins with. Gateways that share quotas have the same; others that use the same server another.
        prefix: Text = identifier(32).or("aimis");
        /// The longest that a request waits for it. Behind that the request goes by this gateway's part of the quotas.
        timeout as "timeout_ms": Duration = millis(1, 10_000).or(50);
        /// The longest that look-up, connecting, TLS and sign-in may take together.
        connect_timeout as "connect_timeout_ms": Duration = millis(10, 60_000).or(1_000);
        /// Failures in a row after which it counts as away, and is not asked until it is back.
        failures: u32 = integer(1, 1_000).or(3);
        /// How long it is left alone then before it is tried again, up to a half more at random; one try at a time.
        retry as "retry_ms": Duration = millis(10, 600_000).or(1_000);
        /// How often a gateway says that it is there. One that has not for four times as long is not counted.
        heartbeat as "heartbeat_ms": Duration = millis(100, 60_000).or(2_000);
        /// Gateways that are reckoned with at least. While the store is away each has the quotas divided by this, or by the
        /// number that were last seen if that is more. Set it to the number of replicas.
        replicas_min: u32 = integer(1, 10_000).or(2);
        /// The key that seals what is kept there: 32 bytes, or their 64 hex digits (`openssl rand -hex 32`); the same file for
        /// all gateways, and never in the store. Without it nothing is kept there, and so no answers at all.
        key_file: Option<PathBuf> = secret_path().optional("secrets/store.key");
        /// While keys are changed, the other one: what it sealed can be opened as well.
        other_key_file: Option<PathBuf> = secret_path().optional("secrets/store.other.key");
        /// How long other gateways wait for one that asks the platform, before one of them asks, too.
        lease as "lease_ms": Duration = millis(100, 60_000).or(3_000);
        /// How long an answer serves that was asked for while the store is away; 0 keeps none. A callback that another gateway
        /// takes meanwhile does not end it.
        fallback_fresh as "fallback_fresh_ms": Duration = millis(0, 60_000).or(5_000);
        /// How long a callback waits for the store, which has to hear of it. After that it is not acknowledged, though kept
        /// and delivered.
        forget_wait as "forget_wait_ms": Duration = millis(10, 60_000).or(2_000);
    }
}
