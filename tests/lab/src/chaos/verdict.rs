//! Pure: what the journal says must be, against what is there.
//!
//! Where Redis lost data, entries were put out again: then a stream has some twice, and older ones behind newer ones. What is on
//! it is a set then: nothing may be missing, and nothing may be there that was not committed. At the consumers, where it counts,
//! everything is judged as ever.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use system_tests::Witness;
use system_tests::journal::{Journal, Outcome};
use system_tests::shop::GROUP;
use system_tests::witness::Verdict;
use time::OffsetDateTime;
use uuid::Uuid;

use super::ground::{ACCOUNTS, AUDIT, AUDITED, OPENING, POISONED};
use super::load::Bank;
use super::sight::Sight;

/// How many examples are told.
const EXAMPLES: usize = 5;

/// Everything that was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) streams: Verdict,
    pub(super) consumers: Verdict,
    /// Sentences about the bank and the counters.
    pub(super) books: Vec<String>,
    pub(super) dead: usize,
    pub(super) parked: usize,
    /// Effects, by group.
    pub(super) applied: BTreeMap<&'static str, usize>,
    /// Twice on a stream, since Redis lost data.
    pub(super) put_out_again: usize,
    /// When each beat had its effect.
    pub(super) beats: HashMap<Uuid, OffsetDateTime>,
}

impl Findings {
    /// What is wrong; none when nothing is.
    pub(super) fn wrong(&self) -> Option<String> {
        let mut wrong = Vec::new();
        for (place, verdict) in [("streams", &self.streams), ("consumers", &self.consumers)] {
            if let Err(failure) = verdict.clean() {
                wrong.push(format!("{place}: {failure}"));
            }
        }
        wrong.extend(self.books.iter().cloned());
        (!wrong.is_empty()).then(|| wrong.join("\n"))
    }

    /// Which groups did less than so much; such a run shows nothing.
    pub(super) fn idle(&self, effects: usize) -> Option<String> {
        let idle: Vec<String> = self
            .applied
            .iter()
            .filter(|(_, applied)| **applied < effects)
            .map(|(group, applied)| format!("{group} had {applied} effects of at least {effects}"))
            .collect();
        (!idle.is_empty()).then(|| format!("too little happened: {}", idle.join(", ")))
    }

    /// Effects of all groups.
    pub(super) fn effects(&self) -> usize {
        self.applied.values().sum()
    }
}

/// Judges. `has_lost`: Redis lost data.
pub(super) fn judge(sight: &Sight, journal: &Journal, bank: &Bank, has_lost: bool) -> Findings {
    let mut findings = Findings::default();
    let mut streams = Witness::new(journal);
    for (topic, found) in &sight.streams {
        streams = streams.partitions(topic, found);
    }
    findings.streams = streams.verdict();
    if has_lost {
        findings.put_out_again = findings.streams.doubled.len();
        for explained in [
            &mut findings.streams.doubled,
            &mut findings.streams.reordered,
            &mut findings.streams.broken_chain,
        ] {
            explained.clear();
        }
    }
    let mut consumers = Witness::new(journal).ending(GROUP, &[POISONED], &sight.ending, &sight.poison);
    for topic in AUDITED {
        let effects = sight.effects.iter().filter(|effect| effect.topic == topic);
        consumers = consumers.effects(AUDIT, &[topic], effects.map(|effect| effect.id));
    }
    findings.consumers = consumers.verdict();
    findings.dead = sight.ending.dead.len();
    findings.parked = sight.ending.parked.len();
    findings.applied = BTreeMap::from([(GROUP, sight.ending.applied.len()), (AUDIT, sight.effects.len())]);
    let seen: HashSet<Uuid> = sight.effects.iter().map(|effect| effect.id).collect();
    findings.books = books(&sight.accounts, journal, bank, &seen);
    findings.books.extend(tallies(&sight.tallies, journal, &seen));
    findings.beats = sight
        .effects
        .iter()
        .map(|effect| (effect.id, effect.at))
        .collect();
    findings
}

/// Whether an event counts: it was committed, or its commit was not answered and it is there.
fn counts(journal: &Journal, id: &Uuid, seen: &HashSet<Uuid>) -> bool {
    match journal.get(id) {
        Some((_, Outcome::Committed)) => true,
        Some((_, Outcome::Unknown)) => seen.contains(id),
        _ => false,
    }
}

/// Each account has what it began with and what was moved, and all of them together what they had together.
fn books(found: &[(i32, i64)], journal: &Journal, bank: &Bank, seen: &HashSet<Uuid>) -> Vec<String> {
    let mut expected: BTreeMap<i32, i64> = (0..ACCOUNTS).map(|number| (number, OPENING)).collect();
    for (id, (from, to, amount)) in &bank.transfers {
        if counts(journal, id, seen) {
            *expected.entry(*from).or_default() -= amount;
            *expected.entry(*to).or_default() += amount;
        }
    }
    let mut wrong: Vec<String> = found
        .iter()
        .filter(|(number, balance)| expected.get(number) != Some(balance))
        .map(|(number, balance)| {
            format!(
                "account {number} has {balance}, the journal says {:?}",
                expected.get(number)
            )
        })
        .collect();
    let sum: i64 = found.iter().map(|(_, balance)| balance).sum();
    if sum != i64::from(ACCOUNTS) * OPENING {
        wrong.push(format!("the bank has {sum} in all"));
    }
    wrong
}

/// Each key was counted as often as it has events.
fn tallies(found: &HashMap<(String, String), i64>, journal: &Journal, seen: &HashSet<Uuid>) -> Vec<String> {
    let mut expected: HashMap<(String, String), i64> = HashMap::new();
    for (fact, _) in journal.all() {
        if AUDITED.contains(&fact.topic.as_str()) && counts(journal, &fact.id, seen) {
            let key = fact.key.rsplit('/').next().unwrap_or_default().to_owned();
            *expected.entry((fact.topic.clone(), key)).or_default() += 1;
        }
    }
    let keys: BTreeSet<&(String, String)> = expected.keys().chain(found.keys()).collect();
    keys.into_iter()
        .filter(|key| found.get(key) != expected.get(key))
        .take(EXAMPLES)
        .map(|key| {
            format!(
                "{key:?} was counted {:?} times and has {:?} events",
                found.get(key),
                expected.get(key)
            )
        })
        .collect()
}

#[cfg(test)]
mod tests;
