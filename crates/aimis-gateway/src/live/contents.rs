//! What the files hold that a configuration names: compared by content, and read by name each time.
//!
//! A mounted secret of Kubernetes is a link that is swapped, and a file on a network says nothing when it changes; so
//! neither times nor notices of the system are asked. Only digests are kept.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::config::{Config, Content, Plain, Setting, settings_of};
use crate::regular_file;

/// Longest file that is looked at whole; a bundle of authorities has a few hundred KiB.
const MOST_BYTES: u64 = 4 << 20;

/// The content of a file; `None` if it cannot be read.
pub(super) type Seen = Option<[u8; 32]>;

/// Every file by the key that names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents(BTreeMap<String, (PathBuf, Seen)>);

impl Contents {
    /// Looks at every file that a key ending in `_file` or `_files` names, but for those that others watch (`tls`).
    pub(super) fn of(config: &Config) -> Self {
        let mut paths = Vec::new();
        collect(&settings_of(config), "", &mut paths);
        let watched = paths.into_iter().filter(|(key, _)| !key.contains("tls."));
        Self(watched.map(|(key, path)| (key, (path.clone(), seen(&path)))).collect())
    }

    /// One that cannot be read again, as a pipe.
    pub(super) fn pipe(&self) -> Option<&Path> {
        let mut paths = self.0.values().map(|(path, _)| path.as_path());
        paths.find(|path| is_pipe(path))
    }

    /// Those whose key begins with `prefix`, by the rest of it.
    pub(super) fn under(&self, prefix: &str) -> Self {
        let under = self.0.iter().filter_map(|(key, file)| {
            let key = key.strip_prefix(prefix)?;
            Some((key.to_owned(), file.clone()))
        });
        Self(under.collect())
    }
}

/// Whether there is something, and it is no regular file.
pub(super) fn is_pipe(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| !file.is_file())
}

/// What a file holds; `None` if it cannot be read, and for a pipe, which gives what it has once and to one reader.
pub(super) fn seen(path: &Path) -> Seen {
    // All room at once: what a growing buffer leaves behind could be a secret.
    let file = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    let length = file.len().min(MOST_BYTES);
    let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(length).ok()? + 64));
    let file = regular_file::open(path).ok()?;
    file.take(MOST_BYTES).read_to_end(&mut text).ok()?;
    Some(Sha256::digest(&*text).into())
}

fn collect(settings: &[Setting], at: &str, paths: &mut Vec<(String, PathBuf)>) {
    for Setting { key, content } in settings {
        let full = format!("{at}{key}");
        match content {
            Content::Value {
                value: Some(Plain::Text(path)),
                ..
            } if key.ends_with("_file") => paths.push((full, PathBuf::from(path))),
            Content::Value {
                value: Some(Plain::List(all)),
                ..
            } if key.ends_with("_files") => {
                for (index, path) in all.iter().enumerate() {
                    if let Plain::Text(path) = path {
                        paths.push((format!("{full}[{index}]"), PathBuf::from(path)));
                    }
                }
            }
            Content::Value { .. } => {}
            Content::Table(settings) => collect(settings, &format!("{full}."), paths),
            Content::Tables(all) => {
                for (index, settings) in all.iter().enumerate() {
                    collect(settings, &format!("{full}[{index}]."), paths);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    #[test]
    fn a_file_is_known_by_its_content_behind_whatever_links() {
        let directory = std::env::temp_dir().join(format!("aimis-contents-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        // As kubelet does it: the file is a link into `..data`, which is a link that is swapped.
        let [one, two] = ["one", "two"].map(|name| {
            let version = directory.join(name);
            std::fs::create_dir_all(&version).unwrap();
            std::fs::write(version.join("token"), name).unwrap();
            version
        });
        let point = |to: &Path| {
            let link = directory.join("..data_tmp");
            std::os::unix::fs::symlink(to, &link).unwrap();
            std::fs::rename(&link, directory.join("..data")).unwrap();
        };
        let token = directory.join("token");
        std::os::unix::fs::symlink("..data/token", &token).unwrap();
        assert_eq!(seen(&token), None);
        point(&one);
        let first = seen(&token);
        point(&two);

        assert!(first.is_some() && seen(&token).is_some());
        assert_ne!(first, seen(&token));
        point(&one);
        assert_eq!(first, seen(&token));
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn every_secret_is_watched_but_for_those_that_others_watch() {
        let text = "[lan.tls]\ncert_file = \"lan.pem\"\nkey_file = \"lan.key\"\n[platform]\nextra_ca_file = \"ca.pem\"\n\
                    [callback]\nsecret_file = \"path\"\n[inbox]\nkey_file = \"inbox.key\"\n\
                    previous_key_files = [\"a.key\", \"b.key\"]\n\
                    [[tenants]]\nname = \"a\"\napp_id = \"1\"\ntoken_file = \"a.token\"\nnext_token_file = \"a.next\"\n\
                    callback.target = \"https://his.example/\"\ncallback.target_bearer_file = \"bearer\"\n";
        let config = load(&Sources::text("dir/t.toml", text)).unwrap().config;

        let keys: Vec<_> = Contents::of(&config).0.into_keys().collect();

        assert_eq!(
            keys,
            [
                "callback.secret_file",
                "inbox.key_file",
                "inbox.previous_key_files[0]",
                "inbox.previous_key_files[1]",
                "platform.extra_ca_file",
                "tenants[0].callback.secret_file",
                "tenants[0].callback.target_bearer_file",
                "tenants[0].next_token_file",
                "tenants[0].token_file"
            ]
        );
    }
}
