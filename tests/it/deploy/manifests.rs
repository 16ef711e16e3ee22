//! What the renderings say to Kubernetes.

use serde_json::{Value, json};

use super::rendered::{self, Rendering};

/// Kinds of operators, whose schemas are not Kubernetes' own.
const OF_OPERATORS: [&str; 4] = ["ServiceMonitor", "PodMonitor", "PrometheusRule", "ExternalSecret"];

/// Every workload of a rendering.
fn workloads(rendering: &Rendering) -> impl Iterator<Item = &Value> {
    let pods = |object: &&Value| object["spec"]["template"]["spec"].is_object();
    rendering.objects.iter().filter(pods)
}

/// The containers of a pod: sidecars, then the others.
fn containers(pod: &Value) -> Vec<&Value> {
    let list = |key: &str| pod[key].as_array().map(Vec::as_slice).unwrap_or_default();
    list("initContainers").iter().chain(list("containers")).collect()
}

#[test]
fn old_and_new_kubernetes_take_every_manifest() {
    let mut objects: Vec<Value> = rendered::all()
        .iter()
        .flat_map(|rendering| rendering.objects.clone())
        .filter(|object| !OF_OPERATORS.iter().any(|kind| object["kind"] == *kind))
        .collect();
    assert!(objects.len() > 40, "{}", objects.len());
    assert_eq!(rendered::complaints(&objects), [""; 0]);

    // It does complain: of a key that there is not, in both versions.
    let deployment = objects
        .iter_mut()
        .find(|object| object["kind"] == "Deployment")
        .unwrap();
    deployment["spec"]["template"]["spec"]["enableServiceLink"] = json!(false);
    assert_eq!(rendered::complaints(&objects).len(), 2);
}

#[test]
fn every_pod_is_as_restricted_as_the_restricted_profile_asks_and_more() {
    for rendering in rendered::all() {
        for workload in workloads(rendering) {
            let pod = &workload["spec"]["template"]["spec"];
            let name = format!("{}: {}", rendering.name, workload["metadata"]["name"]);
            assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
            assert_eq!(pod["enableServiceLinks"], false, "{name}");
            assert_eq!(pod["securityContext"]["fsGroup"], 65532, "{name}");
            for container in containers(pod) {
                let wanted = json!({
                    "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
                    "seccompProfile": {"type": "RuntimeDefault"},
                });
                assert_eq!(container["securityContext"], wanted, "{name}");
                assert!(container["resources"]["limits"]["memory"].is_string(), "{name}");
                // Throttled by the millisecond, it would be slow without being busy.
                assert!(container["resources"]["limits"]["cpu"].is_null(), "{name}");
                let mounts = container["volumeMounts"].as_array().cloned().unwrap_or_default();
                // A subPath never follows a change of the Secret.
                assert!(mounts.iter().all(|mount| mount["subPath"].is_null()), "{name}");
            }
        }
    }
}

#[test]
fn a_sidecar_starts_first_stops_last_and_has_no_say_in_the_applications_readiness() {
    for name in ["helm sidecar", "kustomize dev"] {
        let rendering = rendered::named(name);
        let his = workloads(rendering).find(|one| one["spec"]["template"]["spec"]["initContainers"].is_array());
        let template = &his.unwrap()["spec"]["template"];
        let sidecar = &template["spec"]["initContainers"][0];
        assert_eq!(sidecar["restartPolicy"], "Always", "{name}");
        assert_eq!(sidecar["startupProbe"]["httpGet"]["path"], "/startupz", "{name}");
        assert_eq!(sidecar["livenessProbe"]["httpGet"]["path"], "/livez", "{name}");
        assert!(
            sidecar["readinessProbe"].is_null() && sidecar["lifecycle"].is_null(),
            "{name}"
        );
        // What the PodMonitor looks for.
        assert_eq!(
            template["metadata"]["labels"]["aimis-gateway/sidecar"], "true",
            "{name}"
        );
    }
    let monitor = rendered::named("helm sidecar").one("PodMonitor", "release-aimis-gateway");
    assert_eq!(
        monitor["spec"]["selector"]["matchLabels"]["aimis-gateway/sidecar"],
        "true"
    );
}

