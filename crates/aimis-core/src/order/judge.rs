//! Repairs and judges the members of a body, field by field, then the windows they form.

use std::sync::Arc;

use crate::contract::{Contract, Field, FieldKind, PATIENT_NAME, Window};
use crate::datetime::{self, DateTime, Edge, Spelling};
use crate::text::{half_width, is_space, trim};

use super::arena::{Arena, Span};
use super::builder::{Foreign, is_blank, is_similar, trimmed};
use super::value::{Cell, is_integer, whole};
use super::{Extra, FieldProblem, Order, OrderBuilder, Reason, RepairKind, RepairMode, Rules};

impl OrderBuilder {
    /// Judges what was set under `rules`.
    ///
    /// # Errors
    /// Every problem found (those of fields in the contract's order, then those of windows), so that a client's
    /// developer mends them in one round. Neither names nor reasons contain anything of the body.
    pub fn finish(self, rules: &Rules) -> Result<Order, Vec<FieldProblem>> {
        let Self {
            contract,
            arena,
            cells,
            extras,
            repairs,
            foreign,
            wrapped,
        } = self;
        let mut judge = Judge {
            contract: &contract,
            rules,
            arena,
            repairs: Vec::new(),
            warnings: Vec::new(),
            problems: Vec::new(),
            without_number: Vec::new(),
        };
        let cells = judge.all(cells, repairs);
        judge.explain_missing(&foreign, wrapped);
        judge.refuse_foreign(foreign);
        let Judge {
            arena,
            repairs,
            warnings,
            problems,
            ..
        } = judge;
        if !problems.is_empty() {
            return Err(problems);
        }
        let extras = sorted(extras, &arena);
        Ok(Order {
            contract,
            arena,
            cells,
            extras,
            repairs,
            warnings,
        })
    }
}

pub(super) struct Judge<'a> {
    contract: &'a Arc<Contract>,
    pub(super) rules: &'a Rules,
    pub(super) arena: Arena,
    repairs: Vec<(Option<u8>, RepairKind)>,
    pub(super) warnings: Vec<(u8, Reason)>,
    problems: Vec<FieldProblem>,
    /// Telephone and identity numbers that the order has to have, has not, and may go without.
    pub(super) without_number: Vec<usize>,
}

