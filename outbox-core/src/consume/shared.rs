//! What the lanes of one consumer share.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{Semaphore, SemaphorePermit};

use time::{Date, OffsetDateTime, UtcOffset};

use super::Error;
use super::board::Board;
use super::breakers::Breakers;
use super::contention::{Company, Contention};
use super::discovery::Discovery;
use super::inbox;
use super::pg::Store;
use super::routes::Routes;
use super::settings::Settings;
use super::signals::Signals;
use super::stream::Flow;
use crate::event::Event;

/// Connections that are kept for leases and for recording how far a stream came.
const RESERVED: usize = 2;

pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) redis: redis::Client,
    pub(super) routes: Routes,
    pub(super) settings: Settings,
    pub(super) board: Board,
    pub(super) discovery: Discovery,
    pub(super) signals: Signals,
    pub(super) breakers: Breakers,
    /// By topic: the handlers of all its streams change the same rows.
    contention: Mutex<HashMap<String, Contention>>,
    /// Transactions that may be open at a time: the pool's connections but those for leases.
    slots: Semaphore,
    /// Days of the inbox that are known to be there.
    days: Mutex<HashSet<Date>>,
}

impl Shared {
    pub(super) fn new(
        store: Store,
        redis: redis::Client,
        routes: Routes,
        settings: Settings,
        board: Board,
    ) -> Self {
        let discovery = Discovery::new(flows(&routes, &settings));
        let slots = store.connections().saturating_sub(RESERVED).max(1);
        Self {
            store,
            redis,
            routes,
            settings,
            board,
            discovery,
            signals: Signals::default(),
            breakers: Breakers::default(),
            contention: Mutex::default(),
            slots: Semaphore::new(slots),
            days: Mutex::default(),
        }
    }

    /// Waits for the right to open a transaction. None only if nobody can ever have one again, which nothing makes happen.
    pub(super) async fn slot(&self) -> Option<SemaphorePermit<'_>> {
        self.slots.acquire().await.ok()
    }

    /// How close together events of the topic are applied now.
    pub(super) fn company(&self, topic: &str) -> Company {
        let contention = self.contention.lock().unwrap_or_else(PoisonError::into_inner);
        contention
            .get(topic)
            .map_or_else(Company::default, |contention| contention.company(Instant::now()))
    }

    /// A transaction of the topic that began in this company met another one.
    pub(super) fn met(&self, topic: &str, began: Company) {
        let mut topics = self.contention.lock().unwrap_or_else(PoisonError::into_inner);
        let contention = topics.entry(topic.to_owned()).or_default();
        if let Some(pause) = contention.met(began, Instant::now()) {
            let company = contention.company(Instant::now());
            drop(topics);
            tracing::info!(
                topic,
                ?company,
                ?pause,
                "transactions met in rows that their handlers change: events are applied apart for a while"
            );
        }
    }

    /// Makes the days of the inbox that these events need.
    pub(super) async fn ensure_days<'e>(
        &self,
        events: impl IntoIterator<Item = &'e Event>,
    ) -> Result<(), Error> {
        let mut missing: Vec<OffsetDateTime> = Vec::new();
        for recorded_at in events.into_iter().filter_map(inbox::recorded_at) {
            let is_known = |at: OffsetDateTime| at.to_offset(UtcOffset::UTC).date() == day_of(recorded_at);
            if !self.days().contains(&day_of(recorded_at)) && !missing.iter().copied().any(is_known) {
                missing.push(recorded_at);
            }
        }
        for moment in missing {
            self.ensure_day(moment).await?;
        }
        Ok(())
    }

    /// Makes the day of the inbox that `moment` lies in.
    pub(super) async fn ensure_day(&self, moment: OffsetDateTime) -> Result<(), Error> {
        self.store.add_inbox_day(moment).await?;
        self.days().insert(day_of(moment));
        Ok(())
    }

    /// Forgets which days are there: old ones may have been dropped.
    pub(super) fn forget_days(&self) {
        self.days().clear();
    }

    fn days(&self) -> std::sync::MutexGuard<'_, HashSet<Date>> {
        self.days.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is read from the beginning: each topic's own, and of the writers that are named.
fn flows(routes: &Routes, settings: &Settings) -> Vec<Flow> {
    let mut flows = Vec::new();
    for topic in routes.topics() {
        flows.push(Flow::of_topic(topic));
        flows.extend(
            settings
                .writers
                .iter()
                .map(|writer| Flow::of_writer(topic, writer)),
        );
    }
    flows
}

fn day_of(moment: OffsetDateTime) -> Date {
    moment.to_offset(UtcOffset::UTC).date()
}
