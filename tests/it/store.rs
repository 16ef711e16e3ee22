//! What replicas share, on real servers: Redis 6.2 and 7, Valkey 9, sentinels, a cluster, TLS and users.

mod apart;
pub mod cluster;
mod fleet;
mod link;
pub mod model;
mod nodes;
mod rights;
mod secured;
pub mod servers;
mod sum;
pub mod trio;
mod words;
