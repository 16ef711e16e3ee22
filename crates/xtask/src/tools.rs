//! The programs that tests use beside Rust, and how the system at hand provides them.

mod deploy;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::repository::program;
use crate::steps::tell;

pub(crate) use deploy::{provide_compose, provide_containers, provide_judges, provide_python};

/// A program that tests start, and its package by system.
struct Tool {
    program: &'static str,
    needed_for: &'static str,
    debian: &'static [&'static str],
    fedora: &'static [&'static str],
    arch: &'static [&'static str],
    alpine: &'static [&'static str],
    brew: &'static [&'static str],
}

const TOOLS: &[Tool] = &[
    Tool {
        program: "cc",
        needed_for: "links every binary, compiles aws-lc",
        debian: &["gcc", "libc6-dev"],
        fedora: &["gcc"],
        arch: &["gcc"],
        alpine: &["gcc", "musl-dev"],
        brew: &["gcc"],
    },
    Tool {
        program: "make",
        needed_for: "compiles jemalloc",
        debian: &["make"],
        fedora: &["make"],
        arch: &["make"],
        alpine: &["make"],
        brew: &["make"],
    },
    Tool {
        program: "curl",
        needed_for: "asks the gateway as a foreign client does",
        debian: &["curl"],
        fedora: &["curl"],
        arch: &["curl"],
        alpine: &["curl"],
        brew: &["curl"],
    },
    Tool {
        program: "promtool",
        needed_for: "checks metrics and alerting rules",
        debian: &["prometheus"],
        fedora: &["golang-github-prometheus"],
        arch: &["prometheus"],
        alpine: &["prometheus"],
        brew: &["prometheus"],
    },
    Tool {
        program: "prometheus",
        needed_for: "scrapes the gateway, answers what dashboards ask",
        debian: &["prometheus"],
        fedora: &["golang-github-prometheus"],
        arch: &["prometheus"],
        alpine: &["prometheus"],
        brew: &["prometheus"],
    },
    Tool {
        program: "amtool",
        needed_for: "checks where alerts go; Alertmanager comes with it",
        debian: &["prometheus-alertmanager"],
        fedora: &["golang-github-prometheus-alertmanager"],
        arch: &["alertmanager"],
        alpine: &["alertmanager"],
        brew: &["alertmanager"],
    },
    Tool {
        program: "tinyproxy",
        needed_for: "stands as the hospital's proxy on the way out",
        debian: &["tinyproxy"],
        fedora: &["tinyproxy"],
        arch: &["tinyproxy"],
        alpine: &["tinyproxy"],
        brew: &["tinyproxy"],
    },
    Tool {
        program: "nginx",
        needed_for: "stands before the gateway, and between it and the platform",
        debian: &["nginx-light"],
        fedora: &["nginx"],
        arch: &["nginx"],
        alpine: &["nginx"],
        brew: &["nginx"],
    },
    Tool {
        program: "haproxy",
        needed_for: "stands before the gateway, and between it and the platform",
        debian: &["haproxy"],
        fedora: &["haproxy"],
        arch: &["haproxy"],
        alpine: &["haproxy"],
        brew: &["haproxy"],
    },
    Tool {
        program: "faketime",
        needed_for: "gives a process a clock that is wrong",
        debian: &["faketime"],
        fedora: &["libfaketime"],
        arch: &["libfaketime"],
        alpine: &["libfaketime"],
        brew: &["libfaketime"],
    },
    Tool {
        program: "redis-server",
        needed_for: "is what replicas share",
        debian: &["redis-server"],
        fedora: &["redis"],
        arch: &["redis"],
        alpine: &["redis"],
        brew: &["redis"],
    },
    Tool {
        program: "redis-sentinel",
        needed_for: "promotes another when that dies",
        debian: &["redis-sentinel"],
        fedora: &["redis"],
        arch: &["redis"],
        alpine: &["redis"],
        brew: &["redis"],
    },
    Tool {
        program: "python3",
        needed_for: "runs the examples for HIS developers",
        debian: &["python3"],
        fedora: &["python3"],
        arch: &["python"],
        alpine: &["python3"],
        brew: &["python"],
    },
    Tool {
        program: "strace",
        needed_for: "shows that syncs come before answers, counts system calls",
        debian: &["strace"],
        fedora: &["strace"],
        arch: &["strace"],
        alpine: &["strace"],
        brew: &[],
    },
    Tool {
        program: "mount",
        needed_for: "makes the small disk that is filled",
        debian: &["mount"],
        fedora: &["util-linux"],
        arch: &["util-linux"],
        alpine: &["mount"],
        brew: &[],
    },
    Tool {
        program: "systemd-analyze",
        needed_for: "judges the units",
        debian: &["systemd"],
        fedora: &["systemd"],
        arch: &["systemd"],
        alpine: &[],
        brew: &[],
    },
    Tool {
        program: "initdb",
        needed_for: "makes the PostgreSQL servers that gateways share an inbox on",
        debian: &["postgresql"],
        fedora: &["postgresql-server", "postgresql-contrib"],
        arch: &["postgresql"],
        alpine: &["postgresql"],
        brew: &["postgresql"],
    },
    Tool {
        program: "setpriv",
        needed_for: "runs the gateway as a user without rights",
        debian: &["util-linux"],
        fedora: &["util-linux"],
        arch: &["util-linux"],
        alpine: &["setpriv"],
        brew: &[],
    },
];

