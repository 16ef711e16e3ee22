//! One tenant's search: what is due, one question, and what its answer has that no callback told of.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aimis_core::codes::Class;
use aimis_core::contract::{
    DATA_FLAG, HOSPITAL_ID, ID_NUM, PHONE_NUM, STUDY_DATE_BEGIN, STUDY_DATE_END, STUDY_TYPE, UNION_ID, USAGE,
};
use aimis_core::datetime::{self, DateTime, Edge};
use aimis_core::order::{IdentityMode, Order, OrderBuilder, Rules, Value};
use aimis_core::sign::Timestamp;

use super::list;
use super::watch::{Sight, Studies};
use crate::callback::Invalidate;
use crate::callback::inbox::{Appended, Inbox, InboxError, Kind};
use crate::callback::listed::{Listed, Subject};
use crate::callback::open::Patient;
use crate::clock::{Clock, Moment};
use crate::config::{LinkHost, Reconcile};
use crate::forward::ask::{Asker, NoReply};
use crate::forward::cache::directives::Directives;
use crate::seen::{Due, Seen};
use crate::snapshot::Snapshot;
use crate::telemetry::event::{Event, not_stored};
use crate::telemetry::labels::PollResult;
use crate::telemetry::log::Log;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::throttle::Throttle;
use crate::tenant::Tenant;

/// The API that is asked, by position.
const API: &str = "patientStudies";
/// Only what the tenant's own hospital made.
const OWN_HOSPITAL: i64 = 1;
/// A patient's list: anything but a doctor's look, whose share is not to be touched.
const PATIENTS_LIST: i64 = 0;
/// Lists are asked for up to so long ahead: clocks differ.
const AHEAD: Duration = Duration::from_secs(24 * 3600);

/// One tenant's search.
pub(super) struct Poller {
    pub(super) tenant: Arc<Tenant>,
    pub(super) link_hosts: Option<Vec<LinkHost>>,
    pub(super) settings: Reconcile,
    pub(super) progress: Progress,
    pub(super) seen: Arc<Seen>,
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) invalidate: Vec<Arc<dyn Invalidate>>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) asker: Asker,
    pub(super) clock: Clock,
    pub(super) signing_clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) log: Log,
    pub(super) failures: Throttle,
}

/// How far the search is; a reload changes nothing about it.
pub(super) struct Progress {
    /// Since when callbacks are looked after; `None` until the inbox has said so.
    since: Option<DateTime>,
    /// No question before.
    next_at: Moment,
    /// By patient and type.
    studies: HashMap<(u64, usize), Studies>,
}

impl Progress {
    /// Nothing is known yet.
    pub(super) fn new(clock: &Clock) -> Self {
        Self {
            since: None,
            next_at: clock.moment(),
            studies: HashMap::new(),
        }
    }
}

/// Why an answer is of no use: a word for the log.
type Failure = &'static str;

impl Poller {
    /// Asks one question, if one is due and nobody else needs the quota.
    pub(super) async fn poll(&mut self) {
        let now = self.clock.moment();
        let Some(api) = self.snapshot.apis.position(API) else {
            return;
        };
        if now < self.progress.next_at {
            return;
        }
        if !self.asker.limits().is_slack(self.tenant.index, api) {
            if self.seen.has_due(self.tenant.index) {
                self.progress.next_at = self.after_question(now);
                self.metrics.reconcile.poll(PollResult::Held);
            }
            return;
        }
        let since = match self.progress.since {
            Some(since) => since,
            None => match self.look_up_since().await {
                Ok(since) => *self.progress.since.insert(since),
                Err(error) => return self.tell(not_stored(error.into())),
            },
        };
        let Some(due) = self.seen.next(self.tenant.index) else {
            return;
        };
        self.progress.next_at = self.after_question(now);
        let asked = self.ask(&due, api).await;
        self.metrics.reconcile.poll(match asked {
            Ok(_) => PollResult::Answered,
            Err(_) => PollResult::Failed,
        });
        match asked {
            Ok(list) => self.compare(due, list, since).await,
            Err(failure) => self.tell(failure),
        }
        let (seen, tenant) = (&self.seen, self.tenant.index);
        self.progress
            .studies
            .retain(|(patient, _), _| seen.knows(tenant, *patient));
    }

    fn after_question(&self, now: Moment) -> Moment {
        now.after(Duration::from_secs(3600) / self.settings.polls_per_hour)
    }

    async fn look_up_since(&self) -> Result<DateTime, InboxError> {
        let since = self.inbox.reconciles(&self.tenant.name).await?;
        Ok(in_china(since))
    }

