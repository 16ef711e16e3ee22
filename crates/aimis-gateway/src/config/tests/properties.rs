//! Whatever the text, there is a configuration or a complaint, never a panic.

use proptest::prelude::*;

use crate::config::{Config, Format, Sources, environment, load, schema};

fn settle(sources: &Sources) {
    match load(sources) {
        Ok(loaded) => drop((loaded.print(Format::Toml), loaded.print(Format::Json))),
        Err(refused) => assert!(!refused.problems.is_empty() && !refused.to_string().is_empty()),
    }
}

/// Text that is nearly a configuration: its words in any order.
fn nearly() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "=",
        ".",
        ",",
        ":",
        "\"",
        "'",
        "\n",
        " ",
        "\r\n",
        "#",
        "\u{feff}",
        "\\",
        "lan",
        "listen",
        "tenants",
        "crypto",
        "padding",
        "token",
        "\"tenants\"",
        "\"lan\"",
        "null",
        "true",
        "-1",
        "1e400",
        "0x7",
        "9e99",
        "1979-05-27",
        "\"127.0.0.1:1\"",
        "\"64KiB\"",
        "电话",
        "\u{0}",
        "platform",
        "base_url",
        "\"https://a\"",
        "\"\"\"",
    ]);
    prop::collection::vec(words, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        settle(&Sources::text("gateway.toml", text.as_str()));
        settle(&Sources::text("gateway.json", text));
    }

    #[test]
    fn no_nearly_right_text_makes_it_panic(text in nearly()) {
        settle(&Sources::text("gateway.toml", text.as_str()));
        settle(&Sources::text("gateway.json", text));
    }

    #[test]
    fn no_value_of_a_variable_makes_it_panic(values in prop::collection::vec((0..200_usize, nearly()), 0..6)) {
        let names = super::super::environment::names(&<Config as super::super::section::Section>::fields(), "AIMIS_");
        let env = values.into_iter().map(|(index, value)| (names[index % names.len()].clone(), value));
        settle(&Sources::default().with_env(env));
    }
}

#[test]
fn deep_nesting_is_refused() {
    let deep = 200_000;
    for text in [
        format!("a = {}", "[".repeat(deep)),
        format!("{} = 1", vec!["a"; deep].join(".")),
        format!("[{}]", vec!["a"; deep].join(".")),
        format!("{{\"lan\": {}", "[".repeat(deep)),
        format!("{{\"lan\": {}{}}}", "[".repeat(deep), "]".repeat(deep)),
        format!("{}1{}", "{\"lan\":".repeat(deep), "}".repeat(deep)),
    ] {
        settle(&Sources::text("gateway.toml", text));
    }
}

#[test]
fn the_environment_of_a_process_is_only_ours() {
    assert!(environment().iter().all(|(name, _)| name.starts_with("AIMIS_")));
}

#[test]
fn the_schema_describes_every_key() {
    fn described(schema: &serde_json::Value, at: &str) {
        assert!(
            schema["description"].is_string() || at == "$schema" || at.ends_with("items"),
            "{at}"
        );
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            described(property, key);
        }
        if schema["items"]["properties"].is_object() {
            assert_eq!(schema["items"]["additionalProperties"], false);
            described(&schema["items"], "items");
        }
    }
    described(&schema(), "");
}
