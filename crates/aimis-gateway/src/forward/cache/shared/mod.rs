//! x
pub mod keys;
pub mod seal;
