//! The APIs as data: which fields each has, of what kind, and which windows they form (sections 4 to 6 and 8).
//!
//! Decoding, repair, validation, the cache's canonical form, the protected body and the OpenAPI document all follow
//! these tables. They are owned values and no constants, so that configuration can add an API of the same family.
//! A [`Contract`] is checked when it is made; nothing checks it again.

mod tables;

use crate::datetime::Edge;

pub use tables::{
    patient_consultations, patient_report_url, patient_studies, queries, shared_queries, status_callback,
};

/// Field name: the patient's telephone number, encrypted.
pub const PHONE_NUM: &str = "phoneNum";
/// Field name: the patient's identity number, encrypted.
pub const ID_NUM: &str = "idNum";
/// Field name: the patient's number in the HIS.
pub const HIS_ID: &str = "hisId";
/// Field name: the patient's name, plain text to the platform and personal all the same.
pub const PATIENT_NAME: &str = "patientName";
/// Field name: the hospital's id in the imaging cloud. The gateway may fill it in, and picks the tenant by it.
pub const HOSPITAL_ID: &str = "hospitalId";
/// Field name: the consortium's id in the imaging cloud. The gateway may fill it in.
pub const UNION_ID: &str = "unionId";
/// Field name: kind of study, 0 to 5.
pub const STUDY_TYPE: &str = "studyType";
/// Field name: whose data is asked for, 0 to 4.
pub const DATA_FLAG: &str = "dataFlag";
/// Field name: who looks, 0 to 2.
pub const USAGE: &str = "usage";
/// Field name: start of the study window.
pub const STUDY_DATE_BEGIN: &str = "studyDateBegin";
/// Field name: end of the study window.
pub const STUDY_DATE_END: &str = "studyDateEnd";
/// Field name: key of a report.
pub const REPORT_ID: &str = "reportId";
/// Field name: kind of a status callback.
pub const STATUS: &str = "status";
/// Field name: number of a study.
pub const STUDY_ID: &str = "studyId";

/// Most fields of a contract, so that a set of them fits a `u32`.
pub const MAX_FIELDS: usize = 32;
/// Longest name of a contract or a field, in bytes.
pub const MAX_NAME_LEN: usize = 64;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldKind {
    /// Text, sent as it is.
    Text,
    /// A telephone number: normalised, judged and encrypted.
    Phone,
    /// An identity number: normalised, judged and encrypted.
    IdNumber,
    /// A whole number from `min` to `max`, both allowed, sent as a JSON number.
    Integer {
        /// Smallest value allowed.
        min: i64,
        /// Largest value allowed.
        max: i64,
    },
    /// Date and time, sent as `yyyy-MM-dd HH:mm:ss`.
    DateTime(Edge),
}

impl FieldKind {
    /// Whether the platform wants the field encrypted (section 3).
    pub const fn is_encrypted(self) -> bool {
        matches!(self, Self::Phone | Self::IdNumber)
    }
}

/// One member of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name in the JSON body: 1 to 64 of `A-Z a-z 0-9 _ - .`
    pub name: String,
    /// What it holds.
    pub kind: FieldKind,
    /// Whether an order without it is refused.
    pub required: bool,
}

impl Field {
    /// A field that an order must have.
    pub fn required(name: &str, kind: FieldKind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            required: true,
        }
    }

    /// A field that an order may lack.
    pub fn optional(name: &str, kind: FieldKind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            required: false,
        }
    }

    /// Whether HIS users type "none" or "unknown" in words into this field.
    pub(crate) fn takes_words_for_nothing(&self) -> bool {
        matches!(self.name.as_str(), HIS_ID | PATIENT_NAME)
    }
}

/// Shape of `data` in a successful answer (sections 4 to 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Answer {
    /// A list; empty is `[]`.
    List,
    /// One object; empty is `{}`.
    #[default]
    Object,
}

/// Two [`FieldKind::DateTime`] fields that bound a span of time, by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Index of the field that begins it.
    pub begin: usize,
    /// Index of the field that ends it.
    pub end: usize,
}

/// The fields of one API. Valid by construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    name: String,
    fields: Vec<Field>,
    windows: Vec<Window>,
    answer: Answer,
    link_only: bool,
}

/// Why a field table is no contract. The names come from configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// The name of the API or of a field is empty, too long, or has other characters.
    #[error("name {name:?}: 1 to 64 letters, digits, `_`, `-` or `.` are allowed")]
    Name {
        /// The offending name.
        name: String,
    },
    /// Two fields differ at most in case, which a tolerant reader could not tell apart.
    #[error("field {name:?} is there twice (case is no difference)")]
    Duplicate {
        /// The second of them.
        name: String,
    },
    /// No field at all, or more than 32.
    #[error("{found} fields, 1 to 32 are allowed")]
    FieldCount {
        /// How many were given.
        found: usize,
    },
    /// An integer field whose range is empty.
    #[error("field {name:?}: its smallest value is above its largest")]
    Range {
        /// The field.
        name: String,
    },
    /// A window over a field that is not there, or is no date.
    #[error("window over {name:?}: there is no such date field")]
    Window {
        /// The field named by the window.
        name: String,
    },
}

