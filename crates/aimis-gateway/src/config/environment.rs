//! Variables that spell keys: `AIMIS_PLATFORM__BASE_URL`, `AIMIS_TENANTS__0__APP_ID`.
//!
//! The environment wins over the file. A variable that is set but empty counts as not set, because templates
//! write `VAR=` for what they have no value for. A variable that begins like ours and is none is an error,
//! since a mistyped one would otherwise be silently without effect.

use super::origin::Origin;
use super::problem::{Problem, shown};
use super::section::{Field, Form, Section};
use super::suggest::nearest;
use super::tree::{Node, Value};
use super::{Config, credentials, otel, read_json, sidecar};

/// What every variable begins with.
pub(super) const PREFIX: &str = "AIMIS_";

/// Variables that the command line reads itself.
const RESERVED: [&str; 2] = ["AIMIS_CONFIG", crate::concealed::MARK];

/// The `AIMIS_` variables of this process, OpenTelemetry's about traces, those that it took out of its environment among them, and where its
/// credentials are; for [`Sources::env`](super::Sources::env).
///
/// The one place that reads settings from the environment. It uses `vars_os`, because `vars` panics when any variable
/// of the process, ours or not, is not UTF-8.
pub fn environment() -> Vec<(String, String)> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        let name = name.into_string().ok()?;
        // A value of ours that is not UTF-8 is complained about by its key, not passed over.
        Some((name, value.to_string_lossy().into_owned()))
    };
    std::env::vars_os()
        .filter(|(name, _)| {
            let name = name.to_string_lossy();
            name.starts_with(PREFIX) || name == credentials::DIRECTORY || otel::is_known(&name)
        })
        .filter_map(text)
        .chain(crate::concealed::taken())
        .collect()
}

/// Whether the variable's value is a secret itself, or a list that may hold one.
pub(crate) fn is_secret(name: &str, value: &str) -> bool {
    let fields = Config::fields();
    let of_a_tenant = || {
        let name = name.strip_prefix(PREFIX)?;
        resolve(&fields, name).map(|target| target.secret)
    };
    !value.is_empty() && (sidecar::is_secret(name) || otel::is_secret(name) || of_a_tenant().unwrap_or(false))
}

/// Puts the variables `env` over the tree `root`, and complains about those that are no key.
pub(super) fn overlay(root: &mut Node, fields: &[Field], env: &[(String, String)], problems: &mut Vec<Problem>) {
    let mut found = Vec::new();
    for (name, value) in env.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        if value.is_empty() || is_other(name, value) {
            continue;
        }
        match resolve(fields, &name[PREFIX.len()..]) {
            Some(target) => found.push((target, name, value)),
            None => problems.push(unknown(fields, name)),
        }
    }
    // A whole list comes before its entries, and entry 0 before entry 1.
    found.sort_by(|(a, ..), (b, ..)| a.steps.cmp(&b.steps));
    for (target, name, value) in found {
        set(root, &target, name, value, problems);
    }
}

/// A variable that begins like ours and is meant for somebody else, or is read elsewhere.
fn is_other(name: &str, value: &str) -> bool {
    RESERVED.contains(&name) || sidecar::NAMES.contains(&name) || is_service_link(name, value)
}

/// Kubernetes sets these for every service of the namespace; one called `aimis-gateway` makes
/// `AIMIS_GATEWAY_SERVICE_HOST`, `AIMIS_GATEWAY_PORT=tcp://10.0.0.1:80` and so on.
fn is_service_link(name: &str, value: &str) -> bool {
    if name.contains("__") {
        return false;
    }
    let protocol = |text: &str| ["tcp", "udp", "sctp"].contains(&text.to_ascii_lowercase().as_str());
    let port_of_protocol = |rest: &str| {
        let mut parts = rest.split('_');
        let number = parts.next().is_some_and(|part| part.parse::<u16>().is_ok());
        number && parts.next().is_some_and(protocol)
    };
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.ends_with("_PORT") && value.split_once("://").is_some_and(|(scheme, _)| protocol(scheme)))
        || name
            .match_indices("_PORT_")
            .any(|(at, part)| port_of_protocol(&name[at + part.len()..]))
}

