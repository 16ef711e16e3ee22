//! Who waits, and whose turn is next. Pure, with a bound.
//!
//! Two lanes: interactive questions go before batches. While more than half of the places are taken the newest goes
//! first, since whoever has waited longest is likeliest to have given up; else the oldest. When all are taken the
//! oldest batch makes room, for want of one the oldest interactive question, but never for a batch.

use std::collections::VecDeque;

/// Who a question is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// A person waits for the answer.
    Interactive,
    /// Nobody does.
    Batch,
}

impl Lane {
    /// In the order of precedence.
    pub(super) const ALL: [Self; 2] = [Self::Interactive, Self::Batch];

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

/// A place in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) lane: Lane,
    number: u64,
}

/// The line.
#[derive(Debug)]
pub(super) struct Line<T> {
    /// Each oldest first.
    lanes: [VecDeque<(u64, T)>; 2],
    places: usize,
    last: u64,
}

impl<T> Line<T> {
    /// With room for `places`.
    pub(super) fn new(places: usize) -> Self {
        Self {
            lanes: [VecDeque::new(), VecDeque::new()],
            places,
            last: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lanes.iter().map(VecDeque::len).sum()
    }

    /// Somebody could wait at all.
    pub(super) fn has_places(&self) -> bool {
        self.places > 0
    }

    /// Nobody waits who would have to be served before a newcomer in `lane`.
    pub(super) fn is_free(&self, lane: Lane) -> bool {
        Lane::ALL[..=lane.index()]
            .iter()
            .all(|lane| self.lanes[lane.index()].is_empty())
    }

    /// Puts `item` in line; also gives who had to go for it.
    ///
    /// # Errors
    /// There is no room for it.
    pub(super) fn join(&mut self, lane: Lane, item: T) -> Result<(Ticket, Option<T>), T> {
        let gone = if self.len() < self.places {
            None
        } else {
            let yields = match (&mut self.lanes, lane) {
                ([_, batch], _) if !batch.is_empty() => batch,
                ([interactive, _], Lane::Interactive) => interactive,
                (_, Lane::Batch) => return Err(item),
            };
            // There is none where the line has no places at all.
            let Some((_, gone)) = yields.pop_front() else {
                return Err(item);
            };
            Some(gone)
        };
        self.last += 1;
        self.lanes[lane.index()].push_back((self.last, item));
        let ticket = Ticket {
            lane,
            number: self.last,
        };
        Ok((ticket, gone))
    }

    /// Who is next in `lane`.
    pub(super) fn next(&mut self, lane: Lane) -> Option<(Ticket, &mut T)> {
        let newest = 2 * self.len() > self.places;
        let waiting = &mut self.lanes[lane.index()];
        let (number, item) = if newest {
            waiting.back_mut()
        } else {
            waiting.front_mut()
        }?;
        Some((Ticket { lane, number: *number }, item))
    }

    /// Takes one out, if it is still there.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<T> {
        let waiting = &mut self.lanes[ticket.lane.index()];
        let at = waiting
            .binary_search_by_key(&ticket.number, |(number, _)| *number)
            .ok()?;
        waiting.remove(at).map(|(_, item)| item)
    }

    /// Everybody in `lane`.
    pub(super) fn waiting(&self, lane: Lane) -> impl Iterator<Item = &T> {
        self.lanes[lane.index()].iter().map(|(_, item)| item)
    }

    /// Takes everybody out.
    pub(super) fn clear(&mut self) -> Vec<T> {
        self.lanes
            .iter_mut()
            .flat_map(|lane| lane.drain(..).map(|(_, item)| item))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Join(bool),
        Serve,
        Leave(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            5 => any::<bool>().prop_map(Step::Join),
            3 => Just(Step::Serve),
            1 => (0_usize..30).prop_map(Step::Leave),
        ]
    }

    proptest! {
        /// Against one list of all who wait, searched anew each time.
        #[test]
        fn turns_follow_the_model(
            places in 0_usize..12,
            steps in proptest::collection::vec(step(), 1..300),
        ) {
            let mut line = Line::new(places);
            let mut model: Vec<(Ticket, u32)> = Vec::new();
            for (name, step) in (0_u32..).zip(steps) {
                match step {
                    Step::Join(interactive) => {
                        let lane = if interactive { Lane::Interactive } else { Lane::Batch };
                        let oldest = |lane: Lane| model.iter().position(|(ticket, _)| ticket.lane == lane);
                        let free = !model.iter().any(|(ticket, _)| interactive <= (ticket.lane == Lane::Interactive));
                        prop_assert_eq!(line.is_free(lane), free);
                        let yields = if model.len() < places {
                            None
                        } else {
                            oldest(Lane::Batch).or_else(|| oldest(Lane::Interactive).filter(|_| interactive))
                        };
                        match line.join(lane, name) {
                            Ok((ticket, gone)) => {
                                prop_assert!(model.len() < places || yields.is_some());
                                prop_assert_eq!(gone, yields.map(|at| model.remove(at).1));
                                model.push((ticket, name));
                            }
                            Err(_) => prop_assert!(model.len() >= places && yields.is_none()),
                        }
                    }
                    Step::Serve => {
                        for lane in Lane::ALL {
                            let mut of: Vec<_> = model.iter().filter(|(ticket, _)| ticket.lane == lane).collect();
                            if model.len() * 2 > places {
                                of.reverse();
                            }
                            let wanted = of.first().map(|(ticket, name)| (*ticket, *name));
                            prop_assert_eq!(line.next(lane).map(|(ticket, name)| (ticket, *name)), wanted);
                        }
                        if let Some((ticket, name)) = line.next(Lane::Interactive).map(|(t, n)| (t, *n)) {
                            prop_assert_eq!(line.leave(ticket), Some(name));
                            model.retain(|(known, _)| *known != ticket);
                        }
                    }
                    Step::Leave(at) if at < model.len() => {
                        let (ticket, name) = model.remove(at);
                        prop_assert_eq!(line.leave(ticket), Some(name));
                        prop_assert_eq!(line.leave(ticket), None);
                    }
                    Step::Leave(_) => {}
                }
                prop_assert_eq!(line.len(), model.len());
                prop_assert!(line.len() <= places);
            }
        }
    }
}
