//! An honest history passes; each way to doctor it is found out, and named as what it is.

use std::collections::HashSet;

use uuid::Uuid;

use super::Ending;
use crate::Witness;
use crate::journal::{Fact, Journal, Outcome};
use crate::witness::Verdict;

const TOPIC: &str = "orders.placed";

/// Two keys with four events each. The second and the fourth event of key `a` are poisoned.
struct History {
    journal: Journal,
    a: Vec<Uuid>,
    b: Vec<Uuid>,
    poison: HashSet<Uuid>,
}

impl History {
    fn new() -> Self {
        let mut journal = Journal::default();
        let mut key = |key: &str| -> Vec<Uuid> {
            (1..=4)
                .map(|number| {
                    let id = Uuid::now_v7();
                    let (topic, key) = (TOPIC.to_owned(), key.to_owned());
                    journal.record(
                        Fact {
                            id,
                            topic,
                            key,
                            number,
                        },
                        Outcome::Committed,
                    );
                    id
                })
                .collect()
        };
        let (a, b) = (key("a"), key("b"));
        let poison = [a[1], a[3]].into_iter().collect();
        Self {
            journal,
            a,
            b,
            poison,
        }
    }

    /// As it must end: `a` is parked behind its second event, `b` is applied.
    fn honest(&self) -> Ending {
        let (a, b) = (&self.a, &self.b);
        Ending {
            applied: vec![b[0], a[0], b[1], b[2], b[3]],
            dead: vec![a[1]],
            parked: vec![a[2], a[3]],
        }
    }

    fn judge(&self, ending: &Ending) -> Verdict {
        Witness::new(&self.journal)
            .ending("stock", &[TOPIC], ending, &self.poison)
            .verdict()
    }

    /// What is found in a doctored history: lost, phantom, doubled, reordered, overtaken, misplaced.
    fn counts(&self, doctor: impl FnOnce(&mut Ending)) -> [usize; 6] {
        let mut ending = self.honest();
        doctor(&mut ending);
        let verdict = self.judge(&ending);
        assert_eq!(verdict.clean().is_ok(), ending == self.honest(), "{verdict}");
        [
            &verdict.lost,
            &verdict.phantom,
            &verdict.doubled,
            &verdict.reordered,
            &verdict.overtaken,
            &verdict.misplaced,
        ]
        .map(Vec::len)
    }
}

#[test]
fn an_honest_history_passes() {
    let history = History::new();
    assert_eq!(history.counts(|_| ()), [0; 6]);
}

#[test]
fn an_event_that_is_nowhere_is_lost() {
    let history = History::new();
    assert_eq!(
        history.counts(|ending| ending.parked.truncate(1)),
        [1, 0, 0, 0, 0, 0]
    );
    assert_eq!(history.counts(|ending| ending.dead.clear()), [1, 0, 0, 0, 0, 0]);
    assert_eq!(
        history.counts(|ending| ending.applied.truncate(4)),
        [1, 0, 0, 0, 0, 0]
    );
}

#[test]
fn an_event_in_two_places_or_twice_in_one_is_doubled() {
    let history = History::new();
    let twice = history.b[1];
    assert_eq!(
        history.counts(|ending| ending.applied.insert(3, twice)),
        [0, 0, 1, 0, 0, 0]
    );
    let dead = history.a[1];
    assert_eq!(history.counts(|ending| ending.parked.insert(0, dead))[2], 1);
    assert_eq!(
        history.counts(|ending| ending.dead.push(dead)),
        [0, 0, 1, 0, 0, 0]
    );
}

#[test]
fn an_event_that_nobody_appended_is_a_phantom() {
    let history = History::new();
    assert_eq!(
        history.counts(|ending| ending.dead.push(Uuid::now_v7())),
        [0, 1, 0, 0, 0, 0]
    );
}

#[test]
fn effects_and_waiting_events_out_of_order_are_reordered() {
    let history = History::new();
    assert_eq!(
        history.counts(|ending| ending.applied.swap(2, 3)),
        [0, 0, 0, 1, 0, 0]
    );
    assert_eq!(
        history.counts(|ending| ending.parked.swap(0, 1)),
        [0, 0, 0, 1, 0, 0]
    );
}

#[test]
fn an_effect_behind_a_dead_letter_of_its_key_is_overtaken() {
    let history = History::new();
    let follower = history.a[2];
    let doctored = history.counts(|ending| {
        ending.parked.retain(|id| *id != follower);
        ending.applied.push(follower);
    });
    assert_eq!(doctored, [0, 0, 0, 0, 1, 0]);
}

#[test]
fn a_poisoned_event_that_is_applied_or_only_waits_is_misplaced() {
    let history = History::new();
    let poisoned = history.a[1];
    let applied = history.counts(|ending| {
        ending.dead.clear();
        ending.applied.push(poisoned);
    });
    assert_eq!(applied, [0, 0, 0, 0, 0, 1]);
    let waits = history.counts(|ending| {
        ending.dead.clear();
        ending.parked.insert(0, poisoned);
    });
    assert_eq!(waits, [0, 0, 0, 0, 0, 1]);
}

#[test]
fn an_event_that_is_given_up_or_waits_without_a_cause_is_misplaced() {
    let history = History::new();
    let (last, follower) = (history.b[3], history.a[3]);
    let given_up = history.counts(|ending| {
        ending.applied.retain(|id| *id != last);
        ending.dead.push(last);
    });
    assert_eq!(given_up, [0, 0, 0, 0, 0, 1]);
    let waits = history.counts(|ending| {
        ending.applied.retain(|id| *id != last);
        ending.parked.push(last);
    });
    assert_eq!(waits, [0, 0, 0, 0, 0, 1]);
    // It is poisoned, but it stands behind another one and must wait there.
    let too_early = history.counts(|ending| {
        ending.parked.retain(|id| *id != follower);
        ending.dead.push(follower);
    });
    assert_eq!(too_early, [0, 0, 0, 0, 0, 1]);
}

#[test]
fn a_poisoned_event_of_unknown_outcome_parks_its_key_if_it_is_there() {
    // GIVEN an event of key `b` whose commit was not answered, poisoned, before two more of its key
    let mut history = History::new();
    let mut add = |number, outcome| {
        let id = Uuid::now_v7();
        let (topic, key) = (TOPIC.to_owned(), "b".to_owned());
        history.journal.record(
            Fact {
                id,
                topic,
                key,
                number,
            },
            outcome,
        );
        id
    };
    let (unknown, later) = (add(5, Outcome::Unknown), add(6, Outcome::Committed));
    history.poison.insert(unknown);
    // WHEN it exists, and is given up
    let mut there = history.honest();
    there.dead.push(unknown);
    there.parked.push(later);
    // THEN the later one waits behind it; and if it never was, the later one is applied
    let verdict = history.judge(&there);
    assert!(verdict.clean().is_ok(), "{verdict}");
    let mut missing = history.honest();
    missing.applied.push(later);
    let verdict = history.judge(&missing);
    assert!(verdict.clean().is_ok(), "{verdict}");
    // AND applied behind one that was given up it is found out
    let mut wrong = there.clone();
    wrong.parked.pop();
    wrong.applied.push(later);
    assert_eq!(history.judge(&wrong).overtaken.len(), 1);
}
