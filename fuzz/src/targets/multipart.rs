//! Parts of a multipart body: whatever value stands in one, it is read as that value or refused, and what surrounds it
//! is never taken for it.

use std::sync::{Arc, LazyLock};

use aimis_core::contract::{Contract, Field, FieldKind};
use aimis_core::order::{IdentityMode, Order, OrderBuilder, Rules};
use aimis_gateway::config::UnknownFields;
use aimis_gateway::forward::decode::{self, Dialects};
use http::HeaderValue;

use super::Target;

pub(super) const TARGET: Target = Target {
    name: "multipart",
    seeds: SEEDS,
    corpus: None,
    run,
};

/// As a body, and as the value of a part.
const SEEDS: &[&str] = &[
    "--XX\r\nContent-Disposition: form-data; name=\"hisId\"\r\n\r\n4711\r\n--XX--\r\n",
    "--XX\nContent-Disposition: form-data; name=hisId\n\n4711\n--XX\nContent-Disposition: form-data; name=x\n\n1\n--XX--",
    "--XX\r\nContent-Type: text/plain\r\nContent-Disposition: form-data; filename=\"a;name=b\"; name=\"hisId\"\r\n\r\n4711\r\n--XX--",
    "--XX\r\nContent-Disposition: form-data; name=\"hisId\"\r\nContent-Transfer-Encoding: base64\r\n\r\nSDk5\r\n--XX--",
    "--XX\r\nContent-Disposition: form-data; name=\"param\"\r\n\r\n{\"hisId\":\"4711\"}\r\n--XX--",
    "--XX\r\nContent-Disposition: form-data; name=\"hisId\"\r\n\r\n4711\r\n--XX\r\nContent-Disposition: form-data; name=\"hisId\"\r\n\r\n4712\r\n--XX--",
    "--XX--",
    "4711",
    "47\r\n--XX11",
    "47\r\n\r\n11",
    "张三",
    "{not json",
];

static CONTRACT: LazyLock<Arc<Contract>> = LazyLock::new(|| {
    let fields = vec![
        Field::optional("hisId", FieldKind::Text),
        Field::optional("last", FieldKind::Text),
    ];
    Arc::new(Contract::new("fuzz", fields).expect("a sound contract"))
});
static DIALECTS: LazyLock<Dialects> = LazyLock::new(|| Dialects {
    form_fields: vec!["param".into()],
    unknown_fields: UnknownFields::Drop,
    any_key_case: true,
    aliases: Vec::new(),
});

fn read(body: &[u8], label: Option<&'static str>) -> Option<Order> {
    let mut order = OrderBuilder::new(&CONTRACT, body.len());
    let label = label.map(HeaderValue::from_static);
    decode::read(body, label.as_ref(), &DIALECTS, &mut order).ok()?;
    let rules = Rules {
        identity_mode: IdentityMode::Off,
        ..Rules::default()
    };
    order.finish(&rules).ok()
}

fn run(input: &[u8]) {
    // The label names the boundary or leaves it to the first line: the fields are the same.
    let texts = |order: &Order| ["hisId", "last"].map(|name| order.text(name).map(str::to_owned));
    let as_body = read(input, Some("multipart/form-data; boundary=XX"));
    if let (Some(one), Some(other)) = (&as_body, read(input, None)) {
        let first_line = input
            .strip_prefix(b"--XX\r\nContent-")
            .or(input.strip_prefix(b"--XX\nContent-"));
        if first_line.is_some() {
            assert_eq!(texts(one), texts(&other), "the label changes the fields");
        }
    }

    // As a value between two others.
    let Ok(value) = std::str::from_utf8(input) else { return };
    if value.contains("--XX") || value.chars().any(|c| c < '\u{800}' && !c.is_ascii()) {
        return;
    }
    let part =
        |name: &str, value: &str| format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let body = part("hisId", value) + &part("last", "end") + "--XX--\r\n";
    let order = read(body.as_bytes(), Some("multipart/form-data; boundary=XX")).expect("a sound body");
    assert_eq!(order.text("last"), Some("end"));
    match order.text("hisId") {
        Some(text) => assert!(value.contains(text), "another value than was sent"),
        None => {
            assert!(value.len() < 12 || value.trim().chars().count() < 12 || !value.chars().any(char::is_alphanumeric))
        }
    }
}
