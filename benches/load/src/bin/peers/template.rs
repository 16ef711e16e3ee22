//! A peer's configuration, filled in from its file in benches/peers.
//!
//! `{{name}}` is replaced; a line that ends with `#if name` stays only if that is so, one with `#if !name` only if not.
//! All of these languages take the mark for a comment.

use std::fs;
use std::path::PathBuf;

use aimis_bench::place::{Place, free_port};
use anyhow::{Context, Result, bail};

use crate::peers::Setting;

/// Where a file is written: to each start its own, since the gateway looks after its file while it runs.
pub(crate) fn path(file: &str, setting: &Setting, place: &Place) -> PathBuf {
    place.file(&format!("{}-{file}", setting.port))
}

/// Writes the file into the run's directory.
pub(crate) fn fill(file: &str, setting: &Setting, place: &Place) -> Result<()> {
    let source = format!("benches/peers/{file}");
    let text = fs::read_to_string(&source).with_context(|| format!("cannot read {source}"))?;
    let values = [
        ("port", setting.port.to_string()),
        ("upstream", setting.upstream.to_string()),
        ("spare_port", free_port()?.to_string()),
        ("workers", setting.workers.to_string()),
        ("directory", place.directory.display().to_string()),
        ("peers", std::path::absolute("benches/peers")?.display().to_string()),
    ];
    let conditions = [
        ("tls", setting.tls),
        ("cache", setting.cache),
        ("log", setting.log),
        ("audit", setting.audit),
    ];
    let filled = filled(&text, &values, &conditions).with_context(|| source.clone())?;
    fs::write(path(file, setting, place), filled)?;
    Ok(())
}

fn filled(text: &str, values: &[(&str, String)], conditions: &[(&str, bool)]) -> Result<String> {
    let mut out = String::new();
    for line in text.lines() {
        let (line, stays) = match line.split_once("#if ") {
            None => (line, true),
            Some((line, condition)) => (line.trim_end(), holds(condition.trim(), conditions)?),
        };
        if stays {
            out += line;
            out.push('\n');
        }
    }
    for (name, value) in values {
        out = out.replace(&format!("{{{{{name}}}}}"), value);
    }
    if let Some(at) = out.find("{{") {
        bail!("nothing known of {}", &out[at..].lines().next().unwrap_or_default());
    }
    Ok(out)
}

fn holds(condition: &str, conditions: &[(&str, bool)]) -> Result<bool> {
    let (name, wanted) = condition
        .strip_prefix('!')
        .map_or((condition, true), |name| (name, false));
    match conditions.iter().find(|(known, _)| *known == name) {
        Some((_, value)) => Ok(*value == wanted),
        None => bail!("no condition {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_conditions_are_filled_in() {
        let text = "port {{port}};\nssl on; #if tls\nssl off; #if !tls\n";
        let values = [("port", "80".to_owned())];
        assert_eq!(filled(text, &values, &[("tls", true)]).unwrap(), "port 80;\nssl on;\n");
        assert_eq!(
            filled(text, &values, &[("tls", false)]).unwrap(),
            "port 80;\nssl off;\n"
        );
        assert!(filled("{{other}}", &values, &[]).is_err());
        assert!(filled("x #if y", &values, &[]).is_err());
    }
}
