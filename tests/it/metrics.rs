//! `/metrics`: exactly what `config/metrics.json` says, bounded, and moving as it should.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use aimis_simulator::{Account, Fault, Platform, PlatformOptions};
use serde_json::Value;

use crate::support::client::{self, request};
use crate::support::gateway::{Gateway, PHONE, Settings, studies_query};
use crate::support::process::run;

const CONTRACT: &str = include_str!("../../config/metrics.json");

/// A scrape, taken apart: families with type and help, series with labels and value.
struct Scrape {
    text: String,
    types: BTreeMap<String, String>,
    helps: BTreeMap<String, String>,
    series: BTreeMap<String, f64>,
}

type Labels = BTreeMap<String, String>;

impl Scrape {
    async fn of(gateway: &Gateway) -> Self {
        Self::read(gateway.telemetry("/metrics").await.text())
    }

    fn read(text: String) -> Self {
        let named = |prefix: &str| -> BTreeMap<String, String> {
            let lines = text
                .lines()
                .filter_map(|line| line.strip_prefix(prefix)?.split_once(' '));
            lines.map(|(name, rest)| (name.to_owned(), rest.to_owned())).collect()
        };
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        });
        Self {
            types: named("# TYPE "),
            helps: named("# HELP "),
            series: samples.collect(),
            text,
        }
    }

    /// Name, family and labels of each series.
    fn parsed(&self) -> impl Iterator<Item = (&str, String, Labels)> {
        self.series.keys().map(|series| {
            let (name, rest) = series.split_once('{').unwrap_or((series, "}"));
            let pairs = rest.trim_end_matches('}').split("\",").filter(|pair| !pair.is_empty());
            let labels = pairs.map(|pair| {
                let (label, value) = pair.split_once("=\"").unwrap();
                (label.to_owned(), value.trim_end_matches('"').to_owned())
            });
            let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| {
                name.strip_suffix(suffix)
                    .filter(|family| self.types.get(*family).is_some_and(|kind| kind == "histogram"))
            });
            (name, histogram.unwrap_or(name).to_owned(), labels.collect())
        })
    }

    #[track_caller]
    fn value(&self, series: &str) -> f64 {
        *self.series.get(series).unwrap_or_else(|| panic!("no series {series}"))
    }
}

fn contract() -> Vec<Value> {
    let contract: Value = serde_json::from_str(CONTRACT).unwrap();
    contract["families"].as_array().unwrap().clone()
}

/// What is wrong with a scrape by the contract.
fn complaints(scrape: &Scrape, contract: &[Value]) -> Vec<String> {
    let mut complaints = Vec::new();
    let known: BTreeMap<&str, &Value> = contract
        .iter()
        .map(|family| (family["name"].as_str().unwrap(), family))
        .collect();
    if known.len() != contract.len() {
        complaints.push("a family stands twice in the contract".to_owned());
    }
    for name in scrape.types.keys().filter(|name| !known.contains_key(name.as_str())) {
        complaints.push(format!("{name} is exported and not in the contract"));
    }
    for (name, family) in &known {
        if scrape.types.get(*name).map(String::as_str) != family["type"].as_str() {
            complaints.push(format!("{name} has type {:?}", scrape.types.get(*name)));
        }
        if scrape.helps.get(*name).map(String::as_str) != family["help"].as_str() {
            complaints.push(format!("{name} has help {:?}", scrape.helps.get(*name)));
        }
    }
    let mut bounds: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (_, family, mut labels) in scrape.parsed() {
        if let Some(bound) = labels.remove("le") {
            bounds.entry(family.clone()).or_default().insert(bound);
        } else if scrape.types.get(&family).is_some_and(|kind| kind == "histogram") {
            bounds.entry(family.clone()).or_default();
        }
        let Some(allowed) = known
            .get(family.as_str())
            .map(|family| family["labels"].as_object().unwrap())
        else {
            continue;
        };
        if !labels.keys().eq(allowed.keys()) {
            complaints.push(format!("{family} has labels {:?}", labels.keys()));
        }
        for (label, value) in &labels {
            let Some(allowed) = allowed.get(label) else { continue };
            let good = match (&allowed["values"], allowed["pattern"].as_str()) {
                (Value::Array(values), _) => values.iter().any(|known| known == value),
                (_, Some("^[0-9]+\\.[0-9]+\\.[0-9]+.*$")) => value.split('.').count() >= 3,
                _ => {
                    let plain = value
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
                    let shared = |label| value == label && allowed["pattern"].as_str().unwrap().contains(label);
                    shared("_none") || shared("_other") || plain && (1..=32).contains(&value.len())
                }
            };
            if !good {
                complaints.push(format!("{family} has {label}={value:?}"));
            }
        }
    }
    for (family, mut found) in bounds {
        found.remove("+Inf");
        let found: BTreeSet<u64> = found
            .iter()
            .map(|bound| bound.parse::<f64>().unwrap().to_bits())
            .collect();
        let wanted = known
            .get(family.as_str())
            .and_then(|family| family["buckets"].as_array().cloned());
        let wanted: BTreeSet<u64> = wanted
            .iter()
            .flatten()
            .map(|bound| bound.as_f64().unwrap().to_bits())
            .collect();
        if found != wanted {
            complaints.push(format!("{family} has other buckets"));
        }
    }
    complaints
}

