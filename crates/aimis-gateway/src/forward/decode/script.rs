//! Whether text is words of an alphabet, or Chinese that only looks so in the wrong charset.
//!
//! A short name in GBK may be valid UTF-8 by chance, always of two-byte characters (U+0080 to U+07FF). What such
//! text is, its shape tells: `Müller` has its accents among plain letters and `Анна` is letters of one script in
//! one case, but `钱强` in GBK reads as two letters of no language. A few of two or three characters can be both.

use encoding_rs::GB18030;

/// What text that is valid UTF-8 may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// UTF-8 and nothing else.
    Utf8,
    /// Rather UTF-8, but it could be GB18030.
    PerhapsUtf8,
    /// Rather GB18030.
    Gb18030,
}

/// Judges `text`, all of its words together: one body has one charset.
pub(super) fn reading(text: &str) -> Reading {
    if text.is_ascii() || text.chars().any(|c| c >= '\u{800}') {
        return Reading::Utf8;
    }
    let Some(chinese) = GB18030.decode_without_bom_handling_and_without_replacement(text.as_bytes()) else {
        return Reading::Utf8;
    };
    if !chinese.chars().all(|c| c.is_ascii() || is_han(c)) {
        return Reading::Utf8;
    }
    let (mut words, mut chance, mut either, mut longest) = (false, false, false, 0);
    for word in words_beyond_ascii(text) {
        match shape(word) {
            Shape::Word => words = true,
            Shape::Chance => chance = true,
            Shape::Either => {
                either = true;
                longest = longest.max(word.chars().count());
            }
        }
    }
    match (words, chance) {
        (true, false) => Reading::Utf8,
        (true, true) => Reading::PerhapsUtf8,
        (false, true) => Reading::Gb18030,
        // A Chinese name is seldom longer.
        (false, false) if either && longest > MAX_NAME => Reading::PerhapsUtf8,
        (false, false) => Reading::Gb18030,
    }
}

/// Whether bytes that are GB18030 read as Chinese in it: Han characters, and none of them inside a word of letters, as
/// an accented letter and its neighbour would be.
pub(super) fn is_chinese(bytes: &[u8]) -> bool {
    let Some(text) = GB18030.decode_without_bom_handling_and_without_replacement(bytes) else {
        return false;
    };
    let in_word = |word: &str| word.chars().any(|c| c.is_ascii_alphabetic());
    text.chars().all(|c| c.is_ascii() || is_han(c)) && !words_beyond_ascii(&text).any(in_word)
}

/// Characters of the longest Chinese name that is not a compound one.
const MAX_NAME: usize = 3;

enum Shape {
    /// Of a language that is written so.
    Word,
    /// Of none.
    Chance,
    /// Letters of one alphabet, and common Chinese characters as well.
    Either,
}

/// Runs of letters and of all that is not ASCII, those that are ASCII alone left out.
fn words_beyond_ascii(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_ascii() && !c.is_ascii_alphabetic())
        .filter(|word| !word.is_ascii())
}

fn shape(word: &str) -> Shape {
    let plain = word.bytes().filter(u8::is_ascii_alphabetic).count();
    let letters = || word.chars().filter(|c| !is_joiner(*c));
    if plain > 0 {
        // Latin: plain letters are a third of it at least, as in `Čížek`.
        let others = letters().filter(|c| !c.is_ascii()).count();
        let latin = letters().all(|c| c.is_ascii() || is_latin(c));
        return if latin && others <= 2 * plain {
            Shape::Word
        } else {
            Shape::Chance
        };
    }
    let Some(script) = letters().next().and_then(Script::of) else {
        return Shape::Chance;
    };
    if !letters().all(|c| Script::of(c) == Some(script)) || !is_cased_well(word) {
        return Shape::Chance;
    }
    // GB2312, whose second bytes begin at A1, has the characters of nearly all names.
    let common = word.chars().all(|c| {
        let mut bytes = [0; 4];
        c.encode_utf8(&mut bytes)
            .as_bytes()
            .get(1)
            .is_some_and(|second| *second > 0xa0)
    });
    if common { Shape::Either } else { Shape::Word }
}

/// Alphabets of two bytes in UTF-8 that are written without any ASCII letter.
#[derive(Clone, Copy, PartialEq)]
enum Script {
    Greek,
    Cyrillic,
    Armenian,
    Hebrew,
    Arabic,
}

