//! Values that must not be found, in every form in which they could hide, and the sinks they are looked for in.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::Output;

use aimis_simulator::Platform;

use crate::support::client::Answer;
use crate::support::process::Ended;

/// Shorter forms would be found by chance.
const SHORTEST: usize = 6;

/// Name and bytes of a form.
type Form = (String, Vec<u8>);

/// One value and all of its forms.
pub struct Canary {
    /// What it is.
    pub name: String,
    /// The plain one first.
    pub forms: Vec<Form>,
}

/// Where a value was found.
#[derive(Debug, PartialEq, Eq)]
pub struct Leak {
    /// The sink.
    pub sink: String,
    /// The value's name.
    pub canary: String,
    /// The form it had.
    pub form: String,
}

/// The values to look for.
#[derive(Default)]
pub struct Canaries(Vec<Canary>);

impl Canaries {
    /// Adds a value.
    pub fn add(&mut self, name: &str, value: &str) {
        assert!(value.len() >= SHORTEST, "{name} would be found by chance");
        if !self.0.iter().any(|canary| canary.forms[0].1 == value.as_bytes()) {
            self.0.push(Canary {
                name: name.to_owned(),
                forms: forms(value),
            });
        }
    }

    /// Adds what a platform got and gave: signatures, ciphertexts, queries of links.
    pub fn learn(&mut self, platform: &Platform) {
        let mut seen = HashSet::new();
        for request in platform.requests() {
            let body = request.json();
            let values = [
                request.header("signature"),
                body["phoneNum"].as_str(),
                body["idNum"].as_str(),
            ];
            for (name, value) in ["signature sent", "ciphertext of phoneNum", "ciphertext of idNum"]
                .into_iter()
                .zip(values)
            {
                if let Some(value) = value.filter(|value| seen.insert(value.to_string())) {
                    self.add(name, value);
                }
            }
        }
        for (patient, studies) in platform.data().patients() {
            let links = studies
                .iter()
                .flat_map(|study| [&study.h5_url, &study.h5_detail_url, &study.uni_path]);
            for link in links.chain(&patient.consultations_h5_url) {
                let query = link.split_once('?').unwrap().1;
                self.add("query of a link", query);
                self.add("token of a link", query.split_once("token=").unwrap().1);
            }
        }
    }

    /// All of them.
    pub fn all(&self) -> &[Canary] {
        &self.0
    }

    /// Every value found in the sinks. Each sink is read once: what could begin a form there is looked up.
    pub fn find(&self, sinks: &Sinks) -> Vec<Leak> {
        let mut beginnings: HashMap<&[u8], Vec<(&Canary, &Form)>> = HashMap::new();
        let mut pairs = vec![false; 1 << 16];
        for canary in &self.0 {
            for form in &canary.forms {
                beginnings.entry(&form.1[..SHORTEST]).or_default().push((canary, form));
                pairs[pair(&form.1)] = true;
            }
        }
        let mut leaks = Vec::new();
        for (sink, content) in &sinks.0 {
            for (at, window) in content
                .windows(SHORTEST)
                .enumerate()
                .filter(|(_, window)| pairs[pair(window)])
            {
                for (canary, (form, bytes)) in beginnings.get(window).into_iter().flatten() {
                    let leak = Leak {
                        sink: sink.clone(),
                        canary: canary.name.clone(),
                        form: form.clone(),
                    };
                    if content[at..].starts_with(bytes) && !leaks.contains(&leak) {
                        leaks.push(leak);
                    }
                }
            }
        }
        leaks
    }

    /// Panics with the places, not the values, of everything found.
    #[track_caller]
    pub fn assert_absent(&self, sinks: &Sinks) {
        assert!(
            !self.0.is_empty() && !sinks.0.is_empty(),
            "nothing was looked for, or nowhere"
        );
        let leaks = self.find(sinks);
        assert!(
            leaks.is_empty(),
            "{} leaks: {:#?}",
            leaks.len(),
            &leaks[..leaks.len().min(20)]
        );
    }
}

/// Everything that left the gateway on another way than the platform's answer to its caller.
#[derive(Default)]
pub struct Sinks(Vec<(String, Vec<u8>)>);

impl Sinks {
    /// Any text: the log, a metrics page, a probe's body.
    pub fn text(&mut self, sink: &str, content: impl AsRef<[u8]>) {
        self.0.push((sink.to_owned(), content.as_ref().to_vec()));
    }

