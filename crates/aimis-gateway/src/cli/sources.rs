//! Where a command takes its configuration from.

use std::path::PathBuf;

use super::output::Failure;
use crate::config::{self, ConfigError, Loaded, SourceFile, Sources};

/// The configuration's arguments, the same for every command that has one.
#[derive(clap::Args)]
pub(super) struct ConfigArguments {
    /// Configuration file, TOML or JSON; AIMIS_CONFIG can name it too. Without one, AIMIS_… variables make the configuration.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigArguments {
    /// Whether a file is named, on the command line or in `AIMIS_CONFIG`.
    pub(super) fn is_given(&self) -> bool {
        self.file(&config::environment()).is_some()
            || config::environment().iter().any(|(name, _)| name == "AIMIS_APP_ID")
    }

    /// The file that is read.
    pub(super) fn path(&self) -> Option<PathBuf> {
        self.file(&config::environment())
    }

    fn file(&self, env: &[(String, String)]) -> Option<PathBuf> {
        // Empty is how a unit file or a compose file writes "not set".
        let named = env
            .iter()
            .find(|(name, value)| name == "AIMIS_CONFIG" && !value.is_empty());
        self.config.clone().or(named.map(|(_, value)| value.into()))
    }

    /// Reads the configuration.
    pub(super) fn load(&self) -> Result<Loaded, Failure> {
        Ok(self.read()?)
    }

    /// The same, with the problems one by one.
    pub(super) fn read(&self) -> Result<Loaded, ConfigError> {
        config::load(&self.sources())
    }

    /// What it is read from. The environment is that of now.
    pub(super) fn sources(&self) -> Sources {
        let env = config::environment();
        let file = self.file(&env).map(SourceFile::Path);
        Sources { file, env }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_argument_goes_before_the_variable_and_an_empty_variable_is_none() {
        let named = |argument: Option<&str>, variable: &str| {
            let env = [("AIMIS_CONFIG".to_owned(), variable.to_owned())];
            ConfigArguments {
                config: argument.map(PathBuf::from),
            }
            .file(&env)
        };
        assert_eq!(named(None, "a.toml"), Some("a.toml".into()));
        assert_eq!(named(Some("b.toml"), "a.toml"), Some("b.toml".into()));
        assert_eq!(named(None, ""), None);
    }
}
