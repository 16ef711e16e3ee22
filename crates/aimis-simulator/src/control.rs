//! The control port: the simulator's levers for people and scripts, as JSON over HTTP on loopback.
//!
//! ```sh
//! S=http://127.0.0.1:9999
//! curl $S/requests                                   # what the platform received; -X DELETE forgets
//! curl $S/fault -d '{"fault":"latency","ms":2000}'   # every request; -X DELETE ends all faults
//! curl $S/fault/next -d '{"fault":"reset_before_head"}'
//! curl $S/fault-rate -d '{"fault":{"fault":"status","code":502},"oneIn":10}'
//! curl $S/token -d '{"appId":"900001","token":"fedcba9876543210fedcba9876543210"}'   # that one only
//! curl $S/token -d '{"appId":"900001","token":"0123456789abcdef0123456789abcdef","also":"fedcba9876543210fedcba9876543210"}'
//! curl $S/clock -d '{"offsetMs":-400000}'
//! curl $S/patients
//! curl $S/callback -d '{"url":"http://127.0.0.1:8081/callback/first-hospital","studyId":"S1001","status":3}'
//! curl $S/his/deliveries                             # -X DELETE forgets
//! curl $S/his/fault -d '{"fault":"status","code":410}'
//! ```
//!
//! `/callback` also takes `appId`, `form` and `unsigned` (booleans) and `fields`, an object that overrides
//! fields after encryption. A request with an `Origin` header is refused: no web page pulls these levers.

use crate::account::Account;
use crate::callback::{Callback, CallbackSender, Encoding};
use crate::fault::{Fault, Plan};
use crate::his::HisState;
use crate::platform::{State, switch_token};
use crate::record::Recorder;
use crate::wire::{Handler, Request, Response, Server};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// A running control port.
pub(crate) struct Control(Server);

impl Control {
    pub(crate) async fn start(
        listen: SocketAddr,
        platform: Arc<State>,
        his: Option<Arc<HisState>>,
        tls: Option<Arc<rustls::ClientConfig>>,
    ) -> io::Result<Self> {
        if !listen.ip().is_loopback() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the control port is for loopback only",
            ));
        }
        Ok(Self(
            Server::start(listen, None, Arc::new(Levers { platform, his, tls })).await?,
        ))
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.0.addr()
    }

    pub(crate) async fn stop(self) {
        self.0.stop().await;
    }
}

struct Levers {
    platform: Arc<State>,
    his: Option<Arc<HisState>>,
    tls: Option<Arc<rustls::ClientConfig>>,
}

/// A status that is not 200, and why.
struct Refused(u16, String);

