//! The metrics of the process: every series known to exist is there from the start, as 0.
//!
//! Children are resolved once, here; the road holds plain counters and never looks a label up. The
//! registry belongs to one gateway, so two gateways in one process (as in tests) do not mix.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use aimis_core::codes::Codes;
use aimis_core::order::{Reason, RepairKind};
use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

use super::answers::AnswerMetrics;
use super::audit::AuditMetrics;
use super::cache::CacheMetrics;
use super::callbacks::CallbackMetrics;
use super::deliveries::DeliveryMetrics;
use super::exemplars::{Exemplars, Named};
use super::labels::{
    AttemptResult, BreakerState, CodeClass, HandshakeFailure, ListenerName, NO_API, NO_TENANT, OTHER_CODE, Origin,
    ReadyCheck, RejectReason, ReloadResult, RetryReason,
};
use super::limits::LimitMetrics;
use super::openmetrics;
use super::pulls::PullMetrics;
use super::reconcile::ReconcileMetrics;
use super::reloads::ReloadMetrics;
use super::store::StoreMetrics;
use super::tenants::TenantLabels;
use super::traces::TraceMetrics;
use crate::callback::inbox::InboxMetrics;
use crate::telemetry::log::Level;

/// Bounds of request and attempt durations in seconds, as the OpenTelemetry HTTP conventions advise.
const REQUEST_SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// Bounds of the gateway's own share of a request, in seconds.
const OVERHEAD_SECONDS: &[f64] = &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05];
/// Bounds of the delay of a runtime's turn, in seconds.
const DELAY_SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0];

/// What fields are warned of. The first stands for whatever else may come to be.
const INPUT_WARNINGS: &[Reason] = &[
    Reason::Form,
    Reason::CheckDigit,
    Reason::BirthDate,
    Reason::FutureDate,
    Reason::Multiple,
    Reason::Missing,
    Reason::LooksPersonal,
    Reason::Damaged,
];

/// Position of an API in the gateway's list of contracts; `None` when the path named none.
pub type ApiIndex = Option<usize>;
/// Position of a tenant in the configuration; `None` when none was found.
pub type TenantIndex = Option<usize>;

/// Everything that is counted.
pub struct Metrics {
    maker: Arc<Maker>,
    requests: Vec<IntCounter>,
    request_seconds: Vec<Histogram>,
    request_exemplars: Arc<Exemplars>,
    overhead_seconds: Vec<Histogram>,
    rejected: Vec<IntCounter>,
    repairs: Vec<IntCounter>,
    input_warnings: Vec<(Reason, IntCounter)>,
    attempts: Vec<IntCounter>,
    upstream_seconds: Vec<Histogram>,
    business_codes: Vec<(i64, Vec<IntCounter>)>,
    other_codes: Vec<IntCounter>,
    last_success: Vec<Gauge>,
    retries: Vec<IntCounter>,
    breakers: Vec<IntGauge>,
    log_records: Vec<IntCounter>,
    ready: Vec<IntGauge>,
    apis: usize,
    api_labels: Vec<String>,
    tenants: TenantLabels,
    /// Row of the requests whose tenant was not found.
    no_tenant: usize,
    secret_loaded: GaugeVec,
    secret_not_after: GaugeVec,
    tls_handshake_failures: Vec<IntCounter>,
    tls_reloads: Vec<IntCounter>,
    certificate_not_after: Vec<Gauge>,
    /// What answers hold.
    pub answers: AnswerMetrics,
    /// Who is squeezed.
    pub limits: LimitMetrics,
    /// What replicas share.
    pub store: Arc<StoreMetrics>,
    /// What the cache does.
    pub cache: CacheMetrics,
    /// Deliveries to the HIS.
    pub deliveries: DeliveryMetrics,
    /// Requests of a HIS that fetches its events.
    pub pulls: PullMetrics,
    /// The search for callbacks that were missed.
    pub reconcile: ReconcileMetrics,
    /// What changed while the process ran.
    pub reloads: ReloadMetrics,
    /// What becomes of audit records.
    pub audit: Arc<AuditMetrics>,
    /// What becomes of spans.
    pub traces: Arc<TraceMetrics>,
    /// What came from the platform.
    pub callbacks: CallbackMetrics,
    /// What the inbox holds.
    pub inbox: Arc<InboxMetrics>,
    /// Requests being answered now.
    pub active_requests: IntGauge,
    /// Pooled connections to the platform that wait for a request.
    pub connections_idle: IntGauge,
    /// Connections to the platform that carry a request.
    pub connections_active: IntGauge,
    /// Times that the platform sent bytes that nobody asked for.
    pub unasked_answers: IntCounter,
    /// Share of the retry budget that is left.
    pub retry_budget: Gauge,
    /// How far our clock is ahead of the platform's, in seconds.
    pub clock_offset: Gauge,
    /// Times that a name on the way to the platform could not be looked up.
    pub dns_failures: IntCounter,
    /// Times that an address was left out because it took no connection.
    pub addresses_ejected: IntCounter,
    /// Connections of HIS clients that are open.
    pub lan_connections: IntGauge,
    /// Connections of HIS clients that were refused because the gateway, or their address, had its maximum.
    pub lan_connections_refused: IntCounter,
    /// Log lines that could not be kept.
    pub log_dropped: IntCounter,
    /// 1 from the signal to stop on.
    pub draining: IntGauge,
    /// How late a worker's timer fires: a starved event loop shows here.
    pub schedule_delay: Histogram,
}

