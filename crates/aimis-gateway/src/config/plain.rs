//! Values as a file has them: defaults and examples in the tables, effective values in `config print`.

use std::fmt;

/// One value, without its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plain {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number of thousandths.
    Thousandths(u64),
    /// A text.
    Text(String),
    /// Several values of one kind.
    List(Vec<Plain>),
    /// A secret. Its value is not here.
    Hidden,
}

impl Plain {
    /// The value in JSON; a secret is `"***"`.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Bool(value) => (*value).into(),
            Self::Integer(number) => (*number).into(),
            Self::Thousandths(number) if number.is_multiple_of(1_000) => (number / 1_000).into(),
            // Exact enough: below 2^53 the shortest text of the quotient is the one that was written.
            Self::Thousandths(number) => (*number as f64 / 1_000.0).into(),
            Self::Text(text) => text.as_str().into(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Hidden => "***".into(),
        }
    }
}

/// The value in TOML; a secret is `"***"`.
impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Thousandths(_) => write!(f, "{}", self.to_json()),
            // JSON's escapes are a subset of those of a TOML basic string, except for a bare DEL.
            Self::Text(text) => {
                write!(
                    f,
                    "{}",
                    serde_json::Value::from(text.as_str())
                        .to_string()
                        .replace('\u{7f}', "\\u007F")
                )
            }
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{item}")?;
                }
                f.write_str("]")
            }
            Self::Hidden => f.write_str("\"***\""),
        }
    }
}

impl From<bool> for Plain {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Plain {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<&str> for Plain {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
