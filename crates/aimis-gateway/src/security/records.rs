//! What is told of look-ups: the audit trail, its copies, and traces.

use std::os::unix::fs::MetadataExt;

use super::disk::{ALL_WRITE, GROUP_WRITES};
use super::{Found, Grade, Rule};
use crate::config::{Config, Syslog};
use crate::secrets::in_full;

/// All of this file.
pub(super) const RULES: &[&Rule] = &[
    &TRAIL_WRITABLE,
    &TRAIL_OF_A_GROUP,
    &KEY_BESIDE_TRAIL,
    &PLAIN_SYSLOG,
    &PLAIN_TRACES,
];

/// A trail that others can cut.
const TRAIL_WRITABLE: Rule = Rule {
    key: "audit.path",
    grade: Grade::Serious,
    why: "every user of this machine can put files among those of the audit trail, and remove them unless the directory is sticky",
    fix: "chmod 0700 the directory.",
};

/// The same, of fewer people.
const TRAIL_OF_A_GROUP: Rule = Rule {
    key: "audit.path",
    grade: Grade::Moderate,
    why: "everybody in its group can put files among those of the audit trail, and remove them unless the directory is sticky",
    fix: "chmod 0700 the directory.",
};

/// A key beside what it proves.
const KEY_BESIDE_TRAIL: Rule = Rule {
    key: "audit.key_file",
    grade: Grade::Moderate,
    why: "a key of the audit trail is in the trail's own directory: whoever gets a copy of that can find patients in it, and write records that look genuine",
    fix: "Keep the key in a directory that is backed up apart.",
};

/// Records in clear text.
const PLAIN_SYSLOG: Rule = Rule {
    key: "audit.syslog",
    grade: Grade::Moderate,
    why: "records of the audit trail go to another machine in clear text: who asked for what, and tags of patients",
    fix: "Send them to a syslog server on this machine (unix:/dev/log), and let that go on with TLS.",
};

/// Spans in clear text.
const PLAIN_TRACES: Rule = Rule {
    key: "traces.endpoint",
    grade: Grade::Minor,
    why: "traces go to another machine in plain HTTP: times, clients and request ids, the collector's key if it has one, no patients",
    fix: "Use https, with traces.ca_file for an authority of the hospital, or a collector on this machine.",
};

pub(super) fn examine(config: &Config, found: &mut Found) {
    if let Some(audit) = &config.audit {
        let trail = in_full(&audit.path);
        // What is not there yet is made for the gateway's user alone.
        let mode = std::fs::metadata(&trail).map_or(0, |directory| directory.mode());
        let about = trail.display().to_string();
        found.check(mode & ALL_WRITE != 0, &TRAIL_WRITABLE, about.clone());
        let group = mode & (GROUP_WRITES | ALL_WRITE) == GROUP_WRITES;
        found.check(group, &TRAIL_OF_A_GROUP, about);
        let keys = std::iter::once(&audit.key_file).chain(audit.previous_key_files.iter().flatten());
        for key in keys.map(|key| in_full(key.as_path())) {
            found.check(key.starts_with(&trail), &KEY_BESIDE_TRAIL, key.display().to_string());
        }
        let far = match &audit.syslog {
            Some(Syslog::Udp(peer) | Syslog::Tcp(peer)) => !peer.host.is_loopback(),
            Some(Syslog::Unix(_)) | None => false,
        };
        let server = audit.syslog.as_ref().map_or_else(String::new, ToString::to_string);
        found.check(far, &PLAIN_SYSLOG, server);
    }
    if let Some(collector) = config.traces.target() {
        found.check(
            !collector.origin.https && !collector.origin.host.is_loopback(),
            &PLAIN_TRACES,
            collector.to_string(),
        );
    }
}