impl Metrics {
    /// Makes every series that can exist for these tenants and APIs; each tenant has a label of its own.
    pub fn new(tenants: &[&str], apis: &[&str], codes: &Codes) -> Arc<Self> {
        Self::labelled(TenantLabels::new(tenants, usize::MAX), apis, codes)
    }

    /// Makes every series that can exist for tenants with these labels, and these APIs.
    pub fn labelled(tenants: TenantLabels, apis: &[&str], codes: &Codes) -> Arc<Self> {
        Self::made(&Arc::default(), None, tenants, apis, codes)
    }

    /// The same series, by the positions of other tenants and codes; those that there are already go on counting.
    pub fn again(&self, tenants: TenantLabels, apis: &[&str], codes: &Codes) -> Arc<Self> {
        Self::made(&self.maker, Some(self), tenants, apis, codes)
    }

    /// Exports nothing more of this tenant. Whoever still counts for it counts in vain.
    pub fn forget_tenant(&self, tenant: &str) {
        self.maker.forget(tenant);
    }

    fn made(
        maker: &Arc<Maker>,
        before: Option<&Self>,
        tenants: TenantLabels,
        apis: &[&str],
        codes: &Codes,
    ) -> Arc<Self> {
        let is_new = maker.known().is_empty();
        let tenant_labels: Vec<&str> = tenants.all().into_iter().chain([NO_TENANT]).collect();
        let api_labels: Vec<&str> = apis.iter().copied().chain([NO_API]).collect();

        let requests_total = maker.counters(
            "requests_total",
            "Requests answered, by tenant, API, class of the answer and who made it.",
            &["tenant", "api", "code_class", "origin"],
        );
        let mut requests = Vec::new();
        for tenant in &tenant_labels {
            for api in &api_labels {
                for origin in Origin::ALL {
                    for class in CodeClass::ALL {
                        let labels = [*tenant, *api, class.as_str(), origin.as_str()];
                        requests.push(if possible(tenant, api, *class, *origin) {
                            requests_total.with_label_values(&labels)
                        } else {
                            // Never exported: a combination that the road cannot reach.
                            IntCounter::with_opts(Opts::new("unreachable", "unreachable"))
                                .expect("a constant name is valid")
                        });
                    }
                }
            }
        }

        let request_seconds = maker.histograms(
            "http_server_request_duration_seconds",
            "Time from a request's head to its answer, as the HIS feels it.",
            &["api", "origin"],
            REQUEST_SECONDS,
        );
        let request_seconds = api_labels
            .iter()
            .flat_map(|api| Origin::ALL.iter().map(|o| [*api, o.as_str()]))
            .map(|labels| request_seconds.with_label_values(&labels))
            .collect();
        let overhead = maker.histograms(
            "overhead_seconds",
            "The gateway's own share of a request: all but waiting for the caller and the platform.",
            &["api"],
            OVERHEAD_SECONDS,
        );
        let rejected = maker.counters(
            "rejected_requests_total",
            "Requests refused before they reached the platform.",
            &["reason"],
        );
        let repairs = maker.counters(
            "input_repairs_total",
            "Repairs made to requests, by kind: which HIS needs help.",
            &["reason"],
        );
        let input_warnings = maker.counters(
            "input_warnings_total",
            "Fields that looked wrong and were sent all the same, by what looked wrong.",
            &["reason"],
        );
        let attempts = maker.counters(
            "upstream_attempts_total",
            "Attempts to get an answer from the platform, retries included.",
            &["api", "result"],
        );
        let attempts = apis
            .iter()
            .flat_map(|api| AttemptResult::ALL.iter().map(|r| [*api, r.as_str()]))
            .map(|labels| attempts.with_label_values(&labels))
            .collect();
        let upstream_seconds = maker.histograms(
            "upstream_request_duration_seconds",
            "Time from sending an attempt to the end of the platform's answer.",
            &["api"],
            REQUEST_SECONDS,
        );
        let business = maker.counters(
            "upstream_business_codes_total",
            "Business codes in the platform's answers; undocumented ones as \"other\".",
            &["api", "code"],
        );
        let by_api = |code: &str| -> Vec<IntCounter> {
            apis.iter()
                .map(|api| business.with_label_values(&[*api, code]))
                .collect()
        };
        let mut business_codes: Vec<(i64, Vec<IntCounter>)> = codes
            .documented()
            .map(|code| (code, by_api(&code.to_string())))
            .collect();
        business_codes.sort_unstable_by_key(|(code, _)| *code);
        let other_codes = by_api(OTHER_CODE);
        let last_success = maker.gauges(
            "upstream_last_success_timestamp_seconds",
            "When the platform last answered with code 0, in seconds since 1970; 0 before the first.",
            &["api"],
        );
        let retries = maker.counters(
            "upstream_retries_total",
            "Repeated attempts at the platform, by the reason for the repetition.",
            &["reason"],
        );
        let breaker_state = maker.int_gauges(
            "breaker_state",
            "1 for the state of the API's breaker; the worst of its tenants'.",
            &["api", "state"],
        );
        let breakers: Vec<IntGauge> = apis
            .iter()
            .flat_map(|api| BreakerState::ALL.iter().map(|state| [*api, state.as_str()]))
            .map(|labels| breaker_state.with_label_values(&labels))
            .collect();
        if is_new {
            breakers
                .iter()
                .step_by(BreakerState::ALL.len())
                .for_each(|closed| closed.set(1));
        }
        let connections = maker.int_gauges("upstream_connections", "Connections to the platform.", &["state"]);
        let log_records = maker.counters("log_records_total", "Log lines written, by level.", &["level"]);
        let ready = maker.int_gauges(
            "ready",
            "1 when the check is good; all of them make /readyz.",
            &["check"],
        );
        let secret_loaded = maker.gauges(
            "secret_loaded_timestamp_seconds",
            "When the secret was last loaded, in seconds since 1970.",
            &["secret"],
        );
        let secret_not_after = maker.gauges(
            "secret_not_after_timestamp_seconds",
            "When the secret expires, in seconds since 1970; 0 when nobody told.",
            &["secret"],
        );
        let handshake_failures = maker.counters(
            "tls_handshake_failures_total",
            "TLS handshakes of callers that failed, by reason.",
            &["reason"],
        );
        let reloads = maker.counters(
            "tls_reloads_total",
            "Times that changed TLS files of a listener were taken up, or were of no use.",
            &["result"],
        );
        let certificate_not_after = maker.gauges(
            "certificate_not_after_timestamp_seconds",
            "When the certificate expires, in seconds since 1970; 0 when there is none.",
            &["certificate"],
        );
        let build = maker.int_gauges("build_info", "1; the version is the label.", &["version"]);
        build.with_label_values(&[crate::VERSION]).set(1);
        if is_new {
            maker.process();
        }

        Arc::new(Self {
            requests,
            request_seconds,
            request_exemplars: before.map_or_else(
                || Arc::new(Exemplars::new(api_labels.len() * Origin::ALL.len(), REQUEST_SECONDS)),
                |before| Arc::clone(&before.request_exemplars),
            ),
            overhead_seconds: resolve(&api_labels, |api| overhead.with_label_values(&[api])),
            rejected: RejectReason::ALL
                .iter()
                .map(|r| rejected.with_label_values(&[r.as_str()]))
                .collect(),
            repairs: RepairKind::ALL
                .iter()
                .map(|r| repairs.with_label_values(&[r.as_str()]))
                .collect(),
            input_warnings: INPUT_WARNINGS
                .iter()
                .map(|reason| (*reason, input_warnings.with_label_values(&[reason.as_str()])))
                .collect(),
            attempts,
            upstream_seconds: resolve(apis, |api| upstream_seconds.with_label_values(&[api])),
            business_codes,
            other_codes,
            last_success: resolve(apis, |api| last_success.with_label_values(&[api])),
            retries: RetryReason::ALL
                .iter()
                .map(|r| retries.with_label_values(&[r.as_str()]))
                .collect(),
            breakers,
            retry_budget: maker.gauge(
                "upstream_retry_budget_ratio",
                "Share of the retries allowed in this window that is left, 0 to 1.",
            ),
            clock_offset: maker.gauge(
                "upstream_clock_offset_seconds",
                "Our clock minus the platform's, clock.offset_ms included; 0 before the first answer.",
            ),
            log_records: Level::ALL
                .iter()
                .map(|l| log_records.with_label_values(&[l.as_str()]))
                .collect(),
            ready: ReadyCheck::ALL
                .iter()
                .map(|c| ready.with_label_values(&[c.as_str()]))
                .collect(),
            apis: api_labels.len(),
            api_labels: resolve(&api_labels, str::to_owned),
            no_tenant: tenant_labels.len() - 1,
            secret_loaded,
            secret_not_after,
            tls_handshake_failures: HandshakeFailure::ALL
                .iter()
                .map(|r| handshake_failures.with_label_values(&[r.as_str()]))
                .collect(),
            tls_reloads: ReloadResult::ALL
                .iter()
                .map(|r| reloads.with_label_values(&[r.as_str()]))
                .collect(),
            certificate_not_after: ListenerName::ALL
                .iter()
                .map(|l| certificate_not_after.with_label_values(&[l.as_str()]))
                .collect(),
            answers: AnswerMetrics::new(maker, &tenants),
            limits: LimitMetrics::new(maker, &tenants),
            store: Arc::new(StoreMetrics::new(maker, is_new)),
            cache: CacheMetrics::new(maker, apis),
            deliveries: DeliveryMetrics::new(maker, &tenants, before.map(|before| &before.deliveries)),
            pulls: PullMetrics::new(maker),
            reconcile: ReconcileMetrics::new(maker, &tenants),
            reloads: ReloadMetrics::new(maker, &tenants),
            audit: Arc::new(AuditMetrics::new(maker)),
            traces: Arc::new(TraceMetrics::new(maker)),
            callbacks: CallbackMetrics::new(maker),
            inbox: Arc::new(InboxMetrics::new(maker)),
            active_requests: maker.int_gauge("http_server_active_requests", "Requests being answered now."),
            connections_idle: connections.with_label_values(&["idle"]),
            connections_active: connections.with_label_values(&["active"]),
            unasked_answers: maker.counter(
                "upstream_unasked_answers_total",
                "Times that the platform, or something in between, sent bytes that nobody asked for.",
            ),
            dns_failures: maker.counter(
                "upstream_dns_failures_total",
                "Times that the name of the platform, or of a proxy, could not be looked up.",
            ),
            addresses_ejected: maker.counter(
                "upstream_addresses_ejected_total",
                "Times that an address of the platform, or of a proxy, was left out for platform.eject_ms because it took no connection.",
            ),
            lan_connections: maker.int_gauge("lan_connections", "Connections of HIS clients that are open."),
            lan_connections_refused: maker.counter(
                "lan_connections_refused_total",
                "Connections of HIS clients closed at once because as many were open as may be, in all or from one address.",
            ),
            log_dropped: maker.counter(
                "log_dropped_total",
                "Log lines dropped because the output of the log was too slow or failed.",
            ),
            draining: maker.int_gauge("draining", "1 from the signal to stop on."),
            schedule_delay: maker.histogram(
                "runtime_schedule_delay_seconds",
                "How late a worker's timer fires; a starved event loop shows here.",
                DELAY_SECONDS,
            ),
            tenants,
            maker: Arc::clone(maker),
        })
    }

