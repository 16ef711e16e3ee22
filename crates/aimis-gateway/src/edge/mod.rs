//! Where connections of HTTP clients begin: one way to serve them, with every bound in place.

pub mod connection;
pub mod guarded_io;
pub mod peer;
pub mod request_id;
pub mod tls;
