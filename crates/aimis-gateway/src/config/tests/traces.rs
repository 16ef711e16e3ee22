//! OpenTelemetry's variables are keys of `[traces]`.

use super::TENANT;
use crate::config::{Format, Loaded, OTEL_UNSPOKEN, Sampler, Sources, load};

const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
const CANARY: &str = "Bearer%20k-7f3a91c2b8e4d605";

fn loaded(text: &str, env: &[(&str, &str)]) -> Result<Loaded, String> {
    let text = format!("{TENANT}\n{text}");
    let sources = Sources::text("gateway.toml", text).with_env(env.iter().copied());
    load(&sources).map_err(|error| error.to_string())
}

fn target(text: &str, env: &[(&str, &str)]) -> Option<String> {
    let config = loaded(text, env).unwrap().config;
    config.traces.target().map(ToString::to_string)
}

#[test]
fn without_an_endpoint_there_are_no_traces() {
    assert_eq!(target("", &[]), None);
    // Meant for some other exporter of the process's surroundings.
    assert_eq!(target("", &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]), None);
}

#[test]
fn the_variables_say_where_spans_go() {
    assert_eq!(target("", &[ENDPOINT]).unwrap(), "http://collector:4318/v1/traces");
    let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://c.example/otlp");
    assert_eq!(target("", &[ENDPOINT, own]).unwrap(), "https://c.example/otlp");
    let ours = ("AIMIS_TRACES__ENDPOINT", "http://127.0.0.1:1/x");
    assert_eq!(target("", &[ENDPOINT, own, ours]).unwrap(), "http://127.0.0.1:1/x");
    let file = "[traces]\nendpoint = \"http://127.0.0.1:4318/v1/traces\"";
    assert_eq!(target(file, &[]).unwrap(), "http://127.0.0.1:4318/v1/traces");
    assert_eq!(target(file, &[own]).unwrap(), "https://c.example/otlp");
}

#[test]
fn the_variables_switch_traces_off() {
    for off in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("AIMIS_TRACES__ENABLED", "false"),
    ] {
        // Whatever else is there is not looked at.
        let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        assert_eq!(target("", &[ENDPOINT, off, grpc]), None, "{off:?}");
        let file = "[traces]\nendpoint = \"http://127.0.0.1:4318/v1/traces\"";
        assert_eq!(target(file, &[off]), None, "{off:?}");
    }
    let (file, on) = ("[traces]\nenabled = false", ("AIMIS_TRACES__ENABLED", "true"));
    assert_eq!(target(file, &[ENDPOINT, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]), None);
    assert!(target(file, &[ENDPOINT, on]).is_some());
    assert!(
        target(
            "",
            &[
                ENDPOINT,
                ("OTEL_SDK_DISABLED", "false"),
                ("OTEL_TRACES_EXPORTER", "otlp")
            ]
        )
        .is_some()
    );
}

/// As an operator of Kubernetes sets them for every pod: the gateway starts, and says what it does not look at.
#[test]
fn variables_that_ask_for_what_is_not_spoken_are_not_looked_at() {
    let file = "[traces]\nendpoint = \"http://127.0.0.1:4318/v1/traces\"";
    for unspoken in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
    ] {
        let injected = [ENDPOINT, unspoken, ("OTEL_SERVICE_NAME", "imaging")];
        for (text, to) in [("", None), (file, Some("http://127.0.0.1:4318/v1/traces"))] {
            let loaded = loaded(text, &injected).unwrap();
            let traces = &loaded.config.traces;
            assert_eq!(traces.target().map(ToString::to_string).as_deref(), to, "{unspoken:?}");
            assert_eq!(&*traces.service_name, "aimis-gateway");
            assert!(loaded.ignores_otel() && loaded.notices().contains(&OTEL_UNSPOKEN.to_owned()));
        }
    }
    assert!(!loaded("", &[ENDPOINT]).unwrap().ignores_otel());
    // Not about us, and nothing to tell.
    assert!(
        !loaded("", &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")])
            .unwrap()
            .ignores_otel()
    );
}

#[test]
fn a_value_that_is_none_is_refused_with_the_variables_name() {
    let more_particular = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf");
    assert!(
        target(
            "",
            &[ENDPOINT, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), more_particular]
        )
        .is_some()
    );
    for (name, value) in [
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=%zz"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4318"),
    ] {
        let refused = loaded("", &[ENDPOINT, (name, value)]).unwrap_err();
        assert!(refused.contains(name), "{refused}");
    }
}

#[test]
fn the_other_variables_are_keys_as_well() {
    let env = [
        ENDPOINT,
        ("OTEL_SERVICE_NAME", "imaging"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "k8s.pod.name=p-1,deployment.environment.name=a%20b",
        ),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "4096"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100"),
        ("OTEL_BSP_SCHEDULE_DELAY", "1000"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/etc/ca.pem"),
    ];
    let traces = loaded("", &env).unwrap().config.traces;
    assert_eq!(&*traces.service_name, "imaging");
    let attributes = traces.resource_attributes.unwrap();
    assert_eq!((&*attributes[0].name, &*attributes[0].value), ("k8s.pod.name", "p-1"));
    assert_eq!(&*attributes[1].value, "a b");
    assert_eq!(
        (traces.sampler, traces.ratio.thousandths()),
        (Sampler::ParentTraceIdRatio, 250)
    );
    assert_eq!((traces.queue, traces.batch), (4096, 100));
    assert_eq!((traces.delay.as_millis(), traces.timeout.as_millis()), (1_000, 2_000));
    assert_eq!(traces.ca_file.unwrap().to_str(), Some("/etc/ca.pem"));
}

#[test]
fn headers_are_never_shown() {
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", CANARY);
    let good = loaded("", &[ENDPOINT, headers]).unwrap();
    assert_eq!(good.config.traces.headers.as_ref().unwrap().expose(), CANARY);
    let shown = format!(
        "{good:?} {:#?} {} {}",
        good.config,
        good.print(Format::Toml),
        good.print(Format::Json)
    );
    assert!(
        !shown.contains("7f3a91c2b8e4d605") && shown.contains("OTEL_EXPORTER_OTLP_HEADERS"),
        "{shown}"
    );

    let in_file = format!("[traces]\nendpoint = \"http://127.0.0.1:4318/v1/traces\"\nheaders = \"{CANARY}\"");
    let refused = loaded(&in_file, &[]).unwrap_err();
    assert!(
        refused.contains("headers_file") && !refused.contains("7f3a91c2b8e4d605"),
        "{refused}"
    );
    let both = "[traces]\nheaders_file = \"x\"";
    assert!(
        loaded(both, &[ENDPOINT, headers])
            .unwrap_err()
            .contains("traces.headers_file")
    );
    assert!(crate::config::is_secret("OTEL_EXPORTER_OTLP_HEADERS", CANARY));
    assert!(!crate::config::is_secret("OTEL_SERVICE_NAME", "x"));
}
