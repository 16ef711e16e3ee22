//! Every rendering of chart and overlays, made once.

use std::io::Write;
use std::process::Stdio;
use std::sync::OnceLock;

use serde_json::Value;

use super::{fine, judge};

/// The chart's files of values and the overlays.
pub const CHART_VALUES: [&str; 3] = ["single", "replicas", "sidecar"];
pub const OVERLAYS: [&str; 3] = ["dev", "single", "replicas"];

/// What one of them comes to.
pub struct Rendering {
    /// `helm single` and the like.
    pub name: String,
    pub objects: Vec<Value>,
}

impl Rendering {
    /// Its objects of one kind.
    pub fn kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        let kind = kind.to_owned();
        self.objects.iter().filter(move |object| object["kind"] == *kind)
    }

    /// The object of this kind whose name begins like this; digests may follow.
    #[track_caller]
    pub fn one(&self, kind: &str, name: &str) -> &Value {
        let named = |object: &&Value| object["metadata"]["name"].as_str().unwrap().starts_with(name);
        self.kind(kind)
            .find(named)
            .unwrap_or_else(|| panic!("{}: no {kind} {name}", self.name))
    }
}

pub fn all() -> &'static [Rendering] {
    static ALL: OnceLock<Vec<Rendering>> = OnceLock::new();
    ALL.get_or_init(|| {
        let chart = CHART_VALUES.map(|name| {
            let values = format!("deploy/helm/aimis-gateway/ci/{name}-values.yaml");
            rendered("helm", name, &["deploy/helm/aimis-gateway", &values])
        });
        let overlays =
            OVERLAYS.map(|name| rendered("kustomize", name, &[&format!("deploy/kustomize/overlays/{name}")]));
        chart.into_iter().chain(overlays).collect()
    })
}

/// One of them by its name.
#[track_caller]
pub fn named(name: &str) -> &'static Rendering {
    all().iter().find(|rendering| rendering.name == name).unwrap()
}

fn rendered(how: &str, name: &str, arguments: &[&str]) -> Rendering {
    let mut command = judge("python");
    let text = fine(command.args(["tests/deploy/render.py", how]).args(arguments));
    let answer: Value = serde_json::from_str(&text).unwrap();
    Rendering {
        name: format!("{how} {name}"),
        objects: answer["objects"].as_array().unwrap().clone(),
    }
}

/// What `kubernetes-validate --strict` says of these on both Kubernetes versions.
#[track_caller]
pub fn complaints(objects: &[Value]) -> Vec<String> {
    let mut command = judge("python");
    command.args(["tests/deploy/render.py", "validate", "1.29", "1.37"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let input = serde_json::to_vec(objects).unwrap();
    child.stdin.take().unwrap().write_all(&input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}
