//! Whether a trail is as it was written: no line changed, added, removed, moved or cut off.
//!
//! A line that was changed breaks its own seal; one that was added, removed or moved breaks that of the next. Lines cut
//! off the end break none, and are found by the head (`head.rs`) and by what is known from elsewhere
//! ([`Expected`]): whoever can write to the directory can put back an old head together with old files.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::chain::{self, Seal};
use super::files::{Header, Lines, Name, NoHeader, Piece, Trail, list};
use super::head::{self, Head, NoHead};
use super::keys::{Key, Keys};
use super::line::{self, Stated};

/// As many problems of one trail are told; further ones are counted.
const MOST_PROBLEMS: usize = 100;

/// What is known of a trail from elsewhere: the log, the metrics, a syslog server.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// It has at least so many lines.
    pub at_least: Option<u64>,
    /// These lines have seals that begin so.
    pub anchors: Vec<(u64, String)>,
    /// Problems at these lines are known.
    pub accepted: BTreeSet<u64>,
}

/// Something is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Name of the file.
    pub file: String,
    /// Line in it, from 1; 0 for the file as a whole.
    pub line: u64,
    /// Number of the record there, as far as it can be told.
    pub seq: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// What was found of a trail.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Files read.
    pub files: u64,
    /// Lines read.
    pub lines: u64,
    /// Number of the first and of the last line.
    pub numbers: Option<(u64, u64)>,
    /// Times of the first and of the last line.
    pub times: Option<(String, String)>,
    /// Seal of the last line.
    pub seal: String,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// Problems beyond those.
    pub more: u64,
    /// Problems that were accepted.
    pub accepted: u64,
    /// Records that could not be kept, as the gateway noted itself.
    pub lost: u64,
    /// Starts without a stop before: the process was killed, or the machine went down.
    pub unclean: u64,
    /// Bytes behind the last line.
    pub torn: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Reads a trail; `None` where there is none. `pace` is told the bytes of each line, and ends the reading by `false`.
///
/// # Errors
/// When a file cannot be read. A file that is removed meanwhile, since its time is over, is such a one.
pub fn verify(
    directory: &Path,
    trail: Trail,
    keys: &Keys,
    expected: &Expected,
    pace: &mut dyn FnMut(usize) -> bool,
) -> io::Result<Option<Report>> {
    // First: what is written from now on can only be more.
    let head = head::read(trail, directory, keys)?;
    let names = list(trail, directory)?;
    if names.is_empty() && head == Err(NoHead::Missing) && expected.at_least.is_none() && expected.anchors.is_empty() {
        return Ok(None);
    }
    let mut check = Check {
        trail,
        keys,
        expected,
        report: Report::default(),
        file: String::new(),
        line: 0,
        seal: None,
        seq: None,
        series: None,
        key: keys.current(),
        clean: true,
        pruned: Vec::new(),
        head: head.clone().ok(),
        head_seen: false,
        anchored: BTreeSet::new(),
        last: (format!("{}-*.jsonl", trail.as_str()), 0),
    };
    for (index, name) in names.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| names[before].number);
        check.place(name, before);
        let last = index + 1 == names.len();
        if !check.file(&name.path(trail, directory), name, last, pace)? {
            break;
        }
    }
    check.beginning(names.first());
    check.end(head);
    Ok(Some(check.report))
}

struct Check<'c> {
    trail: Trail,
    keys: &'c Keys,
    expected: &'c Expected,
    report: Report,
    file: String,
    line: u64,
    /// The seal that the next line is chained to; `None` where it is not known.
    seal: Option<Seal>,
    /// The number of the last line.
    seq: Option<u64>,
    series: Option<String>,
    key: &'c Key,
    /// The last line was a stop.
    clean: bool,
    /// Files whose removal is told, and their last lines.
    pruned: Vec<(u32, u64)>,
    head: Option<Head>,
    head_seen: bool,
    anchored: BTreeSet<u64>,
    /// Where the last line stands.
    last: (String, u64),
}

impl<'c> Check<'c> {
    fn place(&mut self, name: &Name, before: Option<u32>) {
        let path = name.path(self.trail, Path::new(""));
        self.file = path.to_string_lossy().into_owned();
        self.line = 0;
        if let Some(before) = before
            && before + 1 != name.number
        {
            let what = match (before + 1, name.number.saturating_sub(1)) {
                (first, last) if first > last => format!("there are two files with the number {before}"),
                (first, last) if first == last => format!("file {first}, which was before it, is missing"),
                (first, last) => format!("files {first} to {last}, which were before it, are missing"),
            };
            self.problem(None, what);
        }
    }

