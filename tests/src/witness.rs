//! The oracle: compares what producers committed with what is on the streams and what consumers did.
//!
//! Pure. Authoritative is the journal. A run in which nothing happened is a failure, not a success. An event whose commit was
//! never answered may exist: missing everywhere it is not lost, present it is no phantom; but what is at one place must be at all
//! of them, once and in order.

use std::collections::{HashMap, HashSet};
use std::fmt;

use uuid::Uuid;

use crate::journal::{Journal, Outcome};
use crate::stream::{Entry, EntryId};
use crate::{Failure, Result};

mod ending;
pub use ending::Ending;

/// How many examples of each fault are told.
const EXAMPLES: usize = 5;

/// Watches one run.
#[derive(Debug)]
pub struct Witness<'a> {
    journal: &'a Journal,
    accounted: HashSet<Uuid>,
    places: Vec<Place>,
    verdict: Verdict,
}

/// Where it was looked: what should be there, and what of unknown outcome is.
#[derive(Debug)]
struct Place {
    name: String,
    topics: Vec<String>,
    unknown: HashSet<Uuid>,
}

/// What was found. Each list has one sentence per finding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Events that must exist.
    pub committed: usize,
    /// Entries and effects looked at.
    pub seen: usize,
    /// Committed, and missing at a place.
    pub lost: Vec<String>,
    /// At a place, and rolled back or never appended.
    pub phantom: Vec<String>,
    /// More than once at a place, without a cause that the test declared.
    pub doubled: Vec<String>,
    /// Before an earlier event of the same key.
    pub reordered: Vec<String>,
    /// An entry whose `previousid` is not the entry before it.
    pub broken_chain: Vec<String>,
    /// Applied, or waiting in front, though an event of the same key before it was given up.
    pub overtaken: Vec<String>,
    /// Given up, parked or applied although it was to end otherwise.
    pub misplaced: Vec<String>,
    /// Doubled with a declared cause.
    pub accounted: usize,
}

impl<'a> Witness<'a> {
    /// A witness that believes this journal.
    #[must_use]
    pub fn new(journal: &'a Journal) -> Self {
        let verdict = Verdict {
            committed: journal.count(Outcome::Committed),
            ..Verdict::default()
        };
        Self {
            journal,
            accounted: HashSet::new(),
            places: Vec::new(),
            verdict,
        }
    }

    /// These events may come more than once: the test did something that explains it.
    #[must_use]
    pub fn account_for(mut self, ids: impl IntoIterator<Item = Uuid>) -> Self {
        self.accounted.extend(ids);
        self
    }

    /// Looks at everything on the stream of one topic.
    #[must_use]
    pub fn stream(self, topic: &str, entries: &[Entry]) -> Self {
        let mut this = self.place(
            &format!("stream of {topic}"),
            &[topic],
            entries.iter().map(|entry| entry.event_id),
        );
        this.chain(topic, entries);
        this
    }

    /// Looks at everything on all streams of one topic of several partitions.
    #[must_use]
    pub fn partitions(self, topic: &str, streams: &[(String, Vec<Entry>)]) -> Self {
        let all = streams.iter().flat_map(|(_, entries)| entries);
        let mut events: Vec<&Entry> = all.filter(|entry| !entry.is_control()).collect();
        // The order of the ledger, also for a key that moved when the topic grew.
        events.sort_by_key(|entry| entry.id);
        let mut this = self.place(
            &format!("streams of {topic}"),
            &[topic],
            events.iter().map(|entry| entry.event_id),
        );
        for (stream, entries) in streams {
            this.chain(stream, entries);
        }
        this
    }

    /// Looks at what is left on streams whose beginnings were trimmed: what is missing there may have stood there, and whether it had
    /// its effect first is for [`Self::effects`] and [`Self::ending`] to tell. From the first entry on there must be no gap.
    #[must_use]
    pub fn rest(mut self, topic: &str, streams: &[(String, Vec<Entry>)]) -> Self {
        for (stream, entries) in streams {
            let place = format!("what is left of {stream}");
            let ids = entries
                .iter()
                .filter(|entry| !entry.is_control())
                .map(|entry| entry.event_id);
            self.look(&place, &[topic], ids);
            let before = entries.first().and_then(|entry| entry.previous_id);
            self.chain_behind(before, stream, entries);
        }
        self
    }

    /// Looks at everything a consumer of these topics did, in the order it did it.
    #[must_use]
    pub fn effects(self, consumer: &str, topics: &[&str], ids: impl IntoIterator<Item = Uuid>) -> Self {
        self.place(&format!("consumer {consumer}"), topics, ids)
    }

    fn chain(&mut self, stream: &str, entries: &[Entry]) {
        self.chain_behind(None, stream, entries);
    }

