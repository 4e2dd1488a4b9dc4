//! What the producers did, in their own words: the one source the witness believes.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use uuid::Uuid;

/// One event a producer appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Its id.
    pub id: Uuid,
    /// Its topic.
    pub topic: String,
    /// Its key.
    pub key: String,
    /// Its place among the events of its key, in order of commit: the key's counter, drawn under its row lock.
    pub number: i64,
}

/// What became of the transaction of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server said so.
    Committed,
    /// The answer to COMMIT never came: the event may exist.
    Unknown,
    /// It must not exist anywhere.
    RolledBack,
}

/// All facts with their outcomes.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    facts: HashMap<Uuid, (Fact, Outcome)>,
    /// Transactions that failed though nobody meant them to.
    pub errors: Vec<String>,
    /// The longest time from the first statement of a transaction to its commit, holding on purpose not counted.
    pub slowest: Duration,
}

impl Journal {
    /// Writes down a fact.
    pub fn record(&mut self, fact: Fact, outcome: Outcome) {
        self.facts.insert(fact.id, (fact, outcome));
    }

    /// Takes in what another producer wrote down.
    pub fn merge(&mut self, other: Self) {
        self.facts.extend(other.facts);
        self.errors.extend(other.errors);
        self.slowest = self.slowest.max(other.slowest);
    }

    /// After a crash that may undo commits: what the log still has is committed, everything else never was.
    pub fn settle(&mut self, in_the_log: &HashSet<Uuid>) {
        for (id, (_, outcome)) in &mut self.facts {
            *outcome = if in_the_log.contains(id) {
                Outcome::Committed
            } else {
                Outcome::RolledBack
            };
        }
    }

    /// The fact with this id.
    #[must_use]
    pub fn get(&self, id: &Uuid) -> Option<&(Fact, Outcome)> {
        self.facts.get(id)
    }

    /// Every fact with its outcome.
    pub fn all(&self) -> impl Iterator<Item = (&Fact, Outcome)> {
        self.facts.values().map(|(fact, outcome)| (fact, *outcome))
    }

    /// Facts that must be there.
    pub fn committed(&self) -> impl Iterator<Item = &Fact> {
        self.of(Outcome::Committed)
    }

    /// Facts that may be there.
    pub fn unknown(&self) -> impl Iterator<Item = &Fact> {
        self.of(Outcome::Unknown)
    }

    fn of(&self, outcome: Outcome) -> impl Iterator<Item = &Fact> {
        self.facts
            .values()
            .filter(move |(_, this)| *this == outcome)
            .map(|(fact, _)| fact)
    }

    /// How many facts have this outcome.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.facts.values().filter(|(_, this)| *this == outcome).count()
    }
}
