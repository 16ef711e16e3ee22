//! Who can read or change the files that are trusted.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Found, Grade, Rule};
use crate::config::{Config, LanTls, TokenSource};
use crate::secrets::in_full;

/// All of this file.
pub(super) const RULES: &[&Rule] = &[
    &READ_BY_ALL,
    &CHANGED_BY_OTHERS,
    &REPLACED_BY_OTHERS,
    &CHANGED_BY_GROUP,
    &STRANGE_OWNER,
    &KEY_BESIDE_DATA,
    &UNSEEN,
];

/// A secret for everybody.
const READ_BY_ALL: Rule = Rule {
    key: "disk.secret_readable",
    grade: Grade::Serious,
    why: "every user of this machine can read this secret",
    fix: "chmod o= the file.",
};

/// Files that others change.
const CHANGED_BY_OTHERS: Rule = Rule {
    key: "disk.file_writable",
    grade: Grade::Serious,
    why: "others than its owner and root can put another content into this file",
    fix: "chmod go-w the file.",
};

/// Directories that others change.
const REPLACED_BY_OTHERS: Rule = Rule {
    key: "disk.directory_writable",
    grade: Grade::Serious,
    why: "others than its owner and root can put another file in the place of one in this directory",
    fix: "chmod go-w the directory.",
};

/// Files and directories that a group changes.
const CHANGED_BY_GROUP: Rule = Rule {
    key: "disk.group_writable",
    grade: Grade::Moderate,
    why: "everybody in its group can change or replace it, and with it whom the gateway trusts",
    fix: "chmod g-w it, unless the group has nobody in it but the gateway's user.",
};

/// Somebody else's file.
const STRANGE_OWNER: Rule = Rule {
    key: "disk.owner",
    grade: Grade::Moderate,
    why: "this file belongs to neither root nor the user that runs this command, and its owner can change it",
    fix: "chown it to root or to the gateway's user; run this check as the gateway's user.",
};

/// A key beside its lock.
const KEY_BESIDE_DATA: Rule = Rule {
    key: "inbox.key_file",
    grade: Grade::Moderate,
    why: "the key of the inbox is in the inbox's own directory: a copy of that directory, as in a backup, can be read",
    fix: "Keep the key in a directory that is backed up apart.",
};

/// A file that could not be looked at.
const UNSEEN: Rule = Rule {
    key: "disk.unseen",
    grade: Grade::Minor,
    why: "this file could not be looked at, so nothing is said about it",
    fix: "Run this check as root or as the gateway's user.",
};

/// Everybody may write.
pub(super) const ALL_WRITE: u32 = 0o002;
/// The group may write; who belongs to it cannot be seen here.
pub(super) const GROUP_WRITES: u32 = 0o020;
/// Files in such a directory can only be replaced by their owners (`/tmp`).
const STICKY: u32 = 0o1000;

pub(super) fn examine(config: &Config, file: Option<&Path>, found: &mut Found) {
    let secrets = secrets(config);
    let mut trusted = trusted(config);
    trusted.extend(file.map(Path::to_owned));
    let mut directories = Vec::new();
    for (paths, secret) in [(&secrets, true), (&trusted, false)] {
        for path in paths {
            let path = in_full(path);
            look(&path, secret, found);
            directories.extend(path.parent().map(Path::to_owned));
        }
    }
    directories.sort();
    directories.dedup();
    for directory in directories {
        // What is not there was told with its file.
        let mode = std::fs::metadata(&directory).map_or(0, |directory| directory.mode());
        if mode & STICKY == 0 {
            let about = directory.display().to_string();
            found.check(mode & ALL_WRITE != 0, &REPLACED_BY_OTHERS, about.clone());
            found.check(mode & GROUP_WRITES != 0, &CHANGED_BY_GROUP, about);
        }
    }
    if config.callback.is_some() && config.inbox.database_url.is_none() {
        let (key, data) = (in_full(&config.inbox.key_file), in_full(&config.inbox.path));
        found.check(
            key.parent() == data.parent(),
            &KEY_BESIDE_DATA,
            key.display().to_string(),
        );
    }
}

