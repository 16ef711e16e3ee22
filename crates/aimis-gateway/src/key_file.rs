//! Keys that the gateway makes for itself: 32 bytes in a file of their own, made at the first start.

use std::io::Write;
use std::path::Path;

use base64::Engine;
use zeroize::Zeroizing;

use crate::disk;
use crate::secrets::{self, SecretError};

/// Why a file gives no key.
pub(crate) enum Fault {
    /// It cannot be read.
    Unreadable(SecretError),
    /// It holds something else.
    NoKey,
}

/// Reads a key: 32 bytes, or these in hex or base64, with or without a line end.
///
/// # Errors
/// [`Fault`]; never with the content.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<[u8; 32]>, Fault> {
    let text = secrets::read_bytes(path).map_err(Fault::Unreadable)?;
    let mut key = Zeroizing::new([0; 32]);
    let trimmed = text.trim_ascii();
    let good = if text.len() == 32 {
        key.copy_from_slice(&text);
        true
    } else if trimmed.len() == 64 {
        hex::decode_to_slice(trimmed, key.as_mut()).is_ok()
    } else {
        // `openssl rand -base64 32`. The decoder wants room for one byte more.
        let mut room = Zeroizing::new([0; 33]);
        let decoded = base64::engine::general_purpose::STANDARD.decode_slice(trimmed, room.as_mut());
        key.copy_from_slice(&room[..32]);
        trimmed.len() == 44 && decoded == Ok(32)
    };
    good.then_some(key).ok_or(Fault::NoKey)
}

/// Writes a new key so that it is whole and durable, for this user alone, or not there at all.
///
/// # Errors
/// What the system says; also when there is a file of this name by now.
pub(crate) fn generate(path: &Path) -> std::io::Result<()> {
    let key = secrets::random_key()?;
    let mut text = Zeroizing::new([0; 65]);
    hex::encode_to_slice(*key, &mut text[..64]).expect("32 bytes are 64 hex digits");
    text[64] = b'\n';
    let directory = disk::directory_of(path);
    disk::create_directory(directory)?;
    let draft = path.with_extension(format!("new-{}", std::process::id()));
    // A crash left it, of a process that had our number; nobody else is here, since what the key is for is locked.
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = disk::create_private(&draft)?;
    file.write_all(&*text)?;
    file.sync_all()?;
    // Never over a key that another process has just made: a link fails where a rename would replace.
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    linked?;
    disk::sync_directory(directory)
}