#[test]
fn callbacks_have_one_pod_with_a_volume_that_outlives_it() {
    for name in ["helm single", "helm replicas", "kustomize single", "kustomize replicas"] {
        let set = rendered::named(name).kind("StatefulSet").next().unwrap();
        assert_eq!(set["spec"]["replicas"], 1, "{name}");
        assert_eq!(
            set["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"], "Retain",
            "{name}"
        );
        let mounts = &set["spec"]["template"]["spec"]["containers"][0]["volumeMounts"];
        let data = mounts
            .as_array()
            .unwrap()
            .iter()
            .find(|mount| mount["name"] == "data")
            .unwrap();
        assert_eq!(data["mountPath"], "/var/lib/aimis-gateway", "{name}");
    }
    for name in ["helm replicas", "kustomize replicas"] {
        let budget = rendered::named(name).kind("PodDisruptionBudget").next().unwrap();
        let selected = &budget["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"];
        assert_eq!(
            selected, "lan",
            "one pod of callbacks would hold up every drain of a node"
        );
    }
}

/// Labels and ports that one object names and another has.
#[test]
fn services_monitors_and_policies_find_what_they_look_for() {
    for rendering in rendered::all() {
        let pods: Vec<&Value> = workloads(rendering).map(|one| &one["spec"]["template"]).collect();
        let matches = |selector: &Value, labels: &Value| {
            selector
                .as_object()
                .unwrap()
                .iter()
                .all(|(key, value)| labels[key] == *value)
        };
        let port = |pod: &Value, port: &Value| {
            containers(&pod["spec"]).into_iter().any(|container| {
                let ports = container["ports"].as_array().cloned().unwrap_or_default();
                ports
                    .iter()
                    .any(|one| one["name"] == *port || one["containerPort"] == *port)
            })
        };
        for service in rendering.kind("Service") {
            let selected: Vec<_> = pods
                .iter()
                .filter(|pod| matches(&service["spec"]["selector"], &pod["metadata"]["labels"]))
                .collect();
            assert_eq!(selected.len(), 1, "{}: {service}", rendering.name);
            for one in service["spec"]["ports"].as_array().unwrap() {
                assert!(port(selected[0], &one["targetPort"]), "{}: {service}", rendering.name);
            }
        }
        for policy in rendering.kind("NetworkPolicy") {
            let selector = &policy["spec"]["podSelector"]["matchLabels"];
            let mut selected = pods.iter().filter(|pod| matches(selector, &pod["metadata"]["labels"]));
            let pod = selected.next().unwrap();
            for rule in policy["spec"]["ingress"].as_array().unwrap() {
                assert!(
                    !rule["from"].as_array().unwrap().is_empty(),
                    "nobody named is everybody"
                );
                assert!(port(pod, &rule["ports"][0]["port"]), "{}: {policy}", rendering.name);
            }
        }
        for monitor in rendering.kind("ServiceMonitor") {
            let selector = &monitor["spec"]["selector"]["matchLabels"];
            let found = rendering
                .kind("Service")
                .filter(|service| matches(selector, &service["metadata"]["labels"]));
            assert_eq!(found.count(), 2, "{}: LAN side and callbacks", rendering.name);
            let endpoint = &monitor["spec"]["endpoints"][0];
            assert_eq!(endpoint["port"], "aimis-telemetry");
            assert_eq!(
                endpoint["relabelings"][0],
                json!({"targetLabel": "job", "replacement": "aimis-gateway"})
            );
        }
    }
}

#[test]
fn alerts_reach_the_cluster_as_they_are() {
    let runbooks = |rendering: &Rendering| {
        let text = rendering.kind("PrometheusRule").next().unwrap().to_string();
        assert!(text.contains("{{ $labels"), "Prometheus' own templates are left alone");
        (
            text.matches("\"alert\"").count(),
            text.matches("file:///usr/share/doc/aimis-gateway/runbooks/").count(),
            text.matches("https://wiki.hospital.example/runbooks/").count(),
        )
    };
    let all = super::read("deploy/prometheus/rules.yaml").matches("- alert:").count();
    assert_eq!(runbooks(rendered::named("kustomize single")), (all, all, 0));
    assert_eq!(runbooks(rendered::named("helm replicas")), (all, 0, all));
}
