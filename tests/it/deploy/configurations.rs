//! The configurations in manifests and compose files, read by the gateway itself.

use serde_json::Value;

use super::rendered;
use crate::support::binary;
use crate::support::directory::Directory;
use crate::support::process::run;
use crate::support::tls::{Authority, Purpose};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The files that a pod has from its Secrets, and its volume.
fn pod_files(directory: &Directory) {
    let pair = Authority::new("hospital").certify(Purpose::Server, 2049);
    for (name, content) in [
        ("secrets/first-hospital.token", TOKEN),
        (
            "secrets/first-hospital.webhook",
            "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        ),
        ("secrets/patient-tag.key", &TOKEN.repeat(2)),
        ("secrets/callback.path", "0123456789abcdefghij"),
        ("tls/tls.crt", &pair.certificate_pem),
        ("tls/tls.key", &pair.key_pem),
    ] {
        directory.file(name, content);
    }
}

/// What `check` says of a configuration whose files are in `directory`.
fn checked(directory: &Directory, name: &str, text: &str) -> (Option<i32>, String) {
    let here = directory.path().to_str().unwrap();
    let text = text
        .replace("/etc/aimis-gateway", here)
        .replace("/var/lib/aimis-gateway", &format!("{here}/data"));
    let file = directory.file(name, text);
    let output = run(binary::command(&["check", "--config", &file]), b"");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn the_gateway_takes_every_configuration_that_is_rendered() {
    let directory = Directory::new();
    pod_files(&directory);
    let mut seen = 0;
    for rendering in rendered::all() {
        for map in rendering.kind("ConfigMap") {
            let text = map["data"]["gateway.json"].as_str().unwrap();
            let (status, said) = checked(&directory, "gateway.json", text);
            assert_eq!(
                status,
                Some(0),
                "{}: {}: {said}",
                rendering.name,
                map["metadata"]["name"]
            );
            seen += 1;
        }
    }
    assert_eq!(seen, 10);
}

#[test]
fn the_gateway_takes_the_configuration_of_compose() {
    let directory = Directory::new();
    pod_files(&directory);
    let (status, said) = checked(&directory, "gateway.toml", &super::read("deploy/docker/gateway.toml"));
    assert_eq!(status, Some(0), "{said}");
}

/// The kubelet waits as long as `terminationGracePeriodSeconds`; the gateway has to be done by then.
#[test]
fn a_pod_is_given_the_time_that_the_gateway_takes_to_stop() {
    for rendering in rendered::all() {
        for map in rendering.kind("ConfigMap") {
            let name = map["metadata"]["name"].as_str().unwrap();
            let configuration: Value = serde_json::from_str(map["data"]["gateway.json"].as_str().unwrap()).unwrap();
            let drain = |key: &str| configuration["drain"][key].as_u64().unwrap();
            let uses = |object: &&Value| object["spec"]["template"]["spec"]["volumes"].to_string().contains(name);
            let workload = rendering.objects.iter().find(uses).unwrap();
            let grace = workload["spec"]["template"]["spec"]["terminationGracePeriodSeconds"].as_u64();
            let needed = (drain("delay_ms") + drain("timeout_ms")) / 1000;
            assert!(grace.unwrap() >= needed + 5, "{}: {name}", rendering.name);
        }
    }
}

/// Behind a Service the LAN side listens for others; in a pod of the HIS it is for that pod alone.
#[test]
fn the_lan_side_listens_where_it_is_used() {
    let listens = |rendering: &str, name: &str| {
        let map = rendered::named(rendering).one("ConfigMap", name);
        let configuration: Value = serde_json::from_str(map["data"]["gateway.json"].as_str().unwrap()).unwrap();
        assert_eq!(
            configuration["telemetry"]["listen"], "0.0.0.0:9464",
            "probes come to the pod's own address"
        );
        configuration["lan"]["listen"].as_str().map(str::to_owned)
    };
    for sidecar in [
        listens("helm sidecar", "release-aimis-gateway-sidecar"),
        listens("kustomize dev", "aimis-gateway-sidecar"),
    ] {
        assert_eq!(sidecar.as_deref(), Some("127.0.0.1:8080"));
    }
    for lan in [
        listens("helm single", "release-aimis-gateway-lan"),
        listens("kustomize single", "aimis-gateway-lan"),
        listens("helm replicas", "release-aimis-gateway-callback"), // events are fetched there
    ] {
        assert_eq!(lan.as_deref(), Some("0.0.0.0:8080"));
    }
    assert_eq!(listens("helm single", "release-aimis-gateway-callback"), None);
}
