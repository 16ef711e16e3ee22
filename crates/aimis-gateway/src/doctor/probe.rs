//! A signed question per tenant about a made-up person: does the platform take our signature and ids?

use aimis_core::codes::Class;

use super::chart::Chart;
use super::clock::direction;
use super::exchange::{self, Heard};
use super::finding::Findings;
use crate::nobody::API;
use crate::prepare;

/// The institution does not exist.
const NO_HOSPITAL: i64 = 20_016;
/// The consortium does not exist.
const NO_UNION: i64 = 20_023;
/// The platform could not read the person, which is well-formed: what arrived does not decrypt.
const NOT_READABLE: i64 = 10_005;

pub(super) async fn examine(chart: &mut Chart) {
    for index in 0..chart.hospitals.len() {
        let hospital = &mut chart.hospitals[index];
        let name = hospital.name.clone();
        let because = match (&hospital.tenant, chart.ways[hospital.way].blocked) {
            (None, _) => Some("secrets"),
            (_, blocked) => blocked,
        };
        if let Some(step) = because {
            chart.findings.skipped(Some(&name), format!("since {step} failed"));
            continue;
        }
        let heard = match chart.hospitals[index].heard.take() {
            Some(heard) => Some(heard),
            None => exchange::ask(chart, index).await,
        };
        match heard {
            Some(heard) => judge(chart, index, &name, &heard),
            None => chart.findings.fail(
                Some(&name),
                "no question can be made with these ids",
                "Set hospital_id and union_id of this tenant, or of its client, to what the platform assigned.",
            ),
        }
    }
}

fn judge(chart: &mut Chart, index: usize, name: &str, heard: &Heard) {
    chart.findings.measured(heard.took);
    let reply = match &heard.result {
        Ok(reply) => reply,
        Err(error) => {
            chart
                .findings
                .fail(Some(name), error.to_string(), exchange::fix(*error));
            return;
        }
    };
    let Some(code) = reply.envelope().code() else {
        let fix = "Check platform.base_url: what answers there is JSON, but not the platform's.";
        chart.findings.fail(Some(name), "an answer without a code came", fix);
        return;
    };
    let codes = prepare::codes(&chart.config);
    let rule = codes.lookup(API, code);
    let said = format!("{code}, {}", rule.meaning_en);
    let at = format!("tenants[{}]", chart.hospitals[index].index);
    let findings = &mut chart.findings;
    match rule.class {
        Class::Caller if code == NOT_READABLE => findings.fail(
            Some(name),
            format!("the signature is accepted, the encrypted fields cannot be read: {said}"),
            format!(
                "Set crypto.padding, crypto.hex_case and crypto.key_form (or those of {at}.crypto) as the platform has \
                 them: the person asked about is well-formed, so every query of this tenant will fail like this one."
            ),
        ),
        Class::Success | Class::NoData | Class::Caller => {
            findings.ok(Some(name), format!("the signature is accepted, the answer is {said}"));
        }
        Class::Auth => {
            let fix = match chart.clock_off {
                Some(offset) => format!(
                    "Set the clock right first, which is {} s {}; if the answer stays, compare {at}.app_id and the \
                     fingerprint of {at}.token_file with what the platform gave out.",
                    offset.unsigned_abs() / 1000,
                    direction(offset)
                ),
                None => format!(
                    "Compare {at}.app_id and the token in {at}.token_file (by its fingerprint) with what the platform \
                     gave out; the clock is right, so if both are too, try the switches of [sign]."
                ),
            };
            findings.fail(Some(name), format!("the platform rejects the signature: {said}"), fix);
        }
        Class::Configuration => {
            let keys = match code {
                NO_HOSPITAL if !heard.ids.hospital => return unasked(findings, name, "hospital_id", &said),
                NO_UNION if !heard.ids.union => return unasked(findings, name, "union_id", &said),
                NO_HOSPITAL => format!("{at}.hospital_id"),
                NO_UNION => format!("{at}.union_id"),
                _ => format!("{at}.hospital_id and {at}.union_id"),
            };
            let fix = format!("Set {keys} to what the platform assigned to this hospital.");
            findings.fail(
                Some(name),
                format!("the signature is accepted, the ids are not: {said}"),
                fix,
            );
        }
        Class::Permission => findings.warn(
            Some(name),
            format!("the signature is accepted, but the answer is {said}"),
            sentence(rule.remedy_en),
        ),
        // A platform can say these before it has looked at a signature.
        Class::Limit | Class::Transient | Class::Unexpected | Class::Unknown => findings.warn(
            Some(name),
            format!("the platform answers, but not whether it accepts the signature: {said}"),
            sentence(rule.remedy_en),
        ),
    }
}

/// The id was made up, since callers are to bring their own: that it is unknown says nothing.
fn unasked(findings: &mut Findings, name: &str, key: &str, said: &str) {
    let found = format!("the signature is accepted; no {key} is configured to ask with ({said})");
    findings.ok(Some(name), found);
}

fn sentence(remedy: &str) -> String {
    let mut chars = remedy.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).chain(['.']).collect()
}
