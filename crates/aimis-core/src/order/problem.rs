//! Why an order is refused, or looks wrong: names and reasons, never values.

use std::fmt;

use crate::contract::FieldKind;
use crate::datetime::DateProblem;
use crate::identity::{IdProblem, PhoneProblem};

use super::RepairKind;

/// One reason for refusing an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldProblem {
    /// Name of the field, from the contract; `body` is the body as a whole. For a strict client also the name of a
    /// member outside the contract, as far as the decoder lets it be repeated.
    pub field: String,
    /// What is wrong.
    pub reason: Reason,
    /// What the field is, if the problem is about one.
    pub kind: Option<FieldKind>,
}

impl FieldProblem {
    /// Whether [`field`](Self::field) is the contract's word (or `body`), and none of the caller's choice. Others may
    /// be told to the caller, who knows them, and to nobody else.
    pub fn is_of_contract(&self) -> bool {
        self.kind.is_some() || self.field == "body"
    }

    /// What the caller should do, in English; names the type or the values that the field takes.
    pub fn hint_en(&self) -> String {
        match (self.reason, self.kind) {
            (Reason::WrongType | Reason::OutOfRange, Some(kind)) => format!("send {}", wanted_en(kind)),
            (reason, _) => reason.hint_en(),
        }
    }

    /// What the caller should do, in Chinese; names the type or the values that the field takes.
    pub fn hint_zh(&self) -> String {
        match (self.reason, self.kind) {
            (Reason::WrongType | Reason::OutOfRange, Some(kind)) => format!("请填写{}", wanted_zh(kind)),
            (reason, _) => reason.hint_zh(),
        }
    }
}

fn wanted_en(kind: FieldKind) -> String {
    match kind {
        FieldKind::Text => "a text (JSON string)".to_owned(),
        FieldKind::Phone => "a telephone number as text".to_owned(),
        FieldKind::IdNumber => "an identity number as text".to_owned(),
        FieldKind::Integer {
            min: i64::MIN,
            max: i64::MAX,
        } => "a whole number".to_owned(),
        FieldKind::Integer { min, max } => format!("a whole number from {min} to {max}"),
        FieldKind::DateTime(_) => "a date and time as text: yyyy-MM-dd HH:mm:ss".to_owned(),
    }
}

fn wanted_zh(kind: FieldKind) -> String {
    match kind {
        FieldKind::Text => "文本（JSON 字符串）".to_owned(),
        FieldKind::Phone => "文本形式的电话号码".to_owned(),
        FieldKind::IdNumber => "文本形式的证件号".to_owned(),
        FieldKind::Integer {
            min: i64::MIN,
            max: i64::MAX,
        } => "整数".to_owned(),
        FieldKind::Integer { min, max } => format!(" {min} 到 {max} 的整数"),
        FieldKind::DateTime(_) => "日期时间文本：yyyy-MM-dd HH:mm:ss".to_owned(),
    }
}

/// Something that looks wrong and was let through. `Display` is its place in `X-Aimis-Warnings`: `idNum=check-digit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warning<'a> {
    /// Name of the field, from the contract.
    pub field: &'a str,
    /// What looks wrong.
    pub reason: Reason,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Required, and absent or a placeholder.
    Missing,
    /// Missing, and a member outside the contract has a name much like it.
    MissingButSimilar,
    /// Missing, and the body has one member only: an object under a name that is no wrapper's.
    MissingInWrapper,
    /// The contract has no such field, and unknown ones are refused.
    UnknownField,
    /// Not of the field's type, nor of one that could be read as it.
    WrongType,
    /// A number with a decimal point, an exponent or more digits than a floating-point number keeps, where every digit
    /// counts.
    NotExact,
    /// A whole number outside its range.
    OutOfRange,
    /// No date and time.
    Date(DateProblem),
    /// The window ends before it begins.
    BeginAfterEnd,
    /// The window is wider than `dates.max_range_days`.
    RangeTooWide,
    /// The check character of the identity number is wrong.
    CheckDigit,
    /// The date of birth in the identity number is no day of the calendar.
    BirthDate,
    /// The date of birth in the identity number lies in the future.
    FutureDate,
    /// The number has the form of no known document or telephone.
    Form,
    /// There are several telephone numbers in one field.
    Multiple,
    /// Strict mode, and a telephone number that is no mainland mobile.
    NotMobile,
    /// A telephone or identity number in a field that leaves in clear. Only ever a warning.
    LooksPersonal,
    /// A name of replacement characters or question marks. Only ever a warning.
    Damaged,
    /// A strict client, and something that would have been repaired.
    Repair(RepairKind),
}

