//! How values of other parts become fields: whoever may be logged is listed here.

use super::super::log::{Loggable, write_string};
use crate::callback::inbox::Reason;
use crate::edge::tls::files::{FileError, FileFault};
use crate::live::reload::{HeldKeys, ReloadError};
use aimis_core::token::Fingerprint;

/// A host of the configuration, the platform's or a proxy's.
#[derive(Clone, Copy)]
pub struct PeerName<'a>(&'a str);

impl<'a> PeerName<'a> {
    /// `host` stands in the configuration.
    pub fn new(host: &'a str) -> Self {
        Self(host)
    }
}

impl Loggable for PeerName<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        write_string(out, self.0);
    }
}

/// A source file's path, as a panic tells it.
#[derive(Clone, Copy)]
pub struct CodePath<'a>(&'a str);

impl<'a> CodePath<'a> {
    /// Where a panic happened; the only way to make one.
    pub fn of(location: &'a std::panic::Location<'_>) -> Self {
        Self(location.file())
    }
}

impl Loggable for CodePath<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        write_string(out, self.0);
    }
}

impl Loggable for Fingerprint {
    fn write_json(&self, out: &mut Vec<u8>) {
        write_string(out, &self.to_string());
    }
}

/// What the start would say of it: keys, values and paths of the configuration, never what a secret file holds.
impl Loggable for &ReloadError {
    fn write_json(&self, out: &mut Vec<u8>) {
        write_string(out, &self.to_string());
    }
}

/// Keys of the configuration.
impl Loggable for &HeldKeys {
    fn write_json(&self, out: &mut Vec<u8>) {
        write_string(out, &self.0.join(" "));
    }
}

/// The path of the file, which is the configuration's.
impl Loggable for &FileError {
    fn write_json(&self, out: &mut Vec<u8>) {
        write_string(out, &self.path.to_string_lossy());
    }
}

/// A text of our own: nothing of the file is in it.
impl Loggable for &FileFault {
    fn write_json(&self, out: &mut Vec<u8>) {
        write_string(out, &self.to_string());
    }
}

/// A word of ours, or a number behind one.
impl Loggable for &Reason {
    fn write_json(&self, out: &mut Vec<u8>) {
        write_string(out, self.as_str());
    }
}
