//! What is started next.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::apply::{apply, park};
use super::breaker::Held;
use super::contention::Company;
use super::delivery::Delivery;
use super::drain::drain;
use super::inbox;
use super::pace::LONG_ENOUGH;
use super::park::Lane;
use super::probe::Probe;
use super::search::Count;
use super::session::Session;
use super::window::Item;
use crate::event::EntryId;

/// What more events than usual may weigh together, as each counts twice: one handler has them in hand at once.
const TOGETHER_BYTES: usize = 1024 * 1024;
/// How many entries are parked in one go.
const PARKED_MAX: usize = 128;

impl Session<'_> {
    /// Starts as many transactions as may be and have something to do.
    pub(super) fn dispatch(&mut self) {
        self.probe_at = None;
        loop {
            let concurrency = self.concurrency();
            if self.flights.transactions() >= concurrency {
                return;
            }
            self.see_breaker();
            if self.held_back == Held::Everything {
                if self.flights.transactions() == 0 {
                    self.probe();
                }
                return;
            }
            if self.held_back != Held::Nothing && self.probe() {
                continue;
            }
            let is_lanes_turn = concurrency > 1 || !self.was_lane;
            let is_started = is_lanes_turn && self.start_lane(concurrency)
                || self.start_batch()
                || self.start_lane(concurrency);
            if !is_started {
                return;
            }
        }
    }

    /// How many transactions may run at a time.
    fn concurrency(&self) -> usize {
        match self.place.company() {
            Company::OneByOne => 1,
            Company::Together | Company::Alone => self.place.settings().concurrency,
        }
    }

    /// One slot is never taken by lanes: what waits for slow handlers must not stop what is new. With one slot in all they
    /// take turns.
    fn start_lane(&mut self, concurrency: usize) -> bool {
        let most = concurrency.saturating_sub(1).max(1);
        if self.flights.lanes() >= most {
            return false;
        }
        // Of what is parked only those are known that failed.
        let held_back = self.failed_lanes();
        let window = &self.window;
        let may = |lane: &Lane| !window.is_flying(lane) && !held_back.contains(lane);
        let Some(lane) = self.lanes.next(may) else {
            return false;
        };
        let most = match self.place.company() {
            Company::Together => self.place.settings().batch,
            Company::Alone | Company::OneByOne => 1,
        };
        self.drain(lane, most, None);
        self.was_lane = true;
        true
    }

    fn start_batch(&mut self) -> bool {
        let held_back = &self.held_back;
        let batch = self.batch_size();
        let concurrency = self.concurrency();
        let free = concurrency.saturating_sub(self.flights.transactions());
        let lanes = self.window.part(batch, free, concurrency);
        let may = |item: &Item<Delivery>| !held_back.holds(type_of(item));
        let mut items = self.window.ready_of(self.lanes.draining(), batch, lanes, may);
        items.truncate(inbox::together(items.iter().map(|item| recorded_at(item))));
        items.truncate(self.small_enough(&items));
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
        self.was_lane = false;
        let place = self.place.clone();
        let work = async move { apply(&place, &items, head).await };
        self.flights.batch(head.is_some(), None, work);
        true
    }

    /// So many that a transaction is over soon: what it locks is locked until then, and its keys wait.
    fn batch_size(&self) -> usize {
        if self.place.company() != Company::Together {
            return 1;
        }
        let batch = self.most_events();
        let in_time = LONG_ENOUGH.as_nanos().checked_div(self.pace.as_nanos());
        in_time.map_or(batch, |count| {
            usize::try_from(count).unwrap_or(batch).clamp(1, batch)
        })
    }

    /// More than usual, where one call takes all of them and there are as many for each transaction that may begin.
    fn most_events(&self) -> usize {
        let settings = self.place.settings();
        if !self.shared().routes.takes_together(&self.stream().topic) {
            return settings.batch;
        }
        let free = settings.concurrency.saturating_sub(self.flights.transactions());
        (self.window.open_count() / free.max(1)).clamp(settings.batch, self.together.max(settings.batch))
    }

    /// How many of these may be in one transaction by their size, where they are more than usual.
    fn small_enough(&self, items: &[Arc<Item<Delivery>>]) -> usize {
        let mut bytes = 0;
        let small = items.iter().take_while(|item| {
            bytes += item.bytes;
            bytes <= TOGETHER_BYTES
        });
        small.count().max(self.place.settings().batch)
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
        let holder = self.window.held_up_by().cloned();
        self.note_holder(holder.as_ref());
        if self.flights.is_parking() {
            return;
        }
        // What comes for a lane that is being drained joins it; a lane that holds the others up is parked.
        let mut items = self.window.of_lanes(self.lanes.draining(), PARKED_MAX);
        if items.is_empty()
            && let Some(lane) = holder
            && self.window.is_waiting(&lane)
            && self.may_park(&lane)
            && (self.window.places_left() == 0 || self.held_up.names(&lane, Instant::now()))
        {
            items = self.window.of_lanes(&HashSet::from([lane]), PARKED_MAX);
            self.lanes.due_after(Instant::now(), Duration::ZERO);
        }
        items.truncate(inbox::together(items.iter().map(|item| recorded_at(item))));
        if !items.is_empty() {
            let ids: Vec<EntryId> = items.iter().map(|item| item.id).collect();
            self.window.start(&ids);
            let place = self.place.clone();
            self.flights.park(async move { park(&place, &items).await });
        }
    }

    /// What is being parked or drained is not blamed for the time that this takes.
    fn note_holder(&mut self, holder: Option<&Lane>) {
        let now = Instant::now();
        match holder {
            None => self.held_up.end(),
            Some(lane) if self.flights.is_parking() || self.lanes.draining().contains(lane) => {
                self.held_up.pass(now);
            }
            Some(lane) => self.held_up.see(lane, now),
        }
    }

    /// What waits for what is down stays on the stream; but for those that nobody else of their type may be waiting with.
    fn may_park(&self, lane: &Lane) -> bool {
        match self.held_back {
            Held::Nothing => true,
            Held::Everything => false,
            Held::Types(_) => self.failed_lanes().contains(lane),
        }
    }

    pub(super) fn drain(&mut self, lane: Lane, most: usize, probe: Option<Probe>) {
        let (place, of) = (self.place.clone(), lane.clone());
        self.flights
            .lane(lane, probe, async move { drain(&place, &of, most).await });
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
        if is_stopping || self.count != Count::Now {
            self.flights.acknowledge(&self.link);
        }
    }
}

pub(super) fn type_of(item: &Item<Delivery>) -> Option<&str> {
    Some(&item.payload.event.as_ref()?.r#type)
}

fn recorded_at(item: &Item<Delivery>) -> Option<time::OffsetDateTime> {
    inbox::recorded_at(item.payload.event.as_ref()?)
}
