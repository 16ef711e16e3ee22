//! The closed set of repairs: each has a name, a counter and a place in `X-Aimis-Repairs` (design.md, section 3).

use std::fmt;

/// Declares the kinds with their names, and `ALL`, from one list that cannot disagree with itself.
macro_rules! repair_kinds {
    ($($(#[$doc:meta])+ $kind:ident = $name:literal,)+) => {
        /// What was repaired. The first group is found by this crate, the second by the reader of bodies.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum RepairKind {
            $($(#[$doc])+ $kind,)+
        }

        impl RepairKind {
            /// Every kind, for a metric's label set.
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// Stable kebab-case name.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }
        }
    };
}

repair_kinds! {
    /// A number was given as a string: `"0"`.
    IntegerAsString = "integer-as-string",
    /// A whole number was written with a decimal point: `2.0`.
    IntegerAsDecimal = "integer-as-decimal",
    /// A text was given as a number: `"hisId": 4711`.
    TextAsNumber = "text-as-number",
    /// `""`, `-`, `null` as text, `无` and their like were taken for "absent".
    PlaceholderAbsent = "placeholder-absent",
    /// White space around a text was dropped.
    Trimmed = "trimmed",
    /// An identity or telephone number was brought to its normal form.
    Normalized = "normalized",
    /// A 15-digit identity number was sent with 18.
    IdUpgraded = "id-upgraded",
    /// A date was written in another form, or bare.
    DateForm = "date-form",
    /// A date named its zone (`Z`, `+09:00`, `/Date(0)/`) and was converted to China time.
    DateOffset = "date-offset",
    /// A window without begin or end was given one.
    DateDefault = "date-default",

    /// A byte order mark was dropped.
    BomRemoved = "bom-removed",
    /// The body was in a declared charset other than UTF-8.
    CharsetConverted = "charset-converted",
    /// The body was not what it declared, and was read as GB18030.
    CharsetGuessed = "charset-guessed",
    /// `Content-Type` was missing or wrong.
    ContentType = "content-type",
    /// The JSON stood in a form field.
    FormWrapped = "form-wrapped",
    /// The members came as form fields.
    FormFields = "form-fields",
    /// The body was multipart.
    Multipart = "multipart",
    /// Form fields were encoded by JavaScript's old `escape()`: `%u5F20`.
    PercentU = "percent-u",
    /// The JSON stood in a JSON string.
    JsonString = "json-string",
    /// The JSON stood in a member of another object, under the name of a form field.
    JsonWrapped = "json-wrapped",
    /// A name was written in another case.
    KeyCase = "key-case",
    /// A name was an alias configured for the client.
    KeyAlias = "key-alias",
    /// NUL bytes after the body were dropped.
    TrailingNul = "trailing-nul",
    /// Members outside the contract were dropped.
    UnknownDropped = "unknown-dropped",
    /// Members outside the contract were forwarded.
    UnknownForwarded = "unknown-forwarded",
}

/// One repair. `Display` is its place in `X-Aimis-Repairs`: `idNum=normalized`, or `bom-removed` for the whole body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repair<'a> {
    /// Name of the field, from the contract; `None` is the body as a whole.
    pub field: Option<&'a str>,
    /// What was repaired.
    pub kind: RepairKind,
}

impl fmt::Display for Repair<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field {
            Some(field) => write!(f, "{field}={}", self.kind.as_str()),
            None => f.write_str(self.kind.as_str()),
        }
    }
}

impl fmt::Display for RepairKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
