//! Field encryption: whatever arrives, decrypting it says why not or gives text; what we encrypt comes back.

use std::sync::LazyLock;

use aimis_core::cipher::{FieldCipher, HexCase, Padding};
use aimis_core::token::{KeyForm, Token};

use super::{TOKEN, Target};

pub(super) const TARGET: Target = Target {
    name: "cipher_decrypt",
    seeds: SEEDS,
    corpus: None,
    run,
};

const SEEDS: &[&str] = &[
    "00000000000000000000000000000000",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "ABCDEFABCDEFABCDEFABCDEFABCDEFAB",
    " 0123456789abcdef0123456789abcdef\n",
    "0123456789abcdef0123456789abcde",
    "0123456789abcdef0123456789abcdefgg",
    "",
    "13800138000",
    "11010119000101009X",
    "欧阳娜娜",
    "sixteen bytes...",
    "thirty-two bytes, that is two...",
    "ends in a NUL\0",
];

static CIPHERS: LazyLock<Vec<(Padding, FieldCipher)>> = LazyLock::new(|| {
    let token = Token::parse(TOKEN, KeyForm::Raw).expect("a sound token");
    let cipher = |(padding, case)| (padding, FieldCipher::new(&token, padding, case));
    let kinds = [
        (Padding::Pkcs7, HexCase::Lower),
        (Padding::Pkcs7, HexCase::Upper),
        (Padding::Zero, HexCase::Lower),
    ];
    kinds.map(cipher).into()
});

fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for (padding, cipher) in CIPHERS.iter() {
        // As a ciphertext: foreign text, taken apart without a panic, and the same text is what it stands for.
        if let Ok(opened) = cipher.decrypt(&text) {
            let sealed = cipher.encrypt(opened.expose());
            if *padding == Padding::Pkcs7 {
                assert!(
                    sealed.as_str().eq_ignore_ascii_case(text.trim_ascii()),
                    "two ciphertexts for one text"
                );
            }
        }

        // As a plaintext: there and back.
        let sealed = cipher.encrypt(&text);
        assert_eq!(
            sealed.as_str().len(),
            cipher.hex_len(text.len()),
            "hex_len is not the length"
        );
        match (padding, cipher.decrypt(sealed.as_str())) {
            (Padding::Pkcs7, Ok(opened)) => assert_eq!(opened.expose(), text),
            // Zero padding cannot tell its own zeros from the text's, nor say that nothing is there.
            (Padding::Zero, Ok(opened)) => assert_eq!(opened.expose(), text.trim_end_matches('\0')),
            (Padding::Zero, Err(_)) if text.is_empty() => {}
            (_, Err(error)) => panic!("{padding:?}: not opened again: {error}"),
        }
    }
}