impl Reason {
    /// Stable kebab-case name; for [`Reason::Repair`] and [`Reason::Date`] that of the repair or the date problem.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing | Self::MissingButSimilar | Self::MissingInWrapper => "missing",
            Self::UnknownField => "unknown-field",
            Self::WrongType => "wrong-type",
            Self::NotExact => "not-exact",
            Self::OutOfRange => "out-of-range",
            Self::Date(problem) => problem.as_str(),
            Self::BeginAfterEnd => "begin-after-end",
            Self::RangeTooWide => "range-too-wide",
            Self::CheckDigit => "check-digit",
            Self::BirthDate => "date",
            Self::FutureDate => "future-date",
            Self::Form => "form",
            Self::Multiple => "multiple",
            Self::NotMobile => "not-mobile",
            Self::LooksPersonal => "looks-personal",
            Self::Damaged => "damaged",
            Self::Repair(kind) => kind.as_str(),
        }
    }

    /// What the caller should do, in English.
    pub fn hint_en(self) -> String {
        let hint = match self {
            Self::Missing => "fill in this field; a placeholder such as a dash counts as empty",
            Self::MissingButSimilar => {
                "fill in this field; the body has a member with a similar name: write it as here, or set up an alias (lan.aliases)"
            }
            Self::MissingInWrapper => {
                "fill in this field; the body is one object under a name that is not known: send the fields themselves, or set up the name (lan.form_fields)"
            }
            Self::UnknownField => "the interface has no such field; leave it out, or set lan.unknown_fields to drop",
            Self::WrongType => "send the type that the interface description names",
            Self::NotExact => {
                "send it as text (JSON string): a number of more than 15 digits, or with an exponent or a decimal point, may have lost digits"
            }
            Self::OutOfRange => "send one of the values that the interface description names",
            Self::Date(problem) => return problem.to_string(),
            Self::BeginAfterEnd => "swap begin and end",
            Self::RangeTooWide => "ask for a shorter period, or several times",
            Self::CheckDigit => "compare the number with the document: a character is mistyped",
            Self::BirthDate => "compare the number with the document: its date of birth does not exist",
            Self::FutureDate => "compare the number with the document: its date of birth lies in the future",
            Self::Form => "compare the number with the document: it has the form of none that is known",
            Self::Multiple => "send one telephone number",
            Self::NotMobile => "send a mainland mobile number of 11 digits",
            Self::Damaged => "the characters were lost before the name was sent: send it in UTF-8",
            Self::LooksPersonal => "this field is not encrypted: send no telephone or identity number in it",
            Self::Repair(kind) => {
                return format!("this client is strict: send the documented form (would repair: {kind})");
            }
        };
        hint.to_owned()
    }

    /// What the caller should do, in Chinese.
    pub fn hint_zh(self) -> String {
        let hint = match self {
            Self::Missing => "请填写（必填；“-”“无”等占位符视为未填写）",
            Self::MissingButSimilar => "请填写；请求体中有名称相近的字段：请改为此名称，或配置别名（lan.aliases）",
            Self::MissingInWrapper => {
                "请填写；请求体只有一个名称未知的对象：请直接发送各字段，或配置该名称（lan.form_fields）"
            }
            Self::UnknownField => "接口没有这个字段：请去掉，或将 lan.unknown_fields 设为 drop",
            Self::WrongType => "字段类型不符，请按接口说明填写",
            Self::NotExact => "请以文本（JSON 字符串）填写：超过 15 位或带小数点、指数的数字可能已丢失位数",
            Self::OutOfRange => "取值超出范围，请按接口说明填写",
            Self::Date(problem) => problem.hint_zh(),
            Self::BeginAfterEnd => "开始时间晚于结束时间，请对调",
            Self::RangeTooWide => "时间范围过大，请缩短或分次查询",
            Self::CheckDigit => "证件号校验位错误，请与证件核对",
            Self::BirthDate => "证件号中的出生日期不存在，请与证件核对",
            Self::FutureDate => "证件号中的出生日期晚于今天，请与证件核对",
            Self::Form => "号码格式无法识别，请核对",
            Self::Multiple => "一个字段只能填写一个电话号码",
            Self::NotMobile => "请填写 11 位大陆手机号码",
            Self::Damaged => "姓名在发送前已丢失字符，请以 UTF-8 发送",
            Self::LooksPersonal => "该字段不加密，请勿填写电话号码或证件号",
            Self::Repair(kind) => {
                return format!("该客户端为严格模式，请按接口说明的格式填写（{kind}）");
            }
        };
        hint.to_owned()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for FieldProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.field, self.reason)
    }
}

impl fmt::Display for Warning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.field, self.reason)
    }
}

impl From<IdProblem> for Reason {
    fn from(problem: IdProblem) -> Self {
        match problem {
            IdProblem::Missing | IdProblem::Placeholder => Self::Missing,
            IdProblem::CheckDigit => Self::CheckDigit,
            IdProblem::Date => Self::BirthDate,
            IdProblem::FutureDate => Self::FutureDate,
            IdProblem::Form => Self::Form,
        }
    }
}

impl From<PhoneProblem> for Reason {
    fn from(problem: PhoneProblem) -> Self {
        match problem {
            PhoneProblem::Missing | PhoneProblem::Placeholder => Self::Missing,
            PhoneProblem::Multiple => Self::Multiple,
            PhoneProblem::Form => Self::Form,
        }
    }
}