    fn problem(&mut self, seq: Option<u64>, what: impl Into<String>) {
        if seq.is_some_and(|seq| self.expected.accepted.contains(&seq)) {
            self.report.accepted += 1;
        } else if self.report.problems.len() < MOST_PROBLEMS {
            self.report.problems.push(Problem {
                file: self.file.clone(),
                line: self.line,
                seq,
                what: what.into(),
            });
        } else {
            self.report.more += 1;
        }
    }

    /// Reads a file; false to read no further.
    fn file(&mut self, path: &Path, name: &Name, last: bool, pace: &mut dyn FnMut(usize) -> bool) -> io::Result<bool> {
        self.report.files += 1;
        let mut lines = Lines::open(path)?;
        let mut readable = true;
        while let Some(piece) = lines.next()? {
            self.line += 1;
            match piece {
                Piece::Line(text) => {
                    if !pace(text.len() + 1) {
                        return Ok(false);
                    }
                    if self.line == 1 {
                        readable = self.header(text, name);
                    } else if readable {
                        self.record(text);
                    }
                }
                Piece::TooLong => self.problem(None, "this is no record: it is longer than any"),
                Piece::Torn(bytes) if last => self.report.torn = bytes,
                Piece::Torn(_) => self.problem(None, "the file ends within a line"),
            }
        }
        if self.line == 0 && !last {
            self.problem(None, "the file is empty");
        }
        Ok(true)
    }

    /// The first line; false if what follows cannot be read.
    fn header(&mut self, text: &[u8], name: &Name) -> bool {
        match Header::read(text, self.trail, self.keys) {
            Err(unknown @ NoHeader::UnknownKey(_)) => {
                self.problem(None, unknown.to_string());
                (self.seal, self.seq) = (None, None);
                false
            }
            Err(damaged @ NoHeader::Damaged) => {
                self.problem(Stated::read(text).map(|stated| stated.seq), damaged.to_string());
                // The rest is judged as if it were ours: the place of the damage is what is asked for.
                self.go_on(text);
                true
            }
            Ok(header) => {
                if header.file != name.number {
                    let what = format!("the file was written as number {}", header.file);
                    self.problem(Some(header.seq), what);
                }
                if self.series.as_ref().is_some_and(|series| *series != header.series) {
                    self.problem(Some(header.seq), "the file belongs to another trail of the same name");
                }
                let follows = self.seal.is_none_or(|seal| seal.digits() == header.previous.0);
                let next = self.seq.is_none_or(|seq| seq.checked_add(1) == Some(header.seq));
                if !follows || !next {
                    let what = self.gap(header.seq, "the file does not follow on the one before");
                    self.problem(Some(header.seq), what);
                }
                self.series = Some(header.series);
                self.key = self.keys.by_id(header.key).unwrap_or(self.key);
                self.go_on(text);
                true
            }
        }
    }

    fn record(&mut self, text: &[u8]) {
        let (Some((body, seal)), Some(stated)) = (chain::split(text), Stated::read(text)) else {
            self.problem(None, "this is no record of ours");
            // What was put in between is passed over.
            return;
        };
        let good = self.seal.is_none_or(|before| Seal::of(self.key, &before, body) == seal);
        let next = self.seq.is_none_or(|seq| seq.checked_add(1) == Some(stated.seq));
        let told = stated.kind == line::ANOMALY && stated.first == self.seq.and_then(|seq| seq.checked_add(1));
        if !good {
            let what = self.gap(stated.seq, "the record, or the seal before it, was changed");
            self.problem(Some(stated.seq), what);
        } else if !next && !told {
            let what = self.gap(stated.seq, "the number is not the next");
            self.problem(Some(stated.seq), what);
        }
        if good {
            self.about_the_trail(&stated);
        }
        self.go_on(text);
    }

    /// Words for a line that is not where it belongs; `else_what` where its number is the right one.
    fn gap(&self, seq: u64, else_what: &str) -> String {
        match self.seq {
            Some(last) if seq > last.saturating_add(2) => {
                format!("records {} to {} are missing before it", last + 1, seq - 1)
            }
            Some(last) if seq == last.saturating_add(2) => format!("record {} is missing before it", last + 1),
            Some(last) if seq <= last => {
                format!("the record stands here a second time or was moved: {last} is before it")
            }
            _ => else_what.to_owned(),
        }
    }