#[tokio::test]
async fn what_is_exported_is_what_the_contract_says() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);

    let fresh = Scrape::of(&gateway).await;
    gateway.studies().await;
    gateway.query("patientStudies", "{").await;
    let used = Scrape::of(&gateway).await;

    assert_eq!(complaints(&fresh, &contract()), Vec::<String>::new());
    assert_eq!(complaints(&used, &contract()), Vec::<String>::new());
    let names = |scrape: &Scrape| scrape.series.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(
        names(&fresh),
        names(&used),
        "a series is there from the start, or never"
    );
}

/// The comparison above can fail.
#[tokio::test]
async fn a_scrape_that_departs_from_the_contract_is_complained_about() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let text = Scrape::of(&Gateway::before(&platform)).await.text;
    let complains = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        !complaints(&Scrape::read(text.replace(from, to)), &contract()).is_empty()
    };

    assert!(complains(
        "# TYPE aimis_draining gauge",
        "# TYPE aimis_draining counter"
    ));
    assert!(complains("# HELP aimis_draining 1", "# HELP aimis_draining 2"));
    assert!(complains("aimis_draining", "aimis_drains"));
    assert!(complains("state=\"idle\"", "state=\"sleeping\""));
    assert!(complains("state=\"idle\"", "mood=\"idle\""));
    assert!(complains("le=\"0.025\"", "le=\"0.03\""));
    assert!(complains("tenant=\"first-hospital\"", "tenant=\"张三\""));
}

#[tokio::test]
async fn every_series_known_to_exist_starts_at_0() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let scrape = Scrape::of(&Gateway::before(&platform)).await;

    for family in contract() {
        let name = family["name"].as_str().unwrap();
        let all: Vec<Labels> = scrape
            .parsed()
            .filter(|(_, of, _)| of == name)
            .map(|(.., labels)| labels)
            .collect();
        assert!(!all.is_empty(), "{name} has no series");
        for (label, allowed) in family["labels"].as_object().unwrap() {
            for value in allowed["values"].as_array().into_iter().flatten() {
                assert!(
                    all.iter().any(|labels| labels[label] == *value),
                    "{name} has no {label}={value}"
                );
            }
        }
    }
    let moving = [
        "aimis_log_records_total{level=\"info\"}",
        "aimis_runtime_schedule_delay_seconds",
    ];
    for (series, value) in &scrape.series {
        let counter = series.contains("_total") && !series.starts_with("process_");
        if counter && !moving.iter().any(|prefix| series.starts_with(prefix)) {
            assert_eq!(*value, 0.0, "{series}");
        }
    }
}

