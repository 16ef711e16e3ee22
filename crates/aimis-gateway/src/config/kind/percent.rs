//! `%20` for what a list of names and values cannot hold as it is.

/// The bytes that `text` stands for; `None` where a `%` is followed by something else than two hex digits.
pub(crate) fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            u8::try_from(digit()? * 16 + digit()?).ok()?
        } else {
            byte
        });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn two_hex_digits_are_a_byte_and_nothing_else_is() {
        assert_eq!(decoded("Bearer%20a%2Cb").as_deref(), Some(&b"Bearer a,b"[..]));
        assert_eq!(decoded("").as_deref(), Some(&b""[..]));
        for wrong in ["%", "%2", "%zz", "a%-1"] {
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
    }
}
