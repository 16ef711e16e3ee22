//! Patients that were asked about lately: for whom a callback may come, and may be missed.
//!
//! The forward road notes them, and `reconcile` asks about them again. They are in memory only, no more than
//! `reconcile.max_patients` for each tenant and no longer than `reconcile.seen_hours`; the numbers are wiped when a
//! patient is forgotten, and nothing here can be printed. Only tenants with `callback.reconcile` have any.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aimis_core::contract::{ID_NUM, PHONE_NUM, STUDY_TYPE};
use aimis_core::order::Order;
use prometheus::IntGauge;
use zeroize::Zeroizing;

use crate::clock::{Clock, Moment};
use crate::config::Config;

/// Types of study, 0 to 5.
const TYPES: usize = 6;

/// Patients that were asked about lately, by tenant.
pub struct Seen {
    tenants: Vec<Option<Watched>>,
    bounds: Bounds,
    hasher: RandomState,
    clock: Clock,
    gauge: IntGauge,
}

/// How much is kept.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    patients: usize,
    period: Duration,
    /// The same is not asked again before.
    interval: Duration,
}

/// A tenant that wants it.
struct Watched {
    name: Box<str>,
    app_id: Box<str>,
    /// Shared with the generations before and after, where the tenant is the same.
    patients: Arc<Held>,
}

/// A tenant's patients, wiped and no longer shown when the last that knows the tenant goes.
struct Held {
    patients: Mutex<Patients>,
    gauge: IntGauge,
}

impl Drop for Held {
    fn drop(&mut self) {
        let patients = self.patients.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.gauge.sub(count(patients.len()));
    }
}

type Patients = HashMap<u64, Patient>;

struct Patient {
    id_num: Zeroizing<String>,
    phone_num: Zeroizing<String>,
    asked_at: Moment,
    /// By type of study; `None` for those that nobody asked about.
    polls: [Option<Poll>; TYPES],
}

/// When something was last asked by ourselves.
#[derive(Clone, Copy)]
enum Poll {
    Never,
    At(Moment),
}

/// What is to be asked next.
pub struct Due {
    /// Tells this patient from the tenant's others, in this process only.
    pub key: u64,
    /// As it was sent; empty if it was not.
    pub id_num: Zeroizing<String>,
    /// As it was sent; empty if it was not.
    pub phone_num: Zeroizing<String>,
    /// Which type of study.
    pub study_type: usize,
}

impl Seen {
    /// For the tenants with `callback.reconcile`; `None` if there is none. A tenant that was there `before` keeps its
    /// patients. `gauge` shows how many patients there are.
    pub fn after(before: Option<&Self>, config: &Config, clock: &Clock, gauge: IntGauge) -> Option<Self> {
        let tenants: Vec<_> = config
            .tenants
            .iter()
            .map(|tenant| {
                let (name, app_id) = (&*tenant.name, &*tenant.app_id);
                tenant.callback.reconcile.then(|| Watched {
                    name: name.into(),
                    app_id: app_id.into(),
                    patients: before
                        .and_then(|before| before.patients_of(name, app_id))
                        .unwrap_or_else(|| {
                            Arc::new(Held {
                                patients: Mutex::default(),
                                gauge: gauge.clone(),
                            })
                        }),
                })
            })
            .collect();
        let settings = &config.reconcile;
        let bounds = Bounds {
            patients: settings.max_patients,
            period: Duration::from_secs(u64::from(settings.seen) * 3600),
            interval: settings.interval,
        };
        let any = config.callback.is_some() && tenants.iter().any(Option::is_some);
        any.then(|| Self {
            tenants,
            bounds,
            // Keys of patients that are kept stay the same.
            hasher: before.map_or_else(RandomState::new, |before| before.hasher.clone()),
            clock: clock.clone(),
            gauge,
        })
    }

    fn patients_of(&self, name: &str, app_id: &str) -> Option<Arc<Held>> {
        let mut watched = self.tenants.iter().flatten();
        let same = watched.find(|watched| &*watched.name == name && &*watched.app_id == app_id)?;
        Some(Arc::clone(&same.patients))
    }