/// What `bench peers` and `bench scale` start and measure with, beside those above.
const BENCH_TOOLS: &[Tool] = &[
    Tool {
        program: "/usr/lib/nginx/modules/ngx_http_lua_module.so",
        needed_for: "nginx doing the job, as a peer",
        debian: &["libnginx-mod-http-lua"],
        fedora: &[],
        arch: &["nginx-mod-lua"],
        alpine: &["nginx-mod-http-lua"],
        brew: &[],
    },
    Tool {
        program: "openssl",
        needed_for: "makes the certificate of the benches' upstream",
        debian: &["openssl"],
        fedora: &["openssl"],
        arch: &["openssl"],
        alpine: &["openssl"],
        brew: &["openssl"],
    },
    Tool {
        program: "cmake",
        needed_for: "builds a library that Pingora needs, as a peer",
        debian: &["cmake"],
        fedora: &["cmake"],
        arch: &["cmake"],
        alpine: &["cmake"],
        brew: &["cmake"],
    },
    Tool {
        program: "taskset",
        needed_for: "gives programs their cores",
        debian: &["util-linux"],
        fedora: &["util-linux"],
        arch: &["util-linux"],
        alpine: &["util-linux-misc"],
        brew: &[],
    },
];

/// What `bench budgets` counts instructions with.
const BUDGET_TOOLS: &[Tool] = &[Tool {
    program: "valgrind",
    needed_for: "counts the instructions of a request",
    debian: &["valgrind"],
    fedora: &["valgrind"],
    arch: &["valgrind"],
    alpine: &["valgrind"],
    brew: &[],
}];

/// A family of systems, by what installs packages there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum System {
    Debian,
    Fedora,
    Arch,
    Alpine,
    MacOs,
    Other,
}

/// Sees to it that every program that tests start is there.
pub(crate) fn provide() -> Result<()> {
    provide_all(&TOOLS.iter().collect::<Vec<_>>())
}

/// Sees to it that every program that `bench peers` starts is there.
pub(crate) fn provide_for_benches() -> Result<()> {
    let shared = ["cc", "nginx", "haproxy", "python3", "strace"];
    let shared = TOOLS.iter().filter(|tool| shared.contains(&tool.program));
    provide_all(&shared.chain(BENCH_TOOLS).collect::<Vec<_>>())
}

/// Sees to it that every program that `bench scale` starts is there.
pub(crate) fn provide_for_scale() -> Result<()> {
    let needed = ["cc", "redis-server", "initdb", "setpriv", "openssl", "taskset"];
    let all = TOOLS.iter().chain(BENCH_TOOLS);
    provide_all(&all.filter(|tool| needed.contains(&tool.program)).collect::<Vec<_>>())
}

/// Sees to it that every program that `bench budgets` starts is there.
pub(crate) fn provide_for_budgets() -> Result<()> {
    provide_all(&BUDGET_TOOLS.iter().collect::<Vec<_>>())
}

/// Installs what is missing on Debian and Ubuntu, tells the command elsewhere.
fn provide_all(tools: &[&Tool]) -> Result<()> {
    let missing: Vec<&Tool> = tools
        .iter()
        .copied()
        .filter(|tool| find(tool.program).is_none())
        .collect();
    for tool in tools {
        let place = find(tool.program).map_or("missing".to_owned(), |path| path.display().to_string());
        tell(&format!("{:<10}{place} ({})", tool.program, tool.needed_for));
    }
    if missing.is_empty() {
        return Ok(());
    }
    obtain(&missing)?;
    match missing.iter().find(|tool| find(tool.program).is_none()) {
        Some(tool) => bail!("{} is still not on PATH after its package was installed", tool.program),
        None => Ok(()),
    }
}

fn obtain(missing: &[&Tool]) -> Result<()> {
    match this_system() {
        System::Debian => install(missing),
        system => bail!(by_hand(system, missing)),
    }
}

