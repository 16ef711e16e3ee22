//! The platform: three APIs over HTTP/1.1, as strict as its documentation, and as faulty as asked.
//!
//! A request is checked in this order: path (404), method (405), media type (415); `appId`, `timestamp`,
//! `signature` (90001, 90002); body and fields (100001, 20031, 20030, 10005); hospital and consortium
//! (20016, 20023); then looked up. All but the first three are answered with HTTP 200 and an envelope.

mod answer;
mod auth;
mod fields;
mod options;
mod refusal;
mod state;

pub use options::{Canned, DataOnError, PlatformOptions};
pub(crate) use state::State;

use crate::account::Account;
use crate::clock::Clock;
use crate::control::Control;
use crate::crypto::Switches;
use crate::data::{Data, Patient, Study};
use crate::fault::Fault;
use crate::record::Recorded;
use crate::wire::Server;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Name of the study list.
pub const PATIENT_STUDIES: &str = "patientStudies";
/// Name of the consultation list link.
pub const PATIENT_CONSULTATIONS: &str = "patientConsultations";
/// Name of the report link.
pub const PATIENT_REPORT_URL: &str = "patientReportUrl";

/// A running platform. Dropping it closes its listeners and every connection.
pub struct Platform {
    server: Server,
    control: Option<Control>,
    state: Arc<State>,
    https: bool,
}

impl Platform {
    /// Binds and serves on the runtime that runs this call, `current_thread` or not.
    ///
    /// # Errors
    /// When an address cannot be bound, or the control port is not on loopback.
    pub async fn start(options: PlatformOptions) -> io::Result<Self> {
        let (listen, tls, control) = (options.listen, options.tls.clone(), options.control);
        let https = tls.is_some();
        let state = Arc::new(State::new(options));
        let server = Server::start(listen, tls, state.clone()).await?;
        let control = match control {
            Some(addr) => Some(Control::start(addr, state.clone(), None, None).await?),
            None => None,
        };
        Ok(Self {
            server,
            control,
            state,
            https,
        })
    }

    /// Stops, and returns when the port is free again and every connection closed.
    pub async fn stop(self) {
        if let Some(control) = self.control {
            control.stop().await;
        }
        self.server.stop().await;
    }

    /// The address listened on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// The control port's address, if there is one.
    #[must_use]
    pub fn control_addr(&self) -> Option<SocketAddr> {
        self.control.as_ref().map(Control::addr)
    }

    /// `http://address` or `https://address`, without a final slash.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}://{}", if self.https { "https" } else { "http" }, self.addr())
    }

    /// The URL of an API for an appId.
    #[must_use]
    pub fn url_for(&self, api: &str, app_id: &str) -> String {
        format!("{}/thirdparty/{api}/{app_id}", self.base_url())
    }

    /// The platform's clock, shared: moving it moves the platform's.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.state.clock.clone()
    }

    /// Puts the platform's clock off by `offset_ms`: its judgement of timestamps and its `Date` headers.
    pub fn set_clock_offset(&self, offset_ms: i64) {
        self.state.clock.set_offset_ms(offset_ms);
    }

    pub(crate) fn state(&self) -> &Arc<State> {
        &self.state
    }
}

/// What was received.
impl Platform {
    /// The requests kept, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.state.recorder.all()
    }

    /// The one request kept.
    ///
    /// # Panics
    /// When there is none, or more than one.
    #[must_use]
    #[track_caller]
    pub fn only_request(&self) -> Recorded {
        only(self.requests(), "request")
    }

    /// Requests since the start or the last clearing, kept or not.
    #[must_use]
    pub fn request_count(&self) -> u64 {
        self.state.recorder.total()
    }

    /// Returns when that count is reached: to wait for a request without sleeping.
    pub async fn wait_for_requests(&self, count: u64) {
        self.state.recorder.wait_for(count).await;
    }

    /// Forgets the requests and starts counting anew.
    pub fn clear_requests(&self) {
        self.state.recorder.clear();
    }

    /// Switches recording on or off; counting goes on.
    pub fn set_recording(&self, on: bool) {
        self.state.recorder.switch(on);
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections_accepted(&self) -> usize {
        self.server.gauges().accepted()
    }

    /// Connections open now.
    #[must_use]
    pub fn connections_open(&self) -> usize {
        self.server.gauges().open()
    }

    /// Why bytes received were no HTTP request, one entry each (the first 1000). A good client leaves none.
    #[must_use]
    pub fn malformed(&self) -> Vec<&'static str> {
        self.state.malformed_reasons()
    }
}