    /// Somebody who may asks `order` of the tenant at this position.
    pub fn note(&self, tenant: usize, order: &Order) {
        let Some(mut patients) = self.of(tenant) else { return };
        let study_type = order
            .integer(STUDY_TYPE)
            .and_then(|number| usize::try_from(number).ok());
        let Some(study_type) = study_type.filter(|number| *number < TYPES) else {
            return;
        };
        let text = |name| order.text(name).unwrap_or_default();
        let (id_num, phone_num) = (text(ID_NUM), text(PHONE_NUM));
        if order.patient().is_unknown() {
            return;
        }
        let now = self.clock.moment();
        let key = self.hasher.hash_one((id_num, phone_num));
        let before = patients.len();
        if !patients.contains_key(&key) && before >= self.bounds.patients {
            let oldest = patients.iter().min_by_key(|(_, patient)| patient.asked_at);
            let oldest = oldest.map(|(key, _)| *key);
            oldest.map(|oldest| patients.remove(&oldest));
        }
        let patient = patients.entry(key).or_insert_with(|| Patient {
            id_num: Zeroizing::new(id_num.to_owned()),
            phone_num: Zeroizing::new(phone_num.to_owned()),
            asked_at: now,
            polls: [None; TYPES],
        });
        patient.asked_at = now;
        patient.polls[study_type].get_or_insert(Poll::Never);
        self.show(before, patients.len());
    }

    /// What is to be asked next of this tenant: what was not asked for the longest time. It counts as asked from now on.
    pub fn next(&self, tenant: usize) -> Option<Due> {
        let mut patients = self.of(tenant)?;
        let now = self.clock.moment();
        self.forget_old(&mut patients, now);
        let (_, _, key, study_type) = self.due(&patients, now).min()?;
        let patient = patients.get_mut(&key)?;
        patient.polls[study_type] = Some(Poll::At(now));
        Some(Due {
            key,
            id_num: patient.id_num.clone(),
            phone_num: patient.phone_num.clone(),
            study_type,
        })
    }

    /// Whether there is anything to be asked of this tenant.
    pub fn has_due(&self, tenant: usize) -> bool {
        let now = self.clock.moment();
        self.of(tenant).is_some_and(|mut patients| {
            self.forget_old(&mut patients, now);
            self.due(&patients, now).next().is_some()
        })
    }

    /// Forgets those that nobody has asked about for long enough.
    fn forget_old(&self, patients: &mut Patients, now: Moment) {
        let before = patients.len();
        patients.retain(|_, patient| now.since(patient.asked_at) < self.bounds.period);
        self.show(before, patients.len());
    }

    /// What may be asked at `now`: when it last was, when somebody asked, of whom, which type.
    fn due<'p>(
        &self,
        patients: &'p Patients,
        now: Moment,
    ) -> impl Iterator<Item = (Option<Moment>, Moment, u64, usize)> + use<'p> {
        let interval = self.bounds.interval;
        let all = patients.iter().flat_map(|(key, patient)| {
            let polls = patient.polls.iter().enumerate();
            polls.filter_map(move |(study_type, poll)| poll.map(|poll| (poll, patient.asked_at, *key, study_type)))
        });
        all.filter_map(move |(poll, asked_at, key, study_type)| match poll {
            Poll::Never => Some((None, asked_at, key, study_type)),
            Poll::At(at) => (now.since(at) >= interval).then_some((Some(at), asked_at, key, study_type)),
        })
    }

    /// Whether a patient is still known.
    pub fn knows(&self, tenant: usize, key: u64) -> bool {
        self.of(tenant).is_some_and(|patients| patients.contains_key(&key))
    }

    /// Forgets a patient: the platform will not be asked about it.
    pub fn forget(&self, tenant: usize, key: u64) {
        if let Some(mut patients) = self.of(tenant) {
            let before = patients.len();
            patients.remove(&key);
            self.show(before, patients.len());
        }
    }

    fn of(&self, tenant: usize) -> Option<MutexGuard<'_, Patients>> {
        let watched = self.tenants.get(tenant)?.as_ref()?;
        Some(watched.patients.patients.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn show(&self, before: usize, after: usize) {
        self.gauge.add(count(after) - count(before));
    }
}

