//! Everything that is there at the end: on the streams, at both consumers, in the bank's books and in the counters.

use std::collections::{HashMap, HashSet};

use system_tests::Result;
use system_tests::journal::{Journal, Outcome};
use system_tests::shop::GROUP;
use system_tests::stream::{self, Entry};
use system_tests::witness::Ending;
use time::OffsetDateTime;
use uuid::Uuid;

use super::ground::{AUDIT, AUDITED, Ground, POISONED};
use super::history::History;

/// One effect at the audit.
#[derive(Clone, Debug)]
pub(super) struct Effect {
    pub(super) id: Uuid,
    pub(super) topic: String,
    pub(super) at: OffsetDateTime,
}

/// Streams by their keys.
pub(super) type Streams = Vec<(String, Vec<Entry>)>;

/// What is where.
#[derive(Clone, Debug, Default)]
pub(super) struct Sight {
    /// Of each topic its streams, each with what is on it.
    pub(super) streams: Vec<(String, Streams)>,
    /// At the shop.
    pub(super) ending: Ending,
    /// What the shop cannot take.
    pub(super) poison: HashSet<Uuid>,
    /// At the audit, in their order.
    pub(super) effects: Vec<Effect>,
    pub(super) accounts: Vec<(i32, i64)>,
    /// Of each topic and key, how many events were counted.
    pub(super) tallies: HashMap<(String, String), i64>,
}

/// Looks at everything, and writes it down.
pub(super) async fn look(ground: &Ground, journal: &Journal, history: &mut History) -> Result<Sight> {
    let mut sight = Sight::default();
    let mut redis = ground.world.redis().await?;
    for topic in AUDITED.into_iter().chain([POISONED]) {
        let found = stream::of_topic(&mut redis, topic).await?;
        for (key, entries) in &found {
            history.place(key, entries.iter().map(|entry| entry.event_id))?;
        }
        sight.streams.push((topic.to_owned(), found));
    }
    let effects: Vec<(Uuid, String, OffsetDateTime)> =
        sqlx::query_as("select id, topic, applied_at from public.effect order by n")
            .fetch_all(&ground.audit_pool)
            .await?;
    history.place(AUDIT, effects.iter().map(|(id, ..)| *id))?;
    let effects = effects.into_iter();
    sight.effects = effects.map(|(id, topic, at)| Effect { id, topic, at }).collect();
    sight.ending = ground.shop.ending().await?;
    history.place(GROUP, sight.ending.applied.iter().copied())?;
    sight.poison = poison(ground, journal).await?;
    sight.accounts = sqlx::query_as("select number, balance from public.account")
        .fetch_all(&ground.audit_pool)
        .await?;
    let tallies: Vec<(String, String, i64)> = sqlx::query_as("select topic, key, events from public.tally")
        .fetch_all(&ground.audit_pool)
        .await?;
    let tallies = tallies.into_iter();
    sight.tallies = tallies
        .map(|(topic, key, events)| ((topic, key), events))
        .collect();
    Ok(sight)
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
