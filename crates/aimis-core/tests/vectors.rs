//! The golden values of `tests/vectors/vectors.json`, every one of them, through the public interface.

use aimis_core::cipher::{FieldCipher, HexCase, Padding};
use aimis_core::datetime::Date;
use aimis_core::identity::{self, MaskWidth};
use aimis_core::sign::{SignatureEncoding, Signer, Timestamp, TimestampUnit};
use aimis_core::token::{KeyForm, Token};
use serde::Deserialize;

const ENCODINGS: [SignatureEncoding; 3] = [
    SignatureEncoding::HexLower,
    SignatureEncoding::HexUpper,
    SignatureEncoding::Base64,
];

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
    variants: Vec<Variant>,
    decrypt: Vec<Decrypt>,
    identity: Vec<Number>,
    phones: Vec<Number>,
    masks: Vec<Mask>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vector {
    name: String,
    token: String,
    app_id: String,
    timestamp: String,
    signature: String,
    plaintext: String,
    #[serde(rename = "ciphertext_hex")]
    ciphertext: String,
}

#[derive(Deserialize)]
struct Variant {
    name: String,
    of: String,
    value: String,
}

#[derive(Deserialize)]
struct Decrypt {
    name: String,
    token: String,
    ciphertext_hex: String,
    expect: String,
    plaintext: Option<String>,
}

#[derive(Deserialize)]
struct Number {
    input: String,
    #[serde(rename = "type")]
    kind: String,
    valid: bool,
    normalized: Option<String>,
}

#[derive(Deserialize)]
struct Mask {
    kind: String,
    input: String,
    masked: String,
}

fn file() -> File {
    serde_json::from_str(include_str!("../../../tests/vectors/vectors.json"))
        .expect("the file of vectors has the shape above")
}

impl Vector {
    fn token(&self) -> Token {
        Token::parse(self.token.as_bytes(), KeyForm::Raw).expect("the vectors' tokens are good")
    }

    fn cipher(&self, padding: Padding, case: HexCase) -> FieldCipher {
        FieldCipher::new(&self.token(), padding, case)
    }

    fn unit(&self) -> TimestampUnit {
        if self.timestamp.len() == 10 {
            TimestampUnit::Seconds
        } else {
            TimestampUnit::Milliseconds
        }
    }

    fn at(&self) -> Timestamp {
        let scale = if self.unit() == TimestampUnit::Seconds { 1000 } else { 1 };
        Timestamp::from_millis(self.timestamp.parse::<u64>().expect("digits") * scale)
    }

    fn signature(&self, encoding: SignatureEncoding, unit: TimestampUnit) -> String {
        Signer::new(&self.token(), encoding, unit)
            .sign(&self.app_id, self.at())
            .signature()
            .to_owned()
    }

    /// Every ciphertext that some setting of the switches gives.
    fn all_ciphertexts(&self) -> Vec<String> {
        let mut all = Vec::new();
        for padding in [Padding::Pkcs7, Padding::Zero] {
            for case in [HexCase::Lower, HexCase::Upper] {
                all.push(
                    self.cipher(padding, case)
                        .encrypt(&self.plaintext)
                        .as_str()
                        .to_lowercase(),
                );
            }
        }
        all
    }

    /// Every signature that some setting of the switches gives.
    fn all_signatures(&self) -> Vec<String> {
        let units = [TimestampUnit::Milliseconds, TimestampUnit::Seconds];
        let of = |encoding| units.map(|unit| self.signature(encoding, unit).to_lowercase());
        ENCODINGS.into_iter().flat_map(of).collect()
    }
}

#[test]
fn every_vector_signs_and_verifies() {
    for vector in file().vectors {
        let signer = Signer::new(&vector.token(), SignatureEncoding::HexLower, vector.unit());
        let signed = signer.sign(&vector.app_id, vector.at());

        assert_eq!(signed.timestamp(), vector.timestamp, "{}", vector.name);
        assert_eq!(signed.signature(), vector.signature, "{}", vector.name);
        assert_eq!(
            signer.verify(&vector.app_id, &vector.timestamp, &vector.signature),
            Ok(()),
            "{}",
            vector.name
        );
    }
}

#[test]
fn every_vector_encrypts_and_decrypts() {
    for vector in file().vectors {
        let cipher = vector.cipher(Padding::Pkcs7, HexCase::Lower);
        let mut out = b"before:".to_vec();
        cipher.encrypt_into(&vector.plaintext, &mut out);

        assert_eq!(
            cipher.encrypt(&vector.plaintext).as_str(),
            vector.ciphertext,
            "{}",
            vector.name
        );
        assert_eq!(
            out,
            format!("before:{}", vector.ciphertext).into_bytes(),
            "{}",
            vector.name
        );
        assert_eq!(
            cipher.decrypt(&vector.ciphertext).unwrap().expose(),
            vector.plaintext,
            "{}",
            vector.name
        );
    }
}

