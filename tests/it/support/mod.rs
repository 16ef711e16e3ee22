//! What the tests are made with: a gateway in this process, raw clients, the built binary.

pub mod binary;
pub mod client;
pub mod collector;
pub mod directory;
pub mod gateway;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod tls;
