//! What the lanes of one consumer share.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use time::{Date, OffsetDateTime};

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
use super::slots::Slots;
use super::stream::Flow;
use super::suspects::Suspects;
use crate::event::Event;

pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) redis: redis::Client,
    pub(super) routes: Routes,
    pub(super) settings: Settings,
    pub(super) board: Board,
    pub(super) discovery: Discovery,
    pub(super) signals: Signals,
    pub(super) breakers: Breakers,
    pub(super) suspects: Suspects,
    /// By topic: the handlers of all its streams change the same rows.
    contention: Mutex<HashMap<String, Contention>>,
    /// Transactions that may be open at a time.
    pub(super) slots: Slots,
    /// Days of which it is known whether the inbox has them.
    days: Mutex<HashMap<Date, bool>>,
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
        let slots = Slots::new(store.connections(), &routes.topics());
        Self {
            store,
            redis,
            routes,
            settings,
            board,
            discovery,
            signals: Signals::default(),
            breakers: Breakers::default(),
            suspects: Suspects::default(),
            contention: Mutex::default(),
            slots,
            days: Mutex::default(),
        }
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

    /// In which day of the inbox each of these events has its place; none where it has no day. Makes the days that they need.
    pub(super) async fn places(&self, events: &[&Event]) -> Result<Vec<Option<OffsetDateTime>>, Error> {
        let mut places = Vec::new();
        for event in events {
            places.push(match inbox::recorded_at(event) {
                Some(moment) if self.has_day(moment).await? => Some(moment),
                _ => None,
            });
        }
        Ok(places)
    }

    /// Whether the inbox has the day that `moment` lies in; it is made if it should be there.
    pub(super) async fn has_day(&self, moment: OffsetDateTime) -> Result<bool, Error> {
        let known = self.days().get(&inbox::day_of(moment)).copied();
        if let Some(has_day) = known {
            return Ok(has_day);
        }
        let has_day = self.store.ensure_inbox_day(moment).await?;
        self.days().insert(inbox::day_of(moment), has_day);
        Ok(has_day)
    }

    /// Forgets which days are there: old ones may have been dropped, by whomever, and what was to come is there by now.
    pub(super) fn forget_days(&self) {
        self.days().clear();
    }

    fn days(&self) -> std::sync::MutexGuard<'_, HashMap<Date, bool>> {
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