#[test]
fn each_switch_gives_its_variant_and_no_switch_gives_a_wrong_one() {
    let File { vectors, variants, .. } = file();
    for Variant { name, of, value } in variants {
        let vector = vectors.iter().find(|vector| vector.name == of).unwrap();
        let ms = TimestampUnit::Milliseconds;
        let encrypted = |padding, case| {
            vector
                .cipher(padding, case)
                .encrypt(&vector.plaintext)
                .as_str()
                .to_owned()
        };
        match name.as_str() {
            "hex_upper" => assert_eq!(encrypted(Padding::Pkcs7, HexCase::Upper), value),
            "signature_upper_hex" => {
                assert_eq!(vector.signature(SignatureEncoding::HexUpper, ms), value)
            }
            "signature_base64" => {
                assert_eq!(vector.signature(SignatureEncoding::Base64, ms), value);
                let signer = Signer::new(&vector.token(), SignatureEncoding::Base64, ms);
                assert_eq!(signer.verify(&vector.app_id, &vector.timestamp, &value), Ok(()));
            }
            "zero_padding_11" | "zero_padding_16" => {
                assert_eq!(encrypted(Padding::Zero, HexCase::Lower), value);
                let cipher = vector.cipher(Padding::Zero, HexCase::Lower);
                assert_eq!(cipher.decrypt(&value).unwrap().expose(), vector.plaintext);
            }
            "signature_swapped" | "signature_with_plus" => {
                assert!(!vector.all_signatures().contains(&value), "{name}");
                for encoding in ENCODINGS {
                    let signer = Signer::new(&vector.token(), encoding, ms);
                    assert!(
                        signer.verify(&vector.app_id, &vector.timestamp, &value).is_err(),
                        "{name}"
                    );
                }
            }
            "key_hex_decoded_aes128" | "key_sha256_of_token" | "chinese_gbk_bytes" => {
                assert!(!vector.all_ciphertexts().contains(&value), "{name}");
            }
            other => panic!("the file has a variant this test does not know: {other}"),
        }
    }
}

#[test]
fn a_32_digit_token_is_never_taken_for_hex() {
    // Which is how key_hex_decoded_aes128 would come about.
    assert!(Token::parse(b"0123456789abcdef0123456789abcdef", KeyForm::Hex).is_err());
}

#[test]
fn every_ciphertext_of_the_file_opens_or_fails_as_told() {
    for case in file().decrypt {
        let token = Token::parse(case.token.as_bytes(), KeyForm::Raw).unwrap();
        let opened = FieldCipher::new(&token, Padding::Pkcs7, HexCase::Lower).decrypt(&case.ciphertext_hex);

        let outcome = opened.as_ref().map_or_else(|error| error.as_str(), |_| "ok");
        assert_eq!(outcome, case.expect, "{}", case.name);
        assert_eq!(
            opened.ok().map(|text| text.expose().to_owned()),
            case.plaintext,
            "{}",
            case.name
        );
    }
}

#[test]
fn every_identity_number_is_recognised_and_judged() {
    for number in file().identity {
        let normal = identity::normalize_id(&number.input);
        let judgement = identity::classify_id(normal.as_str(), Date::new(2025, 1, 1));

        assert_eq!(judgement.kind.as_str(), number.kind, "{}", number.input);
        assert_eq!(judgement.problem.is_none(), number.valid, "{}", number.input);
        if let Some(expected) = number.normalized {
            assert_eq!(normal.as_str(), expected, "{}", number.input);
        }
    }
}

#[test]
fn every_telephone_number_is_recognised_and_judged() {
    for number in file().phones {
        let normal = identity::normalize_phone(&number.input);
        let judgement = identity::classify_phone(normal.as_str());

        assert_eq!(judgement.kind.as_str(), number.kind, "{}", number.input);
        assert_eq!(judgement.problem.is_none(), number.valid, "{}", number.input);
        if let Some(expected) = number.normalized {
            assert_eq!(normal.as_str(), expected, "{}", number.input);
        }
    }
}

#[test]
fn every_mask_hides_what_it_should() {
    for Mask { kind, input, masked } in file().masks {
        let all = match kind.as_str() {
            "phone" => vec![identity::mask_phone(&input)],
            "id_18" | "other_id" => vec![identity::mask_id(&input, MaskWidth::Narrow)],
            "id_18_wide" => vec![identity::mask_id(&input, MaskWidth::Wide)],
            "name_2" | "name_4" => vec![identity::mask_name(&input)],
            "too_short" => vec![identity::mask_phone(&input), identity::mask_id(&input, MaskWidth::Wide)],
            other => panic!("the file has a mask this test does not know: {other}"),
        };
        for mask in all {
            assert_eq!(mask, masked, "{kind}");
        }
    }
}
