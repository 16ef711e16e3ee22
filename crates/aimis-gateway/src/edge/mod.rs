//! Where connections of HTTP clients begin: one way to serve them, with every bound in place.

pub mod connection;
pub mod guard;
pub mod guarded_io;
pub mod http2;
pub mod peer;
pub mod request_id;
pub mod tls;
