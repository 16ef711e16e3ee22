//! `explain`: what would be sent for this body, masked; sends nothing.

use std::fmt::Write as _;
use std::io::Read;
use std::path::PathBuf;

use http::{HeaderValue, Uri};
use zeroize::Zeroizing;

use super::output::{self, Failure};
use super::sources::ConfigArguments;
use crate::client::Client;
use crate::client::permissions::{Ids, Permissions};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::explain::{Explanation, Outcome, Sample, explain};
use crate::prepare;
use crate::snapshot::Snapshot;

/// Longest body that is read; `lan.max_body` then says whether it would be taken.
const MAX_BODY: usize = 16 << 20;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: ConfigArguments,
    /// Path that the HIS would ask for.
    #[arg(long, value_name = "PATH", default_value = "/thirdparty/patientStudies")]
    path: String,
    /// Content-Type that the HIS would send; empty for none.
    #[arg(long, value_name = "TYPE", default_value = "application/json")]
    content_type: String,
    /// Client that would ask, by its name; needed where several are configured.
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// File with the body as the HIS sends it; standard input without one.
    #[arg(value_name = "BODY")]
    body: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let loaded = arguments.source.load()?;
    let config = &loaded.config;
    let settings = client(arguments, config)?;
    let target: Uri = arguments
        .path
        .parse()
        .map_err(|_| Failure::Usage("--path: not a path like /thirdparty/patientStudies/900001".to_owned()))?;
    let content_type = Some(arguments.content_type.as_str()).filter(|text| !text.is_empty());
    let content_type = content_type.map(HeaderValue::from_str).transpose();
    let content_type = content_type.map_err(|_| Failure::Usage("--content-type: not a header's value".to_owned()))?;
    let body = body(arguments)?;

    let snapshot = prepare::prepare(config)?.snapshot;
    let clock = Clock::system().shifted(config.clock.offset_ms);
    let sample = Sample {
        target: &target,
        content_type: content_type.as_ref(),
        body: &body,
    };
    let asking = settings
        .and_then(|settings| snapshot.clients.by_name(&settings.name))
        .unwrap_or_else(|| snapshot.clients.anybody());
    let explanation = explain(&snapshot, asking, &sample, &clock, config::Language::En)?;
    if arguments.json {
        output::json(&serde_json::to_value(&explanation).expect("an explanation is JSON"))?;
    } else {
        output::print(&text(&explanation, settings, asking, config, &snapshot))?;
    }
    match explanation.outcome {
        Outcome::WouldSend { .. } => Ok(()),
        Outcome::Refused { code, .. } => Err(Failure::Problem(format!("the request would be refused with {code}"))),
    }
}

/// The client that would ask: the one named, else the only one, else whoever is on this machine.
fn client<'c>(arguments: &Arguments, config: &'c Config) -> Result<Option<&'c config::Client>, Failure> {
    let names = || {
        config
            .clients
            .iter()
            .map(|client| &*client.name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    match (&arguments.client, config.clients.as_slice()) {
        (None, []) => Ok(None),
        (None, [only]) => Ok(Some(only)),
        (None, _) => Err(Failure::Usage(format!("--client: name one of {}", names()))),
        (Some(name), clients) => {
            let found = clients.iter().find(|client| *client.name == **name);
            found
                .map(Some)
                .ok_or_else(|| Failure::Usage(format!("--client: there is none of this name; known: {}", names())))
        }
    }
}

fn body(arguments: &Arguments) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    let (read, place) = match &arguments.body {
        Some(path) => {
            let file = std::fs::File::open(path);
            (
                file.and_then(|file| file.take(MAX_BODY as u64 + 1).read_to_end(&mut bytes)),
                path.display().to_string(),
            )
        }
        None => (
            std::io::stdin()
                .lock()
                .take(MAX_BODY as u64 + 1)
                .read_to_end(&mut bytes),
            "standard input".to_owned(),
        ),
    };
    read.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::Usage(format!("{place}: no such file")),
        kind => Failure::Usage(format!("{place}: {kind}")),
    })?;
    Ok(bytes)
}

