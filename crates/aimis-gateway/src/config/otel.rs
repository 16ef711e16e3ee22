//! The standard variables of OpenTelemetry, as far as they are about traces: each is a key of `[traces]`.
//!
//! They stand between the file and the variables of our own: `AIMIS_TRACES__…` wins over them. Where one asks for what is
//! not spoken here, none of them is looked at, and a notice says so: an operator of Kubernetes sets them for every pod,
//! with gRPC by default, and that should not keep a gateway from starting. Where traces are switched off, none is looked
//! at either.

use super::kind::percent;
use super::origin::Origin;
use super::problem::Problem;
use super::tree::{Node, Value};

/// Variables that are a key each, the more particular one first.
const KEYS: [(&str, &[&str]); 9] = [
    (
        "ca_file",
        &[
            "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
        ],
    ),
    ("service_name", &["OTEL_SERVICE_NAME"]),
    ("sampler", &["OTEL_TRACES_SAMPLER"]),
    ("ratio", &["OTEL_TRACES_SAMPLER_ARG"]),
    ("queue", &["OTEL_BSP_MAX_QUEUE_SIZE"]),
    ("batch", &["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"]),
    ("delay_ms", &["OTEL_BSP_SCHEDULE_DELAY"]),
    (
        "timeout_ms",
        &["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"],
    ),
    ("give_up_ms", &["OTEL_BSP_EXPORT_TIMEOUT"]),
];
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
const OWN_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
const DISABLED: &str = "OTEL_SDK_DISABLED";
const OUR_SWITCH: &str = "AIMIS_TRACES__ENABLED";
const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// The notice about variables that ask for what is not spoken, which is also told at the start.
pub const OTEL_UNSPOKEN: &str = "variables of OpenTelemetry (OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_TRACES_EXPORTER) ask for what is not spoken here, so none of them is looked at, and traces go by [traces] alone: set the protocol to http/protobuf with an endpoint that takes it (port 4318 as a rule), or OTEL_SDK_DISABLED=true for no traces";

/// Whether the variable is one that is read here.
pub(super) fn is_known(name: &str) -> bool {
    let singles = [OWN_ENDPOINT, ENDPOINT, EXPORTER, DISABLED, ATTRIBUTES];
    singles.contains(&name)
        || HEADERS.contains(&name)
        || PROTOCOL.contains(&name)
        || KEYS.iter().any(|(_, names)| names.contains(&name))
}

/// Whether the variable's value is a secret.
pub(super) fn is_secret(name: &str) -> bool {
    HEADERS.contains(&name)
}

/// Puts what the variables say into the table `traces` of the tree `root`. False if they ask for what is not spoken, and
/// are not looked at for that.
pub(super) fn overlay(root: &mut Node, env: &[(String, String)], problems: &mut Vec<Problem>) -> bool {
    let get = |names: &[&'static str]| {
        names.iter().find_map(|name| {
            let value = env
                .iter()
                .find(|(other, value)| other == name && !value.trim().is_empty());
            value.map(|(_, value)| (*name, value.trim()))
        })
    };
    if is_off(root, env) {
        return true;
    }
    let mut entries = Vec::new();
    let exporter = get(&[EXPORTER]);
    let disabled = get(&[DISABLED]).filter(|(_, value)| value.eq_ignore_ascii_case("true"));
    if let Some((name, _)) = disabled.or(exporter.filter(|(_, value)| *value == "none")) {
        entries.push(("enabled", name, Value::Bool(false)));
    } else {
        let own = get(&[OWN_ENDPOINT]).map(|(name, url)| (name, url.to_owned()));
        let common = || get(&[ENDPOINT]).map(|(name, url)| (name, format!("{}/v1/traces", url.trim_end_matches('/'))));
        let endpoint = own.or_else(common);
        // Without one of these variables it is not meant for traces of ours.
        let meant = endpoint.is_some()
            || root
                .get("traces")
                .is_some_and(|traces| traces.get("endpoint").is_some());
        if meant {
            let wanted = [(get(&PROTOCOL), "http/protobuf"), (exporter, "otlp")];
            let unspoken =
                |(found, spoken): &(Option<(_, &str)>, &str)| found.is_some_and(|(_, value)| value != *spoken);
            if wanted.iter().any(unspoken) {
                return false;
            }
            entries.extend(endpoint.map(|(name, url)| ("endpoint", name, Value::Untyped(url))));
            for (key, names) in KEYS {
                entries.extend(get(names).map(|(name, value)| (key, name, Value::Untyped(value.to_owned()))));
            }
            entries.extend(get(&HEADERS).map(|(name, value)| ("headers", name, Value::Untyped(value.to_owned()))));
            entries.extend(attributes(get(&[ATTRIBUTES]), problems));
        }
    }
    let table = |origin: &Origin| Node::new(Value::Table(Vec::new()), origin.clone());
    for (key, name, value) in entries {
        let origin = Origin::Environment(name.into());
        let Some(traces) = root.entry("traces", || table(&origin)) else {
            return true;
        };
        // In the place of what the file says; a `traces` that is no table is complained about where it stands.
        if let Some(entry) = traces.entry(key, || table(&origin)) {
            *entry = Node::new(value, origin);
        }
    }
    true
}

/// Whether our own key, in the environment or else in the file, says that there are no traces.
fn is_off(root: &Node, env: &[(String, String)]) -> bool {
    let ours = env.iter().find(|(name, value)| name == OUR_SWITCH && !value.is_empty());
    match ours {
        Some((_, value)) => value.trim() == "false",
        None => {
            let enabled = root.get("traces").and_then(|traces| traces.get("enabled"));
            enabled.and_then(Node::bool) == Some(false)
        }
    }
}

/// `name=value,name=value`, the values percent-encoded (W3C Baggage).
fn attributes(
    found: Option<(&'static str, &str)>,
    problems: &mut Vec<Problem>,
) -> Option<(&'static str, &'static str, Value)> {
    let (name, text) = found?;
    let origin = Origin::Environment(name.into());
    let parts = text.split(',').filter(|part| !part.trim().is_empty());
    let decoded: Option<Vec<Node>> = parts
        .map(|part| {
            let text = String::from_utf8(percent::decoded(part.trim())?).ok()?;
            Some(Node::new(Value::Text(text), origin.clone()))
        })
        .collect();
    match decoded {
        Some(list) => Some(("resource_attributes", name, Value::List(list))),
        None => {
            let reason = "is not a list of name=value, values percent-encoded";
            problems.push(Problem::about(Some(origin), "", reason));
            None
        }
    }
}
