//! What the log tells of the trail.

use std::io;

use super::chain::Seal;
use super::open::Anomaly;
use super::verify::{Problem, Report};
use crate::telemetry::log::{Level, Line, Loggable};

/// One thing about the trail that is worth a line.
pub enum Told<'t> {
    /// How far it has come.
    End(End),
    /// Nothing can be written to it.
    Failing(io::ErrorKind),
    /// It can be written again.
    Works,
    /// Records could not be kept.
    Lost(u64),
    /// At the start something was not as it had been left.
    Anomaly(Anomaly),
    /// At the start half a line was cut off.
    Torn(u64),
    /// A file was removed since its time was over.
    Pruned(u32),
    /// No new file could be begun, or an old one not removed.
    Housekeeping(io::ErrorKind),
    /// The syslog server does not take records.
    ExportFailing(io::ErrorKind),
    /// It does again.
    ExportWorks,
    /// All files were read, and are sound.
    Verified(&'t Report),
    /// Not all is as it was written; the first problem.
    Damaged(&'t Problem, u64),
    /// Files could not be read.
    Unread(io::ErrorKind),
}

/// The last line of a trail.
pub struct End {
    pub(super) seq: u64,
    pub(super) seal: Seal,
}

impl Told<'_> {
    pub(crate) fn level(&self) -> Level {
        match self {
            Self::End(_) | Self::Works | Self::Pruned(_) | Self::ExportWorks | Self::Verified(_) => Level::Info,
            Self::Torn(_) | Self::Housekeeping(_) | Self::ExportFailing(_) | Self::Unread(_) => Level::Warn,
            Self::Failing(_) | Self::Lost(_) | Self::Anomaly(_) | Self::Damaged(..) => Level::Error,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::End(_) => "audit_end",
            Self::Failing(_) => "audit_failing",
            Self::Works => "audit_works",
            Self::Lost(_) => "audit_lost",
            Self::Anomaly(_) => "audit_anomaly",
            Self::Torn(_) => "audit_torn",
            Self::Pruned(_) => "audit_pruned",
            Self::Housekeeping(_) => "audit_housekeeping_failed",
            Self::ExportFailing(_) => "audit_export_failing",
            Self::ExportWorks => "audit_export_works",
            Self::Verified(_) => "audit_verified",
            Self::Damaged(..) => "audit_damaged",
            Self::Unread(_) => "audit_unread",
        }
    }

    pub(crate) fn message(&self) -> &'static str {
        match self {
            Self::End(_) => {
                "the audit trail has come so far: audit verify --anchor finds by this whether its end was cut off"
            }
            Self::Failing(_) => {
                "the audit trail cannot be written: see to the disk of audit.path and to audit.max_bytes; audit.on_failure says what becomes of look-ups"
            }
            Self::Works => "the audit trail can be written again",
            Self::Lost(_) => "records are missing from the audit trail: it could not be written for too long",
            Self::Anomaly(_) => {
                "the audit trail was not as the last process had left it: run aimis-gateway audit verify, and ask who can write to audit.path"
            }
            Self::Torn(_) => "half a record of a process that was killed was cut off the audit trail",
            Self::Pruned(_) => "a file of the audit trail was removed: it was older than audit.retention_days",
            Self::Housekeeping(_) => {
                "a new file of the audit trail could not be begun, or an old one not removed: it goes on in the file it has"
            }
            Self::ExportFailing(_) => {
                "the syslog server does not take records of the audit trail: they are in its files"
            }
            Self::ExportWorks => "the syslog server takes records of the audit trail again",
            Self::Verified(_) => "the audit trail is as it was written",
            Self::Damaged(..) => "the audit trail is not as it was written: run aimis-gateway audit verify",
            Self::Unread(_) => "the audit trail could not be read to be verified",
        }
    }

    pub(crate) fn fields(&self, line: &mut Line<'_>) {
        match self {
            Self::End(end) => line.field("audit.seq", end.seq).field("audit.seal", end.seal),
            Self::Failing(kind) | Self::Housekeeping(kind) | Self::ExportFailing(kind) | Self::Unread(kind) => {
                line.field("error.type", *kind)
            }
            Self::Lost(records) => line.field("records", *records),
            Self::Anomaly(anomaly) => {
                line.field("audit.anomaly", anomaly.as_str());
                if let Anomaly::Missing { first, last } = *anomaly {
                    line.field("audit.seq", first).field("records", last - first + 1);
                }
                line
            }
            Self::Torn(bytes) => line.field("audit.bytes", *bytes),
            Self::Pruned(file) => line.field("audit.file", *file),
            Self::Verified(report) => line.field("records", report.lines),
            Self::Damaged(problem, count) => line
                .field("file", FileName(&problem.file))
                .field("audit.line", problem.line)
                .maybe("audit.seq", problem.seq)
                .field("audit.problems", *count),
            Self::Works | Self::ExportWorks => line,
        };
    }
}

/// The first half of a seal tells lines apart.
impl Loggable for Seal {
    fn write_json(&self, out: &mut Vec<u8>) {
        crate::telemetry::log::write_string(out, &self.digits()[..32]);
    }
}

/// A name of our own making.
struct FileName<'n>(&'n str);

impl Loggable for FileName<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        crate::telemetry::log::write_string(out, self.0);
    }
}
