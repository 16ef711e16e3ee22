//! What every reader of typed text must see through: full-width characters and white space that nobody sees.

/// The ASCII twin of a full-width character.
pub(crate) fn half_width(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        c => c,
    }
}

/// The text without the white space around it, in the sense of [`is_space`].
pub(crate) fn trim(text: &str) -> &str {
    let graphic = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    // As most texts are; looking a character up among all of Unicode's spaces costs more than the rest of a field.
    if graphic(text.as_bytes().first()) && graphic(text.as_bytes().last()) {
        return text;
    }
    text.trim_matches(is_space)
}

/// White space, in the wide sense of what nobody sees: Unicode's, zero-width characters, and the NUL that a fixed-width
/// column may carry.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\0' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{feff}')
}