impl Contract {
    /// A contract with these fields, in the order in which they are sent.
    ///
    /// # Errors
    /// [`ContractError`] for duplicate or unusable names, no fields or more than 32, and empty ranges.
    pub fn new(name: &str, fields: Vec<Field>) -> Result<Self, ContractError> {
        usable(name)?;
        if fields.is_empty() || fields.len() > MAX_FIELDS {
            return Err(ContractError::FieldCount { found: fields.len() });
        }
        for (index, field) in fields.iter().enumerate() {
            usable(&field.name)?;
            if fields[..index]
                .iter()
                .any(|earlier| earlier.name.eq_ignore_ascii_case(&field.name))
            {
                return Err(ContractError::Duplicate {
                    name: field.name.clone(),
                });
            }
            if matches!(field.kind, FieldKind::Integer { min, max } if min > max) {
                return Err(ContractError::Range {
                    name: field.name.clone(),
                });
            }
        }
        let name = name.to_owned();
        Ok(Self {
            name,
            fields,
            windows: Vec::new(),
            answer: Answer::default(),
            link_only: false,
        })
    }

    /// Adds a window: an order whose `begin` is after its `end` is refused, and both may be filled in by default.
    ///
    /// # Errors
    /// [`ContractError::Window`] if either is not a field of kind [`FieldKind::DateTime`].
    pub fn with_window(mut self, begin: &str, end: &str) -> Result<Self, ContractError> {
        let date = |name: &str| {
            let at = self
                .index(name)
                .filter(|&at| matches!(self.fields[at].kind, FieldKind::DateTime(_)));
            at.ok_or_else(|| ContractError::Window { name: name.to_owned() })
        };
        let window = Window {
            begin: date(begin)?,
            end: date(end)?,
        };
        self.windows.push(window);
        Ok(self)
    }

    /// States the shape of `data` in the answer; [`Answer::Object`] unless said.
    pub fn with_answer(mut self, answer: Answer) -> Self {
        self.answer = answer;
        self
    }

    /// States that the answer is nothing but bearer links, which are not cached unless configured (section 6).
    pub fn link_only(mut self) -> Self {
        self.link_only = true;
        self
    }

    /// Name of the API, as in its path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The fields, in the order in which they are sent.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The windows that must not be swapped.
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// Shape of `data` in a successful answer.
    pub fn answer(&self) -> Answer {
        self.answer
    }

    /// Whether the answer is nothing but bearer links.
    pub fn is_link_only(&self) -> bool {
        self.link_only
    }

    /// Index of the field of exactly this name. A linear scan: no contract has more than 32.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// Index of the field of this name in any case: no two fields of a contract differ in case alone. Full-width
    /// letters are other letters.
    pub fn index_in_any_case(&self, name: &str) -> Option<usize> {
        self.fields
            .iter()
            .position(|field| field.name.eq_ignore_ascii_case(name))
    }

    /// The field of exactly this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.index(name).map(|at| &self.fields[at])
    }

    /// Path of the API at the platform, `/thirdparty/{api}/{appId}`. Other characters of the appId than letters,
    /// digits, `-`, `.`, `_` and `~` are percent-encoded, since it is opaque (section 1).
    pub fn path(&self, app_id: &str) -> String {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        let mut path = format!("/thirdparty/{}/", self.name);
        for &byte in app_id.as_bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                path.push(byte.into());
            } else {
                path.extend([
                    '%',
                    HEX[usize::from(byte >> 4)].into(),
                    HEX[usize::from(byte & 15)].into(),
                ]);
            }
        }
        path
    }
}

fn usable(name: &str) -> Result<(), ContractError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    if name.is_empty() || name.len() > MAX_NAME_LEN || !name.bytes().all(allowed) {
        return Err(ContractError::Name {
            name: name.chars().take(MAX_NAME_LEN).collect(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_cannot_work_are_refused() {
        let text = |name: &str| Field::required(name, FieldKind::Text);
        let of = |fields| Contract::new("api", fields).unwrap_err();

        assert_eq!(
            of(vec![text("a"), text("A")]),
            ContractError::Duplicate { name: "A".to_owned() }
        );
        assert_eq!(
            of(vec![text("a\"b")]),
            ContractError::Name {
                name: "a\"b".to_owned()
            }
        );
        assert_eq!(of(vec![]), ContractError::FieldCount { found: 0 });
        assert_eq!(
            of((0..33).map(|i| text(&format!("f{i}"))).collect()),
            ContractError::FieldCount { found: 33 }
        );
        let empty = Field::required("n", FieldKind::Integer { min: 1, max: 0 });
        assert_eq!(of(vec![empty]), ContractError::Range { name: "n".to_owned() });
        assert_eq!(
            Contract::new("../api", vec![text("a")]).unwrap_err(),
            ContractError::Name {
                name: "../api".to_owned()
            }
        );
        let windowed = Contract::new("api", vec![text("a")])
            .unwrap()
            .with_window("a", "b")
            .unwrap_err();
        assert_eq!(windowed, ContractError::Window { name: "a".to_owned() });
    }

    #[test]
    fn an_app_id_cannot_leave_its_place_in_the_path() {
        assert_eq!(patient_studies().path("900001"), "/thirdparty/patientStudies/900001");
        assert_eq!(
            patient_studies().path("demo-hospital-01"),
            "/thirdparty/patientStudies/demo-hospital-01"
        );
        assert_eq!(
            patient_studies().path("a/..?b"),
            "/thirdparty/patientStudies/a%2F..%3Fb"
        );
    }
}
