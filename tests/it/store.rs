//! What replicas share, on real servers: Redis 6.2 and 7, Valkey 9, sentinels, a cluster, TLS and users.

pub mod model;
pub mod servers;
