//! `credential:NAME` in place of a file: what systemd hands over with `LoadCredential=NAME:PATH`.
//!
//! The service manager reads the file with its own rights and puts a copy into a directory that only this service can
//! see, so the gateway's user needs no right to the original (systemd.exec(5), "Credentials").

use super::origin::Origin;
use super::problem::{Problem, quoted};
use super::tree::{Node, Value};

/// The variable that names the directory.
pub(super) const DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// What such a value begins with.
const SCHEME: &str = "credential:";

/// Puts the path of its file in the place of each credential that a key of a file (`…_file`, `…_files`) names.
pub(super) fn find(root: &mut Node, env: &[(String, String)], problems: &mut Vec<Problem>) {
    let directory = env
        .iter()
        .find(|(name, value)| name == DIRECTORY && !value.is_empty())
        .map(|(_, value)| value.as_str());
    walk(root, "", false, directory, problems);
}

fn walk(node: &mut Node, at: &str, names_file: bool, directory: Option<&str>, problems: &mut Vec<Problem>) {
    match &mut node.value {
        Value::Table(entries) => {
            for (key, entry) in entries {
                let names_file = key.ends_with("_file") || key.ends_with("_files");
                walk(entry, &super::section::child(at, key), names_file, directory, problems);
            }
        }
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                walk(item, &format!("{at}[{index}]"), names_file, directory, problems);
            }
        }
        Value::Text(text) | Value::Untyped(text) if names_file => {
            let Some(name) = text.strip_prefix(SCHEME) else { return };
            match path(name, directory) {
                // From the file and from the environment alike this path is absolute, so nothing is put before it.
                Ok(path) => *text = path,
                Err(_) if node.inherited => {}
                Err(reason) => problems.push(complaint(&node.origin, at, name, reason)),
            }
        }
        Value::Text(_) | Value::Untyped(_) | Value::Bool(_) | Value::Integer(_) | Value::Unusable { .. } => {}
    }
}

fn path(name: &str, directory: Option<&str>) -> Result<String, &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        return Err("is not the name of a credential: letters, digits, '.', '_' and '-'");
    }
    match directory {
        Some(directory) => Ok(format!("{}/{name}", directory.trim_end_matches('/'))),
        None => Err(
            "is a credential of systemd, and this process was given none: add LoadCredential= to the unit; by hand, set \
             CREDENTIALS_DIRECTORY to the directory of the files",
        ),
    }
}

fn complaint(origin: &Origin, at: &str, name: &str, reason: &str) -> Problem {
    Problem::about(
        Some(origin.clone()),
        at,
        format!("{} {reason}", quoted(&format!("{SCHEME}{name}"))),
    )
}

#[cfg(test)]
mod tests {
    use crate::config::{Sources, TokenSource, load};

    const TEXT: &str = "[[tenants]]\nname = \"a\"\napp_id = \"1\"\ntoken_file = \"credential:a.token\"\n";

    #[test]
    fn a_credential_is_the_file_that_systemd_put_there() {
        let env = [("CREDENTIALS_DIRECTORY", "/run/credentials/aimis-gateway.service")];
        let loaded = load(&Sources::text("/etc/x/gateway.toml", TEXT).with_env(env)).unwrap();

        let TokenSource::File(path) = &loaded.config.tenants[0].token else {
            panic!("a file")
        };
        assert_eq!(path.to_str(), Some("/run/credentials/aimis-gateway.service/a.token"));
    }

    #[test]
    fn a_credential_that_nobody_gave_is_told_with_what_to_do() {
        let refused = load(&Sources::text("gateway.toml", TEXT)).unwrap_err().to_string();
        assert!(
            refused.contains("tenants[0].token_file") && refused.contains("LoadCredential="),
            "{refused}"
        );
        for name in ["", "../../etc/shadow", "a/b", ".."] {
            let text = TEXT.replace("a.token", name);
            let env = [("CREDENTIALS_DIRECTORY", "/run/credentials/x")];
            let refused = load(&Sources::text("gateway.toml", text).with_env(env)).unwrap_err();
            assert!(
                refused.to_string().contains("is not the name of a credential"),
                "{name}: {refused}"
            );
        }
    }

    #[test]
    fn only_keys_of_files_name_credentials() {
        let text = TEXT.replace("name = \"a\"", "name = \"a\"\nhospital_id = \"credential:x\"");
        let env = [("CREDENTIALS_DIRECTORY", "/run/credentials/x")];
        let loaded = load(&Sources::text("gateway.toml", text).with_env(env)).unwrap();
        assert_eq!(loaded.config.tenants[0].hospital_id.as_deref(), Some("credential:x"));
    }
}