#[tokio::test]
async fn promtool_finds_nothing_to_complain_about() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);
    gateway.studies().await;
    let text = gateway.telemetry("/metrics").await.body;

    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]);
    assert!(
        Command::new("promtool").arg("--version").output().is_ok(),
        "no promtool: apt-get install prometheus"
    );
    let output = run(promtool, &text);

    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success() && said.is_empty(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}

/// One of many hospitals; the first is that of the vectors.
fn account(index: usize) -> Account {
    Account {
        app_id: (900_000 + index).to_string(),
        hospital_id: format!("H{index:04}"),
        ..Account::demo()
    }
}

/// A gateway for so many hospitals.
fn hospitals(platform: &Platform, count: usize) -> Settings {
    (2..=count).fold(Settings::calling(platform), |settings, index| {
        settings.tenant(&format!("hospital-{index}"), account(index))
    })
}

/// All values of the label `tenant` of a family.
fn tenants_of(scrape: &Scrape, family: &str) -> BTreeSet<String> {
    let series = scrape.parsed().filter(|(_, of, _)| of == family);
    series.filter_map(|(.., mut labels)| labels.remove("tenant")).collect()
}

/// Prometheus asks for OpenMetrics, so tests/it/monitoring.rs has it parsed by Prometheus itself.
#[tokio::test]
async fn who_asks_for_openmetrics_gets_the_same_series_and_a_request_for_each_bucket() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);
    let (path, headers) = ("/thirdparty/patientStudies/900001", [("X-Request-Id", "his-42")]);
    client::post(gateway.lan, path, &headers, studies_query().as_bytes()).await;

    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let asked = request("GET", "/metrics", &[("Accept", accept)], b"");
    let answer = client::exchange(gateway.telemetry, &asked).await.unwrap();
    let plain = Scrape::of(&gateway).await;

    let kind = answer.header("content-type").unwrap().to_owned();
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = answer.text();
    let samples = text.strip_suffix("# EOF\n").unwrap();
    assert!(samples.contains("# TYPE aimis_requests counter\n"));
    let with_exemplars: Vec<&str> = samples.lines().filter(|line| line.contains(" # ")).collect();
    let [line] = &with_exemplars[..] else {
        panic!("{with_exemplars:?}")
    };
    let of = "aimis_http_server_request_duration_seconds_bucket{api=\"patientStudies\",origin=\"platform\",le=\"";
    assert!(
        line.starts_with(of) && line.contains("} 1 # {request_id=\"his-42\"} 0."),
        "{line}"
    );
    let without = samples
        .lines()
        .map(|line| line.split(" # ").next().unwrap().to_owned() + "\n");
    let series = Scrape::read(without.collect()).series;
    assert!(series.keys().eq(plain.series.keys()));
}

#[tokio::test]
async fn ten_hospitals_stay_within_the_budget() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = hospitals(&platform, 10).start();
    gateway.studies().await;

    let scrape = Scrape::of(&gateway).await;
    assert_eq!(tenants_of(&scrape, "aimis_requests_total").len(), 11);
    assert_eq!(complaints(&scrape, &contract()), Vec::<String>::new());
    assert!(scrape.series.len() < 2000, "{} series", scrape.series.len());
}

