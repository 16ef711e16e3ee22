//! What the chart refuses.

use super::judge;
use crate::support::directory::Directory;

const GOOD: &str = "config: {tenants: [{name: a, app_id: \"1\", token_file: /t, hospital_id: H}]}\n";

/// What Helm says of these values, or nothing if it takes them.
fn refusal(values: &str) -> Option<String> {
    let directory = Directory::new();
    let file = directory.file("values.yaml", values);
    let output = judge("python")
        .args(["tests/deploy/render.py", "helm", "deploy/helm/aimis-gateway", &file])
        .output()
        .unwrap();
    (!output.status.success()).then(|| String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_schema_refuses_what_nobody_knows() {
    let sidecar = format!("{GOOD}deployment: {{enabled: false}}\nsidecar: {{enabled: true}}\n");
    assert_eq!(refusal(&sidecar), None);
    for (typed, told) in [
        ("replicaCount: 3", "replicaCount"),
        ("image: {tagg: \"1\"}", "tagg"),
        ("callback: {replicas: 2}", "replicas"),
        ("monitoring: {podMonitor: {enable: true}}", "enable"),
        ("networkPolicy: {platformCidrs: [pacs.qq.com]}", "platformCidrs"),
        // The gateway's own keys, with their types.
        (
            "sidecar: {enabled: true, config: {lan: {lisen: \"127.0.0.1:8080\"}}}",
            "lisen",
        ),
        ("sidecar: {enabled: true, config: {log: {level: loud}}}", "level"),
    ] {
        let told_of = refusal(&format!("{GOOD}deployment: {{enabled: false}}\n{typed}\n"));
        assert!(
            told_of.as_ref().is_some_and(|text| text.contains(told)),
            "{typed}: {told_of:?}"
        );
    }
}

#[test]
fn what_would_not_start_or_ask_too_much_is_not_rendered() {
    let clients = "clients: [{name: his, networks: [10.0.0.0/8]}]";
    let quota = "limits: {tenant: {rate_per_s: 5}}";
    let all = |further: &str| format!("{GOOD}deployment: {{{further}}}\n");
    for (values, told) in [
        (all(&format!("config: {{{clients}}}")), None),
        (all(&format!("replicas: 2, config: {{{clients}, {quota}}}")), None),
        ("config: {}\n".to_owned(), Some("which hospital is this?")),
        (
            all(&format!(
                "config: {{{clients}, audit: {{path: /var/lib/aimis-gateway/audit}}}}"
            )),
            Some("outlives the pod"),
        ),
        (GOOD.to_owned(), Some("say who may ask")),
        (
            all(&format!("replicas: 2, config: {{{clients}}}")),
            Some("divided by 2"),
        ),
        (
            all(&format!(
                "autoscaling: {{enabled: true, maxReplicas: 5}}, config: {{{clients}}}"
            )),
            Some("divided by 5"),
        ),
    ] {
        match (refusal(&values), told) {
            (None, None) => {}
            (Some(text), Some(told)) => assert!(text.contains(told), "{values}: {text}"),
            (found, _) => panic!("{values}: {found:?}"),
        }
    }
}
