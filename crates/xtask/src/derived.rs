//! Files that repeat another file of the repository: Helm and kustomize read nothing outside of their directories.

use anyhow::{Context, Result};

use crate::repository::read;

/// Makes what a file has to say.
type Content = fn() -> Result<String>;

/// Each file, and what it has to say.
pub(crate) const FILES: &[(&str, Content)] = &[
    ("deploy/helm/aimis-gateway/values.schema.json", values_schema),
    ("deploy/helm/aimis-gateway/files/rules.yaml", chart_rules),
    (
        "deploy/kustomize/components/monitoring/prometheusrule.yaml",
        prometheus_rule,
    ),
];

/// Where `values.schema.json.in` has the gateway's own schema.
const PLACE: &str = "    \"gateway\": \"@config/gateway.schema.json\"";

/// The schema of the chart's values, with the gateway's own for what stands under `config`.
fn values_schema() -> Result<String> {
    let outer = read("deploy/helm/values.schema.json.in")?;
    let inner = read("config/gateway.schema.json")?;
    // Which dialect of JSON Schema it is, the outer one says; nothing of newer ones is used.
    let lines = inner
        .trim_end()
        .lines()
        .filter(|line| !line.starts_with("  \"$schema\""));
    let inner: Vec<String> = lines.map(|line| format!("    {line}")).collect();
    let inner = inner.join("\n");
    let (before, after) = outer
        .split_once(PLACE)
        .context("values.schema.json.in lost its place")?;
    Ok(format!("{before}    \"gateway\": {}{after}", inner.trim_start()))
}

/// The alerts in the chart, from the first group on.
fn chart_rules() -> Result<String> {
    let rules = groups()?;
    Ok(format!(
        "# From deploy/prometheus/rules.yaml, by `cargo xtask docs`.\n{rules}"
    ))
}

/// The alerts as a resource of the Prometheus operator.
fn prometheus_rule() -> Result<String> {
    let indented: Vec<String> = groups()?
        .lines()
        .map(|line| {
            if line.is_empty() {
                String::new()
            } else {
                format!("  {line}")
            }
        })
        .collect();
    Ok(format!(
        "# From deploy/prometheus/rules.yaml, by `cargo xtask docs`.\napiVersion: monitoring.coreos.com/v1\n\
         kind: PrometheusRule\nmetadata:\n  name: aimis-gateway\nspec:\n{}\n",
        indented.join("\n")
    ))
}

/// The rules without the words in front, which are about another way to use them.
fn groups() -> Result<String> {
    let rules = read("deploy/prometheus/rules.yaml")?;
    let start = rules.find("\ngroups:").context("rules.yaml has no groups")?;
    Ok(rules[start + 1..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chart_and_the_components_repeat_what_they_are_made_from() {
        for (path, content) in FILES {
            // Not `assert_eq`, which would print 4,000 lines.
            assert!(
                read(path).unwrap() == content().unwrap(),
                "run cargo xtask docs: {path}"
            );
        }
    }
}
