//! `client-key new`: a key for a client, and the digest that the configuration holds in its place.

use serde_json::json;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::output::{self, Failure};
use crate::secrets;

/// What every key begins with, so that tools which look for secrets in the wrong places find it.
const PREFIX: &str = "aimis_";

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Make a key: print it for the client, and the line for its [[clients]] table. The key is not kept.
    New(NewArguments),
}

#[derive(clap::Args)]
pub(super) struct NewArguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    let Command::New(arguments) = command;
    let random = secrets::random_key()?;
    let mut digits = Zeroizing::new([0; 64]);
    hex::encode_to_slice(random.as_slice(), digits.as_mut()).expect("64 digits for 32 bytes");
    let digits = std::str::from_utf8(digits.as_slice()).expect("hexadecimal digits are ASCII");
    let key = Zeroizing::new([PREFIX, digits].concat());
    let digest = hex::encode(Sha256::digest(key.as_bytes()));
    if arguments.json {
        return output::json(&json!({ "key": key.as_str(), "key_sha256": digest }));
    }
    output::print(&format!(
        "key = {}\nkey_sha256 = \"{digest}\"\n\n\
         Give the key to the client, which sends it as `Authorization: Bearer KEY` or `X-Api-Key: KEY`;\n\
         put the line key_sha256 into its [[clients]] table. To replace a key, list both digests:\n\
         key_sha256 = [\"old\", \"new\"], until the client has changed over.\n",
        key.as_str()
    ))
}
