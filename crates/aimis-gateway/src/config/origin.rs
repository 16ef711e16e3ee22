//! Where a value comes from.

use std::fmt;
use std::sync::Arc;

/// The source of one value. `Display` is what `config print` and complaints show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nothing set it.
    Default,
    /// A line of the file, counted from 1.
    File {
        /// The file, as it was named on the command line.
        name: Arc<str>,
        /// Its line.
        line: usize,
    },
    /// A variable that spells a key: `AIMIS_PLATFORM__BASE_URL`.
    Environment(Arc<str>),
    /// A variable of the form without a file: `AIMIS_APP_ID` and its companions.
    Sidecar(Arc<str>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::Environment(name) | Self::Sidecar(name) => f.write_str(name),
        }
    }
}