    fn about_the_trail(&mut self, stated: &Stated<'_>) {
        let clean = std::mem::replace(&mut self.clean, stated.kind == line::STOP);
        match stated.kind {
            line::START if !clean => self.report.unclean += 1,
            line::LOST => self.report.lost += stated.count.unwrap_or(0),
            line::PRUNED => {
                if let (Some(file), Some(last)) = (stated.file, stated.last) {
                    self.pruned.push((file, last));
                }
            }
            line::ANOMALY => {
                let what = match (stated.what, stated.first, stated.last) {
                    (Some("missing"), Some(first), Some(last)) => format!(
                        "the gateway noted at its start that records {first} to {last}, which had been durable, were gone"
                    ),
                    (Some("damaged"), ..) => {
                        "the gateway noted at its start that the end of the file before was not as it had left it".to_owned()
                    }
                    (Some("no-head" | "bad-head"), ..) => {
                        "the gateway noted at its start that the file that tells where the trail ends was gone or changed"
                            .to_owned()
                    }
                    _ => "the gateway noted at its start that something was not as it had left it".to_owned(),
                };
                // A killed process is told by this, too.
                self.clean = clean;
                self.problem(Some(stated.seq), what);
            }
            _ => {}
        }
    }

    /// The next line is judged as the one behind this.
    fn go_on(&mut self, text: &[u8]) {
        self.report.lines += 1;
        self.last = (self.file.clone(), self.line);
        let (split, stated) = (chain::split(text), Stated::read(text));
        if let Some((_, seal)) = split {
            self.seal = Some(seal);
        }
        let Some(stated) = stated else { return };
        self.seq = Some(stated.seq);
        let first = self.report.numbers.map_or(stated.seq, |(first, _)| first);
        self.report.numbers = Some((first, stated.seq));
        match &mut self.report.times {
            Some((_, last)) => stated.time.clone_into(last),
            times => *times = Some((stated.time.to_owned(), stated.time.to_owned())),
        }
        let Some((_, seal)) = split else { return };
        if let Some(head) = self.head.as_ref().filter(|head| head.seq == stated.seq) {
            self.head_seen = true;
            if head.seal != seal.digits() {
                self.problem(
                    Some(stated.seq),
                    "this record is another than the one the trail ended with",
                );
            }
        }
        for (seq, begins) in &self.expected.anchors {
            if *seq == stated.seq {
                self.anchored.insert(*seq);
                if !seal.digits().starts_with(begins.as_str()) {
                    self.problem(
                        Some(stated.seq),
                        "this record has another seal than the one that was told elsewhere",
                    );
                }
            }
        }
    }

    /// Whether what was before the first file was removed in its time.
    fn beginning(&mut self, first: Option<&Name>) {
        let Some(name) = first else { return };
        let Some((first, _)) = self.report.numbers else { return };
        (self.file, self.line) = (name.path(self.trail, Path::new("")).to_string_lossy().into_owned(), 0);
        let told = |check: &Self| {
            let mut told = check.pruned.iter();
            told.any(|(file, last)| *file == name.number - 1 && *last == first - 1)
        };
        if name.number > 1 && (first == 0 || !told(self)) {
            let what = format!(
                "file {}, which was before it, is missing, and no record tells that its time was over",
                name.number - 1
            );
            self.problem(None, what);
        } else if name.number == 1 && first > 1 {
            self.problem(None, format!("records 1 to {} are missing before it", first - 1));
        }
    }

    /// Whether everything is there up to the end.
    fn end(&mut self, head: Result<Head, NoHead>) {
        let last = self.report.numbers.map_or(0, |(_, last)| last);
        self.report.seal = self.seal.map(|seal| seal.digits()).unwrap_or_default();
        match head {
            Ok(head) if head.seq > last => {
                let what = format!(
                    "records {} to {} are missing at the end: the last was in file {}",
                    last + 1,
                    head.seq,
                    head.file
                );
                self.at_end(what);
            }
            Ok(head) => {
                let first = self.report.numbers.map_or(0, |(first, _)| first);
                if !self.head_seen && head.seq >= first {
                    self.at_end(format!("record {}, which the trail ended with, is missing", head.seq));
                }
                if self.series.as_ref().is_some_and(|series| *series != head.series) {
                    self.at_end("the file that tells where the trail ends belongs to another trail".to_owned());
                }
            }
            Err(NoHead::Missing) => {
                let file = self.trail.head(Path::new(""));
                self.at_end(format!(
                    "{} is missing: it tells where the trail ends, so records may have been cut off",
                    file.display()
                ));
            }
            Err(NoHead::Damaged) => {
                let file = self.trail.head(Path::new(""));
                self.at_end(format!(
                    "{} was changed, or written under a key that is not at hand: records may have been cut off",
                    file.display()
                ));
            }
        }
        if let Some(at_least) = self.expected.at_least
            && at_least > last
        {
            self.at_end(format!("records {} to {at_least} are missing at the end", last + 1));
        }
        let missing: Vec<u64> = self.expected.anchors.iter().map(|(seq, _)| *seq).collect();
        for seq in missing {
            if !self.anchored.contains(&seq) {
                self.at_end(format!("record {seq}, which was told elsewhere, is not there"));
            }
        }
    }

    /// A problem behind the last line.
    fn at_end(&mut self, what: String) {
        (self.file, self.line) = self.last.clone();
        self.problem(None, what);
    }
}