    /// Counter of finished requests.
    pub fn requests(&self, tenant: TenantIndex, api: ApiIndex, class: CodeClass, origin: Origin) -> &IntCounter {
        let tenant = tenant.map_or(self.no_tenant, |tenant| self.tenants.row(tenant));
        let row = (tenant * self.apis + self.api(api)) * Origin::ALL.len() + origin.index();
        &self.requests[row * CodeClass::ALL.len() + class.index()]
    }

    /// Counts a request's duration as the caller feels it.
    pub fn request_seconds(&self, api: ApiIndex, origin: Origin, seconds: f64, named: Named) {
        let histogram = self.api(api) * Origin::ALL.len() + origin.index();
        self.request_seconds[histogram].observe(seconds);
        self.request_exemplars.note(histogram, seconds, named);
    }

    /// The gateway's own share of a request.
    pub fn overhead_seconds(&self, api: ApiIndex) -> &Histogram {
        &self.overhead_seconds[self.api(api)]
    }

    /// Counter of refusals.
    pub fn rejected(&self, reason: RejectReason) -> &IntCounter {
        &self.rejected[reason.index()]
    }

    /// Counter of one kind of repair.
    pub fn repair(&self, kind: RepairKind) -> &IntCounter {
        &self.repairs[kind as usize]
    }

