//! Every repair there is: that it occurs, is told, and is refused to a strict client.

use std::sync::Arc;

use aimis_core::contract::{self, Contract};
use aimis_core::datetime::Date;
use aimis_core::order::{OrderBuilder, RepairKind, RepairMode, Rules};
use http::HeaderValue;

use super::members::Unknown;
use super::tests::{FORM, JSON, dialects};
use super::{Dialects, read};
use crate::config::UnknownFields;

const STUDIES: &str = r#"{"phoneNum":"13800138000","idNum":"11010119000101009X","hospitalId":"H0001","unionId":"U0001","studyType":0,"dataFlag":1,"usage":0,"studyDateBegin":"2024-12-01 00:00:00","studyDateEnd":"2024-12-31 23:59:59"}"#;

/// A request that needs one repair, of the study list if it has a `usage` and of the report's link otherwise.
struct Sample {
    body: Vec<u8>,
    content_type: &'static str,
    /// Name under which the repair is told; empty is the body as a whole.
    field: &'static str,
}

impl Sample {
    fn new(body: impl Into<Vec<u8>>, content_type: &'static str, field: &'static str) -> Self {
        Self {
            body: body.into(),
            content_type,
            field,
        }
    }
}

/// A request that needs the repair. No wildcard arm: a new kind has to show that it can occur.
fn sample(kind: RepairKind) -> Sample {
    let json = "application/json";
    let studies = |from: &str, to: &str, field| {
        assert!(STUDIES.contains(from));
        Sample::new(STUDIES.replace(from, to), json, field)
    };
    let report = |from: &str, to: &str, field| {
        assert!(JSON.contains(from));
        Sample::new(JSON.replace(from, to), json, field)
    };
    let fields = "&phoneNum=13800138000&idNum=11010119000101009X&hospitalId=H0001";
    match kind {
        RepairKind::IntegerAsString => studies("\"usage\":0", "\"usage\":\"0\"", "usage"),
        RepairKind::IntegerAsDecimal => studies("\"usage\":0", "\"usage\":0.0", "usage"),
        RepairKind::TextAsNumber => report("\"H0001\"", "1", "hospitalId"),
        RepairKind::PlaceholderAbsent => studies("{", "{\"hisId\":\"-\",", "hisId"),
        RepairKind::Trimmed => report("H0001", " H0001", "hospitalId"),
        RepairKind::Normalized => report("009X", "009x", "idNum"),
        RepairKind::IdUpgraded => report("11010119000101009X", "110101000101001", "idNum"),
        RepairKind::DateForm => studies("2024-12-01 00:00:00", "2024/12/1", "studyDateBegin"),
        RepairKind::DateOffset => studies("2024-12-01 00:00:00", "2024-12-01T00:00:00Z", "studyDateBegin"),
        RepairKind::DateDefault => studies("\"2024-12-01 00:00:00\"", "null", "studyDateBegin"),
        RepairKind::BomRemoved => report("{", "\u{feff}{", ""),
        RepairKind::CharsetConverted => {
            let gbk = [&JSON.as_bytes()[..13], b"\xd5\xc5", &JSON.as_bytes()[13..]].concat();
            Sample::new(gbk, "application/json; charset=GBK", "")
        }
        RepairKind::CharsetGuessed => {
            let gbk = [&JSON.as_bytes()[..13], b"\xd5\xc5", &JSON.as_bytes()[13..]].concat();
            Sample::new(gbk, json, "")
        }
        RepairKind::ContentType => Sample::new(JSON, "text/plain", ""),
        RepairKind::FormWrapped => Sample::new(format!("param={JSON}"), FORM, ""),
        RepairKind::FormFields => Sample::new(format!("reportId=1{fields}"), FORM, ""),
        RepairKind::PercentU => Sample::new(format!("reportId=%u5F20{fields}"), FORM, ""),
        RepairKind::Multipart => {
            let part = |pair: &str| {
                let (name, value) = pair.split_once('=').unwrap();
                format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
            };
            let parts: String = format!("reportId=1{fields}").split('&').map(part).collect();
            Sample::new(parts + "--XX--", "multipart/form-data; boundary=XX", "")
        }
        RepairKind::JsonString => Sample::new(serde_json::Value::from(JSON).to_string(), json, ""),
        RepairKind::JsonWrapped => Sample::new(format!("{{\"data\":{JSON}}}"), json, ""),
        RepairKind::KeyCase => report("idNum", "IDNUM", "idNum"),
        RepairKind::KeyAlias => report("idNum", "sfzh", "idNum"),
        RepairKind::TrailingNul => report("}", "}\0", ""),
        RepairKind::UnknownDropped | RepairKind::UnknownForwarded => report("{", "{\"ward\":\"3\",", "ward"),
    }
}

