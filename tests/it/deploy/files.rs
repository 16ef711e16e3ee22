//! Files that are not rendered: Dockerfiles, compose, and YAML as such.

use std::process::Command;

use super::{fine, judge, path, read};
use crate::support::directory::Directory;

#[test]
fn the_dockerfiles_are_in_order_and_make_the_same_image() {
    for name in ["Dockerfile", "Dockerfile.binary"] {
        fine(judge("hadolint").arg(path("deploy/docker").join(name)));
    }

    let last_stage = |name: &str| {
        let text = read(&format!("deploy/docker/{name}"));
        text[text.rfind("FROM ").unwrap()..].to_owned()
    };
    let from_source = last_stage("Dockerfile")
        .replace("--from=build /out/aimis-gateway ", "aimis-gateway ")
        .replace("--from=build ", "")
        .replace("/out/data ", "data ");
    assert_eq!(from_source, last_stage("Dockerfile.binary"));
    let version = format!("version=\"{}\"\n", aimis_gateway::VERSION);
    assert!(from_source.contains(&version), "the label tells another version");
}

/// With the secrets made up, since compose wants their files to be there only when it starts something.
#[test]
fn compose_takes_its_files() {
    let compose = |files: &[&str]| {
        let mut command = judge("docker-compose");
        for file in files {
            command.args(["-f", &format!("deploy/docker/{file}")]);
        }
        fine(command.args(["config", "--format", "json"]))
    };
    let files = ["compose.yaml", "compose.observability.yaml", "compose.stores.yaml"];
    let all: serde_json::Value = serde_json::from_str(&compose(&files)).unwrap();
    let services: Vec<&String> = all["services"].as_object().unwrap().keys().collect();
    assert_eq!(
        services,
        [
            "alertmanager",
            "gateway",
            "grafana",
            "postgres",
            "prometheus",
            "redis",
            "simulator"
        ]
    );
    // Only this machine can ask, and the stores are for the gateway alone.
    for (name, service) in all["services"].as_object().unwrap() {
        for port in service["ports"].as_array().into_iter().flatten() {
            assert_eq!(port["host_ip"], "127.0.0.1", "{name}");
        }
    }
    assert!(
        ["redis", "postgres"]
            .iter()
            .all(|store| all["services"][store]["ports"].is_null())
    );
    // Every file that is mounted is in the repository.
    for (name, service) in all["services"].as_object().unwrap() {
        let volumes = service["volumes"].as_array().cloned().unwrap_or_default();
        for volume in volumes.iter().filter(|volume| volume["type"] == "bind") {
            let source = volume["source"].as_str().unwrap();
            assert!(std::path::Path::new(source).exists(), "{name}: {source}");
        }
    }
    let alone: serde_json::Value = serde_json::from_str(&compose(&["compose.yaml"])).unwrap();
    for service in ["gateway", "simulator"] {
        assert_eq!(alone["services"][service]["read_only"], true);
        assert_eq!(alone["services"][service]["cap_drop"][0], "ALL");
    }
}

#[test]
fn prometheus_takes_the_configuration_of_compose() {
    let directory = Directory::new();
    directory.file("rules.yaml", read("deploy/prometheus/rules.yaml"));
    let file = directory.file("prometheus.yml", read("deploy/docker/prometheus.yml"));
    let promtool = Command::new("promtool").args(["check", "config", &file]).output();
    let output = promtool.expect("no promtool; install it: apt-get install prometheus");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn yaml_is_as_yaml_ought_to_be() {
    fine(judge("yamllint").args(["--strict", "--config-file", "deploy/.yamllint.yaml", "deploy"]));
}

/// What the sources include from beside the crates has to be there when the image is built from them.
#[test]
fn the_build_of_the_image_is_given_what_the_sources_include() {
    let ignored = read("deploy/docker/Dockerfile.dockerignore");
    let given: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let mut seen = 0;
    let mut left = vec![path("crates")];
    while let Some(entry) = left.pop() {
        if entry.is_dir() {
            left.extend(std::fs::read_dir(entry).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let source = entry.to_str().unwrap();
        if !source.contains("/src/") || source.contains("/tests") {
            continue;
        }
        let text = std::fs::read_to_string(&entry).unwrap_or_default();
        // What stands behind the first mark of a test is not built into the binary.
        let built = ["#[cfg(test)]", "#[test]"]
            .iter()
            .fold(text.as_str(), |text, mark| text.split(mark).next().unwrap());
        for included in built.split("include_str!(\"").skip(1) {
            let name = included.split('"').next().unwrap();
            let file = entry.parent().unwrap().join(name).canonicalize().unwrap();
            let file = file.strip_prefix(path("")).unwrap();
            let is_given = given.iter().any(|given| file.starts_with(given));
            assert!(is_given, "{source} includes {name}");
            seen += 1;
        }
    }
    assert!(seen >= 2, "codes and vectors, at least: {seen}");
}