    /// Counter of one kind of warning.
    pub fn input_warning(&self, reason: Reason) -> &IntCounter {
        let known = self.input_warnings.iter().find(|(known, _)| *known == reason);
        &known.unwrap_or(&self.input_warnings[0]).1
    }

    /// Counter of attempts at the platform.
    pub fn attempts(&self, api: usize, result: AttemptResult) -> &IntCounter {
        &self.attempts[api * AttemptResult::ALL.len() + result.index()]
    }

    /// Duration of attempts at the platform.
    pub fn upstream_seconds(&self, api: usize) -> &Histogram {
        &self.upstream_seconds[api]
    }

    /// Counter of a business code.
    pub fn business_code(&self, api: usize, code: i64) -> &IntCounter {
        match self.business_codes.binary_search_by_key(&code, |(known, _)| *known) {
            Ok(at) => &self.business_codes[at].1[api],
            Err(_) => &self.other_codes[api],
        }
    }

    /// When the platform last answered this API with code 0.
    pub fn last_success(&self, api: usize) -> &Gauge {
        &self.last_success[api]
    }

    /// Counter of retries.
    pub fn retries(&self, reason: RetryReason) -> &IntCounter {
        &self.retries[reason.index()]
    }

    /// Shows the state of an API's breaker.
    pub fn breaker(&self, api: usize, state: BreakerState) {
        let row = &self.breakers[api * BreakerState::ALL.len()..][..BreakerState::ALL.len()];
        for (index, gauge) in row.iter().enumerate() {
            gauge.set(i64::from(index == state.index()));
        }
    }

