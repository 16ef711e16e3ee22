//! What is fuzzed: a file each, with its seeds and what must hold for every input.

mod callback;
mod charset;
mod cipher_decrypt;
mod datetime;
mod decode;
mod head_guard;
mod identity;
mod multipart;
mod sign_verify;

/// A reader of foreign text, and what must hold for whatever it reads.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// Texts close to the rules; inputs are made from them by damage.
    pub(crate) seeds: &'static [&'static str],
    /// Folder of the repository whose `.http` files are seeds as well.
    pub(crate) corpus: Option<&'static str>,
    /// Panics if something does not hold.
    pub(crate) run: fn(&[u8]),
}

/// All of them.
pub(crate) const ALL: &[Target] = &[
    sign_verify::TARGET,
    cipher_decrypt::TARGET,
    identity::TARGET,
    datetime::TARGET,
    decode::TARGET,
    multipart::TARGET,
    charset::TARGET,
    callback::TARGET,
    head_guard::TARGET,
];

/// The token of all targets; made up.
const TOKEN: &[u8; 32] = b"0123456789abcdef0123456789abcdef";
