//! Where a consumer that parks keys has put every event of its topics, and whether each is where it belongs.
//!
//! What belongs where follows from the journal and from what the test poisoned alone: of each key, the first poisoned event
//! is the dead letter, those before it are applied, those after it wait behind it.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::Witness;
use crate::journal::Fact;

/// What a consumer's database says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// Events with their effect, in the order of the effects; one that had it twice is here twice.
    pub applied: Vec<Uuid>,
    /// Events that were given up.
    pub dead: Vec<Uuid>,
    /// Events that wait behind a dead one, in the order in which they will be applied.
    pub parked: Vec<Uuid>,
}

impl Witness<'_> {
    /// Looks at where a consumer of these topics, which parks the keys of its dead letters, has put every event.
    #[must_use]
    pub fn ending(
        mut self,
        consumer: &str,
        topics: &[&str],
        ending: &Ending,
        poison: &HashSet<Uuid>,
    ) -> Self {
        self.order(consumer, "effects", &ending.applied);
        self.order(consumer, "parked", &ending.parked);
        let place = format!("consumer {consumer}");
        let dead: HashSet<Uuid> = ending.dead.iter().copied().collect();
        let parked: HashSet<Uuid> = ending.parked.iter().copied().collect();
        let applied: HashSet<Uuid> = ending.applied.iter().copied().collect();
        // All of them as one place: nothing missing, nothing invented. The order of the parts was looked at above.
        let mut all: Vec<Uuid> = ending.applied.clone();
        all.extend(&ending.dead);
        all.extend(&ending.parked);
        all.sort_by_key(|id| self.journal.get(id).map(|(fact, _)| fact.number));
        self = self.place(&place, topics, all);
        // Of unknown outcome, those that are anywhere count like those that were committed.
        let is_there =
            |fact: &&Fact| applied.contains(&fact.id) || dead.contains(&fact.id) || parked.contains(&fact.id);
        let existing: Vec<&Fact> = self
            .journal
            .committed()
            .chain(self.journal.unknown().filter(is_there))
            .collect();
        for fact in heads(existing.iter().copied(), poison) {
            if applied.contains(&fact.id) {
                self.misplaced(&place, fact, "was applied, but it is poisoned");
            } else if parked.contains(&fact.id) {
                self.misplaced(&place, fact, "waits, but it should be the dead letter");
            }
        }
        let heads: HashMap<&str, i64> = heads(existing.iter().copied(), poison)
            .map(|fact| (fact.key.as_str(), fact.number))
            .collect();
        for fact in existing {
            let head = heads.get(fact.key.as_str()).copied().unwrap_or(i64::MAX);
            if applied.contains(&fact.id) && fact.number > head {
                self.verdict.overtaken.push(format!(
                    "{} (number {} of key {}) was applied at {place}, though number {head} was given up before it",
                    fact.id, fact.number, fact.key
                ));
            } else if parked.contains(&fact.id) && fact.number < head {
                self.misplaced(&place, fact, "waits, and nothing before it was given up");
            } else if dead.contains(&fact.id) && fact.number != head {
                self.misplaced(&place, fact, "was given up, but it is not the first poisoned one");
            }
        }
        self
    }

    fn misplaced(&mut self, place: &str, fact: &Fact, what: &str) {
        self.verdict.misplaced.push(format!(
            "{} (number {} of key {}) at {place} {what}",
            fact.id, fact.number, fact.key
        ));
    }

    /// Rising numbers within each key.
    fn order(&mut self, consumer: &str, part: &str, ids: &[Uuid]) {
        let mut last: HashMap<&str, i64> = HashMap::new();
        for id in ids {
            let Some((fact, _)) = self.journal.get(id) else {
                continue;
            };
            let before = last.insert(&fact.key, fact.number);
            if before.is_some_and(|before| before > fact.number) {
                self.verdict.reordered.push(format!(
                    "{id} (number {} of key {}) after number {} in the {part} of consumer {consumer}",
                    fact.number,
                    fact.key,
                    before.unwrap_or_default()
                ));
            }
        }
    }
}

/// The first poisoned event of each key.
fn heads<'a>(
    facts: impl Iterator<Item = &'a Fact>,
    poison: &HashSet<Uuid>,
) -> impl Iterator<Item = &'a Fact> {
    let mut heads: HashMap<&str, &Fact> = HashMap::new();
    for fact in facts.filter(|fact| poison.contains(&fact.id)) {
        let head = heads.entry(&fact.key).or_insert(fact);
        if fact.number < head.number {
            *head = fact;
        }
    }
    heads.into_values()
}

#[cfg(test)]
mod tests;