    /// Counter of log lines.
    pub fn log_records(&self, level: Level) -> &IntCounter {
        &self.log_records[level.index()]
    }

    /// One of the checks behind `/readyz`.
    pub fn ready(&self, check: ReadyCheck) -> &IntGauge {
        &self.ready[check.index()]
    }

    /// Counter of failed handshakes.
    pub fn tls_handshake_failures(&self, reason: HandshakeFailure) -> &IntCounter {
        &self.tls_handshake_failures[reason.index()]
    }

    /// Counter of replaced certificates.
    pub fn tls_reloads(&self, result: ReloadResult) -> &IntCounter {
        &self.tls_reloads[result.index()]
    }

    /// When a listener's certificate expires, in seconds since 1970; 0 without one.
    pub fn certificate_not_after(&self, listener: ListenerName) -> &Gauge {
        &self.certificate_not_after[listener.index()]
    }

    /// Tells when secrets end, by tenant, in seconds since 1970. Of tenants that share a label it is the first end.
    pub fn secrets_end<'a>(&self, ends: impl Iterator<Item = (&'a str, Option<u64>)>) {
        let mut first = BTreeMap::new();
        for (tenant, end) in ends {
            let known = first.entry(self.tenants.label(tenant)).or_insert(end);
            *known = match (*known, end) {
                (Some(known), Some(end)) => Some(known.min(end)),
                (known, end) => known.or(end),
            };
        }
        for (secret, end) in first {
            let seconds = end.map_or(0.0, |end| end as f64);
            self.secret_not_after.with_label_values(&[secret]).set(seconds);
        }
    }

    /// Notes that a tenant's secret was loaded at `seconds` since 1970.
    pub fn secret_loaded(&self, tenant: &str, seconds: f64) {
        let secret = self.tenants.label(tenant);
        self.secret_loaded.with_label_values(&[secret]).set(seconds);
        // There from the start; `secrets_end` says what it is.
        self.secret_not_after.with_label_values(&[secret]);
    }

    /// All series in the Prometheus text format 0.0.4.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(64 * 1024);
        // Writing to a Vec cannot fail, and a family that cannot be encoded has no series.
        let _ = TextEncoder::new().encode(&self.maker.registry.gather(), &mut text);
        text
    }

    /// All series in the OpenMetrics format, with a request for each bucket of the durations.
    pub fn encode_openmetrics(&self) -> Vec<u8> {
        let exemplars = self.request_exemplars.by_series(|histogram, bound| {
            let api = &self.api_labels[histogram / Origin::ALL.len()];
            let origin = Origin::ALL[histogram % Origin::ALL.len()].as_str();
            format!(
                "aimis_http_server_request_duration_seconds_bucket{{api=\"{api}\",origin=\"{origin}\",le=\"{bound}\"}}"
            )
        });
        let text = self.encode();
        openmetrics::from_text(&String::from_utf8_lossy(&text), &exemplars).into_bytes()
    }

    fn api(&self, api: ApiIndex) -> usize {
        api.unwrap_or(self.apis - 1)
    }
}

