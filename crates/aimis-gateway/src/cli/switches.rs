//! The platform's unknowns as arguments (platform-api.md, section 9, rows 1 to 5).

use clap::ValueEnum;

use crate::config;

/// How personal fields are encrypted.
#[derive(clap::Args)]
pub(super) struct CryptoArguments {
    /// How the last block is filled.
    #[arg(long, value_enum, default_value_t = Padding::Pkcs7)]
    padding: Padding,
    /// Letters of the hex digits written.
    #[arg(long, value_enum, default_value_t = HexCase::Lower)]
    hex_case: HexCase,
    #[command(flatten)]
    key: KeyArguments,
}

/// How a token becomes a key.
#[derive(clap::Args)]
pub(super) struct KeyArguments {
    /// raw: the token's 32 characters are the key; hex: it is 64 hex digits.
    #[arg(long, value_enum, default_value_t = KeyForm::Raw)]
    key_form: KeyForm,
}

/// How requests are signed.
#[derive(clap::Args)]
pub(super) struct SignatureArguments {
    /// How the signature is written.
    #[arg(long, value_enum, default_value_t = Encoding::HexLower)]
    encoding: Encoding,
}

#[derive(Clone, Copy, ValueEnum)]
enum Padding {
    Pkcs7,
    Zero,
}

#[derive(Clone, Copy, ValueEnum)]
enum HexCase {
    Lower,
    Upper,
}

#[derive(Clone, Copy, ValueEnum)]
enum KeyForm {
    Raw,
    Hex,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Encoding {
    HexLower,
    HexUpper,
    Base64,
}

impl KeyArguments {
    pub(super) fn form(&self) -> config::KeyForm {
        match self.key_form {
            KeyForm::Raw => config::KeyForm::Raw,
            KeyForm::Hex => config::KeyForm::Hex,
        }
    }
}

impl CryptoArguments {
    pub(super) fn settings(&self) -> config::Crypto {
        config::Crypto {
            padding: match self.padding {
                Padding::Pkcs7 => config::Padding::Pkcs7,
                Padding::Zero => config::Padding::Zero,
            },
            hex_case: match self.hex_case {
                HexCase::Lower => config::HexCase::Lower,
                HexCase::Upper => config::HexCase::Upper,
            },
            key_form: self.key.form(),
        }
    }
}

impl SignatureArguments {
    pub(super) fn settings(&self, unit: config::TimestampUnit) -> config::Sign {
        config::Sign {
            encoding: match self.encoding {
                Encoding::HexLower => config::SignatureEncoding::HexLower,
                Encoding::HexUpper => config::SignatureEncoding::HexUpper,
                Encoding::Base64 => config::SignatureEncoding::Base64,
            },
            timestamp_unit: unit,
        }
    }
}
