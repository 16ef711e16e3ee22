//! A business code that is treated differently than the built-in table has it.

use crate::config::kind::choice::choices;
use crate::config::kind::choice::one_of;
use crate::config::kind::number::integer;
use crate::config::kind::text::{Text, identifier};
use crate::config::kind::{Kind, switch};
use crate::config::section::section;

section! {
    /// A business code of the platform that is treated differently than `config/codes.toml` has it, for instance one
    /// that is documented nowhere. Retries, breaker, metrics, findings and merged lists follow from the class; the
    /// answer itself is relayed unchanged in any case. A table for one API goes before one for all.
    pub struct Code {
        /// The API in whose answers; not set: in all.
        api: Option<Text> = identifier(64).optional("patientStudies");
        /// The code. 0, which is success by definition, stays what it is.
        code: i64 = integer(-999_999_999, 999_999_999).required(20014);
        /// What kind of outcome it is.
        class: CodeClass = one_of().required("no_data");
        /// Whether the question may be asked once more. Not set: as the class has it, `transient` alone.
        retry: Option<bool> = switch().optional(false);
    }
}

choices! {
    /// A class of business codes.
    pub enum CodeClass {
        /// The query was answered.
        Success = "success",
        /// Nothing was found.
        NoData = "no_data",
        /// The caller's data was not accepted.
        Caller = "caller",
        /// An id of the hospital or union is wrong.
        Configuration = "configuration",
        /// Token, signature, clock or account.
        Auth = "auth",
        /// Not allowed to see this.
        Permission = "permission",
        /// Too many.
        Limit = "limit",
        /// The platform stumbled; once more may help.
        Transient = "transient",
        /// Not expected of this API.
        Unexpected = "unexpected",
        /// Nobody knows.
        Unknown = "unknown",
    }
}

impl CodeClass {
    /// The class as the table of codes has it.
    pub fn class(self) -> aimis_core::codes::Class {
        use aimis_core::codes::Class;
        match self {
            Self::Success => Class::Success,
            Self::NoData => Class::NoData,
            Self::Caller => Class::Caller,
            Self::Configuration => Class::Configuration,
            Self::Auth => Class::Auth,
            Self::Permission => Class::Permission,
            Self::Limit => Class::Limit,
            Self::Transient => Class::Transient,
            Self::Unexpected => Class::Unexpected,
            Self::Unknown => Class::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use aimis_core::codes::Class;

    use super::*;
    use crate::config::kind::choice::Choice;

    #[test]
    fn classes_are_called_as_in_the_table_of_codes() {
        let names: Vec<_> = CodeClass::ALL.iter().map(|(_, name, _)| *name).collect();
        assert_eq!(names, Class::ALL.map(Class::as_str));
        for (class, name, _) in CodeClass::ALL {
            assert_eq!(class.class().as_str(), *name);
        }
    }
}