/// Takes the series of `tenant` out of a family.
fn forget<B: MetricVecBuilder>(family: &MetricVec<B>, tenant: &str)
where
    MetricVec<B>: Collector,
{
    for collected in family.collect() {
        for series in collected.get_metric() {
            let labels: HashMap<&str, &str> = series
                .get_label()
                .iter()
                .map(|label| (label.name(), label.value()))
                .collect();
            if TENANT_LABELS.iter().any(|label| labels.get(label) == Some(&tenant)) {
                // Gone already is gone.
                let _ = family.remove(&labels);
            }
        }
    }
}

/// Whether the road can end a request with this combination; the others are not exported.
fn possible(tenant: &str, api: &str, class: CodeClass, origin: Origin) -> bool {
    use CodeClass::{Auth, Data, Gateway, Limit, Ok, Platform, Transport};
    match origin {
        Origin::Platform => {
            tenant != NO_TENANT && api != NO_API && matches!(class, Ok | Data | Auth | Limit | Platform)
        }
        Origin::Cache => tenant != NO_TENANT && api != NO_API && matches!(class, Ok | Data),
        // `Ok`: a browser's preflight.
        Origin::Gateway if tenant == NO_TENANT => matches!(class, Ok | Data | Auth | Limit | Gateway),
        Origin::Gateway => api != NO_API && matches!(class, Data | Auth | Limit | Platform | Transport | Gateway),
    }
}

