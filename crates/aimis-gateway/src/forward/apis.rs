//! The APIs that the gateway serves: their contracts, by position and by name.

use std::sync::Arc;

use aimis_core::contract::{self, Contract};

/// The list of contracts. Positions in it index metrics and each tenant's paths.
#[derive(Clone)]
pub struct Apis(Vec<Api>);

#[derive(Clone)]
struct Api {
    contract: Arc<Contract>,
    /// Kept for as long as the program runs, since metrics and log lines name it.
    name: &'static str,
}

impl Apis {
    /// The three queries of platform-api.md, sections 4 to 6.
    pub fn builtin() -> Self {
        let names = ["patientStudies", "patientConsultations", "patientReportUrl"];
        let contracts = [
            contract::patient_studies(),
            contract::patient_consultations(),
            contract::patient_report_url(),
        ];
        Self(
            names
                .into_iter()
                .zip(contracts)
                .map(|(name, contract)| Api {
                    contract: Arc::new(contract),
                    name,
                })
                .collect(),
        )
    }

    /// Position of the API called `name`; names are case-sensitive, as the platform's paths are.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|api| api.name == name)
    }

    /// Contract of the API at `position`.
    pub fn contract(&self, position: usize) -> &Arc<Contract> {
        &self.0[position].contract
    }

    /// Name of the API at `position`.
    pub fn name(&self, position: usize) -> &'static str {
        self.0[position].name
    }

    /// All names, in order.
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|api| api.name).collect()
    }

    /// Whether any API has a field of this name, in whatever case it is written.
    pub fn knows_field(&self, name: &str) -> bool {
        self.0
            .iter()
            .flat_map(|api| api.contract.fields())
            .any(|field| field.name.eq_ignore_ascii_case(name))
    }
}
