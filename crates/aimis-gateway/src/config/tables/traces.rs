//! Traces: spans for a collector of the hospital's.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::kind::attribute::{Attribute, attribute};
use crate::config::kind::choice::{choices, one_of};
use crate::config::kind::number::{Share, integer, millis, share};
use crate::config::kind::path::{path, secret_path};
use crate::config::kind::secret::{HiddenText, secret_text};
use crate::config::kind::target::{TargetUrl, collector_url};
use crate::config::kind::text::{Text, text};
use crate::config::kind::{Kind, one_or_more, switch};
use crate::config::plain::Plain;
use crate::config::section::section;

section! {
    /// Traces: what a request, its attempts at the platform, a callback and its delivery took, as spans for a collector
    /// (OTLP over HTTP, `http/protobuf`). Without `endpoint` there are none and they cost nothing. The standard `OTEL_*`
    /// variables set the same keys; see docs/operations.md.
    pub struct Traces {
        /// False: none, whatever the other keys say. `OTEL_SDK_DISABLED=true` and `OTEL_TRACES_EXPORTER=none` mean the same.
        enabled: bool = switch().or(true);
        /// Where spans are posted to, path included. `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, or
        /// `OTEL_EXPORTER_OTLP_ENDPOINT`, to which `/v1/traces` is added. Never by way of the platform's proxy.
        endpoint: Option<TargetUrl> = collector_url().optional("http://127.0.0.1:4318/v1/traces");
        /// A file with headers for the collector, in one line and without a line end: `authorization=Bearer%20…,x-team=imaging`.
        headers_file: Option<PathBuf> = secret_path().optional("secrets/otlp-headers");
        /// The same from `OTEL_EXPORTER_OTLP_TRACES_HEADERS` or `OTEL_EXPORTER_OTLP_HEADERS`.
        headers: Option<HiddenText> = secret_text("headers_file").optional("authorization=Bearer%20…");
        /// Authorities that the collector's certificate may come from, beside the compiled-in ones. `OTEL_EXPORTER_OTLP_CERTIFICATE`.
        ca_file: Option<PathBuf> = path().optional("tls/collector-ca.pem");
        /// `service.name` of the spans. `OTEL_SERVICE_NAME`.
        service_name: Text = text(255).or("aimis-gateway");
        /// What else is told of this process with the spans, `name=value`. `OTEL_RESOURCE_ATTRIBUTES`.
        resource_attributes: Option<Vec<Attribute>> = one_or_more(attribute()).optional(Plain::List(vec!["deployment.environment.name=production".into()]));
        /// Which traces are exported. `OTEL_TRACES_SAMPLER`.
        sampler: Sampler = one_of().or("parentbased_always_on");
        /// The share of traces that `traceidratio` exports, 0 to 1. `OTEL_TRACES_SAMPLER_ARG`.
        ratio: Share = share().or(1);
        /// Spans that may wait for the collector; further ones are dropped and counted. `OTEL_BSP_MAX_QUEUE_SIZE`.
        queue: usize = integer(64, 1_000_000).or(2_048);
        /// Spans of one export. `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`.
        batch: usize = integer(1, 65_536).or(512);
        /// How long spans are gathered for an export. `OTEL_BSP_SCHEDULE_DELAY`.
        delay as "delay_ms": Duration = millis(10, 600_000).or(5_000);
        /// How long one try of an export may take, connection included. `OTEL_EXPORTER_OTLP_TRACES_TIMEOUT` or `OTEL_EXPORTER_OTLP_TIMEOUT`.
        timeout as "timeout_ms": Duration = millis(100, 600_000).or(10_000);
        /// How long an export is tried, with growing pauses, before its spans are given up. `OTEL_BSP_EXPORT_TIMEOUT`.
        give_up as "give_up_ms": Duration = millis(100, 600_000).or(30_000);
        /// How long the stop of the process waits for the last export.
        flush as "flush_ms": Duration = millis(0, 60_000).or(2_000);
    }
}

impl Traces {
    /// Where spans go to; `None` where there are none.
    pub fn target(&self) -> Option<&TargetUrl> {
        self.endpoint.as_ref().filter(|_| self.enabled)
    }
}

choices! {
    /// Which traces are exported.
    pub enum Sampler {
        /// All.
        AlwaysOn = "always_on",
        /// None.
        AlwaysOff = "always_off",
        /// `ratio` of them, by the trace's id.
        TraceIdRatio = "traceidratio",
        /// Those that the caller samples; of those without a caller's trace, all.
        ParentAlwaysOn = "parentbased_always_on",
        /// Those that the caller samples, and no others.
        ParentAlwaysOff = "parentbased_always_off",
        /// Those that the caller samples; of those without a caller's trace, `ratio`.
        ParentTraceIdRatio = "parentbased_traceidratio",
    }
}
