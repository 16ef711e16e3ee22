//! The inbox of a configuration, opened beside the gateway that may be running, and who asks.

use std::cell::RefCell;
use std::io::Write;
use std::sync::Arc;

use aimis_core::codes::Codes;
use tokio::runtime::Runtime;

use crate::audit::acts::Acts;
use crate::audit::record::{Record, Who};
use crate::audit::{self, tags::Tagger};
use crate::callback::event::{EventId, Payload};
use crate::callback::inbox::sqlite::Role;
use crate::callback::inbox::{Act, Filter, Inbox, InboxError, OpenError, Parts, Summary, open};
use crate::cli::output::Failure;
use crate::cli::sources::ConfigArguments;
use crate::clock::Clock;
use crate::config::{self, Config, OnFailure};
use crate::telemetry::metrics::Metrics;
use crate::tenant::TenantName;

/// Events that are read at a time.
pub(super) const PAGE: usize = 500;
/// Ids that are noted in one act.
const NOTED: usize = 5_000;
/// What is recorded in the audit trail as an act.
const ACTS: [&str; 6] = ["redeliver", "release", "drop", "purge", "park", "resume"];

/// An open inbox.
pub(super) struct Store {
    runtime: Runtime,
    inbox: Arc<dyn Inbox>,
    pub(super) config: Config,
    pub(super) clock: Clock,
    /// The audit trail of command lines, once there is something to record.
    acts: RefCell<Option<Acts>>,
}

impl Store {
    /// Opens the inbox that a configuration names.
    pub(super) fn open(source: &ConfigArguments) -> Result<Self, Failure> {
        Self::try_open(source)?.map_err(|error| {
            if error.is_outside() {
                Failure::Problem(error.to_string())
            } else {
                Failure::Config(error.to_string())
            }
        })
    }

    /// As [`Self::open`]; why an inbox does not open is the caller's to judge.
    pub(super) fn try_open(source: &ConfigArguments) -> Result<Result<Self, OpenError>, Failure> {
        let config = source.load()?.config;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let clock = Clock::system();
        let metrics = Arc::clone(&Metrics::new(&[], &[], &Codes::builtin()).inbox);
        let opened = open(&config.inbox, Role::Command, Parts::of_command(clock.clone(), metrics));
        Ok(opened.map(|inbox| Self {
            runtime,
            inbox,
            config,
            clock,
            acts: RefCell::default(),
        }))
    }

    /// Asks the inbox, and waits.
    pub(super) fn ask<T>(
        &self,
        question: impl FnOnce(&dyn Inbox) -> futures_util::future::BoxFuture<'static, Result<T, InboxError>>,
    ) -> Result<T, Failure> {
        let answer = self.runtime.block_on(question(&*self.inbox));
        answer.map_err(|error| Failure::Problem(format!("inbox: {error}")))
    }

    /// As [`Self::ask`], where the kind of the failure matters.
    pub(super) fn try_ask<T>(
        &self,
        question: impl FnOnce(&dyn Inbox) -> futures_util::future::BoxFuture<'static, Result<T, InboxError>>,
    ) -> Result<T, InboxError> {
        self.runtime.block_on(question(&*self.inbox))
    }

    /// A tenant that the configuration or the inbox has.
    pub(super) fn tenant(&self, name: &str) -> Result<TenantName, Failure> {
        let mut known: Vec<String> = self
            .config
            .tenants
            .iter()
            .map(|tenant| tenant.name.to_string())
            .collect();
        // Events of one that was taken out of the configuration are still there.
        let kept = self.ask(|inbox| inbox.stats())?.items;
        known.extend(kept.iter().map(|(tenant, ..)| tenant.as_str().to_owned()));
        if known.iter().any(|known| known == name) {
            return Ok(TenantName::new(name));
        }
        known.sort();
        known.dedup();
        let near = config::nearest(name, known.iter().map(String::as_str));
        let hint = near.map_or_else(
            || format!("there are: {}", known.join(", ")),
            |near| format!("did you mean {near}?"),
        );
        Err(Failure::Usage(format!("--tenant: no tenant has this name; {hint}")))
    }

