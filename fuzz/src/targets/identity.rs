//! Identity numbers and telephones: normalising is stable, judging never stumbles, masks keep what they cover.

use aimis_core::datetime::Date;
use aimis_core::identity::{
    IdKind, MaskWidth, PhoneKind, check_character, classify_id, classify_phone, is_placeholder, looks_personal,
    mask_id, mask_link, mask_name, mask_phone, normalize_id, normalize_phone, upgrade_15,
};

use super::Target;

pub(super) const TARGET: Target = Target {
    name: "identity",
    seeds: SEEDS,
    corpus: None,
    run,
};

const SEEDS: &[&str] = &[
    "11010119000101009X",
    "11010119000101009x",
    "１１０１０１１９０００１０１００９Ｘ",
    "110101000101001",
    "440101190001010010",
    "810000199001010014",
    "830000199001010019",
    "911124198108030024",
    "XXX110000010112",
    "H12345678",
    "M1234567890",
    "12345678",
    "E12345678",
    "13800138000",
    "+86 138-0013-8000",
    "0086(138)00138000",
    "８６１３８００１３８０００",
    "010-12345678",
    "+852 1234 5678",
    "+886912345678",
    "13800138000,13900139000",
    "13800138000 / 13900139000",
    "无",
    "不详",
    "NULL",
    "-",
    "000000",
    "",
    "张三",
    "https://example.com/report?t=1&token=x#top",
];

fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    id(&text);
    phone(&text);
    masks(&text);
    personal(&text);
}

/// What is a number by itself looks personal in every spelling, and with whatever stands around it.
fn personal(text: &str) {
    let (id, phone) = (normalize_id(text), normalize_phone(text));
    let sound_18 = id.as_str().len() == 18
        && id.as_str().is_ascii()
        && check_character(&id.as_str()[..17]) == id.as_str().chars().next_back()
        && classify_id(id.as_str(), None).problem.is_none();
    if sound_18 || classify_phone(phone.as_str()).kind == PhoneKind::MobileCn {
        assert!(looks_personal(text), "a person's number is overlooked");
    }
    if looks_personal(text) {
        assert!(
            looks_personal(&format!("张 {text}号")) || phone.as_str() != text,
            "company hides a number"
        );
    }
}

fn id(text: &str) {
    let normal = normalize_id(text);
    assert!(
        !normalize_id(normal.as_str()).is_rewritten(),
        "normalising twice changes something"
    );
    assert_eq!(normal.is_rewritten(), normal.as_str() != text, "is_rewritten is wrong");

    let normal = normal.as_str();
    let judged = classify_id(normal, None);
    let dated = classify_id(normal, Date::new(2026, 1, 1));
    assert_eq!(judged.kind, dated.kind, "the day changes the document");
    assert!(
        judged.problem.is_none() || dated.problem == judged.problem,
        "the day hides a problem"
    );
    assert_eq!(judged.kind == IdKind::Missing, normal.is_empty());
    assert_eq!(judged.kind == IdKind::Placeholder, is_placeholder(normal));

    if let Some(upgraded) = upgrade_15(normal) {
        assert_eq!(judged.kind, IdKind::Resident15);
        assert_eq!(
            &upgraded[..17],
            format!("{}19{}", &normal[..6], &normal[6..]),
            "an upgrade changes digits"
        );
        assert_eq!(
            classify_id(&upgraded, None).problem,
            None,
            "an upgraded number is not sound"
        );
    }
    let _ = check_character(normal);
}

fn phone(text: &str) {
    let normal = normalize_phone(text);
    assert!(
        !normalize_phone(normal.as_str()).is_rewritten(),
        "normalising twice changes something"
    );
    assert_eq!(normal.is_rewritten(), normal.as_str() != text, "is_rewritten is wrong");
    // What the platform gets is what was judged: one number has one judgement however it is spelt.
    let spaced = format!(" \u{3000}{text}\u{200b}");
    assert_eq!(
        normalize_phone(&spaced).as_str(),
        normal.as_str(),
        "white space makes another number"
    );
    assert_eq!(
        classify_phone(normalize_phone(&spaced).as_str()),
        classify_phone(normal.as_str())
    );
}

fn masks(text: &str) {
    let count = text.chars().count();
    for (masked, shown) in [
        (mask_phone(text), 7),
        (mask_id(text, MaskWidth::Narrow), 2),
        (mask_id(text, MaskWidth::Wide), 10),
        (mask_name(text), 1),
    ] {
        assert_eq!(masked.chars().count(), count, "a mask changes the length");
        assert!(
            !masked.contains(char::is_control),
            "a mask lets a control character through"
        );
        let unmasked = masked
            .chars()
            .zip(text.chars())
            .filter(|(after, before)| after == before && *after != '*');
        assert!(
            unmasked.count() <= shown.min(count.saturating_sub(1)),
            "a mask shows too much"
        );
    }
    let link = mask_link(text);
    assert!(
        text.starts_with(link) && !link.contains(['?', '#']),
        "a link keeps what grants access"
    );
}