impl Script {
    fn of(c: char) -> Option<Self> {
        Some(match c {
            'Ά' | 'Έ'..='ώ' => Self::Greek,
            '\u{400}'..='\u{45f}' | '\u{490}'..='\u{4ff}' => Self::Cyrillic,
            '\u{531}'..='\u{587}' => Self::Armenian,
            '\u{5d0}'..='\u{5ea}' => Self::Hebrew,
            '\u{620}'..='\u{652}' | '\u{66e}'..='\u{6d5}' => Self::Arabic,
            _ => return None,
        })
    }
}

/// Small throughout, capital throughout, or capital at the beginning of its parts.
fn is_cased_well(word: &str) -> bool {
    word.split(is_joiner).all(|part| {
        let behind = || part.chars().skip(1);
        !behind().any(char::is_uppercase) || !part.chars().any(char::is_lowercase)
    })
}

/// What stands between the parts of one name, or on a letter.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{b7}' | '\u{2bb}' | '\u{2bc}' | '\u{300}'..='\u{36f}')
}

fn is_latin(c: char) -> bool {
    matches!(c, 'À'..='Ö' | 'Ø'..='ö' | 'ø'..='ſ' | 'Ơ' | 'ơ' | 'Ư' | 'ư' | 'Ș'..='ț' | 'Ǎ'..='ǜ' | 'Ə' | 'ə')
}

fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Common surnames, and characters of given names.
    const SURNAMES: &str = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤梅茅路";
    const GIVEN: &str = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华文玉萍红建国春燕辉波宁小玲梅兰云鹏浩宇飞凯健俊帆帅旭晨阳倩婷雪琳晶妍茜岚维薇蔚卫威为毛茂玫校孝谢庆清";

    fn in_gbk(name: &str) -> Vec<u8> {
        let (bytes, _, unmapped) = GB18030.encode(name);
        assert!(!unmapped);
        bytes.into_owned()
    }

    #[test]
    fn no_chinese_name_that_is_utf8_by_chance_stays_silent() {
        let (mut by_chance, mut converted) = (0, 0);
        let mut check = |name: &str| {
            let bytes = in_gbk(name);
            let Ok(text) = std::str::from_utf8(&bytes) else { return };
            if text.chars().any(|c| c >= '\u{800}') {
                return;
            }
            by_chance += 1;
            let read = reading(text);
            assert_ne!(read, Reading::Utf8, "{name} is taken for {text}");
            converted += usize::from(read == Reading::Gb18030);
        };
        for surname in SURNAMES.chars() {
            check(&surname.to_string());
            for first in GIVEN.chars() {
                check(&format!("{surname}{first}"));
                for second in GIVEN.chars() {
                    check(&format!("{surname}{first}{second}"));
                }
            }
        }
        assert!(by_chance > 500, "{by_chance}");
        assert_eq!(converted, by_chance);
    }

    #[test]
    fn names_of_other_alphabets_stay_what_they_are() {
        for name in [
            "René",
            "Müller",
            "Zoë",
            "Åström",
            "João",
            "Čížek",
            "Dvořák",
            "Đorđe",
            "Ştefan",
            "José María",
            "Øre",
            "Анна",
            "Иван Петров",
            "Дима",
            "Ольга",
            "АННА",
            "Мария·Юрьевна",
            "Ελένη",
            "Γιώργος",
            "Νίκος",
            "דוד",
            "محمد",
            "Արամ",
        ] {
            assert_eq!(reading(&format!("{{\"a\":\"{name}\"}}")), Reading::Utf8, "{name}");
        }
        assert_eq!(reading("{\"a\":\"张三 Ǯǿ\"}"), Reading::Utf8);
        assert_eq!(reading("{\"a\":\"Семён\"}"), Reading::Utf8);
    }

    #[test]
    fn what_can_be_both_is_never_taken_for_granted() {
        // 小械屑邪, of no meaning, and 魏维.
        assert_eq!(reading("\"Сема\""), Reading::PerhapsUtf8);
        assert_eq!(reading("\"κά\""), Reading::Gb18030);
        assert_eq!(reading("\"René Ǯǿ\""), Reading::PerhapsUtf8);
    }

    #[test]
    fn letters_with_accents_are_no_chinese() {
        for name in ["Müller", "Élodie", "João"] {
            let latin = encoding_rs::WINDOWS_1252.encode(name).0;
            assert!(!is_chinese(&latin), "{name}");
        }
        for name in ["张三", "葉", "葉明", "趙", "钱强"] {
            assert!(is_chinese(&in_gbk(name)), "{name}");
        }
    }
}
