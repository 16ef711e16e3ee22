//! The tenants' tokens: there, of the right form, and for nobody else's eyes.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::chart::Chart;
use crate::config::{End, TokenSource};
use crate::forward::apis::Apis;
use crate::keyring::Source;
use crate::prepare;
use crate::secrets;
use crate::token_end;

pub(super) async fn examine(chart: &mut Chart) {
    let (apis, host) = (Apis::builtin(), prepare::platform_host(&chart.config));
    for hospital in &mut chart.hospitals {
        let settings = &chart.config.tenants[hospital.index];
        let (name, findings) = (hospital.name.as_str(), &mut chart.findings);
        let keyring = match prepare::keyring(settings, &chart.config.rotation) {
            Ok(keyring) => keyring,
            Err(error) => {
                let key = format!("tenants[{}].token_file", hospital.index);
                findings.fail(
                    Some(name),
                    error.to_string(),
                    format!(
                        "Write the 32 characters of the token, without a line end (printf %s), into the file that {key} \
                         names, readable for the gateway's user."
                    ),
                );
                continue;
            }
        };
        let way = chart.ways[hospital.way].number;
        let tenant = prepare::tenant(hospital.index, settings, keyring, &apis, &host, way);
        let tenant = hospital.tenant.insert(Arc::new(tenant));

        let key = tenant.keyring.current();
        let mut fingerprint = format!("fingerprint {}", key.fingerprint());
        for held in tenant.keyring.all().iter().skip(1) {
            fingerprint += &format!(", {} {}", held.source.as_str(), held.key.fingerprint());
        }
        fingerprint += &format!(", appId {}", &*settings.app_id);
        let now = findings.clock.now().as_millis() / 1000;
        for source in tenant.keyring.all().iter().map(|held| held.source) {
            if let Some((found, fix)) = token_end::of(settings, source).and_then(|end| ending(source, end, now)) {
                findings.warn(Some(name), found, fix);
            }
        }
        let TokenSource::File(path) = &settings.token else {
            findings.ok(Some(name), format!("token from the environment, {fingerprint}"));
            continue;
        };
        let path = secrets::in_full(path);
        let found = format!("{}, {fingerprint}", path.display());
        match std::fs::metadata(&path).ok().and_then(|file| exposure(&file, &path)) {
            Some((exposed, fix)) => findings.warn(Some(name), format!("{found}; {exposed}"), fix),
            None => findings.ok(Some(name), found),
        }
    }
}

/// What is to be said of a token that ends soon, or has ended.
fn ending(source: Source, end: &End, now: u64) -> Option<(String, &'static str)> {
    let at = end.seconds().filter(|at| *at < now + token_end::SOON_S)?;
    let (token, end) = (source.as_str(), end.as_str());
    let found = if at <= now {
        format!("{token}: has ended ({end}), so the platform refuses it")
    } else {
        format!("{token}: ends in {} day(s) ({end})", (at - now) / 86_400)
    };
    let fix = "Get the next token from the platform and change it as docs/operations.md says (Changing a token), then write down its end.";
    Some((found, fix))
}

/// Who else could read the token or put another in its place, and what to do about it.
fn exposure(file: &Metadata, path: &Path) -> Option<(String, String)> {
    let (mode, owner) = (file.mode() & 0o777, file.uid());
    // A group's right to read is how a secret is given to a service; anything beyond is too much.
    if mode & 0o027 != 0 {
        let who = if mode & 0o007 == 0 {
            "its group"
        } else {
            "everybody on this machine"
        };
        let what = if mode & 0o022 == 0 { "read it" } else { "change it" };
        let found = format!("mode {mode:04o} lets {who} {what}");
        return Some((found, format!("Run chmod g-w,o= {}.", path.display())));
    }
    let us = rustix::process::geteuid().as_raw();
    if us != 0 && owner != 0 && owner != us {
        let found = format!("it belongs to user {owner}, who can change it");
        return Some((
            found,
            format!("Run chown to give {} to root or to the gateway's user.", path.display()),
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_token_that_others_can_read_or_change_is_told() {
        let path = std::env::temp_dir().join(format!("aimis-doctor-token-{}", std::process::id()));
        std::fs::write(&path, "x").unwrap();
        for (mode, who) in [
            (0o400, None),
            (0o600, None),
            (0o640, None),
            (0o660, Some("its group")),
            (0o644, Some("everybody")),
            (0o602, Some("everybody")),
        ] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let told = exposure(&std::fs::metadata(&path).unwrap(), &path);
            assert_eq!(told.is_some(), who.is_some(), "{mode:o}");
            if let (Some((found, fix)), Some(who)) = (told, who) {
                assert!(found.contains(who), "{mode:o}: {found}");
                assert!(fix.contains("chmod g-w,o="), "{fix}");
            }
        }
        std::fs::remove_file(&path).unwrap();
    }
}