fn rules(kind: RepairKind, repair: RepairMode) -> Rules {
    Rules {
        upgrade_15: kind == RepairKind::IdUpgraded,
        default_range_days: if kind == RepairKind::DateDefault { 7 } else { 0 },
        today: Date::new(2025, 1, 1),
        repair,
        ..Rules::default()
    }
}

/// What the caller is told, `field=kind`: the repairs, or the reasons of the refusal.
fn told(kind: RepairKind, repair: RepairMode) -> Result<Vec<String>, Vec<String>> {
    let sample = sample(kind);
    let contract: Contract = if memchr::memmem::find(&sample.body, b"usage").is_some() {
        contract::patient_studies()
    } else {
        contract::patient_report_url()
    };
    let mut order = OrderBuilder::new(&Arc::new(contract), sample.body.len());
    let dialects = Dialects {
        unknown_fields: if kind == RepairKind::UnknownForwarded {
            UnknownFields::Forward
        } else {
            UnknownFields::Drop
        },
        ..dialects()
    };
    let content_type = HeaderValue::from_static(sample.content_type);
    let unknown = read(&sample.body, Some(&content_type), &dialects, &mut order).unwrap();
    let list = |field: &str, kind: &str| format!("{field}={kind}");
    match order.finish(&rules(kind, repair)) {
        Err(problems) => {
            assert!(
                problems
                    .iter()
                    .all(|p| p.hint_en().contains("strict") && p.hint_zh().contains("严格"))
            );
            Err(problems.iter().map(|p| list(&p.field, p.reason.as_str())).collect())
        }
        Ok(order) => {
            let unknown = unknown.iter().map(|(name, outcome)| match outcome {
                Unknown::Dropped => list(name, RepairKind::UnknownDropped.as_str()),
                Unknown::Forwarded => list(name, RepairKind::UnknownForwarded.as_str()),
            });
            let repairs = order
                .repairs()
                .map(|r| list(r.field.unwrap_or("body"), r.kind.as_str()));
            Ok(unknown.chain(repairs).collect())
        }
    }
}

#[test]
fn every_repair_occurs_is_told_and_is_refused_to_a_strict_client() {
    for &kind in RepairKind::ALL {
        let field = match sample(kind).field {
            "" => "body",
            field => field,
        };
        let expected = format!("{field}={kind}");
        let repaired = told(kind, RepairMode::Tell).unwrap_or_else(|problems| panic!("{kind}: {problems:?}"));
        assert!(repaired.contains(&expected), "{kind}: {repaired:?}");
        let refused = told(kind, RepairMode::Refuse).expect_err(kind.as_str());
        assert!(refused.contains(&expected), "{kind}: {refused:?}");
        assert_eq!(refused.len(), repaired.len(), "{kind}: {refused:?}");
    }
}

#[test]
fn what_needs_no_repair_is_taken_from_a_strict_client() {
    for (json, contract) in [
        (JSON, contract::patient_report_url()),
        (STUDIES, contract::patient_studies()),
    ] {
        let mut order = OrderBuilder::new(&Arc::new(contract), json.len());
        let content_type = HeaderValue::from_static("application/json; charset=utf-8");
        let unknown = read(json.as_bytes(), Some(&content_type), &dialects(), &mut order).unwrap();
        assert!(unknown.is_empty());
        assert!(order.finish(&rules(RepairKind::Trimmed, RepairMode::Refuse)).is_ok());
    }
}

#[test]
fn both_pages_for_integrators_list_every_repair() {
    let pages = [
        include_str!("../../../../../docs/connecting-a-his.md"),
        include_str!("../../../../../docs/connecting-a-his.zh-CN.md"),
    ];
    for page in pages {
        for kind in RepairKind::ALL {
            let name = format!("`{}`", kind.as_str());
            assert!(
                page.lines().any(|line| line.starts_with('|') && line.contains(&name)),
                "{name} is not explained"
            );
        }
    }
}
