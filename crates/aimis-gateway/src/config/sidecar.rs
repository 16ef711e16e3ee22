//! The form without a file: a few variables that make one tenant, called `default`.

use super::environment::PREFIX;
use super::origin::Origin;
use super::problem::Problem;
use super::tree::{Node, Value};

/// Name of the variable and key of the tenant that it sets.
const KEYS: [(&str, &str); 6] = [
    ("AIMIS_APP_ID", "app_id"),
    ("AIMIS_TOKEN_FILE", "token_file"),
    ("AIMIS_TOKEN", "token"),
    ("AIMIS_TOKEN_NOT_AFTER", "token_not_after"),
    ("AIMIS_HOSPITAL_ID", "hospital_id"),
    ("AIMIS_UNION_ID", "union_id"),
];

/// The variables of this form.
pub(super) const NAMES: [&str; 6] = [KEYS[0].0, KEYS[1].0, KEYS[2].0, KEYS[3].0, KEYS[4].0, KEYS[5].0];

/// Whether the variable's value is the token itself.
pub(super) fn is_secret(name: &str) -> bool {
    name == "AIMIS_TOKEN"
}

/// Adds the tenant that the variables make. True if there was any of them.
///
/// Beside tenants from elsewhere it is refused: it would be a further hospital, while whoever sets
/// `AIMIS_APP_ID` most likely means to change the one of the file, which is `AIMIS_TENANTS__0__APP_ID`.
pub(super) fn overlay(root: &mut Node, env: &[(String, String)], problems: &mut Vec<Problem>) -> bool {
    let value = |name: &str| {
        env.iter()
            .find(|(other, value)| other == name && !value.is_empty())
            .map(|(_, value)| value)
    };
    let entries: Vec<(String, Node)> = KEYS
        .iter()
        .filter_map(|(name, key)| {
            let value = Value::Untyped(value(name)?.clone());
            Some(((*key).to_owned(), Node::new(value, Origin::Sidecar((*name).into()))))
        })
        .collect();
    let Some(first) = entries.first().map(|(_, node)| node.origin.clone()) else {
        return false;
    };

    if let Some(tenants) = root.get("tenants") {
        let reason = format!(
            "makes a tenant of its own, but there are tenants already ({}); to change those, set {PREFIX}TENANTS__0__…",
            tenants.origin
        );
        problems.push(Problem::about(Some(first), "", reason));
        return true;
    }
    let has = |key: &str| entries.iter().any(|(other, _)| other == key);
    let complete = has("app_id") && (has("token_file") || has("token"));
    if !has("app_id") {
        problems.push(Problem::about(
            Some(first.clone()),
            "",
            "is set, but AIMIS_APP_ID is missing",
        ));
    }
    if !has("token_file") && !has("token") {
        problems.push(Problem::about(
            Some(first.clone()),
            "",
            "is set, but AIMIS_TOKEN_FILE is missing",
        ));
    }
    if complete {
        let name = (
            "name".to_owned(),
            Node::new(Value::Text("default".to_owned()), first.clone()),
        );
        let tenant = Value::Table(std::iter::once(name).chain(entries).collect());
        let list = Value::List(vec![Node::new(tenant, first.clone())]);
        root.entry("tenants", || Node::new(list, first));
    }
    true
}