    fn chain_behind(&mut self, mut before: Option<EntryId>, stream: &str, entries: &[Entry]) {
        for entry in entries {
            if entry.previous_id != before {
                self.verdict.broken_chain.push(format!(
                    "entry {} of {stream} says its predecessor is {}, but it is {}",
                    entry.id,
                    entry.previous_id.map_or("none".to_owned(), |id| id.to_string()),
                    before.map_or("none".to_owned(), |id| id.to_string())
                ));
            }
            before = Some(entry.id);
        }
    }

    fn place(mut self, place: &str, topics: &[&str], ids: impl IntoIterator<Item = Uuid>) -> Self {
        let seen = self.look(place, topics, ids);
        let is_unknown =
            |id: &&Uuid| matches!(self.journal.get(id), Some((_, outcome)) if *outcome == Outcome::Unknown);
        self.places.push(Place {
            name: place.to_owned(),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            unknown: seen.iter().filter(is_unknown).copied().collect(),
        });
        let missing = self
            .journal
            .committed()
            .filter(|fact| topics.contains(&fact.topic.as_str()));
        for fact in missing.filter(|fact| !seen.contains(&fact.id)) {
            self.verdict.lost.push(format!(
                "{} (number {} of key {}) at {place}",
                fact.id, fact.number, fact.key
            ));
        }
        self
    }

    /// What is there, in its order: nothing that was not committed, nothing twice, no key out of order.
    fn look(&mut self, place: &str, topics: &[&str], ids: impl IntoIterator<Item = Uuid>) -> HashSet<Uuid> {
        let mut seen: HashSet<Uuid> = HashSet::new();
        let mut last: HashMap<&str, (i64, Uuid)> = HashMap::new();
        for id in ids {
            self.verdict.seen += 1;
            let (fact, outcome) = match self.journal.get(&id) {
                Some((fact, outcome)) if topics.contains(&fact.topic.as_str()) => (fact, *outcome),
                Some((fact, _)) => {
                    self.verdict
                        .phantom
                        .push(format!("{id} of topic {} at {place}", fact.topic));
                    continue;
                }
                None => {
                    self.verdict
                        .phantom
                        .push(format!("{id} at {place}: nobody appended it"));
                    continue;
                }
            };
            if outcome == Outcome::RolledBack {
                self.verdict
                    .phantom
                    .push(format!("{id} at {place}: its transaction was rolled back"));
            }
            if !seen.insert(id) {
                if self.accounted.contains(&id) {
                    self.verdict.accounted += 1;
                } else {
                    self.verdict.doubled.push(format!("{id} at {place}"));
                }
                continue;
            }
            if let Some((number, other)) = last.get(fact.key.as_str())
                && *number >= fact.number
            {
                self.verdict.reordered.push(format!(
                    "{id} (number {} of key {}) after {other} (number {number}) at {place}",
                    fact.number, fact.key
                ));
            }
            last.insert(&fact.key, (fact.number, id));
        }
        seen
    }

    /// What was found.
    #[must_use]
    pub fn verdict(mut self) -> Verdict {
        // Whoever saw it proved that it was committed.
        let proven: HashSet<Uuid> = self
            .places
            .iter()
            .flat_map(|place| &place.unknown)
            .copied()
            .collect();
        for id in proven {
            let Some((fact, _)) = self.journal.get(&id) else {
                continue;
            };
            let lacking = self
                .places
                .iter()
                .filter(|place| place.topics.contains(&fact.topic) && !place.unknown.contains(&id));
            for place in lacking {
                self.verdict.lost.push(format!(
                    "{id} (number {} of key {}) at {}: its commit was not answered, and it is elsewhere",
                    fact.number, fact.key, place.name
                ));
            }
        }
        self.verdict
    }
}

impl Verdict {
    /// Fails with everything that was found, and when nothing happened at all.
    ///
    /// # Errors
    /// Told in full, with examples.
    #[track_caller]
    pub fn clean(&self) -> Result {
        if self.committed == 0 || self.seen == 0 {
            return Err(Failure::new(format!(
                "nothing happened, so nothing was shown: {self}"
            )));
        }
        let findings = [
            &self.lost,
            &self.phantom,
            &self.doubled,
            &self.reordered,
            &self.broken_chain,
            &self.overtaken,
            &self.misplaced,
        ];
        if findings.iter().all(|list| list.is_empty()) {
            Ok(())
        } else {
            Err(Failure::new(self.to_string()))
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events committed, {} seen", self.committed, self.seen)?;
        for (word, list) in [
            ("lost", &self.lost),
            ("phantom", &self.phantom),
            ("doubled", &self.doubled),
            ("reordered", &self.reordered),
            ("broken in the chain", &self.broken_chain),
            ("overtaken", &self.overtaken),
            ("misplaced", &self.misplaced),
        ] {
            write!(f, ", {} {word}", list.len())?;
            for example in list.iter().take(EXAMPLES) {
                write!(f, "\n    {example}")?;
            }
        }
        write!(f, ", {} doubled with a declared cause", self.accounted)
    }
}

#[cfg(test)]
mod tests;
