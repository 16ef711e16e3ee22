//! Where a token is: in a file, or, less well, in the environment.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use zeroize::Zeroizing;

use super::path::secret_path;
use super::{Kind, Refusal, Shape};
use crate::config::origin::Origin;
use crate::config::plain::Plain;
use crate::config::tree::Node;

/// A secret that came in the environment. It is wiped when the last clone goes, and has no `Debug` or `Display`.
#[derive(Clone)]
pub struct SecretText(Arc<Zeroizing<String>>);

impl SecretText {
    pub(super) fn new(text: &str) -> Self {
        Self(Arc::new(Zeroizing::new(text.to_owned())))
    }

    /// The secret itself: for who parses it, and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Where a token is.
#[derive(Clone)]
pub enum TokenSource {
    /// In a file, which is watched.
    File(PathBuf),
    /// It came in the environment.
    Inline(SecretText),
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Inline(_) => f.write_str("Inline(..)"),
        }
    }
}

impl PartialEq for TokenSource {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(a), Self::File(b)) => a == b,
            (Self::Inline(a), Self::Inline(b)) => a.expose() == b.expose(),
            _ => false,
        }
    }
}

/// The file of a token.
pub(in crate::config) struct TokenFile;

/// The file of a token.
pub(in crate::config) fn token_file() -> TokenFile {
    TokenFile
}

impl Kind for TokenFile {
    type Value = TokenSource;

    fn read(&self, node: &Node, directory: &Path) -> Result<TokenSource, Refusal> {
        secret_path().read(node, directory).map(TokenSource::File)
    }

    fn show(&self, value: &TokenSource) -> Plain {
        match value {
            TokenSource::File(path) => secret_path().show(path),
            TokenSource::Inline(_) => Plain::Hidden,
        }
    }

    fn shape(&self) -> Shape {
        secret_path().shape()
    }
}

/// The token itself.
pub(in crate::config) struct Token;

/// The token itself, which the environment may give, but a file may not.
pub(in crate::config) fn token() -> Token {
    Token
}

impl Kind for Token {
    type Value = TokenSource;

    fn read(&self, node: &Node, _directory: &Path) -> Result<TokenSource, Refusal> {
        if matches!(node.origin, Origin::File { .. }) {
            return Err(Refusal::new(
                "must not stand in this file: put it in a file of its own and name it in `token_file`",
            ));
        }
        let text = node.text().ok_or_else(|| Refusal::new("is not a text"))?;
        Ok(TokenSource::Inline(SecretText::new(text)))
    }

    fn show(&self, _value: &TokenSource) -> Plain {
        Plain::Hidden
    }

    fn shape(&self) -> Shape {
        let shape = Shape::new(json!(false), "from the environment only");
        Shape { secret: true, ..shape }
    }
}