impl Judge<'_> {
    fn all(&mut self, mut cells: Vec<Cell>, noted: Vec<(Option<u8>, RepairKind)>) -> Vec<Cell> {
        for (field, kind) in noted {
            self.repaired(field.map(usize::from), kind);
        }
        let contract = Arc::clone(self.contract);
        for window in contract.windows() {
            self.default_window(*window, &mut cells);
        }
        for (index, field) in contract.fields().iter().enumerate() {
            cells[index] = self.field(index, field, cells[index]);
        }
        self.somebody(&contract);
        for window in contract.windows() {
            self.window(*window, &cells);
        }
        cells
    }

    /// One number may be wanting by configuration, but not both: a question about nobody is refused.
    fn somebody(&mut self, contract: &Contract) {
        if self.without_number.len() < 2 {
            return;
        }
        for index in std::mem::take(&mut self.without_number) {
            self.problem(index, Reason::Missing);
        }
        self.problems.sort_by_key(|problem| contract.index(&problem.field));
    }

    /// Why a field may be missing though the caller thinks that it was sent.
    fn explain_missing(&mut self, foreign: &[(String, Foreign)], wrapped: bool) {
        for problem in &mut self.problems {
            let similar = || foreign.iter().any(|(name, _)| is_similar(name, &problem.field));
            problem.reason = match problem.reason {
                Reason::Missing if wrapped => Reason::MissingInWrapper,
                Reason::Missing if similar() => Reason::MissingButSimilar,
                other => other,
            };
        }
    }

    fn field(&mut self, index: usize, field: &Field, cell: Cell) -> Cell {
        let judged = match field.kind {
            FieldKind::Integer { min, max } => self.integer(index, cell, min, max),
            FieldKind::DateTime(edge) => self.date_time(index, cell, edge),
            FieldKind::Text => self.text(index, field, cell),
            FieldKind::Phone | FieldKind::IdNumber => return self.personal(index, field, cell),
        };
        match judged {
            Judged::Fine(cell) => cell,
            Judged::Refused => Cell::Unset,
            Judged::Absent => {
                if field.required {
                    self.problem(index, Reason::Missing);
                }
                Cell::Unset
            }
        }
    }

    fn integer(&mut self, index: usize, cell: Cell, min: i64, max: i64) -> Judged {
        let value = match cell {
            Cell::Unset | Cell::Null => return Judged::Absent,
            Cell::Integer(value) => Some(value),
            Cell::Digits(span) => self.arena.get(span).parse().ok(),
            Cell::Text(span) => {
                let text = self.arena.get(trimmed(&self.arena, span));
                if is_blank(text) {
                    return self.absent(index, RepairKind::PlaceholderAbsent);
                }
                let Some((value, decimal)) = spelt_integer(text) else {
                    return self.refuse(index, Reason::WrongType);
                };
                self.repaired(Some(index), RepairKind::IntegerAsString);
                if decimal {
                    self.repaired(Some(index), RepairKind::IntegerAsDecimal);
                }
                value
            }
            Cell::Bool(_) | Cell::Inexact | Cell::Wrong => return self.refuse(index, Reason::WrongType),
        };
        match value {
            Some(value) if (min..=max).contains(&value) => Judged::Fine(Cell::Integer(value)),
            _ => self.refuse(index, Reason::OutOfRange),
        }
    }

    fn text(&mut self, index: usize, field: &Field, cell: Cell) -> Judged {
        match cell {
            Cell::Unset | Cell::Null => Judged::Absent,
            Cell::Digits(span) => {
                self.repaired(Some(index), RepairKind::TextAsNumber);
                self.warn_if_personal(index, span);
                Judged::Fine(Cell::Text(span))
            }
            Cell::Text(span) => {
                let inner = trimmed(&self.arena, span);
                let text = self.arena.get(inner);
                let in_words = field.takes_words_for_nothing() && matches!(text, "无" | "不详" | "未知");
                if is_blank(text) || in_words {
                    return self.absent(index, RepairKind::PlaceholderAbsent);
                }
                if text.len() != self.arena.get(span).len() {
                    self.repaired(Some(index), RepairKind::Trimmed);
                }
                self.warn_if_personal(index, inner);
                self.warn_if_damaged(index, field, inner);
                Judged::Fine(Cell::Text(inner))
            }
            Cell::Inexact => self.refuse(index, Reason::NotExact),
            Cell::Integer(_) | Cell::Bool(_) | Cell::Wrong => self.refuse(index, Reason::WrongType),
        }
    }

    fn date_time(&mut self, index: usize, cell: Cell, edge: Edge) -> Judged {
        let (span, as_number) = match cell {
            Cell::Unset | Cell::Null => return Judged::Absent,
            Cell::Text(span) => (span, false),
            Cell::Digits(span) => (span, true),
            Cell::Integer(_) | Cell::Bool(_) | Cell::Inexact | Cell::Wrong => {
                return self.refuse(index, Reason::WrongType);
            }
        };
        let text = self.arena.get(span);
        if is_blank(trim(text)) {
            return self.absent(index, RepairKind::PlaceholderAbsent);
        }
        match datetime::parse(text, edge) {
            Err(problem) => self.refuse(index, Reason::Date(problem)),
            Ok((_, Spelling::Canonical)) if !as_number => Judged::Fine(Cell::Text(span)),
            Ok((moment, spelling)) => {
                let kind = if spelling == Spelling::Zoned {
                    RepairKind::DateOffset
                } else {
                    RepairKind::DateForm
                };
                self.repaired(Some(index), kind);
                Judged::Fine(self.moment(moment))
            }
        }
    }

    /// `dates.default_range_days`: an absent end is the end of today, an absent begin so many days before the end.
    fn default_window(&mut self, window: Window, cells: &mut [Cell]) {
        let (Some(today), 1..) = (self.rules.today, self.rules.default_range_days) else {
            return;
        };
        if self.is_absent(cells[window.end]) {
            cells[window.end] = self.moment(today.end());
            self.repaired(Some(window.end), RepairKind::DateDefault);
        }
        if self.is_absent(cells[window.begin]) {
            let end = match cells[window.end] {
                Cell::Text(span) | Cell::Digits(span) => datetime::parse(self.arena.get(span), Edge::End),
                _ => return,
            };
            let Ok((end, _)) = end else { return };
            let begin = end.date().days_before(self.rules.default_range_days - 1).begin();
            cells[window.begin] = self.moment(begin);
            self.repaired(Some(window.begin), RepairKind::DateDefault);
        }
    }

    fn window(&mut self, window: Window, cells: &[Cell]) {
        let (Cell::Text(begin), Cell::Text(end)) = (cells[window.begin], cells[window.end]) else {
            return;
        };
        let moment = |span| datetime::parse(self.arena.get(span), Edge::Exact);
        let (Ok((begin, _)), Ok((end, _))) = (moment(begin), moment(end)) else {
            return;
        };
        let max_days = i64::from(self.rules.max_range_days);
        if begin > end {
            self.problem(window.begin, Reason::BeginAfterEnd);
        } else if max_days > 0 && begin.days_until(end) > max_days {
            self.problem(window.begin, Reason::RangeTooWide);
        }
    }

    fn is_absent(&self, cell: Cell) -> bool {
        match cell {
            Cell::Unset | Cell::Null => true,
            Cell::Text(span) => is_blank(trim(self.arena.get(span))),
            _ => false,
        }
    }

    fn moment(&mut self, moment: DateTime) -> Cell {
        let text = moment.canonical();
        Cell::Text(
            self.arena
                .push(std::str::from_utf8(&text).expect("digits and separators are ASCII")),
        )
    }

    fn absent(&mut self, index: usize, kind: RepairKind) -> Judged {
        self.repaired(Some(index), kind);
        Judged::Absent
    }

    fn refuse(&mut self, index: usize, reason: Reason) -> Judged {
        self.problem(index, reason);
        Judged::Refused
    }

    pub(super) fn repaired(&mut self, index: Option<usize>, kind: RepairKind) {
        match (self.rules.repair, index) {
            (RepairMode::Tell, _) => self.repairs.push((index.map(|index| index as u8), kind)),
            (RepairMode::Refuse, Some(index)) => self.problem(index, Reason::Repair(kind)),
            (RepairMode::Refuse, None) => {
                self.problems.push(FieldProblem {
                    field: "body".to_owned(),
                    reason: Reason::Repair(kind),
                    kind: None,
                });
            }
        }
    }

    /// A strict client is refused what the contract does not know: dropped or forwarded, it is not what was sent.
    fn refuse_foreign(&mut self, foreign: Vec<(String, Foreign)>) {
        for (field, became) in foreign {
            let reason = match became {
                Foreign::Refused => Reason::UnknownField,
                Foreign::Repaired(kind) if self.rules.repair == RepairMode::Refuse => Reason::Repair(kind),
                Foreign::Repaired(_) => continue,
            };
            self.problems.push(FieldProblem {
                field,
                reason,
                kind: None,
            });
        }
    }

    /// A name whose characters a wrong conversion has replaced: the platform may compare it.
    fn warn_if_damaged(&mut self, index: usize, field: &Field, span: Span) {
        let text = self.arena.get(span);
        let lost = |c: char| half_width(c) == '?' || is_space(c);
        if field.name == PATIENT_NAME && (text.contains(char::REPLACEMENT_CHARACTER) || text.chars().all(lost)) {
            self.warnings.push((index as u8, Reason::Damaged));
        }
    }

    pub(super) fn problem(&mut self, index: usize, reason: Reason) {
        let field = &self.contract.fields()[index];
        self.problems.push(FieldProblem {
            field: field.name.clone(),
            reason,
            kind: Some(field.kind),
        });
    }
}

/// What became of one field.
enum Judged {
    Fine(Cell),
    Absent,
    /// The problem is noted.
    Refused,
}

/// The integer that a text spells, full-width digits included (`None` if it is too large for any field), and whether it
/// has a decimal point.
fn spelt_integer(text: &str) -> Option<(Option<i64>, bool)> {
    let mut ascii = [0; 24];
    let mut len = 0;
    for c in text.chars().map(half_width) {
        *ascii.get_mut(len)? = u8::try_from(c).ok()?;
        len += 1;
    }
    let text = std::str::from_utf8(&ascii[..len]).ok()?;
    match whole(text) {
        Some(whole) => Some((whole.parse().ok(), true)),
        None => is_integer(text).then(|| (text.parse().ok(), false)),
    }
}

/// By name, so that the order of the members in the body does not show.
fn sorted(mut extras: Vec<Extra>, arena: &Arena) -> Vec<Extra> {
    extras.sort_unstable_by(|a, b| arena.get(a.name).cmp(arena.get(b.name)));
    extras
}
