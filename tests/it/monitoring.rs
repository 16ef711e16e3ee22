//! Watching the gateway with the real tools: Prometheus, promtool, Alertmanager, and the files in `deploy/`.

mod alert;
mod dashboards;
mod load;
mod queries;
mod rules;
mod servers;

/// What the repository has at `path`.
fn file(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every family of `config/metrics.json`, with its type.
fn families() -> Vec<(String, String)> {
    let contract: serde_json::Value = serde_json::from_str(&file("config/metrics.json")).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    contract["families"]
        .as_array()
        .unwrap()
        .iter()
        .map(|family| (text(&family["name"]), text(&family["type"])))
        .collect()
}

/// The metrics that an expression names: what begins with one of our prefixes, without the suffixes of histograms.
fn metrics_in(expression: &str) -> Vec<String> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':'));
    let words = expression.split(word);
    let ours = words.filter(|word| word.starts_with("aimis_") || word.starts_with("process_"));
    ours.map(|word| {
        let suffixes = ["_bucket", "_sum", "_count"];
        let base = suffixes.iter().find_map(|suffix| word.strip_suffix(suffix));
        base.unwrap_or(word).to_owned()
    })
    .collect()
}