    /// Every event that matches, page by page.
    pub(super) fn each(
        &self,
        filter: &Filter,
        mut page: impl FnMut(&[Summary]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut after = None;
        loop {
            let events = self.ask(|inbox| inbox.list(filter.clone(), after, PAGE))?;
            let Some(last) = events.last() else { return Ok(()) };
            after = Some(last.id);
            page(&events)?;
        }
    }

    /// Notes what is about to be done to events, or seen of them; durable when this returns.
    pub(super) fn note(&self, what: &str, events: &[EventId]) -> Result<(), Failure> {
        let act = |events: &[EventId]| Act {
            at: self.clock.now(),
            who: who(),
            what: what.to_owned(),
            events: events.to_vec(),
        };
        self.audit_act(what, events)?;
        if events.is_empty() {
            return self.ask(|inbox| inbox.note(act(&[])));
        }
        for some in events.chunks(NOTED) {
            self.ask(|inbox| inbox.note(act(some)))?;
        }
        Ok(())
    }
}

impl Store {
    /// Records what is about to be done to events; what is seen of them is recorded one by one.
    fn audit_act(&self, what: &str, events: &[EventId]) -> Result<(), Failure> {
        let Some(act) = ACTS.into_iter().find(|act| what.split(' ').next() == Some(act)) else {
            return Ok(());
        };
        self.audit(|_| {
            let mut record = Record::new(audit::Kind::Act, self.clock.now());
            record.act = Some(act);
            record.who = Some(Who::new(&who()));
            record.count = (!events.is_empty()).then_some(events.len() as u64);
            record.event = if let [only] = events { Some(*only) } else { None };
            record
        })
    }

    /// Records that the content of an event is about to be shown.
    pub(super) fn audit_reveal(&self, summary: &Summary, payload: &Payload) -> Result<(), Failure> {
        self.audit(|tagger| {
            let mut record = Record::new(audit::Kind::Reveal, self.clock.now());
            record.who = Some(Who::new(&who()));
            record.tenant = Some(summary.tenant.clone());
            record.event = Some(summary.id);
            record.subject = tagger.event(summary.tenant.as_str(), payload.as_bytes());
            record
        })
    }

    fn audit(&self, record: impl FnOnce(&Tagger) -> Record) -> Result<(), Failure> {
        let Some(settings) = &self.config.audit else {
            return Ok(());
        };
        let failure = match self.try_audit(settings, record) {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        match settings.on_failure {
            OnFailure::Refuse => Err(Failure::Problem(format!(
                "{failure}; nothing is shown or done without a record (audit.on_failure = \"refuse\")"
            ))),
            OnFailure::Continue => {
                // Without a standard error there is nobody to tell.
                let _ = writeln!(std::io::stderr().lock(), "aimis-gateway: not recorded: {failure}");
                Ok(())
            }
        }
    }

    fn try_audit(&self, settings: &config::Audit, record: impl FnOnce(&Tagger) -> Record) -> Result<(), String> {
        let mut acts = self.acts.borrow_mut();
        let acts = match &mut *acts {
            Some(acts) => acts,
            none => none.insert(Acts::open(settings, &self.clock).map_err(|error| error.to_string())?),
        };
        let record = record(acts.tagger());
        acts.record(&[record])
            .map_err(|error| format!("audit.path: {}: {}", settings.path.display(), error.kind()))
    }
}

/// Who runs this: the user by number and name, and the one behind `sudo`, which is only that user's word.
fn who() -> String {
    let uid = rustix::process::getuid().as_raw();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut parts = line.split(':');
        let name = parts.next()?;
        (parts.nth(1)?.parse() == Ok(uid)).then_some(name)
    });
    let mut who = match name {
        Some(name) => format!("uid {uid} ({name})"),
        None => format!("uid {uid}"),
    };
    #[expect(clippy::disallowed_methods, reason = "no setting, but who asks")]
    let sudo = std::env::var("SUDO_USER");
    if let Ok(sudo) = sudo {
        let plain = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
        let sudo: String = sudo.chars().filter(plain).take(32).collect();
        who.push_str(&format!(", sudo of {sudo}"));
    }
    who
}
