//! A small HIS that takes deliveries of callbacks: it keeps them all, and misbehaves as asked.
//!
//! Any path will do. A POST is answered with 200 and `{"code":0,"message":"success"}`; the faults are those
//! of the platform: `Fault::Status { code: 410, .. }`, `Fault::RetryAfter`, `Fault::BusinessCode`, `Fault::Hang`.

use crate::clock::Clock;
use crate::fault::{Fault, Faults, Plan};
use crate::platform::only;
use crate::record::{Recorded, Recorder};
use crate::wire::{Handler, Request, Response, Server};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// A running HIS. Dropping it closes its listener and every connection.
pub struct His {
    server: Server,
    state: Arc<HisState>,
    https: bool,
}

pub(crate) struct HisState {
    clock: Clock,
    pub(crate) faults: Faults,
    pub(crate) recorder: Recorder,
}

impl His {
    /// Binds and serves on the runtime that runs this call; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(listen: SocketAddr) -> io::Result<Self> {
        Self::start_with(listen, None).await
    }

    /// The same over HTTPS, with client certificates if the configuration wants them.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start_with(listen: SocketAddr, tls: Option<Arc<rustls::ServerConfig>>) -> io::Result<Self> {
        let https = tls.is_some();
        let state = Arc::new(HisState {
            clock: Clock::system(),
            faults: Faults::default(),
            recorder: Recorder::new(true, 20_000),
        });
        let server = Server::start(listen, tls, state.clone()).await?;
        Ok(Self { server, state, https })
    }

    /// Stops, and returns when the port is free again and every connection closed.
    pub async fn stop(self) {
        self.server.stop().await;
    }

    /// The address listened on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Where deliveries are to go.
    #[must_use]
    pub fn url(&self) -> String {
        format!(
            "{}://{}/imaging-events",
            if self.https { "https" } else { "http" },
            self.addr()
        )
    }

    /// The deliveries kept, oldest first, whatever the answer was. `verdict` is `None` in all of them.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Recorded> {
        self.state.recorder.all()
    }

    /// The deliveries kept, as [`His::deliveries`], which are kept no longer: for more than are kept at a time.
    #[must_use]
    pub fn take_deliveries(&self) -> Vec<Recorded> {
        self.state.recorder.take()
    }

    /// The one delivery kept.
    ///
    /// # Panics
    /// When there is none, or more than one.
    #[must_use]
    #[track_caller]
    pub fn only_delivery(&self) -> Recorded {
        only(self.deliveries(), "delivery")
    }

    /// The deliveries answered with 2xx and code 0.
    #[must_use]
    pub fn accepted(&self) -> Vec<Recorded> {
        self.deliveries().into_iter().filter(Recorded::is_accepted).collect()
    }

    /// Deliveries since the start or the last clearing, kept or not.
    #[must_use]
    pub fn delivery_count(&self) -> u64 {
        self.state.recorder.total()
    }

    /// Returns when that count is reached: to wait for a delivery without sleeping.
    pub async fn wait_for_deliveries(&self, count: u64) {
        self.state.recorder.wait_for(count).await;
    }

    /// Forgets the deliveries and starts counting anew.
    pub fn clear_deliveries(&self) {
        self.state.recorder.clear();
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections_accepted(&self) -> usize {
        self.server.gauges().accepted()
    }

    /// Lets every delivery meet this fault, until changed or cleared.
    pub fn set_fault(&self, fault: Fault) {
        self.state.faults.set(fault);
    }

    /// Lets the next delivery meet this fault; several pushed meet the next several, in order.
    pub fn push_fault(&self, fault: Fault) {
        self.state.faults.push(fault);
    }

    /// Lets every `one_in`-th delivery from now on meet this fault; 0 ends it.
    pub fn set_fault_rate(&self, fault: Fault, one_in: u64) {
        self.state.faults.set_rate(fault, one_in);
    }

    /// Ends every fault.
    pub fn clear_faults(&self) {
        self.state.faults.clear();
    }

    pub(crate) fn state(&self) -> &Arc<HisState> {
        &self.state
    }
}

fn envelope(code: i64, message: &str) -> Vec<u8> {
    serde_json::json!({ "code": code, "message": message })
        .to_string()
        .into_bytes()
}

impl Handler for HisState {
    fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    async fn handle(&self, request: Request) -> Plan {
        let is_post = request.head.method() == "POST";
        let response = if is_post {
            Response::json(envelope(0, "success"))
        } else {
            Response::text(405, "POST only\n").header("Allow", "POST")
        };
        let mut plan = Plan::from(response);
        let fault = self.faults.next();
        if let Some(fault) = &fault {
            plan.apply(fault, &envelope);
        }
        self.recorder
            .add(|| Recorded::new(request, self.clock.now_ms(), None, fault, &plan));
        plan
    }
}