#[tokio::test]
async fn a_thousand_hospitals_are_served_and_stay_within_the_budget() {
    let options = PlatformOptions {
        accounts: (1..=1000).map(account).collect(),
        ..PlatformOptions::default()
    };
    let platform = Platform::start(options).await.unwrap();
    let gateway = hospitals(&platform, 1000).start();
    for index in [10, 11, 500, 1000] {
        let body = studies_query().replace("H0001", &format!("H{index:04}"));
        let path = format!("/thirdparty/patientStudies/{}", 900_000 + index);
        let answer = client::post(gateway.lan, &path, &[], body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    let scrape = Scrape::of(&gateway).await;
    let answered = |tenant: &str| {
        let labels = format!("{{api=\"patientStudies\",code_class=\"ok\",origin=\"platform\",tenant=\"{tenant}\"}}");
        let lookups = scrape.value(&format!("aimis_lookup_answers_total{{tenant=\"{tenant}\"}}"));
        (scrape.value(&format!("aimis_requests_total{labels}")), lookups)
    };
    assert_eq!((answered("hospital-10"), answered("_other")), ((1.0, 1.0), (3.0, 3.0)));
    assert_eq!(complaints(&scrape, &contract()), Vec::<String>::new());
    assert!(scrape.series.len() < 2100, "{} series", scrape.series.len());
}

#[tokio::test]
async fn strange_requests_add_no_series() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);
    let before = Scrape::of(&gateway).await.series.len();

    for index in 0..200 {
        let body = studies_query();
        for bytes in [
            request(
                "POST",
                &format!("/thirdparty/patientStudies/{index}"),
                &[],
                body.as_bytes(),
            ),
            request("POST", &format!("/thirdparty/api{index}/900001"), &[], body.as_bytes()),
            request(
                &format!("METHOD{index}"),
                &format!("/thirdparty/patientStudies/{PHONE}"),
                &[],
                b"{}",
            ),
        ] {
            assert!(client::exchange(gateway.lan, &bytes).await.is_some());
        }
    }

    let after = Scrape::of(&gateway).await;
    assert!(
        after.series.len() < before + 60,
        "{before} series before, {} after",
        after.series.len()
    );
    let counted: f64 = after
        .series
        .iter()
        .filter(|(series, _)| series.starts_with("aimis_requests_total"))
        .map(|(_, n)| n)
        .sum();
    assert_eq!(counted, 600.0);
}

#[tokio::test]
async fn counters_tell_what_happened() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Settings::calling(&platform)
        .with("platform", "deadline_ms = 200")
        .start();

    let before = gateway
        .metric("aimis_upstream_last_success_timestamp_seconds{api=\"patientStudies\"}")
        .await;
    gateway.studies().await; // code 0
    let body = studies_query().replace("\"studyType\":0", "\"studyType\":\"0\"");
    gateway.query("patientStudies", body).await; // repaired
    gateway.query("patientStudies", "{").await; // refused
    gateway.query("patientStudies", "x".repeat(70_000)).await; // refused
    for (code, times) in [(100_004, 2), (90_001, 1), (4711, 1)] {
        for _ in 0..times {
            platform.push_fault(Fault::BusinessCode {
                code,
                message: String::new(),
            });
            gateway.studies().await;
        }
    }
    platform.push_fault(Fault::Hang);
    gateway.studies().await; // timeout
    platform.push_fault(Fault::HtmlPage { status: 200 });
    gateway.studies().await; // decode

    let scrape = Scrape::of(&gateway).await;
    let studies =
        |family: &str, labels: &str| scrape.value(&format!("aimis_{family}{{api=\"patientStudies\"{labels}}}"));
    let attempts = |result: &str| studies("upstream_attempts_total", &format!(",result=\"{result}\""));
    let codes = |code: &str| studies("upstream_business_codes_total", &format!(",code=\"{code}\""));
    let requests = |tenant: &str, class: &str, origin: &str| {
        studies(
            "requests_total",
            &format!(",code_class=\"{class}\",origin=\"{origin}\",tenant=\"{tenant}\""),
        )
    };
    let tenant = "first-hospital";
    assert_eq!(
        (
            attempts("ok"),
            attempts("business"),
            attempts("timeout"),
            attempts("decode")
        ),
        (2.0, 4.0, 1.0, 1.0)
    );
    assert_eq!(
        (codes("0"), codes("100004"), codes("90001"), codes("other")),
        (2.0, 2.0, 1.0, 1.0)
    );
    assert_eq!(requests(tenant, "ok", "platform"), 2.0);
    assert_eq!(requests(tenant, "data", "platform"), 2.0);
    assert_eq!(requests(tenant, "auth", "platform"), 1.0);
    assert_eq!(requests(tenant, "platform", "platform"), 1.0);
    assert_eq!(requests(tenant, "transport", "gateway"), 2.0);
    assert_eq!(requests("_none", "data", "gateway"), 2.0);
    assert_eq!(scrape.value("aimis_rejected_requests_total{reason=\"malformed\"}"), 1.0);
    assert_eq!(scrape.value("aimis_rejected_requests_total{reason=\"too_large\"}"), 1.0);
    assert_eq!(
        scrape.value("aimis_input_repairs_total{reason=\"integer-as-string\"}"),
        1.0
    );
    assert_eq!(scrape.value("aimis_http_server_active_requests"), 0.0);
    assert_eq!(scrape.value("aimis_upstream_connections{state=\"active\"}"), 0.0);
    assert_eq!(
        studies("http_server_request_duration_seconds_count", ",origin=\"platform\""),
        6.0
    );
    assert_eq!(studies("overhead_seconds_count", ""), 10.0);
    assert_eq!(before, Some(0.0));
    let year_2025 = 1_735_689_600.0;
    assert!(studies("upstream_last_success_timestamp_seconds", "") > year_2025);
}