/// What is answered.
impl Platform {
    /// Lets every request meet this fault, until changed or cleared.
    pub fn set_fault(&self, fault: Fault) {
        self.state.faults.set(fault);
    }

    /// Lets the next request meet this fault; several pushed meet the next several, in order.
    pub fn push_fault(&self, fault: Fault) {
        self.state.faults.push(fault);
    }

    /// Lets every `one_in`-th request from now on meet this fault; 0 ends it.
    pub fn set_fault_rate(&self, fault: Fault, one_in: u64) {
        self.state.faults.set_rate(fault, one_in);
    }

    /// Ends every fault: standing, pushed and by rate. Clock and replies stay.
    pub fn clear_faults(&self) {
        self.state.faults.clear();
    }

    /// Answers an API's good requests with exactly these bytes. Requests that fail a check are refused as ever.
    ///
    /// A name that is not documented becomes an API of the same family: headers and encrypted fields are checked.
    pub fn set_reply(&self, api: &str, canned: impl Into<Canned>) {
        self.state.set_reply(api, Some(canned.into()));
    }

    /// Ends a canned reply.
    pub fn clear_reply(&self, api: &str) {
        self.state.set_reply(api, None);
    }

    /// Makes `new_token` the only one accepted for this appId. False when the appId is not known.
    pub fn switch_token(&self, app_id: &str, new_token: &str) -> bool {
        switch_token(&self.state, app_id, new_token, None)
    }

    /// Replaces the account with the same appId, or adds this one: for rotations with two tokens.
    pub fn put_account(&self, account: Account) {
        self.state.put_account(account);
    }

    /// Changes how section 9's open questions are read.
    pub fn set_switches(&self, switches: Switches) {
        self.state.set_switches(switches);
    }

    /// Whether a list without studies is an error 100004 rather than an empty list.
    pub fn set_empty_is_100004(&self, on: bool) {
        self.state.set_empty_is_100004(on);
    }

    /// The form of `data` in refusals.
    pub fn set_data_on_error(&self, form: DataOnError) {
        self.state.set_data_on_error(form);
    }

    /// Adds a patient; one with the same identity number is replaced and keeps the studies.
    pub fn add_patient(&self, patient: Patient) {
        self.state.data_mut().add_patient(patient);
    }

    /// Adds a study, and its hospital and consortium. False when no patient has this identity number.
    pub fn add_study(&self, id_num: &str, study: Study) -> bool {
        self.state.data_mut().add_study(id_num, study)
    }

    /// A copy of all that the platform knows.
    #[must_use]
    pub fn data(&self) -> Data {
        self.state.data().clone()
    }
}

pub(crate) fn switch_token(state: &State, app_id: &str, new_token: &str, also: Option<&str>) -> bool {
    let Some(account) = state.accounts().into_iter().find(|account| account.app_id == app_id) else {
        return false;
    };
    let token = new_token.to_owned();
    state.put_account(Account {
        token,
        next_token: None,
        previous_token: also.map(str::to_owned),
        ..account
    });
    true
}

/// The only element; a panic that says how many there were otherwise.
#[track_caller]
pub(crate) fn only(mut records: Vec<Recorded>, what: &str) -> Recorded {
    let count = records.len();
    match records.pop() {
        Some(record) if count == 1 => record,
        _ => panic!("expected exactly one {what}, got {count}"),
    }
}