/// Where the program is, as a test finds it.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        // Where servers are; an ordinary user's path does not lead there, and the tests add it.
        .chain([PathBuf::from("/usr/sbin")])
        .chain(postgresql())
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

/// Where Debian keeps the programs of each version of PostgreSQL.
fn postgresql() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    versions.flatten().map(|version| version.path().join("bin")).collect()
}

fn this_system() -> System {
    if cfg!(target_os = "macos") {
        return System::MacOs;
    }
    let text = fs::read_to_string("/etc/os-release").or_else(|_| fs::read_to_string("/usr/lib/os-release"));
    text.map_or(System::Other, |text| system(&text))
}

/// The family that a file `os-release` tells: by its own name first, else by the names it says it is like.
fn system(os_release: &str) -> System {
    let value = |name: &str| {
        let line = os_release
            .lines()
            .find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
        line.map(|value| value.trim_matches(['"', '\'']).to_lowercase())
            .unwrap_or_default()
    };
    let names = format!("{} {}", value("ID"), value("ID_LIKE"));
    names
        .split_whitespace()
        .find_map(|name| match name {
            "debian" | "ubuntu" => Some(System::Debian),
            "fedora" | "rhel" | "centos" => Some(System::Fedora),
            "arch" => Some(System::Arch),
            "alpine" => Some(System::Alpine),
            _ => None,
        })
        .unwrap_or(System::Other)
}

fn install(missing: &[&Tool]) -> Result<()> {
    let packages = packages(System::Debian, missing);
    apt_get(&["update", "-q"])?;
    apt_get(&[["install", "-q", "-y", "--no-install-recommends"].as_slice(), &packages].concat())
        .with_context(|| format!("cannot install {}", packages.join(" ")))
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    // Another apt may be at work (a freshly booted machine updates itself), and mirrors hiccup.
    let patience = [
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-o",
        "DPkg::Lock::Timeout=300",
        "-o",
        "Acquire::Retries=3",
    ];
    let is_root = program("id").args(&["-u"]).output()?.trim() == "0";
    // `env` behind sudo, because sudo drops variables.
    let run = if is_root {
        program("env")
    } else {
        program("sudo").args(&["env"])
    };
    run.args(&patience).args(arguments).run()
}

fn packages(system: System, missing: &[&Tool]) -> Vec<&'static str> {
    let of = |tool: &&Tool| match system {
        System::Debian => tool.debian,
        System::Fedora => tool.fedora,
        System::Arch => tool.arch,
        System::Alpine => tool.alpine,
        System::MacOs => tool.brew,
        System::Other => &[],
    };
    missing.iter().flat_map(of).copied().collect()
}

/// What to run where nothing is installed without being asked.
fn by_hand(system: System, missing: &[&Tool]) -> String {
    let installer = match system {
        System::Debian => "sudo apt-get install",
        System::Fedora => "sudo dnf install",
        System::Arch => "sudo pacman -S --needed",
        System::Alpine => "sudo apk add",
        System::MacOs => "brew install",
        System::Other => {
            let names: Vec<&str> = missing.iter().map(|tool| tool.program).collect();
            return format!("install these programs, then run this again: {}", names.join(" "));
        }
    };
    format!(
        "run this, then run this command again:\n\n  {installer} {}\n",
        packages(system, missing).join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_told_by_name_or_likeness() {
        assert_eq!(
            system("PRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_ID=\"12\"\nID=debian\n"),
            System::Debian
        );
        assert_eq!(system("ID=ubuntu\nID_LIKE=debian\n"), System::Debian);
        assert_eq!(system("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"), System::Debian);
        assert_eq!(system("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), System::Fedora);
        assert_eq!(system("ID=alpine\n"), System::Alpine);
        assert_eq!(system("NAME=Gentoo\nID=gentoo\n"), System::Other);
        assert_eq!(system(""), System::Other);
        assert_eq!(system("BUILD_ID=debian\n"), System::Other);
    }

    #[test]
    fn what_to_run_by_hand_is_one_command() {
        let missing: Vec<&Tool> = TOOLS
            .iter()
            .filter(|tool| ["cc", "promtool", "python3"].contains(&tool.program))
            .collect();
        assert!(by_hand(System::Alpine, &missing).contains("sudo apk add gcc musl-dev prometheus python3\n"));
        assert!(by_hand(System::Other, &missing).ends_with("cc promtool python3"));
    }

    #[test]
    fn a_program_is_found_as_a_shell_finds_it() {
        assert!(find("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(find("no-such-program-anywhere"), None);
    }
}