/// The place a variable sets.
struct Target {
    steps: Vec<Step>,
    /// The value may be a list.
    list: bool,
    /// The value is a whole list of tables, in JSON.
    tables: bool,
    /// The value is a secret, or a list of tables that may have one.
    secret: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(&'static str),
    Index(usize),
}

fn resolve(fields: &[Field], name: &str) -> Option<Target> {
    let (head, rest) = name
        .split_once("__")
        .map_or((name, None), |(head, rest)| (head, Some(rest)));
    let field = fields.iter().find(|field| field.key.to_ascii_uppercase() == head)?;
    let mut steps = vec![Step::Key(field.key)];
    let inner = match (&field.form, rest) {
        (Form::Value { shape, .. }, None) => {
            return Some(Target {
                steps,
                list: shape.list,
                tables: false,
                secret: shape.secret,
            });
        }
        (Form::Table { fields, .. }, Some(rest)) => resolve(fields, rest)?,
        (Form::Tables { fields, .. }, None) => {
            return Some(Target {
                steps,
                list: false,
                tables: true,
                secret: fields
                    .iter()
                    .any(|field| matches!(&field.form, Form::Value { shape, .. } if shape.secret)),
            });
        }
        (Form::Tables { fields, .. }, Some(rest)) => {
            let (index, rest) = rest.split_once("__")?;
            steps.push(Step::Index(
                index
                    .parse()
                    .ok()
                    .filter(|_| index == "0" || !index.starts_with(['0', '+']))?,
            ));
            resolve(fields, rest)?
        }
        (Form::Value { .. }, Some(_)) | (Form::Table { .. }, None) => return None,
    };
    steps.extend(inner.steps);
    Some(Target { steps, ..inner })
}

fn set(root: &mut Node, target: &Target, name: &str, value: &str, problems: &mut Vec<Problem>) {
    let origin = Origin::Environment(name.into());
    let value = match typed(target, value, &origin) {
        Ok(value) => value,
        Err(reason) => return problems.push(Problem::about(Some(origin), "", reason)),
    };
    let table = || Node::new(Value::Table(Vec::new()), origin.clone());
    let mut at = root;
    for (index, step) in target.steps.iter().enumerate() {
        let next_is_index = matches!(target.steps.get(index + 1), Some(Step::Index(_)));
        let make = || {
            Node::new(
                if next_is_index {
                    Value::List(Vec::new())
                } else {
                    table().value
                },
                origin.clone(),
            )
        };
        let next = match step {
            Step::Key(key) => at.entry(key, make),
            Step::Index(wanted) => {
                let Value::List(items) = &mut at.value else {
                    return;
                };
                let count = items.len();
                if *wanted == count {
                    items.push(table());
                }
                if *wanted > count {
                    let reason =
                        format!("leaves a gap: there are {count} entries before, so the next has the index {count}");
                    return problems.push(Problem::about(Some(origin.clone()), "", reason));
                }
                items.get_mut(*wanted)
            }
        };
        // What is in the way is no table; the reader complains about it where it stands.
        let Some(next) = next else { return };
        at = next;
    }
    *at = Node::new(value, origin.clone());
}

fn typed(target: &Target, text: &str, origin: &Origin) -> Result<Value, &'static str> {
    let may_be_json = target.tables || (target.list && text.trim_start().starts_with('['));
    if !may_be_json {
        return Ok(Value::Untyped(text.to_owned()));
    }
    match read_json::value(text, origin) {
        Some(node) => Ok(node.value),
        None if target.tables => Err("is not a JSON list of objects"),
        None => Ok(Value::Untyped(text.to_owned())), // `[::1]:8080` is a value by itself
    }
}

fn unknown(fields: &[Field], name: &str) -> Problem {
    let mut known = names(fields, PREFIX);
    known.extend(sidecar::NAMES.iter().map(ToString::to_string));
    // Indexes are put back as typed, so that they do not count as misspelled.
    let index = name
        .split("__")
        .nth(1)
        .filter(|part| part.parse::<usize>().is_ok())
        .unwrap_or("0");
    let known: Vec<String> = known
        .into_iter()
        .map(|known| known.replace("__0__", &format!("__{index}__")))
        .collect();
    let suggestion = match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!(", did you mean {near}?"),
        None => "; keys are spelled AIMIS_SECTION__KEY".to_owned(),
    };
    Problem::sentence(
        None,
        "",
        format!("unknown environment variable {}{suggestion}", shown(name)),
    )
}

/// Every variable there is, with index 0 for lists of tables.
pub(super) fn names(fields: &[Field], prefix: &str) -> Vec<String> {
    let of = |field: &Field| {
        let name = format!("{prefix}{}", field.key.to_ascii_uppercase());
        match &field.form {
            Form::Value { .. } => vec![name],
            Form::Table { fields, .. } => names(fields, &format!("{name}__")),
            Form::Tables { fields, .. } => {
                let entries = names(fields, &format!("{name}__0__"));
                std::iter::once(name).chain(entries).collect()
            }
        }
    };
    fields.iter().flat_map(of).collect()
}
