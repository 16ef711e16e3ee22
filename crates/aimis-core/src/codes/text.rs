//! Writes the code table as TOML that an operator can read.

use std::fmt::Write;

use super::Rule;

const HEAD: &str = "\
# The platform's business codes: what each means and how the gateway treats it.
#
# Generated from crates/aimis-core/src/codes/table.rs and compared with it by a test; edit it there. To treat a code
# differently, override its class in the gateway's configuration, for one API or for all.
#
# class        success | no_data | caller | configuration | auth | permission | limit | transient | unexpected | unknown
# metric       value of the metric label code_class: ok | data | auth | limit | platform
# retry        repeated once, inside the caller's deadline
# resign       the clock offset is measured again before that
# negative_s   \"no data\" is cached for at most so many seconds
# brake        the tenant's tap towards the platform closes for a while
# alert        an operator should look at a single occurrence
#
# Only success and no_data are cached. A code not listed here is relayed, not cached, and counted as \"other\".
";

pub(super) fn write(table: &[(i64, Rule)]) -> String {
    let mut out = HEAD.to_owned();
    for (code, rule) in table {
        entry(&mut out, *code, rule).expect("writing to a String cannot fail");
    }
    out
}

fn entry(out: &mut String, code: i64, rule: &Rule) -> std::fmt::Result {
    writeln!(out, "\n[[code]]")?;
    writeln!(out, "code = {code}")?;
    writeln!(out, "class = \"{}\"", rule.class)?;
    writeln!(out, "metric = \"{}\"", rule.class.metric_class())?;
    writeln!(out, "meaning = \"{}\"", rule.meaning_en)?;
    writeln!(out, "meaning_zh = \"{}\"", rule.meaning_zh)?;
    writeln!(out, "remedy = \"{}\"", rule.remedy_en)?;
    for (name, set) in [
        ("retry", rule.retry),
        ("resign", rule.resign),
        ("brake", rule.brake),
        ("alert", rule.alert),
    ] {
        if set {
            writeln!(out, "{name} = true")?;
        }
    }
    if let Some(cap) = rule.negative_ttl_cap {
        writeln!(out, "negative_s = {}", cap.as_secs())?;
    }
    Ok(())
}
