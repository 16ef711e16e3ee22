//! What was sent, what was acknowledged, and what the HIS got: the books that have to agree in the end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aimis_simulator::{Account, Callback, Recorded, Switches};
use serde_json::Value;

use super::chance::Chance;

/// One callback: study and status are its identity, the version makes its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Told {
    study: u64,
    status: i64,
    version: u64,
}

impl Told {
    /// The callback as the platform sends it.
    pub fn callback(self) -> Callback {
        Callback::demo()
            .study(&format!("S{}", self.study))
            .status(self.status)
            .with("studyName", format!("v{}", self.version))
    }

    /// The callback that a delivery is about, whose body is exactly that callback's.
    #[track_caller]
    fn of(delivery: &Recorded) -> Self {
        let mut body = delivery.json();
        let number = |name: &str, letter| {
            body[name]
                .as_str()
                .unwrap()
                .strip_prefix(letter)
                .unwrap()
                .parse()
                .unwrap()
        };
        let told = Self {
            study: number("studyId", 'S'),
            status: body["status"].as_i64().unwrap(),
            version: number("studyName", 'v'),
        };
        let members = body.as_object_mut().unwrap();
        assert_eq!(members["eventId"].as_str(), delivery.header("webhook-id"));
        members.retain(|name, _| !["eventId", "receivedAt", "verified"].contains(&name.as_str()));
        let callback = told.callback();
        let mut sent: Value = Value::Object(
            callback
                .fields(&Account::demo(), &Switches::default())
                .into_iter()
                .collect(),
        );
        sent["phoneNum"] = callback.phone_num.into();
        sent["idNum"] = callback.id_num.into();
        assert_eq!(body, sent);
        told
    }
}

/// Moments, as an order: a callback's first sending, and its first acknowledgement.
struct Course {
    sent: u64,
    acknowledged: Option<u64>,
}

#[derive(Default)]
struct Books {
    moments: u64,
    studies: u64,
    told: Vec<Told>,
    courses: HashMap<Told, Course>,
    /// Acknowledgements, those of duplicates too.
    acknowledgements: u64,
    /// What the HIS answered with "taken", in the order in which that came.
    taken: Vec<(String, Told)>,
    /// What it got and did not take.
    refused: Vec<(String, Told)>,
}

/// What came of a run.
#[derive(Debug)]
pub struct Figures {
    pub sent: usize,
    pub acknowledged: usize,
    pub acknowledgements: u64,
    pub delivered: usize,
    pub repeated: usize,
    pub refused: usize,
}

/// See the module's text.
#[derive(Default)]
pub struct Ledger(Mutex<Books>);

impl Ledger {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is sent next: something new, an update, another status, or the same again, acknowledged before or not.
    ///
    /// Studies with odd numbers are updated and those with even numbers repeated, none is both: what comes back after an
    /// update is an update of its own, and which came first is not known from outside.
    pub fn choose(&self, chance: &mut Chance) -> Told {
        let mut books = self.books();
        let (version, kind) = (books.moments, chance.below(8));
        books.moments += 1;
        let moment = books.moments;
        let again = (kind < 3 && !books.told.is_empty()).then(|| *chance.one_of(&books.told));
        let told = match (again, kind) {
            (Some(told), _) if told.study % 2 == 1 => Told {
                status: if kind == 1 {
                    chance.below(4).cast_signed()
                } else {
                    told.status
                },
                version,
                ..told
            },
            (Some(told), 1) => Told {
                status: chance.below(4).cast_signed(),
                ..told
            },
            (Some(told), _) => told,
            (None, _) => {
                books.studies += 1;
                Told {
                    study: books.studies,
                    status: chance.below(4).cast_signed(),
                    version: 0,
                }
            }
        };
        if !books.courses.contains_key(&told) {
            books.told.push(told);
            let course = Course {
                sent: moment,
                acknowledged: None,
            };
            books.courses.insert(told, course);
        }
        told
    }

    /// The platform was told that it is received.
    pub fn acknowledged(&self, told: Told) {
        let mut books = self.books();
        books.moments += 1;
        books.acknowledgements += 1;
        let moment = books.moments;
        let course = books.courses.get_mut(&told).unwrap();
        course.acknowledged.get_or_insert(moment);
    }

    /// The HIS got these.
    #[track_caller]
    pub fn delivered(&self, deliveries: &[Recorded]) {
        let mut books = self.books();
        for delivery in deliveries {
            let told = Told::of(delivery);
            assert!(books.courses.contains_key(&told), "invented: {told:?}");
            let id = delivery.header("webhook-id").unwrap().to_owned();
            let side = match delivery.is_accepted() {
                true => &mut books.taken,
                false => &mut books.refused,
            };
            side.push((id, told));
        }
    }

    /// How many acknowledged events the HIS has not taken.
    pub fn missing(&self) -> usize {
        let books = self.books();
        let taken: HashSet<Told> = books.taken.iter().map(|(_, told)| *told).collect();
        let acknowledged = books.courses.iter().filter(|(_, course)| course.acknowledged.is_some());
        acknowledged.filter(|(told, _)| !taken.contains(told)).count()
    }

    /// Acknowledgements so far.
    pub fn acknowledgements(&self) -> u64 {
        self.books().acknowledgements
    }

    /// Nothing is missing, an event has one id and an id one event, and no study went backwards.
    #[track_caller]
    pub fn check(&self) -> Figures {
        assert_eq!(self.missing(), 0, "acknowledged and not delivered");
        let books = self.books();
        let mut by_id: BTreeMap<&str, Told> = BTreeMap::new();
        let mut by_told: HashMap<Told, &str> = HashMap::new();
        let mut by_study: HashMap<u64, Vec<Told>> = HashMap::new();
        for (id, told) in books.taken.iter().chain(&books.refused) {
            let other = *by_id.entry(id).or_insert(*told);
            assert_eq!(other, *told, "two events under {id}");
            let other = *by_told.entry(*told).or_insert(id);
            assert_eq!(other, id, "two ids of {told:?}");
        }
        for (_, told) in &books.taken {
            by_study.entry(told.study).or_default().push(*told);
        }
        for taken in by_study.values() {
            for (at, earlier) in taken.iter().enumerate() {
                for later in &taken[at..] {
                    let acknowledged = books.courses[later].acknowledged.unwrap_or(u64::MAX);
                    let sent = books.courses[earlier].sent;
                    assert!(
                        later == earlier || acknowledged > sent,
                        "{later:?} was acknowledged before {earlier:?} was sent, and delivered behind it"
                    );
                }
            }
        }
        Figures {
            sent: books.courses.len(),
            acknowledged: books
                .courses
                .values()
                .filter(|course| course.acknowledged.is_some())
                .count(),
            acknowledgements: books.acknowledgements,
            delivered: by_id.len(),
            repeated: books.taken.len() - by_id.len(),
            refused: books.refused.len(),
        }
    }
}