fn look(path: &Path, secret: bool, found: &mut Found) {
    let about = path.display().to_string();
    match std::fs::metadata(path) {
        // Some are made at the first start; what has to be there is told by `check`.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(_) => found.check(true, &UNSEEN, about),
        Ok(file) => {
            found.check(secret && file.mode() & 0o004 != 0, &READ_BY_ALL, about.clone());
            found.check(file.mode() & ALL_WRITE != 0, &CHANGED_BY_OTHERS, about.clone());
            found.check(file.mode() & GROUP_WRITES != 0, &CHANGED_BY_GROUP, about.clone());
            found.check(is_strange(&file), &STRANGE_OWNER, about);
        }
    }
}

fn is_strange(file: &Metadata) -> bool {
    let us = rustix::process::geteuid().as_raw();
    // Root looks at files of the gateway's user, whose name it cannot know.
    us != 0 && file.uid() != 0 && file.uid() != us
}

/// Files whose content is a secret.
pub(super) fn secrets(config: &Config) -> Vec<PathBuf> {
    let mut files: Vec<Option<&PathBuf>> = vec![
        config.log.patient_tag_key_file.as_ref(),
        config.platform.client_key_file.as_ref(),
        config.platform.proxy_password_file.as_ref(),
        config.traces.headers_file.as_ref(),
    ];
    if let Some(audit) = &config.audit {
        files.push(Some(&audit.key_file));
        files.extend(audit.previous_key_files.iter().flatten().map(Some));
    }
    if let Some(store) = &config.store {
        files.extend([
            store.password_file.as_ref(),
            store.sentinel_password_file.as_ref(),
            store.client_key_file.as_ref(),
            store.key_file.as_ref(),
            store.other_key_file.as_ref(),
        ]);
    }
    let listeners = [
        config.lan.tls.as_ref(),
        config.callback.as_ref().and_then(|it| it.tls.as_ref()),
    ];
    files.extend(listeners.into_iter().map(|tls| tls.map(|tls: &LanTls| &tls.key_file)));
    for tenant in &config.tenants {
        let callback = &tenant.callback;
        files.push(match &tenant.token {
            TokenSource::File(path) => Some(path),
            TokenSource::Inline(_) => None,
        });
        files.extend([
            tenant.next_token_file.as_ref(),
            tenant.previous_token_file.as_ref(),
            tenant.proxy_password_file.as_ref(),
            callback.secret_file.as_ref(),
            callback.target_secret_file.as_ref(),
            callback.target_previous_secret_file.as_ref(),
            callback.target_bearer_file.as_ref(),
            callback.target_client_key_file.as_ref(),
        ]);
    }
    if config.callback.is_some() {
        files.push(Some(&config.inbox.key_file));
        files.push(config.inbox.database_password_file.as_ref());
        files.extend(config.inbox.previous_key_files.iter().flatten().map(Some));
    }
    let mut files: Vec<PathBuf> = files.into_iter().flatten().cloned().collect();
    files.sort();
    files.dedup();
    files
}

/// Files that decide whom we trust, and that everybody may read.
fn trusted(config: &Config) -> Vec<PathBuf> {
    let listeners = [
        config.lan.tls.as_ref(),
        config.callback.as_ref().and_then(|it| it.tls.as_ref()),
    ];
    let of_listener = |tls: &LanTls| [Some(tls.cert_file.clone()), tls.client_ca_file.clone()];
    let mut files: Vec<PathBuf> = listeners
        .into_iter()
        .flatten()
        .flat_map(of_listener)
        .flatten()
        .chain(config.platform.extra_ca_file.clone())
        .chain(config.platform.client_cert_file.clone())
        .chain(
            config
                .tenants
                .iter()
                .filter_map(|tenant| tenant.callback.target_ca_file.clone()),
        )
        .collect();
    files.sort();
    files.dedup();
    files
}