fn count(patients: usize) -> i64 {
    i64::try_from(patients).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};
    use aimis_core::contract;
    use aimis_core::order::{OrderBuilder, Rules, Value};

    fn seen(clock: &Clock) -> Seen {
        let tenant = "app_id = \"1\"\ntoken_file = \"t\"\nhospital_id = \"H\"\nunion_id = \"U\"\n";
        let text = format!(
            "[callback]\n[reconcile]\nseen_hours = 2\nmax_patients = 2\ninterval_s = 600\n\
             [[tenants]]\nname = \"a\"\n{tenant}callback.reconcile = true\n\
             [[tenants]]\nname = \"b\"\n{}",
            tenant.replace('1', "2")
        );
        let config = load(&Sources::text("t.toml", text)).unwrap().config;
        Seen::after(None, &config, clock, IntGauge::new("patients", "patients").unwrap()).unwrap()
    }

    fn order(phone: &str, study_type: i64) -> Order {
        let mut draft = OrderBuilder::new(&Arc::new(contract::patient_studies()), 64);
        for (name, text) in [
            ("phoneNum", phone),
            ("idNum", "11010119000101009X"),
            ("hospitalId", "H"),
            ("unionId", "U"),
            ("studyDateBegin", "2024-12-01 00:00:00"),
            ("studyDateEnd", "2024-12-31 00:00:00"),
        ] {
            let _ = draft.set(name, Value::Text(text)).unwrap();
        }
        for (name, number) in [("studyType", study_type), ("dataFlag", 1), ("usage", 2)] {
            let _ = draft.set(name, Value::Integer(number)).unwrap();
        }
        draft.finish(&Rules::default()).unwrap()
    }

    fn next(seen: &Seen, tenant: usize) -> Option<(String, usize)> {
        seen.next(tenant).map(|due| (due.phone_num.to_string(), due.study_type))
    }

    #[test]
    fn each_is_asked_in_its_turn_and_not_again_before_its_time() {
        let clock = Clock::manual(1_735_689_600_000);
        let seen = seen(&clock);
        seen.note(0, &order("13800138000", 0));
        seen.note(0, &order("13800138000", 0));
        clock.advance(Duration::from_secs(1));
        seen.note(0, &order("13900139000", 5));

        assert_eq!(seen.gauge.get(), 2);
        let due = |phone: &str, study_type| Some((phone.to_owned(), study_type));
        assert_eq!(next(&seen, 0), due("13800138000", 0));
        clock.advance(Duration::from_secs(1));
        assert_eq!(next(&seen, 0), due("13900139000", 5));
        assert_eq!(next(&seen, 0), None);
        clock.advance(Duration::from_secs(599));
        assert_eq!(next(&seen, 0), due("13800138000", 0));
        assert_eq!(next(&seen, 0), None);
    }

    #[test]
    fn patients_are_few_and_not_for_long() {
        let clock = Clock::manual(1_735_689_600_000);
        let seen = seen(&clock);
        for phone in ["13800138001", "13800138002", "13800138003"] {
            clock.advance(Duration::from_secs(1));
            seen.note(0, &order(phone, 0));
        }
        assert_eq!(seen.gauge.get(), 2);
        assert_eq!(
            next(&seen, 0),
            Some(("13800138002".to_owned(), 0)),
            "the first had to go"
        );

        clock.advance(Duration::from_secs(7199));
        assert_eq!(next(&seen, 0), Some(("13800138003".to_owned(), 0)));
        clock.advance(Duration::from_secs(1));
        assert_eq!((next(&seen, 0), seen.gauge.get()), (None, 0));
    }

    #[test]
    fn patients_are_forgotten_in_time_though_nothing_can_be_asked() {
        let clock = Clock::manual(1_735_689_600_000);
        let seen = seen(&clock);
        seen.note(0, &order("13800138000", 0));
        assert!(seen.has_due(0));
        clock.advance(Duration::from_secs(7200));
        assert!(!seen.has_due(0));
        assert_eq!(seen.gauge.get(), 0);
    }

    #[test]
    fn a_tenant_that_does_not_want_it_is_not_watched() {
        let clock = Clock::manual(1_735_689_600_000);
        let seen = seen(&clock);
        seen.note(1, &order("13800138000", 0));
        assert_eq!((next(&seen, 1), seen.gauge.get()), (None, 0));
    }
}
