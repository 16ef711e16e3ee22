//! Where a command takes its configuration from.

use std::path::PathBuf;

use super::output::Failure;
use crate::config::{self, Loaded, SourceFile, Sources};

/// The configuration's arguments, the same for every command that has one.
#[derive(clap::Args)]
pub(super) struct ConfigArguments {
    /// Configuration file, TOML or JSON. Without one, AIMIS_… variables make the configuration.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigArguments {
    /// Whether a file is named, on the command line or in `AIMIS_CONFIG`.
    pub(super) fn is_given(&self) -> bool {
        self.file(&config::environment()).is_some() || config::environment().iter().any(|(name, _)| name == "AIMIS_APP_ID")
    }

    fn file(&self, env: &[(String, String)]) -> Option<PathBuf> {
        let named = env.iter().find(|(name, _)| name == "AIMIS_CONFIG").map(|(_, value)| value.into());
        self.config.clone().or(named)
    }

    /// Reads the configuration.
    pub(super) fn load(&self) -> Result<Loaded, Failure> {
        let env = config::environment();
        let file = self.file(&env).map(SourceFile::Path);
        Ok(config::load(&Sources { file, env })?)
    }
}
