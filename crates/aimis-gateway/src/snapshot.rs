//! What every request is judged by: one configuration, read and checked.

use std::sync::Arc;

use aimis_core::codes::{Class, Codes, Rule};

use crate::audit::tags::Tagger;
use crate::client::Clients;
use crate::forward::apis::Apis;
use crate::forward::cache::key::CacheKeys;
use crate::forward::cors::Cors;
use crate::forward::decode::body::BodyBounds;
use crate::telemetry::exchange::Findings;
use crate::telemetry::labels::CodeClass;
use crate::telemetry::patient_tag::PatientTagger;
use crate::tenant::Tenants;
use crate::upstream::envelope::Envelope;

/// What every request is judged by: one configuration, read and checked. Never changed, only replaced.
pub struct Snapshot {
    /// The APIs.
    pub apis: Apis,
    /// Who may ask.
    pub clients: Clients,
    /// The hospitals.
    pub tenants: Tenants,
    /// What the platform's codes mean.
    pub codes: Codes,
    /// Makes the patient's tag for the log.
    pub tagger: PatientTagger,
    /// Makes the patient's tags for the audit trail, where there is one.
    pub audit: Option<Tagger>,
    /// Pages that may ask from a browser.
    pub cors: Cors,
    /// `log.client_address`.
    pub log_client_address: bool,
    /// Tells equal questions apart from others.
    pub cache_keys: Arc<CacheKeys>,
    /// Bounds of a request's body.
    pub body_bounds: BodyBounds,
    /// Bounds of a merged study list.
    pub merge_bounds: MergeBounds,
}

/// Bounds of a merged study list.
#[derive(Clone, Copy, Debug)]
pub struct MergeBounds {
    /// `lan.merge_concurrency`.
    pub at_once: usize,
    /// `platform.max_body`, for all parts together.
    pub max_body: usize,
}

impl Snapshot {
    /// What the platform found, as far as the envelope of its answer says so.
    pub fn findings(&self, api: usize, envelope: Envelope) -> Option<Findings> {
        match self.codes.lookup(self.apis.name(api), envelope.code()?).class {
            Class::NoData => Some(Findings::Nothing),
            Class::Success if envelope.is_empty() => Some(Findings::Nothing),
            Class::Success => Some(Findings::Something),
            _ => None,
        }
    }

    /// What follows from a code in an answer of the platform.
    pub fn rule(&self, api: usize, code: i64) -> &Rule {
        self.codes.lookup(self.apis.name(api), code)
    }

    /// Class of an answer of the platform.
    pub fn class_of(&self, api: usize, code: Option<i64>) -> CodeClass {
        let Some(code) = code else { return CodeClass::Platform };
        let class = self.rule(api, code).class.metric_class();
        CodeClass::ALL
            .iter()
            .copied()
            .find(|known| known.as_str() == class)
            .unwrap_or(CodeClass::Platform)
    }
}