#[tokio::test]
async fn gauges_follow_what_is_open() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);
    platform.push_fault(Fault::Hang);
    let bytes = request(
        "POST",
        "/thirdparty/patientStudies/900001",
        &[],
        studies_query().as_bytes(),
    );
    let mut hanging = client::Connection::open(gateway.lan).await;
    hanging.send(&bytes).await.unwrap();
    platform.wait_for_requests(1).await;

    let during = Scrape::of(&gateway).await;
    gateway.studies().await;
    let after = Scrape::of(&gateway).await;

    let idle = "aimis_upstream_connections{state=\"idle\"}";
    let active = "aimis_upstream_connections{state=\"active\"}";
    assert_eq!((during.value(idle), during.value(active)), (0.0, 1.0));
    assert_eq!((after.value(idle), after.value(active)), (1.0, 1.0));
    assert_eq!(during.value("aimis_http_server_active_requests"), 1.0);
    assert_eq!(during.value("aimis_lan_connections"), 1.0);
    // The caller gives up; so does the gateway.
    drop(hanging);
    while gateway.metric("aimis_http_server_active_requests").await != Some(0.0) {}
    while gateway.metric(active).await != Some(0.0) {}
    while gateway.metric("aimis_lan_connections").await != Some(0.0) {}
}

/// The table in the documentation is made from the contract. Set `IT_UPDATE` to write it anew.
#[test]
fn the_documentation_has_the_contracts_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (begin, end) = ("<!-- metrics: from config/metrics.json -->\n", "<!-- /metrics -->\n");
    let (before, rest) = text.split_once(begin).unwrap();
    let (table, after) = rest.split_once(end).unwrap();

    let wanted = table_of(&contract());
    if std::env::vars_os().any(|(name, _)| name == "IT_UPDATE") {
        std::fs::write(path, format!("{before}{begin}{wanted}{end}{after}")).unwrap();
        return;
    }
    assert_eq!(
        table, wanted,
        "IT_UPDATE=1 cargo test -p aimis --test it documentation -- --test-threads=1"
    );
}

fn table_of(contract: &[Value]) -> String {
    let mut table = String::from("| name | type, unit | labels | meaning |\n|---|---|---|---|\n");
    for family in contract {
        let text = |key: &str| family[key].as_str().unwrap();
        let labels: Vec<String> = family["labels"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(label, allowed)| match &allowed["values"] {
                Value::Array(values) if values.len() > 25 => format!("`{label}`: a documented code, or `other`"),
                Value::Array(values) => {
                    let values: Vec<&str> = values.iter().map(|value| value.as_str().unwrap()).collect();
                    format!("`{label}`: {}", values.join(", "))
                }
                described => format!("`{label}`: {}", described.as_str().unwrap()),
            })
            .collect();
        let labels = if labels.is_empty() {
            "-".to_owned()
        } else {
            labels.join("; ")
        };
        table += &format!(
            "| `{}` | {}, {} | {labels} | {} |\n",
            text("name"),
            text("type"),
            text("unit"),
            text("meaning")
        );
    }
    table
}