    /// An answer to a caller. The platform's own body, kept or not, is the caller's to have; all else is looked at.
    pub fn answer(&mut self, sink: &str, answer: &Answer) {
        for (name, value) in &answer.headers {
            self.text(&format!("{sink}: header {name}"), format!("{name}: {value}"));
        }
        if !matches!(answer.header("x-aimis-origin"), Some("platform" | "cache")) {
            self.text(&format!("{sink}: body"), &answer.body);
        }
    }

    /// What a command wrote.
    pub fn output(&mut self, sink: &str, output: &Output) {
        self.text(&format!("{sink}: stdout"), &output.stdout);
        self.text(&format!("{sink}: stderr"), &output.stderr);
    }

    /// What a process wrote until its end.
    pub fn ended(&mut self, sink: &str, ended: &Ended) {
        self.text(&format!("{sink}: stdout"), &ended.stdout);
        self.text(&format!("{sink}: stderr"), &ended.stderr);
    }

    /// The arguments of a running process, which every user of the machine can see.
    pub fn arguments(&mut self, sink: &str, process: u32) {
        let arguments = std::fs::read(format!("/proc/{process}/cmdline")).unwrap();
        assert!(!arguments.is_empty(), "{sink} has ended");
        self.text(&format!("{sink}: arguments"), arguments);
    }

    /// Every file below a directory, with its name. A token's file is where the token belongs.
    pub fn files(&mut self, sink: &str, directory: &Path) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            self.text(&format!("{sink}: file name"), path.to_str().unwrap());
            if path.is_dir() {
                self.files(sink, &path);
            } else if path.extension().is_none_or(|extension| extension != "token") {
                self.text(&format!("{sink}: {}", path.display()), std::fs::read(&path).unwrap());
            }
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

fn pair(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

/// Every form of a value, the plain one first. Forms that are equal stand once.
fn forms(value: &str) -> Vec<Form> {
    let bytes = value.as_bytes();
    let each = |form: &dyn Fn(u8) -> String| bytes.iter().map(|byte| form(*byte)).collect::<String>();
    let units = |form: &dyn Fn(u16) -> String| value.encode_utf16().map(form).collect::<String>();
    let percent = |upper: bool, all: bool| {
        each(&|byte| match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' if !all => char::from(byte).into(),
            _ if upper => format!("%{byte:02X}"),
            _ => format!("%{byte:02x}"),
        })
    };
    let mut found: Vec<Form> = Vec::new();
    let mut add = |name: &str, form: Vec<u8>| {
        if form.len() >= SHORTEST && !found.iter().any(|(_, known)| *known == form) {
            found.push((name.to_owned(), form));
        }
    };
    add("plain", bytes.to_vec());
    add("lower case", value.to_lowercase().into_bytes());
    add("upper case", value.to_uppercase().into_bytes());
    add("reversed", value.chars().rev().collect::<String>().into_bytes());
    add("bytes reversed", bytes.iter().rev().copied().collect());
    add("hex", each(&|byte| format!("{byte:02x}")).into_bytes());
    add("upper hex", each(&|byte| format!("{byte:02X}")).into_bytes());
    add("url-encoded", percent(true, false).into_bytes());
    add("url-encoded, lower", percent(false, false).into_bytes());
    add("url-encoded whole", percent(true, true).into_bytes());
    add("url-encoded whole, lower", percent(false, true).into_bytes());
    add("json escapes", units(&|unit| format!("\\u{unit:04x}")).into_bytes());
    add(
        "upper json escapes",
        units(&|unit| format!("\\u{unit:04X}")).into_bytes(),
    );
    add("utf-16be", value.encode_utf16().flat_map(u16::to_be_bytes).collect());
    add("utf-16le", value.encode_utf16().flat_map(u16::to_le_bytes).collect());
    for offset in 0..3 {
        add(&format!("base64 at {offset}"), base64(bytes, offset, b"+/"));
        add(&format!("base64url at {offset}"), base64(bytes, offset, b"-_"));
    }
    found
}

/// The characters of a base64 text that are the same whatever stands before and behind `bytes`, which
/// begin `offset` bytes behind a group's start.
fn base64(bytes: &[u8], offset: usize, last: &[u8; 2]) -> Vec<u8> {
    const SAME: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let bit = |at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
    let first = (offset * 8).div_ceil(6) * 6 - offset * 8;
    let sextets = (bytes.len() * 8 - first) / 6;
    (0..sextets)
        .map(|sextet| (0..6).fold(0, |value, at| value << 1 | bit(first + sextet * 6 + at)))
        .map(|value| {
            SAME.get(usize::from(value))
                .copied()
                .unwrap_or_else(|| last[usize::from(value) - 62])
        })
        .collect()
}
