//! Judges telephone and identity numbers, and finds them where they do not belong (section 11).

use crate::contract::{Field, FieldKind};
use crate::identity::{self, Normal};
use crate::text::trim;

use super::arena::Span;
use super::builder::is_blank;
use super::judge::Judge;
use super::value::Cell;
use super::{IdentityMode, MissingIdentity, Reason, RepairKind};

impl Judge<'_> {
    /// Telephone and identity numbers: what is missing follows `identity.missing`, the rest `identity.mode`.
    pub(super) fn personal(&mut self, index: usize, field: &Field, cell: Cell) -> Cell {
        let span = match cell {
            Cell::Unset | Cell::Null => return self.without_number(index, field),
            Cell::Text(span) => span,
            Cell::Digits(span) => {
                self.repaired(Some(index), RepairKind::TextAsNumber);
                span
            }
            Cell::Inexact => {
                self.problem(index, Reason::NotExact);
                return Cell::Unset;
            }
            Cell::Integer(_) | Cell::Bool(_) | Cell::Wrong => {
                self.problem(index, Reason::WrongType);
                return Cell::Unset;
            }
        };
        if is_blank(trim(self.arena.get(span))) {
            self.repaired(Some(index), RepairKind::PlaceholderAbsent);
            return self.without_number(index, field);
        }
        if self.rules.identity_mode == IdentityMode::Off {
            return Cell::Text(span);
        }
        let (span, rewritten) = self.normal(field.kind, span);
        let reason = match self.verdict(field.kind, span) {
            Some(Reason::Missing) => {
                self.repaired(Some(index), RepairKind::PlaceholderAbsent);
                return self.without_number(index, field);
            }
            reason => reason,
        };
        if rewritten {
            self.repaired(Some(index), RepairKind::Normalized);
        }
        match (reason, self.rules.identity_mode) {
            (Some(reason), IdentityMode::Strict) => self.problem(index, reason),
            // A landline is nothing to warn of: section 11 refuses it in strict mode alone.
            (Some(Reason::NotMobile) | None, _) => {}
            (Some(reason), _) => self.warnings.push((index as u8, reason)),
        }
        Cell::Text(self.upgraded(index, field.kind, span))
    }

    /// The number in normal form, and whether it had to be rewritten.
    fn normal(&mut self, kind: FieldKind, span: Span) -> (Span, bool) {
        let text = self.arena.get(span);
        let normal = if kind == FieldKind::Phone {
            identity::normalize_phone(text)
        } else {
            identity::normalize_id(text)
        };
        match normal {
            Normal::Borrowed(_) => (span, false),
            Normal::Owned(normal) => (self.arena.push(&normal), true),
        }
    }

    fn verdict(&self, kind: FieldKind, span: Span) -> Option<Reason> {
        let text = self.arena.get(span);
        if kind == FieldKind::IdNumber {
            return identity::classify_id(text, self.rules.today).problem.map(Reason::from);
        }
        let judgement = identity::classify_phone(text);
        let not_mobile = (judgement.kind != identity::PhoneKind::MobileCn).then_some(Reason::NotMobile);
        judgement.problem.map(Reason::from).or(not_mobile)
    }

    fn upgraded(&mut self, index: usize, kind: FieldKind, span: Span) -> Span {
        if kind != FieldKind::IdNumber || !self.rules.upgrade_15 {
            return span;
        }
        let Some(upgraded) = identity::upgrade_15(self.arena.get(span)) else {
            return span;
        };
        self.repaired(Some(index), RepairKind::IdUpgraded);
        self.arena.push(&upgraded)
    }

    fn without_number(&mut self, index: usize, field: &Field) -> Cell {
        match self.rules.missing {
            _ if !field.required => Cell::Unset,
            MissingIdentity::Omit => {
                self.goes_without(index);
                Cell::Unset
            }
            MissingIdentity::EncryptEmpty => {
                self.goes_without(index);
                Cell::Text(self.arena.push(""))
            }
            MissingIdentity::Reject => {
                self.problem(index, Reason::Missing);
                Cell::Unset
            }
        }
    }

    fn goes_without(&mut self, index: usize) {
        self.without_number.push(index);
        self.warnings.push((index as u8, Reason::Missing));
    }

    /// A telephone or identity number in a field that goes out in clear, as the platform wants the field. It is let
    /// through in every mode: which number a hospital gives its patients is not ours to judge.
    pub(super) fn warn_if_personal(&mut self, index: usize, span: Span) {
        if self.rules.identity_mode != IdentityMode::Off && identity::looks_personal(self.arena.get(span)) {
            self.warnings.push((index as u8, Reason::LooksPersonal));
        }
    }
}
