//! A question about nobody: asked where it is to be found out whether the platform answers at all.

use std::sync::Arc;

use aimis_core::contract::{HOSPITAL_ID, UNION_ID};
use aimis_core::order::{Order, OrderBuilder, Rules, Value};

use crate::config::Config;
use crate::forward::apis::Apis;
use crate::tenant::Tenant;

/// The query that is asked.
pub(crate) const API: &str = "patientStudies";

/// The made-up person of the interface's golden vectors, and a day long ago.
const PERSON: [(&str, &str); 4] = [
    ("phoneNum", "13800138000"),
    ("idNum", "11010119000101009X"),
    ("studyDateBegin", "2024-01-01 00:00:00"),
    ("studyDateEnd", "2024-01-01 23:59:59"),
];

/// Which ids came from the configuration; the others were made up.
#[derive(Clone, Copy)]
pub(crate) struct Ids {
    pub(crate) hospital: bool,
    pub(crate) union: bool,
}

/// The question in a tenant's name, and the position of its API. `None` if no question can have its ids.
pub(crate) fn question(config: &Config, tenant: &Arc<Tenant>, apis: &Apis) -> Option<(usize, Order, Ids)> {
    let api = apis.position(API).expect("the gateway serves it");
    let mut draft = OrderBuilder::new(apis.contract(api), 512);
    let may_ask = |client: &&crate::config::Client| {
        let names = client.tenants.as_deref();
        names.is_none_or(|names| names.iter().any(|name| &**name == tenant.name.as_str()))
    };
    let clients = || config.clients.iter().filter(may_ask);
    let hospital = clients().find_map(|client| {
        let allowed = client.hospital_ids.iter().flatten().find(|id| &***id != "*");
        client.hospital_id.as_deref().or(allowed.map(|id| &**id))
    });
    let union = clients().find_map(|client| client.union_id.as_deref());
    let hospital = tenant.hospital_id.as_deref().or(hospital);
    let union = tenant.union_id.as_deref().or(union);
    let texts = [(HOSPITAL_ID, hospital.unwrap_or("0")), (UNION_ID, union.unwrap_or("0"))];
    for (name, text) in PERSON.into_iter().chain(texts) {
        let _ = draft.set(name, Value::Text(text));
    }
    for (name, number) in [("studyType", 0), ("dataFlag", 1), ("usage", 0)] {
        let _ = draft.set(name, Value::Integer(number));
    }
    let order = draft.finish(&Rules::default()).ok()?;
    let ids = Ids {
        hospital: hospital.is_some(),
        union: union.is_some(),
    };
    Some((api, order, ids))
}
