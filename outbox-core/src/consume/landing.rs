//! What follows from what came back: how far the stream came, what is due again, what is told.

use std::time::{Duration, Instant};

use super::Error;
use super::drained::Drained;
use super::fate::{Fate, Landing};
use super::flight::Flown;
use super::inbox;
use super::pace;
use super::park::Lane;
use super::probe::Probe;
use super::retry::Next;
use super::session::Session;
use crate::event::EntryId;

impl Session<'_> {
    /// What came back, and what follows.
    pub(super) fn landed(&mut self, flown: Flown) -> Result<(), Error> {
        match flown {
            Flown::Batch {
                probe,
                began,
                outcome,
                ..
            } => {
                self.meters
                    .transaction_seconds
                    .record(began.elapsed().as_secs_f64());
                self.batch_landed(outcome?, began, probe);
            }
            Flown::Parked { outcome } => {
                // No handler was called: it says nothing about what is down.
                self.batch_landed(outcome?, Instant::now(), None);
                self.lanes.due_after(Instant::now(), Duration::ZERO);
            }
            Flown::Lane {
                lane,
                probe,
                began,
                outcome,
            } => {
                self.meters
                    .transaction_seconds
                    .record(began.elapsed().as_secs_f64());
                self.lane_landed(lane, outcome?, began, probe);
            }
            Flown::Moved { to, outcome } => {
                outcome?;
                self.passed(to);
            }
            Flown::Acknowledged { outcome } => outcome?,
        }
        self.meters.in_hand.set(self.window.len() as f64);
        Ok(())
    }

    fn batch_landed(&mut self, landing: Landing, began: Instant, probe: Option<Probe>) {
        self.landed_at = Instant::now();
        let is_handled = |(_, fate): &&(EntryId, Fate)| matches!(fate, Fate::Applied | Fate::Failed { .. });
        if let Ok(handled @ 1..) = u32::try_from(landing.fates.iter().filter(is_handled).count()) {
            self.pace = pace::after(self.pace, landing.took / handled);
        }
        let settings = self.place.settings();
        self.together = match landing.parted.is_some() || landing.apart {
            true => settings.batch,
            false => (self.together * 2).min(settings.together),
        };
        self.batch_probed(&landing, began, probe);
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

    fn lane_landed(&mut self, lane: Lane, drained: Drained, began: Instant, probe: Option<Probe>) {
        self.lane_probed(&lane, &drained, began, probe);
        if drained.dependency.is_some() {
            self.lanes.drained(lane, Some(Duration::ZERO), Instant::now());
            return;
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