    async fn ask(&self, due: &Due, api: usize) -> Result<Vec<Listed>, Failure> {
        let order = self.order(due, api).ok_or("order")?;
        // As if there were no cache: what is kept is what is doubted.
        let fresh = Directives {
            no_store: true,
            ..Directives::default()
        };
        let asked = self.asker.ask(order, api, &self.tenant, fresh).await;
        let reply = asked.fetched.result.map_err(|failure: NoReply| failure.for_log().0)?;
        let code = reply.envelope().code().ok_or("no_code")?;
        match self.snapshot.rule(api, code).class {
            Class::Success => list::read(reply.body()).map_err(|list::NoList| "no_list"),
            Class::NoData => Ok(Vec::new()),
            class => {
                if matches!(class, Class::Caller | Class::Permission) {
                    // The platform will not hear of this patient, the next time no more than now.
                    self.seen.forget(self.tenant.index, due.key);
                }
                Err(class.as_str())
            }
        }
    }

    /// The question. `None` where the numbers make none, which they did when the HIS asked.
    fn order(&self, due: &Due, api: usize) -> Option<Order> {
        let mut draft = OrderBuilder::new(self.snapshot.apis.contract(api), 512);
        let now = self.signing_clock.now();
        let back = u64::from(self.settings.window) * 3_600_000;
        let begin = in_china(Timestamp::from_millis(now.as_millis().saturating_sub(back))).to_string();
        let end = in_china(Timestamp::from_millis(now.as_millis() + AHEAD.as_millis() as u64)).to_string();
        let texts = [
            (ID_NUM, due.id_num.as_str()),
            (PHONE_NUM, &due.phone_num),
            (HOSPITAL_ID, self.tenant.hospital_id.as_deref()?),
            (UNION_ID, self.tenant.union_id.as_deref()?),
            (STUDY_DATE_BEGIN, &begin),
            (STUDY_DATE_END, &end),
        ];
        for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            let _ = draft.set(name, Value::Text(text)).ok()?;
        }
        let study_type = i64::try_from(due.study_type).ok()?;
        for (name, number) in [
            (STUDY_TYPE, study_type),
            (DATA_FLAG, OWN_HOSPITAL),
            (USAGE, PATIENTS_LIST),
        ] {
            let _ = draft.set(name, Value::Integer(number)).ok()?;
        }
        // The numbers were judged when the HIS asked, and are as they were sent.
        let rules = Rules {
            identity_mode: IdentityMode::Off,
            upgrade_15: false,
            max_range_days: 0,
            ..self.tenant.rules
        };
        draft.finish(&rules).ok()
    }

    /// Puts into the inbox what no callback told of.
    async fn compare(&mut self, due: Due, list: Vec<Listed>, since: DateTime) {
        let key = (due.key, due.study_type);
        let patient = Patient {
            id_num: due.id_num,
            phone_num: due.phone_num,
        };
        let tenant = Arc::clone(&self.tenant);
        let hosts = self.link_hosts.clone();
        let subject = Subject {
            tenant: &tenant.name,
            hospital_id: tenant.hospital_id.as_deref().unwrap_or_default(),
            link_hosts: hosts.as_deref(),
            patient: &patient,
        };
        for listed in list {
            let sight = Sight {
                study: listed.tag(&subject, self.inbox.tags()),
                before_report: listed.tag_before_report(&subject, self.inbox.tags()),
                has: listed.has(),
                is_recent: is_since(&listed.study_date, since),
            };
            let (now, grace) = (self.clock.moment(), self.settings.grace);
            let studies = self.progress.studies.entry(key).or_default();
            if !studies.see(sight, now, grace) {
                continue;
            }
            let event = listed.event(&subject, self.inbox.tags(), self.clock.now());
            match self.inbox.append(event).await {
                Ok(appended) => {
                    self.progress.studies.entry(key).or_default().told(sight);
                    self.found(&subject, &appended).await;
                }
                Err(error) => self.tell(not_stored(error)),
            }
        }
    }

    /// Counts and tells of an event that there was not before; what is kept about its patient is no longer true.
    async fn found(&self, subject: &Subject<'_>, appended: &Appended) {
        if appended.kind == Kind::Duplicate {
            return;
        }
        self.metrics.reconcile.missed(self.tenant.index);
        self.log.write(&Event::CallbackMissed {
            tenant: subject.tenant,
            event: appended.event,
            kind: appended.kind,
        });
        for holder in &self.invalidate {
            // Nobody waits for it: whoever still holds something sees to it.
            let _ = holder.invalidate(subject.tenant, subject.patient).await;
        }
    }

    fn tell(&self, error: Failure) {
        if let Some(left_out) = self.failures.pass() {
            self.log.write(&Event::ReconcileFailed {
                tenant: &self.tenant.name,
                error,
                left_out,
            });
        }
    }
}

fn in_china(at: Timestamp) -> DateTime {
    let seconds = i64::try_from(at.as_millis() / 1000).unwrap_or(i64::MAX);
    // Beyond the year 9999 nobody asks.
    DateTime::in_china(seconds).unwrap_or_else(|| aimis_core::datetime::Date::in_china(at).begin())
}

/// Whether a study was made at `since` or later; not if that cannot be read.
fn is_since(study_date: &str, since: DateTime) -> bool {
    datetime::parse(study_date, Edge::Exact).is_ok_and(|(at, _)| since.seconds_until(at) >= 0)
}
