//! Masks: what of a personal text may stand in a log line or on a screen.

/// How much of an 18-character identity number a mask shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MaskWidth {
    /// First and last character.
    #[default]
    Narrow,
    /// Region and last four, `110101********009X`; the date of birth stays hidden.
    Wide,
}

/// `138****8000`. Shorter numbers show less, those under seven characters nothing.
pub fn mask_phone(phone: &str) -> String {
    match phone.chars().count() {
        11.. => mask(phone, 3, 4),
        7.. => mask(phone, 1, 2),
        _ => mask(phone, 0, 0),
    }
}

/// `1****************X`, or `110101********009X` if wide. Numbers of other lengths than 18 are always narrow, those
/// under five characters show nothing.
pub fn mask_id(id: &str, width: MaskWidth) -> String {
    match (id.chars().count(), width) {
        (18, MaskWidth::Wide) => mask(id, 6, 4),
        (5.., _) => mask(id, 1, 1),
        _ => mask(id, 0, 0),
    }
}

/// `张*`, `欧***`. A name of one character shows nothing.
pub fn mask_name(name: &str) -> String {
    match name.chars().count() {
        2.. => mask(name, 1, 0),
        _ => mask(name, 0, 0),
    }
}

/// A link without its query and fragment, which hold the right to see the report (section 6).
pub fn mask_link(link: &str) -> &str {
    link.split(['?', '#']).next().unwrap_or_default()
}

/// Stars for all but the first `head` and last `tail` characters. Control characters are starred anywhere.
fn mask(text: &str, head: usize, tail: usize) -> String {
    let count = text.chars().count();
    let star = |(at, c): (usize, char)| {
        let shown = (at < head || at + tail >= count) && !c.is_control();
        if shown { c } else { '*' }
    };
    text.chars().enumerate().map(star).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_loses_what_grants_access() {
        assert_eq!(
            mask_link("https://example.com/report?t=1&token=x#top"),
            "https://example.com/report"
        );
        assert_eq!(
            mask_link("https://example.com/report#token=x"),
            "https://example.com/report"
        );
        assert_eq!(mask_link(""), "");
    }

    #[test]
    fn short_texts_show_nothing() {
        assert_eq!(mask_phone("120"), "***");
        assert_eq!(mask_id("1234", MaskWidth::Wide), "****");
        assert_eq!(mask_name("张"), "*");
        assert_eq!(mask_phone("00000000"), "0*****00");
        assert_eq!(mask_name("\n三"), "**");
    }
}
