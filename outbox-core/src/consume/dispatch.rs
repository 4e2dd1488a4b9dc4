//! What is started next, and what follows from what came back.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::apply::{Fate, Landing, apply, park};
use super::breaker::Pass;
use super::drain::{Drained, drain};
use super::flight::Flown;
use super::inbox;
use super::park::Lane;
use super::retry::Next;
use super::session::Session;
use super::{Error, Failure};
use crate::event::EntryId;

/// A transaction should not take longer, and one that does must not keep others waiting.
const LONG_ENOUGH: Duration = Duration::from_secs(1);
/// How many entries are parked in one go.
const PARKED_MAX: usize = 128;

impl Session<'_> {
    /// Starts as many transactions as may be and have something to do.
    pub(super) fn dispatch(&mut self) {
        self.probe_at = None;
        let concurrency = self.place.settings().concurrency;
        while self.flights.transactions() < concurrency {
            let is_open = self.shared().breakers.cause(&self.stream().topic).is_some();
            if is_open != self.is_open {
                self.is_open = is_open;
                self.meters.breaker.set(if is_open { 1.0 } else { 0.0 });
                self.stand();
            }
            if is_open {
                self.probe();
                return;
            }
            if !(self.start_lane(concurrency) || self.start_batch()) {
                return;
            }
        }
    }

    /// One slot is never taken by lanes: what waits for slow handlers must not stop what is new.
    fn start_lane(&mut self, concurrency: usize) -> bool {
        let most = concurrency.saturating_sub(1).max(1);
        if self.flights.lanes() >= most {
            return false;
        }
        let window = &self.window;
        let Some(lane) = self.lanes.next(None, |lane| !window.is_flying(lane)) else {
            return false;
        };
        self.drain(lane, self.place.settings().batch);
        true
    }

    fn start_batch(&mut self) -> bool {
        let items = self.window.ready(self.lanes.draining(), self.batch_size());
        if items.is_empty() {
            return false;
        }
        let ids: Vec<EntryId> = items.iter().map(|item| item.id).collect();
        let is_alone = self.flights.transactions() == 0 && !self.flights.is_moving();
        let head = if is_alone {
            self.window.head_after(&ids)
        } else {
            None
        };
        self.window.start(&ids);
        let place = self.place.clone();
        let work = async move { apply(&place, &items, head).await };
        self.flights.batch(head.is_some(), work);
        true
    }

    /// So many that a transaction is over soon: what it locks is locked until then, and its keys wait.
    fn batch_size(&self) -> usize {
        let batch = self.place.settings().batch;
        let in_time = LONG_ENOUGH.as_nanos().checked_div(self.pace.as_nanos());
        in_time.map_or(batch, |count| {
            usize::try_from(count).unwrap_or(batch).clamp(1, batch)
        })
    }

    /// When the transactions under way are slow, if nothing comes back until then and nothing more can be read.
    pub(super) fn slow_at(&self) -> Option<Instant> {
        (!self.window.has_room() && self.flights.transactions() > 0).then(|| self.landed_at + LONG_ENOUGH)
    }

    /// Keeps slow keys from filling the window, and from holding the chain up.
    pub(super) fn make_room(&mut self) {
        if let Some(slow_at) = self.slow_at()
            && Instant::now() >= slow_at
        {
            let entries = self.window.set_aside();
            if entries > 0 {
                tracing::debug!(
                    stream = self.stream().key,
                    entries,
                    "set aside behind slow handlers"
                );
            }
            self.landed_at = Instant::now();
        }
        if self.flights.is_parking() {
            return;
        }
        // What comes for a lane that is being drained joins it; a lane that holds the others up is parked.
        let mut items = self.window.of_lanes(self.lanes.draining(), PARKED_MAX);
        if items.is_empty()
            && !self.is_open
            && let Some(lane) = self.window.holder().cloned()
        {
            items = self.window.of_lanes(&HashSet::from([lane]), PARKED_MAX);
            self.lanes.due_after(Instant::now(), Duration::ZERO);
        }
        if !items.is_empty() {
            let ids: Vec<EntryId> = items.iter().map(|item| item.id).collect();
            self.window.start(&ids);
            let place = self.place.clone();
            self.flights.park(async move { park(&place, &items).await });
        }
    }

    fn drain(&mut self, lane: Lane, most: usize) {
        let (place, of) = (self.place.clone(), lane.clone());
        self.flights
            .lane(lane, async move { drain(&place, &of, most).await });
    }

    /// While the breaker is open: one event alone, now and then, of the key that opened it if there is one.
    fn probe(&mut self) {
        if self.flights.transactions() > 0 {
            return;
        }
        let suspect = self.suspect.clone();
        let ready = self.window.ready(self.lanes.draining(), usize::MAX);
        let item = ready
            .iter()
            .find(|item| Some(&item.lane) == suspect.as_ref())
            .or(ready.first());
        let is_lane = self
            .lanes
            .is_any(|lane| item.is_none() || Some(lane) == suspect.as_ref());
        if item.is_none() && !is_lane {
            return;
        }
        let patience = self.place.settings().handler_limit + self.place.settings().lease;
        let topic = &self.stream().topic;
        let pass = self
            .shared()
            .breakers
            .of(topic, |breaker| breaker.pass(Instant::now(), patience));
        match pass {
            Pass::None(until) => self.probe_at = Some(until),
            Pass::All | Pass::One => {
                self.flights.set_probe();
                if is_lane && let Some(lane) = self.lanes.next(suspect.as_ref(), |_| true) {
                    self.drain(lane, 1);
                } else if let Some(item) = item.cloned() {
                    self.window.start(&[item.id]);
                    let place = self.place.clone();
                    self.flights
                        .batch(false, async move { apply(&place, &[item], None).await });
                }
            }
        }
    }

    /// Starts what is to be recorded and acknowledged.
    pub(super) fn settle(&mut self, is_stopping: bool) {
        let head = self
            .window
            .head_after(&[])
            .filter(|head| Some(*head) > self.committed);
        let is_due = is_stopping || self.flights.transactions() == 0 || self.window.is_half_full();
        if self.flights.must_move(head.is_some(), is_due)
            && let Some(head) = head
        {
            let place = self.place.clone();
            let work = async move {
                let store = place.store();
                store.record_passed(&place.stream.key, place.lease, head).await
            };
            self.flights.move_on(head, work);
        }
        self.flights.acknowledge(&self.link);
    }

    /// What came back, and what follows.
    pub(super) fn landed(&mut self, flown: Flown) -> Result<(), Error> {
        match flown {
            Flown::Batch { began, outcome, .. } => {
                self.meters
                    .transaction_seconds
                    .record(began.elapsed().as_secs_f64());
                let is_probe = self.flights.take_probe();
                self.batch_landed(outcome?, is_probe);
            }
            Flown::Parked { outcome } => {
                // No handler was called: it says nothing about what is down.
                self.batch_landed(outcome?, false);
                self.lanes.due_after(Instant::now(), Duration::ZERO);
            }
            Flown::Lane { lane, began, outcome } => {
                self.meters
                    .transaction_seconds
                    .record(began.elapsed().as_secs_f64());
                self.lane_landed(lane, outcome?);
            }
            Flown::Moved { to, outcome } => {
                outcome?;
                self.passed(to);
            }
            Flown::Acknowledged { outcome, .. } => outcome?,
        }
        self.meters.in_hand.set(self.window.len() as f64);
        Ok(())
    }

    fn batch_landed(&mut self, landing: Landing, is_probe: bool) {
        self.landed_at = Instant::now();
        let is_handled = |(_, fate): &&(EntryId, Fate)| matches!(fate, Fate::Applied | Fate::Failed { .. });
        if let Ok(handled @ 1..) = u32::try_from(landing.fates.iter().filter(is_handled).count()) {
            self.pace = (self.pace * 3 + landing.took / handled) / 4;
        }
        if let Some((id, failure)) = &landing.dependency {
            self.suspect = self.window.item(*id).map(|item| item.lane.clone());
            self.dependency_down(failure, is_probe);
        } else if is_probe {
            let was_handled = |fate: &Fate| matches!(fate, Fate::Applied | Fate::Failed { .. });
            self.probed(landing.fates.iter().any(|(_, fate)| was_handled(fate)));
        }
        for (id, fate) in &landing.fates {
            self.tell(*id, fate);
        }
        let finished: Vec<EntryId> = landing.fates.iter().map(|(id, _)| *id).collect();
        self.has_progressed |= !finished.is_empty();
        let strangers = self.window.finish(&finished);
        self.flights.finished(strangers);
        self.window.release(&landing.rest, landing.apart);
        if let Some(passed) = landing.passed {
            self.passed(passed);
        }
    }

    /// The chain is passed up to here, and that is committed.
    fn passed(&mut self, to: EntryId) {
        self.committed = self.committed.max(Some(to));
        let acknowledge = self.window.pass(to);
        self.flights.finished(acknowledge);
    }

    fn lane_landed(&mut self, lane: Lane, drained: Drained) {
        let is_probe = self.flights.take_probe();
        if let Some(failure) = &drained.dependency {
            self.suspect = Some(lane.clone());
            self.dependency_down(failure, is_probe);
            self.lanes.drained(lane, Some(Duration::ZERO), Instant::now());
            return;
        }
        if is_probe {
            self.probed(drained.applied > 0 || drained.failed.is_some());
        }
        self.has_progressed = true;
        self.meters.applied(drained.applied as u64);
        self.meters.drained.increment(drained.applied as u64);
        self.meters.duplicates.increment(drained.dropped as u64);
        if let Some((class, attempts, next)) = &drained.failed {
            self.tell_failure(None, class, *attempts, *next);
        }
        self.lanes.drained(lane, drained.again, Instant::now());
    }

    fn dependency_down(&mut self, failure: &Failure, is_probe: bool) {
        self.meters.failed(&failure.class);
        self.meters.attempted("dependency");
        let fraction = rand::random_range(0.0..=1.0);
        let topic = self.stream().topic.clone();
        // Its name or class, not what was said about it: this is shown to whoever asks for readiness.
        let name = failure.text.split_once(": ").map(|(name, _)| name);
        let cause = name
            .filter(|_| failure.class == "dependency")
            .unwrap_or(&failure.class);
        self.shared().breakers.of(&topic, |breaker| {
            breaker.fail(Instant::now(), is_probe, cause, fraction);
        });
        tracing::warn!(
            stream = self.stream().key,
            class = failure.class,
            "what a handler needs is down: one event is tried now and then"
        );
        self.is_open = true;
        self.meters.breaker.set(1.0);
        self.stand();
    }

    fn probed(&mut self, was_handled: bool) {
        let topic = self.stream().topic.clone();
        self.shared().breakers.of(&topic, |breaker| match was_handled {
            true => breaker.close(),
            false => breaker.retry(Instant::now()),
        });
        if was_handled {
            self.is_open = false;
            self.suspect = None;
            self.meters.breaker.set(0.0);
            self.stand();
        }
    }

    fn tell(&mut self, id: EntryId, fate: &Fate) {
        match fate {
            Fate::Applied => {
                self.meters.applied(1);
                let recorded_at = self
                    .window
                    .item(id)
                    .and_then(|item| inbox::recorded_at(item.payload.event.as_ref()?));
                if let Some(recorded_at) = recorded_at {
                    let delay = time::OffsetDateTime::now_utc() - recorded_at;
                    self.meters.delay_seconds.record(delay.as_seconds_f64().max(0.0));
                }
            }
            Fate::Duplicate => self.meters.duplicates.increment(1),
            Fate::Repeated => self.meters.repeated.increment(1),
            Fate::Joined => self.meters.parked.increment(1),
            Fate::Failed {
                class,
                attempts,
                next,
            } => self.tell_failure(Some(id), class, *attempts, *next),
        }
    }

    fn tell_failure(&mut self, id: Option<EntryId>, class: &str, attempts: u32, next: Next) {
        let entry = id.map(|id| id.to_string());
        let stream = &self.stream().key;
        match next {
            Next::Retry(pause) => {
                tracing::warn!(
                    stream,
                    entry,
                    attempts,
                    class,
                    ?pause,
                    "an attempt failed: its key waits"
                );
                self.lanes.due_after(Instant::now(), pause);
            }
            Next::Wait => {
                tracing::warn!(
                    stream,
                    entry,
                    "an event of an unknown version: its key waits for a member that knows it"
                );
            }
            Next::Dead => {
                tracing::error!(
                    stream,
                    entry,
                    attempts,
                    class,
                    "given up: see outbox_ops.dead_letters"
                );
                self.meters.dead.increment(1);
                if !self.held.is_empty() {
                    // Perhaps one of them waits for this one, and need not any more.
                    self.look_at = Instant::now();
                }
            }
        }
        self.meters.attempted(match next {
            Next::Retry(_) => "retried",
            Next::Wait => "waiting_version",
            Next::Dead => "dead",
        });
        if next != Next::Wait {
            self.meters.failed(class);
        }
        if id.is_some() && next != Next::Dead {
            self.meters.parked.increment(1);
        }
    }
}
