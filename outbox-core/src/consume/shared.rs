//! What the lanes of one consumer share.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use time::{Date, OffsetDateTime, UtcOffset};

use super::Error;
use super::board::Board;
use super::discovery::Discovery;
use super::inbox;
use super::pg::Store;
use super::routes::Routes;
use super::settings::Settings;
use super::stream::Flow;
use crate::event::Event;

pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) redis: redis::Client,
    pub(super) routes: Routes,
    pub(super) settings: Settings,
    pub(super) board: Board,
    pub(super) discovery: Discovery,
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
        Self {
            store,
            redis,
            routes,
            settings,
            board,
            discovery,
            days: Mutex::default(),
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
