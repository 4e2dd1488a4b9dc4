//! What the journal says must be, against what is: on the streams, at both consumers, in the bank's books and in the counters.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use system_tests::journal::{Journal, Outcome};
use system_tests::shop::GROUP;
use system_tests::witness::Verdict;
use system_tests::{Result, Witness, stream};
use time::OffsetDateTime;
use uuid::Uuid;

use super::ground::{ACCOUNTS, AUDIT, AUDITED, Ground, OPENING, POISONED};
use super::history::History;
use super::load::Bank;

/// Everything that was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) streams: Verdict,
    pub(super) consumers: Verdict,
    /// Sentences about the bank and the counters.
    pub(super) books: Vec<String>,
    pub(super) dead: usize,
    pub(super) parked: usize,
    pub(super) applied: usize,
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
}

/// Looks at everything. `has_lost`: Redis lost data, so entries were put out again and streams have some twice.
pub(super) async fn judge(
    ground: &Ground,
    journal: &Journal,
    bank: &Bank,
    has_lost: bool,
    history: &mut History,
) -> Result<Findings> {
    let mut findings = Findings::default();
    let mut redis = ground.world.redis().await?;
    let mut streams = Witness::new(journal);
    let mut topics: Vec<&str> = AUDITED.to_vec();
    topics.push(POISONED);
    for topic in topics {
        let found = stream::of_topic(&mut redis, topic).await?;
        for (key, entries) in &found {
            history.place(key, entries.iter().map(|entry| entry.event_id))?;
        }
        streams = streams.partitions(topic, &found);
    }
    findings.streams = streams.verdict();
    if has_lost {
        // What was put out again stands twice and behind newer ones; that its order holds is judged where it counts. That
        // everything is there, and nothing else, is judged here too.
        for explained in [
            &mut findings.streams.doubled,
            &mut findings.streams.reordered,
            &mut findings.streams.broken_chain,
        ] {
            explained.clear();
        }
    }
    let applied: Vec<(Uuid, String, OffsetDateTime)> =
        sqlx::query_as("select id, topic, applied_at from public.effect order by n")
            .fetch_all(&ground.audit_pool)
            .await?;
    history.place(AUDIT, applied.iter().map(|(id, ..)| *id))?;
    let ending = ground.shop.ending().await?;
    history.place(GROUP, ending.applied.iter().copied())?;
    let poison = poison(ground, journal).await?;
    let mut consumers = Witness::new(journal).ending(GROUP, &[POISONED], &ending, &poison);
    for topic in AUDITED {
        let of_topic = applied
            .iter()
            .filter(|(_, at, _)| at == topic)
            .map(|(id, ..)| *id);
        consumers = consumers.effects(AUDIT, &[topic], of_topic);
    }
    findings.consumers = consumers.verdict();
    findings.dead = ending.dead.len();
    findings.parked = ending.parked.len();
    findings.applied = ending.applied.len() + applied.len();
    let seen: HashSet<Uuid> = applied.iter().map(|(id, ..)| *id).collect();
    findings.books.extend(books(ground, journal, bank, &seen).await?);
    findings.books.extend(tallies(ground, journal, &seen).await?);
    findings.beats = applied.into_iter().map(|(id, _, at)| (id, at)).collect();
    Ok(findings)
}

/// The poisoned ones among what was committed, or may have been.
async fn poison(ground: &Ground, journal: &Journal) -> Result<HashSet<Uuid>> {
    let mut poison = ground.shop.poison(journal).await?;
    let mut unknown = Journal::default();
    for fact in journal.unknown() {
        unknown.record(fact.clone(), Outcome::Committed);
    }
    poison.extend(ground.shop.poison(&unknown).await?);
    Ok(poison)
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
async fn books(ground: &Ground, journal: &Journal, bank: &Bank, seen: &HashSet<Uuid>) -> Result<Vec<String>> {
    let mut expected: BTreeMap<i32, i64> = (0..ACCOUNTS).map(|number| (number, OPENING)).collect();
    for (id, (from, to, amount)) in &bank.transfers {
        if counts(journal, id, seen) {
            *expected.entry(*from).or_default() -= amount;
            *expected.entry(*to).or_default() += amount;
        }
    }
    let found: Vec<(i32, i64)> = sqlx::query_as("select number, balance from public.account")
        .fetch_all(&ground.audit_pool)
        .await?;
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
    Ok(wrong)
}

/// Each key was counted as often as it has events.
async fn tallies(ground: &Ground, journal: &Journal, seen: &HashSet<Uuid>) -> Result<Vec<String>> {
    let mut expected: BTreeMap<(String, String), i64> = BTreeMap::new();
    for (fact, _) in journal.all() {
        if AUDITED.contains(&fact.topic.as_str()) && counts(journal, &fact.id, seen) {
            let key = fact.key.rsplit('/').next().unwrap_or_default().to_owned();
            *expected.entry((fact.topic.clone(), key)).or_default() += 1;
        }
    }
    let found: Vec<(String, String, i64)> = sqlx::query_as("select topic, key, events from public.tally")
        .fetch_all(&ground.audit_pool)
        .await?;
    let found: BTreeMap<(String, String), i64> = found
        .into_iter()
        .map(|(topic, key, events)| ((topic, key), events))
        .collect();
    let keys: BTreeSet<&(String, String)> = expected.keys().chain(found.keys()).collect();
    Ok(keys
        .into_iter()
        .filter(|key| found.get(key) != expected.get(key))
        .take(5)
        .map(|key| {
            format!(
                "{key:?} was counted {:?} times and has {:?} events",
                found.get(key),
                expected.get(key)
            )
        })
        .collect())
}
