//! From sources to a configuration, or to every complaint at once.

use std::path::{Path, PathBuf};

use super::check::{check, no_tenant, notices};
use super::file;
use super::origin::Origin;
use super::otel::OTEL_UNSPOKEN;
use super::problem::{ConfigError, Problem};
use super::section::{Field, Form, Origins, Reader, Section, Setting};
use super::tree::{Node, Value};
use super::{Config, credentials, environment, otel, sidecar};

/// Where a configuration comes from.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file; without one, the environment has to make a tenant.
    pub file: Option<SourceFile>,
    /// Variables; those that do not begin with `AIMIS_` are passed over, but for the `OTEL_` ones about traces. [`environment`](super::environment())
    /// gives those of the process.
    pub env: Vec<(String, String)>,
}

/// A configuration file.
#[derive(Clone, Debug)]
pub enum SourceFile {
    /// Read at each [`load`]. Relative paths in it begin at its directory.
    Path(PathBuf),
    /// Text already at hand, as of a built-in profile. Relative paths in it begin at the directory of `name`.
    Text {
        /// What complaints call it; the ending `.json` makes it JSON.
        name: String,
        /// TOML or JSON.
        text: String,
    },
}

impl Sources {
    /// The file at `path`, without an environment.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self {
            file: Some(SourceFile::Path(path.into())),
            env: Vec::new(),
        }
    }

    /// The text of a file, without an environment.
    pub fn text(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            file: Some(SourceFile::Text {
                name: name.into(),
                text: text.into(),
            }),
            env: Vec::new(),
        }
    }

    /// The same with these variables.
    pub fn with_env(self, env: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        Self {
            env: env
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            ..self
        }
    }
}

/// A valid configuration, and where each of its values comes from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    settings: Vec<Setting>,
    otel_spoken: bool,
}

impl Loaded {
    /// Everything that an operator should know about it, a sentence each.
    pub fn notices(&self) -> Vec<String> {
        let mut notices = notices(&self.config);
        notices.extend(self.ignores_otel().then(|| OTEL_UNSPOKEN.to_owned()));
        notices
    }

    /// Whether variables of OpenTelemetry ask for what is not spoken, and are not looked at for that.
    pub fn ignores_otel(&self) -> bool {
        !self.otel_spoken
    }

    /// Every key with its effective value and origin, secrets hidden, in the order of the sections.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }
}

/// Reads the sources: file under environment, each value into its type.
///
/// Opens the file of the configuration itself and nothing else; the files it names are read by their users.
///
/// # Errors
/// [`ConfigError`] with every problem found. Only a file that cannot be parsed hides others, and what two keys
/// mean together is judged once each is good alone.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let one = |problem| ConfigError {
        problems: vec![problem],
    };
    let (name, text) = match &sources.file {
        None => (None, String::new()),
        Some(SourceFile::Text { name, text }) => (Some(name.clone()), text.clone()),
        Some(SourceFile::Path(path)) => (Some(path.display().to_string()), file::text_of(path).map_err(one)?),
    };
    let mut root = match &name {
        Some(name) => file::parse(name, &text).map_err(|problems| ConfigError { problems })?,
        None => Node::new(Value::Table(Vec::new()), Origin::Default),
    };

    let fields = Config::fields();
    let mut problems = Vec::new();
    let otel_spoken = otel::overlay(&mut root, &sources.env, &mut problems);
    environment::overlay(&mut root, &fields, &sources.env, &mut problems);
    let is_sidecar = sidecar::overlay(&mut root, &sources.env, &mut problems);
    inherit(&mut root, &fields);
    credentials::find(&mut root, &sources.env, &mut problems);

    let mut reader = Reader {
        directory: directory(name.as_deref()),
        problems,
        origins: Origins::new(),
        known: known(&fields, ""),
    };
    let config = Config::read(&mut reader, "", &root);
    let Reader {
        mut problems, origins, ..
    } = reader;
    if let Some(config) = &config {
        problems.extend(check(config, &origins));
    }
    let tenants = root.get("tenants").map(|tenants| &tenants.value);
    if !is_sidecar && tenants.is_none_or(|tenants| matches!(tenants, Value::List(items) if items.is_empty())) {
        problems.push(no_tenant(name.as_deref()));
    }
    match config {
        Some(config) if problems.is_empty() => {
            let settings = config.show("", &origins);
            Ok(Loaded {
                config,
                settings,
                otel_spoken,
            })
        }
        _ => Err(ConfigError {
            problems: in_order(problems),
        }),
    }
}

/// Every key of `config` with its effective value, secrets hidden; where a value comes from is not told.
pub(crate) fn settings_of(config: &Config) -> Vec<Setting> {
    config.show("", &Origins::new())
}

/// Judges once more what two keys mean together, in a configuration that was put together of two.
///
/// # Errors
/// [`ConfigError`] with every problem found.
pub(crate) fn check_again(config: &Config) -> Result<(), ConfigError> {
    let problems = check(config, &Origins::new());
    if problems.is_empty() {
        Ok(())
    } else {
        Err(ConfigError { problems })
    }
}

/// Relative paths in the file `name` begin here.
fn directory(name: Option<&str>) -> PathBuf {
    name.and_then(|name| Path::new(name).parent())
        .map(Path::to_path_buf)
        .unwrap_or_default()
}

/// Gives each entry of a list of tables what it does not say itself in those of its tables that inherit.
fn inherit(root: &mut Node, fields: &[Field]) {
    for field in fields {
        let Form::Tables { fields, .. } = &field.form else {
            continue;
        };
        for heir in fields
            .iter()
            .filter(|field| matches!(field.form, Form::Table { inherits: true, .. }))
        {
            let Some(global) = root
                .get(heir.key)
                .filter(|node| node.table().is_some())
                .map(Node::inherited)
            else {
                continue;
            };
            let Some(Value::List(items)) = root.entry_mut(field.key).map(|list| &mut list.value) else {
                continue;
            };
            for item in items {
                let Some(own) = item.entry(heir.key, || global.clone()) else {
                    continue;
                };
                for (key, node) in global.table().unwrap_or_default() {
                    own.entry(key, || node.clone());
                }
            }
        }
    }
}

/// Every key in full.
fn known(fields: &[Field], at: &str) -> Vec<String> {
    let of = |field: &Field| {
        let full = super::section::child(at, field.key);
        match &field.form {
            Form::Value { .. } => vec![full],
            Form::Table { fields, .. } | Form::Tables { fields, .. } => known(fields, &full),
        }
    };
    fields.iter().flat_map(of).collect()
}

/// By line of the file, then what stands nowhere in it.
fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| match &problem.origin {
        Some(Origin::File { line, .. }) => *line,
        _ => usize::MAX,
    });
    problems
}
