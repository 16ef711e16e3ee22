//! `selftest`: does this binary compute what the platform documents, and what does each tenant's setting give?

use aimis_core::cipher::FieldCipher;
use aimis_core::sign::{Signer, Timestamp};
use aimis_core::token::{KeyForm, Token};
use serde_json::{Value, json};

use super::output::{self, Failure};
use super::sources::ConfigArguments;
use crate::prepare;

/// Golden values of the interface specification; every person and token in them is made up.
const VECTORS: &str = include_str!("../../../../tests/vectors/vectors.json");
/// 2025-01-01 08:00:00 in China, and the telephone of the worked examples.
const SAMPLE_TIME: u64 = 1_735_689_600_000;
const SAMPLE_PHONE: &str = "13800138000";

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: ConfigArguments,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (passed, failed) = vectors();
    let tenants = if arguments.source.is_given() {
        tenants(&arguments.source)?
    } else {
        Vec::new()
    };
    if arguments.json {
        output::json(
            &json!({ "ok": failed.is_empty(), "vectors_passed": passed, "vectors_failed": failed, "tenants": tenants }),
        )?;
    } else {
        output::line(&format!("{passed} golden values computed as documented"))?;
        for name in &failed {
            output::line(&format!("FAILED: {name}"))?;
        }
        for tenant in &tenants {
            output::line(&format!(
                "tenant {}: token {}\n  timestamp  {}\n  signature  {}\n  phoneNum {SAMPLE_PHONE} becomes {}",
                text(tenant, "name"),
                text(tenant, "token_fingerprint"),
                text(tenant, "timestamp"),
                text(tenant, "signature"),
                text(tenant, "ciphertext"),
            ))?;
        }
        if !tenants.is_empty() {
            output::line("Compare them with what the platform's support computes for the same input.")?;
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Failure::Problem(
            "this binary does not compute the golden values".to_owned(),
        ))
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// How many golden values came out right, and the names of the others.
fn vectors() -> (usize, Vec<String>) {
    let all: Value = serde_json::from_str(VECTORS).expect("the embedded vectors are JSON, checked by tests");
    let (mut passed, mut failed) = (0, Vec::new());
    for vector in all["vectors"].as_array().into_iter().flatten() {
        if holds(vector) {
            passed += 1
        } else {
            failed.push(text(vector, "name").to_owned())
        }
    }
    (passed, failed)
}

fn holds(vector: &Value) -> bool {
    let Ok(token) = Token::parse(text(vector, "token").as_bytes(), KeyForm::Raw) else {
        return false;
    };
    let timestamp = text(vector, "timestamp");
    let Ok(number) = timestamp.parse::<u64>() else {
        return false;
    };
    let (unit, at) = if timestamp.len() == 13 {
        (aimis_core::sign::TimestampUnit::Milliseconds, number)
    } else {
        (aimis_core::sign::TimestampUnit::Seconds, number * 1000)
    };
    let signer = Signer::new(&token, aimis_core::sign::SignatureEncoding::HexLower, unit);
    let signed = signer.sign(text(vector, "appId"), Timestamp::from_millis(at));
    let cipher = FieldCipher::new(
        &token,
        aimis_core::cipher::Padding::Pkcs7,
        aimis_core::cipher::HexCase::Lower,
    );
    let ciphertext = text(vector, "ciphertext_hex");
    signed.timestamp() == timestamp
        && signed.signature() == text(vector, "signature")
        && cipher.encrypt(text(vector, "plaintext")).as_str() == ciphertext
        && cipher
            .decrypt(ciphertext)
            .is_ok_and(|plain| plain.expose() == text(vector, "plaintext"))
}

fn tenants(source: &ConfigArguments) -> Result<Vec<Value>, Failure> {
    let loaded = source.load()?;
    let prepared = prepare::prepare(&loaded.config)?;
    let tenants = prepared.snapshot.tenants.all().iter().map(|tenant| {
        let key = tenant.keyring.current();
        let signed = key.sign(&tenant.app_id, Timestamp::from_millis(SAMPLE_TIME));
        json!({
            "name": tenant.name.as_str(),
            "token_fingerprint": key.fingerprint().to_string(),
            "timestamp": signed.timestamp(),
            "signature": signed.signature(),
            "plaintext": SAMPLE_PHONE,
            "ciphertext": key.cipher().encrypt(SAMPLE_PHONE).as_str(),
        })
    });
    Ok(tenants.collect())
}
