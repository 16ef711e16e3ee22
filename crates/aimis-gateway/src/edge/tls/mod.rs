//! TLS of the LAN listener: the certificate that callers see, and theirs that we ask for.
//!
//! In the order of a connection's life: [`files`] become a configuration of rustls, [`door`] does a
//! handshake under it and [`failure`] says why one failed, [`certificate`] reads who the caller is, and
//! [`reload`] replaces the whole configuration when the files change. Only the whole: a session that is
//! resumed skips the check of certificates, so tickets and kept sessions have to go with the trust under
//! which they were made.

pub mod certificate;
pub mod door;
pub mod failure;
pub mod files;
pub mod reload;
