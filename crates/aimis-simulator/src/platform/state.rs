//! What a running platform holds; each part guards itself, and no lock outlives a function.

use super::answer::{answer, envelope};
use super::{Canned, DataOnError, PlatformOptions};
use crate::account::{Account, ReadyAccount};
use crate::clock::Clock;
use crate::crypto::Switches;
use crate::data::Data;
use crate::fault::{Faults, Plan};
use crate::record::{Recorded, Recorder};
use crate::wire::{Handler, Request, Response};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Reasons of refused bytes kept; the count goes on.
const MAX_REASONS: usize = 1000;

pub(crate) struct State {
    pub(crate) clock: Clock,
    pub(crate) faults: Faults,
    pub(crate) recorder: Recorder,
    accounts: RwLock<Vec<Arc<ReadyAccount>>>,
    switches: RwLock<Switches>,
    data: RwLock<Data>,
    replies: RwLock<HashMap<String, Canned>>,
    reply_count: AtomicUsize,
    malformed: Mutex<Vec<&'static str>>,
    window_ms: AtomicI64,
    empty_is_100004: AtomicBool,
    data_on_error: RwLock<DataOnError>,
    request_ids: AtomicU64,
}

impl State {
    pub(super) fn new(options: PlatformOptions) -> Self {
        let ready = |account: Account| Arc::new(ReadyAccount::new(account, &options.switches));
        let mut data = options.data;
        for account in &options.accounts {
            data.add_hospital(&account.hospital_id, &account.union_id);
        }
        Self {
            clock: options.clock,
            faults: Faults::default(),
            recorder: Recorder::new(options.record, options.record_limit),
            accounts: RwLock::new(options.accounts.into_iter().map(ready).collect()),
            switches: RwLock::new(options.switches),
            data: RwLock::new(data),
            replies: RwLock::default(),
            reply_count: AtomicUsize::new(0),
            malformed: Mutex::default(),
            window_ms: AtomicI64::new(i64::try_from(options.timestamp_window.as_millis()).unwrap_or(i64::MAX)),
            empty_is_100004: AtomicBool::new(options.empty_is_100004),
            data_on_error: RwLock::new(options.data_on_error),
            request_ids: AtomicU64::new(0),
        }
    }

    pub(super) fn account(&self, app_id: &str) -> Option<Arc<ReadyAccount>> {
        read(&self.accounts)
            .iter()
            .find(|ready| ready.account.app_id == app_id)
            .cloned()
    }

    pub(crate) fn accounts(&self) -> Vec<Account> {
        read(&self.accounts).iter().map(|ready| ready.account.clone()).collect()
    }

    /// Replaces the account with this appId, or adds it.
    pub(crate) fn put_account(&self, account: Account) {
        write(&self.data).add_hospital(&account.hospital_id, &account.union_id);
        let ready = Arc::new(ReadyAccount::new(account, &self.switches()));
        let mut accounts = write(&self.accounts);
        match accounts
            .iter_mut()
            .find(|known| known.account.app_id == ready.account.app_id)
        {
            Some(known) => *known = ready,
            None => accounts.push(ready),
        }
    }

    pub(crate) fn switches(&self) -> Switches {
        *read(&self.switches)
    }

    pub(super) fn set_switches(&self, switches: Switches) {
        *write(&self.switches) = switches;
        for ready in write(&self.accounts).iter_mut() {
            *ready = Arc::new(ReadyAccount::new(ready.account.clone(), &switches));
        }
    }

    pub(crate) fn data(&self) -> RwLockReadGuard<'_, Data> {
        read(&self.data)
    }

    pub(super) fn data_mut(&self) -> RwLockWriteGuard<'_, Data> {
        write(&self.data)
    }

    pub(super) fn timestamp_window_ms(&self) -> i64 {
        self.window_ms.load(Ordering::Relaxed)
    }

    pub(super) fn empty_is_100004(&self) -> bool {
        self.empty_is_100004.load(Ordering::Relaxed)
    }

    pub(super) fn set_empty_is_100004(&self, on: bool) {
        self.empty_is_100004.store(on, Ordering::Relaxed);
    }

    pub(super) fn set_data_on_error(&self, form: DataOnError) {
        *write(&self.data_on_error) = form;
    }

    pub(super) fn set_reply(&self, api: &str, canned: Option<Canned>) {
        let mut replies = write(&self.replies);
        match canned {
            Some(canned) => replies.insert(api.to_owned(), canned),
            None => replies.remove(api),
        };
        self.reply_count.store(replies.len(), Ordering::Release);
    }

    pub(super) fn has_reply(&self, api: &str) -> bool {
        self.reply_count.load(Ordering::Acquire) > 0 && read(&self.replies).contains_key(api)
    }

    pub(super) fn reply(&self, api: &str) -> Option<Response> {
        if self.reply_count.load(Ordering::Acquire) == 0 {
            return None;
        }
        read(&self.replies).get(api).map(Canned::to_response)
    }

    pub(super) fn malformed_reasons(&self) -> Vec<&'static str> {
        self.malformed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn request_id(&self) -> String {
        format!("sim-{:012}", self.request_ids.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(super) fn error_envelope(&self, code: i64, message: &str) -> Vec<u8> {
        let data = match *read(&self.data_on_error) {
            DataOnError::Absent => None,
            DataOnError::Null => Some("null"),
            DataOnError::EmptyObject => Some("{}"),
            DataOnError::EmptyList => Some("[]"),
        };
        envelope(code, message, &self.request_id(), data)
    }
}

impl Handler for State {
    fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    async fn handle(&self, request: Request) -> Plan {
        let now_ms = self.clock.now_ms();
        let judged = answer(self, &request, now_ms);
        let mut plan = Plan::from(judged.response);
        let fault = self.faults.next();
        if let Some(fault) = &fault {
            plan.apply(fault, &|code, message| self.error_envelope(code, message));
        }
        // Recorded before the answer leaves, so that whoever has the answer finds the record.
        self.recorder.add(|| Recorded {
            decrypted: judged.decrypted,
            ..Recorded::new(request, now_ms, judged.verdict, fault, &plan)
        });
        plan
    }

    fn malformed(&self, reason: &'static str) {
        let mut reasons = self.malformed.lock().unwrap_or_else(PoisonError::into_inner);
        if reasons.len() < MAX_REASONS {
            reasons.push(reason);
        }
    }
}

// A panic while a lock was held is a test's own failure already; the state is whole in any case.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
