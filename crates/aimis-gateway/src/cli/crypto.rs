//! `sign`, `encrypt`, `decrypt`: one value by hand, to compare with what the platform says.
//!
//! Values come on standard input: arguments are seen by every user of the machine and kept in shells'
//! histories. Each prints one result line.

use std::io::Read;
use std::path::{Path, PathBuf};

use aimis_core::sign::Timestamp;
use aimis_core::token::Token;
use serde_json::json;
use zeroize::Zeroizing;

use super::output::{self, Failure};
use super::switches::{self, CryptoArguments, KeyArguments};
use crate::{config, prepare, secrets};

/// Longest value that is read, in bytes.
const MAX_VALUE: usize = 64 * 1024;

#[derive(clap::Args)]
pub(super) struct SignArguments {
    /// The appId that Tencent assigned.
    #[arg(long, value_name = "A")]
    app_id: String,
    /// Milliseconds since 1970 (13 digits), or seconds (10 digits) for the seconds switch.
    #[arg(long, value_name = "T")]
    timestamp: String,
    /// File with the token and nothing else.
    #[arg(long, value_name = "F")]
    token_file: PathBuf,
    #[command(flatten)]
    sign: switches::SignatureArguments,
    #[command(flatten)]
    key: KeyArguments,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct FieldArguments {
    /// File with the token and nothing else.
    #[arg(long, value_name = "F")]
    token_file: PathBuf,
    #[command(flatten)]
    crypto: CryptoArguments,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn sign(arguments: &SignArguments) -> Result<(), Failure> {
    let token = token(&arguments.token_file, arguments.key.form())?;
    let (unit, at) = timestamp(&arguments.timestamp)?;
    let signer = prepare::signer(&token, &arguments.sign.settings(unit));
    let signed = signer.sign(&arguments.app_id, at);
    if arguments.json {
        return output::json(&json!({
            "appId": arguments.app_id,
            "timestamp": signed.timestamp(),
            "signature": signed.signature(),
        }));
    }
    output::line(signed.signature())
}

/// The number of digits tells the unit; both lengths hold until the year 2286.
fn timestamp(text: &str) -> Result<(config::TimestampUnit, Timestamp), Failure> {
    let wrong = || Failure::Usage("--timestamp: 13 digits (milliseconds) or 10 digits (seconds)".to_owned());
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = text.parse().map_err(|_| wrong())?;
    match text.len() {
        13 => Ok((config::TimestampUnit::Ms, Timestamp::from_millis(number))),
        10 => Ok((config::TimestampUnit::S, Timestamp::from_millis(number * 1000))),
        _ => Err(wrong()),
    }
}

pub(super) fn encrypt(arguments: &FieldArguments) -> Result<(), Failure> {
    let settings = arguments.crypto.settings();
    let token = token(&arguments.token_file, settings.key_form)?;
    let cipher = prepare::field_cipher(&token, &settings);
    let ciphertext = cipher.encrypt(&value()?);
    if arguments.json {
        return output::json(&json!({ "ciphertext": ciphertext.as_str() }));
    }
    output::line(ciphertext.as_str())
}

pub(super) fn decrypt(arguments: &FieldArguments) -> Result<(), Failure> {
    let settings = arguments.crypto.settings();
    let token = token(&arguments.token_file, settings.key_form)?;
    let cipher = prepare::field_cipher(&token, &settings);
    let plaintext = cipher.decrypt(&value()?).map_err(|error| {
        Failure::Problem(format!(
            "cannot be decrypted: {error} ({}); is it the right token?",
            error.as_str()
        ))
    })?;
    if arguments.json {
        return output::json(&json!({ "plaintext": plaintext.expose() }));
    }
    output::line(plaintext.expose())
}

fn token(path: &Path, form: config::KeyForm) -> Result<Token, Failure> {
    secrets::read_token(path, prepare::key_form(form))
        .map_err(|error| Failure::Config(format!("token file {}: {error}", secrets::in_full(path).display())))
}

/// Standard input without the line end that a shell adds.
fn value() -> Result<Zeroizing<String>, Failure> {
    read_value(std::io::stdin().lock())
}

fn read_value(input: impl Read) -> Result<Zeroizing<String>, Failure> {
    // All room at once, so that no copy is left behind; one byte more than may be, since a value that was
    // cut would give a result, and a wrong one.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_VALUE + 1));
    input.take(MAX_VALUE as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_VALUE {
        return Err(Failure::Usage(format!(
            "the value on standard input is longer than {MAX_VALUE} bytes"
        )));
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Failure::Usage("the value on standard input is not UTF-8".to_owned()))?;
    let line = text
        .strip_suffix('\n')
        .map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(Zeroizing::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_too_long_is_refused_and_never_cut() {
        let longest = "x".repeat(64 * 1024);
        assert_eq!(read_value(longest.as_bytes()).unwrap().len(), longest.len());

        // In two bytes each, so that a cut would also fall inside a character.
        for long in [format!("{longest}x"), format!("x{}", "é".repeat(40_000))] {
            let failure = read_value(long.as_bytes()).err().unwrap();
            assert!(matches!(failure, Failure::Usage(_)));
            assert!(failure.to_string().contains("65536 bytes"), "{failure}");
        }
    }

    #[test]
    fn the_line_end_that_a_shell_adds_is_no_part_of_the_value() {
        assert_eq!(*read_value(&b"a b \r\n"[..]).unwrap(), "a b ");
        assert_eq!(*read_value(&b"a\n\n"[..]).unwrap(), "a\n");
    }
}
