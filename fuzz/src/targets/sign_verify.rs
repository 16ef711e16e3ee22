//! The check of a callback's signature: it accepts what was signed and nothing else.

use std::sync::LazyLock;

use aimis_core::sign::{SignatureEncoding, Signer, Timestamp, TimestampUnit};
use aimis_core::token::{KeyForm, Token};

use super::{TOKEN, Target};

pub(super) const TARGET: Target = Target {
    name: "sign_verify",
    seeds: SEEDS,
    corpus: None,
    run,
};

const APP_ID: &str = "900001";
const AT: Timestamp = Timestamp::from_millis(1_735_689_600_000);

/// appId, timestamp, signature, one a line.
const SEEDS: &[&str] = &[
    "900001\n1735689600000\n0000000000000000000000000000000000000000000000000000000000000000",
    "900001\n1735689600\n0000000000000000000000000000000000000000000000000000000000000000",
    "90000\n11735689600000\nffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "900001\n1735689600000\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "900001\n1735689600000\n============================================",
    "900001\n+735689600000\n",
    "\n\n",
];

struct Case {
    encoding: SignatureEncoding,
    signer: Signer,
    timestamp: String,
    signature: String,
}

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let token = Token::parse(TOKEN, KeyForm::Raw).expect("a sound token");
    let case = |encoding| {
        let signer = Signer::new(&token, encoding, TimestampUnit::Milliseconds);
        let signed = signer.sign(APP_ID, AT);
        let (timestamp, signature) = (signed.timestamp().to_owned(), signed.signature().to_owned());
        Case {
            encoding,
            signer,
            timestamp,
            signature,
        }
    };
    [
        SignatureEncoding::HexLower,
        SignatureEncoding::HexUpper,
        SignatureEncoding::Base64,
    ]
    .map(case)
    .into()
});

fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut parts = text.splitn(3, '\n');
    let mut part = || parts.next().unwrap_or_default();
    let (app_id, timestamp, received) = (part(), part(), part());
    for case in CASES.iter() {
        let Case {
            encoding,
            signer,
            timestamp: signed_at,
            signature,
        } = case;
        // A forged signature verifies by luck of 2^-256 only.
        assert!(
            signer.verify(app_id, timestamp, received).is_err(),
            "{encoding:?}: a forgery was accepted"
        );
        assert!(
            signer.verify(APP_ID, signed_at, signature).is_ok(),
            "{encoding:?}: a good signature was refused"
        );

        // The good signature is good for this appId and time alone.
        if app_id != APP_ID {
            assert!(
                signer.verify(app_id, signed_at, signature).is_err(),
                "{encoding:?}: another appId passed"
            );
        }
        if timestamp != signed_at {
            assert!(
                signer.verify(APP_ID, timestamp, signature).is_err(),
                "{encoding:?}: another time passed"
            );
        }
        moved(case, input);
        damaged(case, input);
    }
}

/// Moves characters between appId and timestamp, which are signed without a separator: only the fixed lengths of a
/// timestamp keep them apart.
fn moved(case: &Case, input: &[u8]) {
    let joined = format!("{APP_ID}{}", case.timestamp);
    let (app_id, timestamp) = joined.split_at(usize::from(input.first().copied().unwrap_or(0)) % joined.len());
    let verdict = case.signer.verify(app_id, timestamp, &case.signature).is_ok();
    assert_eq!(
        verdict,
        matches!(timestamp.len(), 10 | 13),
        "{:?}: the border at {}",
        case.encoding,
        app_id.len()
    );
}

/// Lays the first bytes of the input over the good signature.
fn damaged(case: &Case, input: &[u8]) {
    let Some((&at, damage)) = input.split_first() else {
        return;
    };
    let mut bytes = case.signature.clone().into_bytes();
    for (byte, mask) in bytes.iter_mut().skip(usize::from(at) % 64).zip(damage) {
        *byte ^= mask & 0x7f;
    }
    let Ok(received) = String::from_utf8(bytes) else {
        return;
    };
    // Hex may change its case and mean the same.
    let same = match case.encoding {
        SignatureEncoding::HexLower | SignatureEncoding::HexUpper => received.eq_ignore_ascii_case(&case.signature),
        SignatureEncoding::Base64 => received == case.signature,
    };
    let verdict = case.signer.verify(APP_ID, &case.timestamp, &received).is_ok();
    assert_eq!(verdict, same, "{:?}: a damaged signature", case.encoding);
}