fn resolve<T>(labels: &[&str], child: impl Fn(&str) -> T) -> Vec<T> {
    labels.iter().map(|label| child(label)).collect()
}

/// Labels whose value is a tenant's name.
const TENANT_LABELS: [&str; 3] = ["tenant", "target", "secret"];

/// Makes families under the prefix `aimis_` and registers them, each once: asked again it gives the same.
#[derive(Default)]
pub(crate) struct Maker {
    registry: Registry,
    known: Mutex<HashMap<String, Known>>,
}

/// A family that was made.
struct Known {
    family: Box<dyn Any + Send>,
    /// Takes the series of a tenant out of it.
    forget: Box<dyn Fn(&str) + Send>,
}

impl Maker {
    fn opts(name: &str, help: &str) -> Opts {
        Opts::new(format!("aimis_{name}"), help)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register<C: Collector + Clone + 'static>(&self, name: &str, made: prometheus::Result<C>) -> C {
        self.keep(name, made, |_, _| {})
    }

    fn register_vec<B: MetricVecBuilder + 'static>(
        &self,
        name: &str,
        made: prometheus::Result<MetricVec<B>>,
    ) -> MetricVec<B>
    where
        MetricVec<B>: Collector,
    {
        self.keep(name, made, forget)
    }

    fn keep<C: Collector + Clone + 'static>(&self, name: &str, made: prometheus::Result<C>, forget: fn(&C, &str)) -> C {
        let mut known = self.known();
        let before = known.get(name).and_then(|known| known.family.downcast_ref::<C>());
        if let Some(family) = before {
            return family.clone();
        }
        let family = made.expect("metric names and labels are constants, checked by tests");
        self.registry
            .register(Box::new(family.clone()))
            .expect("each metric is registered once, on a registry of its own");
        let theirs = family.clone();
        let entry = Known {
            family: Box::new(family.clone()),
            forget: Box::new(move |tenant| forget(&theirs, tenant)),
        };
        known.insert(name.to_owned(), entry);
        family
    }

    fn forget(&self, tenant: &str) {
        self.known().values().for_each(|known| (known.forget)(tenant));
    }

    pub(super) fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.register_vec(name, IntCounterVec::new(Self::opts(name, help), labels))
    }

    pub(crate) fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.register(name, IntCounter::with_opts(Self::opts(name, help)))
    }

    pub(crate) fn gauge(&self, name: &str, help: &str) -> Gauge {
        self.register(name, Gauge::with_opts(Self::opts(name, help)))
    }

    pub(super) fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.register_vec(name, GaugeVec::new(Self::opts(name, help), labels))
    }

    pub(crate) fn int_gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.register_vec(name, IntGaugeVec::new(Self::opts(name, help), labels))
    }

    pub(crate) fn int_gauge(&self, name: &str, help: &str) -> IntGauge {
        self.register(name, IntGauge::with_opts(Self::opts(name, help)))
    }

    pub(super) fn histograms(&self, name: &str, help: &str, labels: &[&str], bounds: &[f64]) -> HistogramVec {
        let opts = HistogramOpts::from(Self::opts(name, help)).buckets(bounds.to_vec());
        self.register_vec(name, HistogramVec::new(opts, labels))
    }

    pub(crate) fn histogram(&self, name: &str, help: &str, bounds: &[f64]) -> Histogram {
        let opts = HistogramOpts::from(Self::opts(name, help)).buckets(bounds.to_vec());
        self.register(name, Histogram::with_opts(opts))
    }

    /// CPU, memory and descriptors, under the names every Prometheus client uses.
    #[cfg(target_os = "linux")]
    fn process(&self) {
        let collector = prometheus::process_collector::ProcessCollector::for_self();
        self.registry.register(Box::new(collector)).expect("registered once");
    }

    #[cfg(not(target_os = "linux"))]
    fn process(&self) {}
}