fn text(
    found: &Explanation,
    settings: Option<&config::Client>,
    asking: &Client,
    config: &Config,
    snapshot: &Snapshot,
) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: &str| {
        let value = if value.is_empty() { "none" } else { value };
        let _ = writeln!(text, "{name:<12}{value}");
    };
    row(
        "client",
        found
            .client
            .as_deref()
            .unwrap_or("any program on this machine (no [[clients]])"),
    );
    if let Some(settings) = settings {
        row("known by", &marks(settings));
    }
    row("rules", &rules(asking, snapshot));
    row("api", found.api.unwrap_or_default());
    row("tenant", found.tenant.as_deref().unwrap_or("not known"));
    row("repairs", &found.repairs);
    row("warnings", &found.warnings);
    match &found.outcome {
        Outcome::WouldSend { path, requests } => {
            let keyed = config.log.patient_tag_key_file.is_some();
            let run = if keyed {
                ""
            } else {
                " (of this run: log.patient_tag_key_file is not set)"
            };
            row("would send", &format!("POST {}{path}", config.platform.base_url));
            for request in requests {
                let id = &request.cache_key_id;
                let _ = writeln!(text, "{:#}\n{:<12}{id}{run}", request.body, "cache key");
            }
        }
        Outcome::Refused { status, code, message } => {
            row("refused", &format!("{status}, code {code}"));
            row("", message);
        }
    }
    if found.tenant.is_none() {
        let names: Vec<&str> = snapshot
            .tenants
            .all()
            .iter()
            .map(|tenant| tenant.name.as_str())
            .collect();
        let _ = writeln!(text, "tenants here: {}", names.join(", "));
    }
    text
}

fn marks(client: &config::Client) -> String {
    let networks = client.networks.iter().flatten().map(ToString::to_string);
    let keys = client.key_sha256.as_ref().map(|keys| format!("{} key(s)", keys.len()));
    let certificates = client
        .certificates
        .as_ref()
        .map(|list| format!("{} certificate(s)", list.len()));
    keys.into_iter()
        .chain(certificates)
        .chain(networks)
        .collect::<Vec<_>>()
        .join(" and ")
}

/// The client's rules as they are judged, what is filled in for it, and how exact it has to be.
fn rules(client: &Client, snapshot: &Snapshot) -> String {
    fn listed<T: ToString>(name: &str, values: &[T]) -> String {
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        format!("{name} {}", values.join(" "))
    }
    let ids = |name: &str, ids: &Ids| match ids {
        Ids::Any => format!("{name} any"),
        Ids::Own => format!("{name} as filled in"),
        Ids::Only(ids) => listed(name, ids),
    };
    let Permissions {
        tenants,
        hospital_ids,
        union_ids,
        apis,
        usage,
        data_flag,
        study_type,
        max_range_days,
        // Of events, not of questions.
        inbox: _,
    } = &client.permissions;
    let name_of = |tenant: &usize| snapshot.tenants.all()[*tenant].name.as_str();
    let names = tenants
        .as_ref()
        .map(|tenants| tenants.iter().map(name_of).collect::<Vec<_>>());
    let apis = apis
        .as_ref()
        .map(|apis| apis.iter().map(|api| snapshot.apis.name(*api)).collect::<Vec<_>>());
    let rules = [
        names.map(|names| listed("tenants", &names)),
        Some(ids("hospital_ids", hospital_ids)),
        Some(ids("union_ids", union_ids)),
        apis.map(|apis| listed("apis", &apis)),
        usage.as_ref().map(|values| listed("usage", values)),
        data_flag.as_ref().map(|values| listed("data_flag", values)),
        study_type.as_ref().map(|values| listed("study_type", values)),
        max_range_days.map(|days| format!("max_range_days {days}")),
        client
            .hospital_id
            .as_ref()
            .map(|id| format!("fills in hospitalId {id}")),
        client.union_id.as_ref().map(|id| format!("fills in unionId {id}")),
        client.strict.then(|| "strict".to_owned()),
    ];
    rules.into_iter().flatten().collect::<Vec<_>>().join("; ")
}