type Outcome = Result<Value, Refused>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RateOrder {
    fault: Fault,
    one_in: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TokenOrder {
    app_id: String,
    token: String,
    /// Taken as well.
    also: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClockOrder {
    offset_ms: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CallbackOrder {
    url: String,
    app_id: Option<String>,
    study_id: Option<String>,
    status: Option<i64>,
    #[serde(default)]
    form: bool,
    #[serde(default)]
    unsigned: bool,
    #[serde(default)]
    fields: Map<String, Value>,
}

impl Handler for Levers {
    fn now_ms(&self) -> i64 {
        self.platform.clock.now_ms()
    }

    async fn handle(&self, request: Request) -> Plan {
        let response = match self.pull(&request).await {
            Ok(value) => Response::json(value.to_string()),
            Err(Refused(status, why)) => Response {
                status,
                ..Response::json(json!({ "error": why }).to_string())
            },
        };
        Plan::from(response)
    }
}

impl Levers {
    async fn pull(&self, request: &Request) -> Outcome {
        let head = &request.head;
        if head.values("origin").next().is_some() {
            return Err(Refused(403, "not for web pages".to_owned()));
        }
        let body = request.body.as_slice();
        let faults = &self.platform.faults;
        match (head.method(), head.target().split('?').next().unwrap_or_default()) {
            ("GET", "/requests") => Ok(listed(&self.platform.recorder)),
            ("DELETE", "/requests") => {
                self.platform.recorder.clear();
                done()
            }
            ("POST", "/fault") => {
                faults.set(read(body)?);
                done()
            }
            ("POST", "/fault/next") => {
                faults.push(read(body)?);
                done()
            }
            ("DELETE", "/fault") => {
                faults.clear();
                done()
            }
            ("POST", "/fault-rate") => {
                let order: RateOrder = read(body)?;
                faults.set_rate(order.fault, order.one_in);
                done()
            }
            ("POST", "/token") => self.token(&read(body)?),
            ("POST", "/clock") => {
                let order: ClockOrder = read(body)?;
                self.platform.clock.set_offset_ms(order.offset_ms);
                done()
            }
            ("GET", "/patients") => Ok(self.patients()),
            ("POST", "/callback") => self.callback(read(body)?).await,
            (method, path) if path.starts_with("/his/") => self.his(method, path, body),
            (method, path) => Err(no_lever(method, path)),
        }
    }

    fn his(&self, method: &str, path: &str, body: &[u8]) -> Outcome {
        let his = self
            .his
            .as_ref()
            .ok_or_else(|| Refused(404, "no HIS runs here".to_owned()))?;
        match (method, path) {
            ("GET", "/his/deliveries") => Ok(listed(&his.recorder)),
            ("DELETE", "/his/deliveries") => {
                his.recorder.clear();
                done()
            }
            ("POST", "/his/fault") => {
                his.faults.set(read(body)?);
                done()
            }
            ("DELETE", "/his/fault") => {
                his.faults.clear();
                done()
            }
            _ => Err(no_lever(method, path)),
        }
    }

    fn token(&self, order: &TokenOrder) -> Outcome {
        if switch_token(&self.platform, &order.app_id, &order.token, order.also.as_deref()) {
            done()
        } else {
            Err(Refused(404, format!("no account has appId {}", order.app_id)))
        }
    }

    fn patients(&self) -> Value {
        let data = self.platform.data();
        let patients = data.patients().map(|(patient, studies)| {
            let studies = studies.iter().map(|study| {
                let mut value = json!(study);
                value["hospitalId"] = study.hospital_id.as_str().into();
                value["unionId"] = study.union_id.as_str().into();
                value
            });
            json!({ "patient": patient, "studies": studies.collect::<Vec<_>>() })
        });
        json!({ "patients": patients.collect::<Vec<_>>() })
    }

    async fn callback(&self, order: CallbackOrder) -> Outcome {
        let callback = self.compose(&order)?;
        let account = self.account(order.app_id.as_deref(), &callback.hospital_id)?;
        let refused = |error: io::Error| Refused(502, error.to_string());
        let mut sender = CallbackSender::new(&order.url, &account).map_err(refused)?;
        sender = sender
            .switches(self.platform.switches())
            .clock(self.platform.clock.clone());
        if order.form {
            sender = sender.encoding(Encoding::Form);
        }
        if order.unsigned {
            sender = sender.unsigned();
        }
        if let Some(tls) = &self.tls {
            sender = sender.tls(tls.clone());
        }
        let reply = sender.send(&callback).await.map_err(refused)?;
        Ok(json!({
            "status": reply.status,
            "code": reply.code,
            "received": reply.is_received(),
            "body": String::from_utf8_lossy(&reply.body),
        }))
    }

    /// The callback about the study asked for, or about the first there is.
    fn compose(&self, order: &CallbackOrder) -> Result<Callback, Refused> {
        let data = self.platform.data();
        let found = match &order.study_id {
            Some(study_id) => data.study(study_id),
            None => data
                .patients()
                .find_map(|(patient, studies)| Some((patient, studies.first()?))),
        };
        let (patient, study) = found.ok_or_else(|| Refused(404, "no such study".to_owned()))?;
        let mut callback = Callback::about(patient, study, order.status.unwrap_or(3));
        callback.overrides = order
            .fields
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Ok(callback)
    }

    fn account(&self, app_id: Option<&str>, hospital_id: &str) -> Result<Account, Refused> {
        let accounts = self.platform.accounts();
        let chosen = match app_id {
            Some(app_id) => accounts.iter().find(|account| account.app_id == app_id),
            None => accounts
                .iter()
                .find(|account| account.hospital_id == hospital_id)
                .or(accounts.first()),
        };
        chosen
            .cloned()
            .ok_or_else(|| Refused(404, "no such account".to_owned()))
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| Refused(400, error.to_string()))
}

fn no_lever(method: &str, path: &str) -> Refused {
    Refused(
        404,
        format!("no lever {method} {path}; see the documentation of aimis_simulator::control"),
    )
}

fn listed(recorder: &Recorder) -> Value {
    let records: Vec<_> = recorder.all().iter().map(crate::Recorded::to_json).collect();
    json!({ "count": recorder.total(), "records": records })
}

/// The answer to a lever that says nothing.
fn done() -> Outcome {
    Ok(json!({ "done": true }))
}
