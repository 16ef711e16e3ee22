//! The process keeps its memory to itself, and no right that it does not need.
//!
//! Tokens and names of patients are in its memory: no core file of it may be written, and nobody but root may look
//! into it. What it could do beyond its work is given up, so that whoever took it over could not do it either.

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit, umask};
#[cfg(target_os = "linux")]
use rustix::thread::{CapabilityFlags, CapabilitySets};

/// What a process started by root needs: ports below 1024, and files whatever their owner, as it could read them
/// without us.
#[cfg(target_os = "linux")]
const OF_ROOT: CapabilityFlags = CapabilityFlags::NET_BIND_SERVICE
    .union(CapabilityFlags::DAC_OVERRIDE)
    .union(CapabilityFlags::DAC_READ_SEARCH)
    .union(CapabilityFlags::FOWNER);

/// Told when the memory of the process can be looked at.
pub const DUMPABLE: &str = "the system did not allow to rule out core dumps: a crash may write tokens to the disk; start with a core limit of 0 (LimitCORE=0 in systemd, ulimit -c 0)";

/// Told when rights could not be given up.
pub const PRIVILEGED: &str = "the system did not allow to give up privileges: run the gateway as a user of its own";

/// From now on this process leaves no core file, cannot be traced by other users or by its own, and writes files that
/// only its user can read. False if the system denied one of these.
///
/// A limit alone does not hold back a `core_pattern` that is a pipe (systemd-coredump), which is why the process is
/// marked non-dumpable too; that also gives `/proc/PID/environ`, `mem` and `fd` to root. Lost by `exec`.
pub fn keep_private() -> bool {
    umask(Mode::RWXG.union(Mode::RWXO));
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // Not asked for what is so already: the service manager may have set it and ruled the call out.
    let limited = getrlimit(Resource::Core) == none || setrlimit(Resource::Core, none).is_ok();
    not_dumpable() && limited
}

#[cfg(target_os = "linux")]
fn not_dumpable() -> bool {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok()
}

/// Elsewhere the limit is all there is.
#[cfg(not(target_os = "linux"))]
fn not_dumpable() -> bool {
    true
}

/// Gives up every capability that serving does not need, and the possibility to gain others. False if the system
/// denied it. Holds for this thread and those it starts, so it comes before any is started.
///
/// What stays: ports below 1024, for a user that was given this right; for root also access to files, whose owners are
/// the administrator's choice. The bounding set stays as it is, since nothing can be gained any more.
#[cfg(target_os = "linux")]
pub fn drop_privileges() -> bool {
    use rustix::thread::{capabilities, set_capabilities, set_no_new_privs};
    let dropped = capabilities(None).is_ok_and(|has| {
        let kept = kept(has, geteuid().is_root());
        has == kept || set_capabilities(None, kept).is_ok()
    });
    set_no_new_privs(true).is_ok() && dropped
}

/// Elsewhere there are no capabilities to give up.
#[cfg(not(target_os = "linux"))]
pub fn drop_privileges() -> bool {
    true
}

/// From now on a panic tells its place on standard error, never its text, which could quote a value. A running gateway
/// has it told in its log instead ([`crate::app::Gateway::log_panics`]).
pub fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        use std::io::Write;
        if let Some(at) = panic.location() {
            // Without a standard error there is only the exit status.
            let _ = writeln!(
                std::io::stderr().lock(),
                "aimis-gateway: a defect, please report it: {}:{}",
                at.file(),
                at.line()
            );
        }
    }));
}

/// Whether the process runs as root.
pub fn is_root() -> bool {
    geteuid().is_root()
}

#[cfg(target_os = "linux")]
fn kept(has: CapabilitySets, root: bool) -> CapabilitySets {
    let needed = if root {
        OF_ROOT
    } else {
        CapabilityFlags::NET_BIND_SERVICE
    };
    CapabilitySets {
        effective: has.effective & needed,
        permitted: has.permitted & needed,
        // With this one the ambient set goes, too.
        inheritable: CapabilityFlags::empty(),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_what_serving_needs_is_kept_and_nothing_gained() {
        let of = |flags| CapabilitySets {
            effective: flags,
            permitted: flags,
            inheritable: flags,
        };
        let bind = CapabilityFlags::NET_BIND_SERVICE;
        assert_eq!(kept(of(CapabilityFlags::all()), false).permitted, bind);
        assert_eq!(kept(of(CapabilityFlags::all()), true).effective, OF_ROOT);
        assert_eq!(kept(of(bind | CapabilityFlags::SYS_ADMIN), true).permitted, bind);
        for root in [false, true] {
            let left = kept(of(CapabilityFlags::empty()), root);
            assert_eq!(left, of(CapabilityFlags::empty()));
            assert!(kept(of(CapabilityFlags::all()), root).inheritable.is_empty());
        }
    }
}
