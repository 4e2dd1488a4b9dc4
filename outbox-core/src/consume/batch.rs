//! The work on one batch inside its transaction: who is called, who joins a parked lane, who failed, and what is written of it.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use tracing::Span;

use super::attempt::{Call, Ground, Stopped, attempt};
use super::delivery::{Delivery, Work};
use super::fate::{Fate, Items, Purpose};
use super::handler::{Applier, BatchHandler};
use super::inbox::Entered;
use super::inbox::keyed::Keyed;
use super::pace::LONG_ENOUGH;
use super::park::Lane;
use super::pg::{self, PgConnection};
use super::place::Place;
use super::retry::Next;
use super::span::Spans;
use super::window::Item;
use super::{Error, Failure};
use crate::event::{EntryId, Event};

mod record;

/// Where the work on a batch ended before its end.
pub(super) struct Halt {
    /// The entry at fault; none if it may be any of several.
    pub(super) id: Option<EntryId>,
    pub(super) stopped: Stopped,
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self {
            id: None,
            stopped: Stopped::Outage(error),
        }
    }
}

/// What is to be done with an entry.
enum Plan<'a> {
    Leave(Fate),
    Fail(Failure, Duration),
    Call(&'a Applier, &'a Event),
}

pub(super) struct Batch<'a> {
    pub(super) place: &'a Place,
    /// How long the handlers took together.
    pub(super) took: Duration,
    pub(super) purpose: Purpose<'a>,
    entered: Entered,
    /// Which input came before, under another id.
    keyed: Keyed,
    /// Lanes of which nothing is applied here.
    parked: HashSet<Lane>,
    /// Lanes that are parked without a failure.
    opened: HashSet<Lane>,
    failures: HashMap<EntryId, (Failure, Duration)>,
    fates: Vec<(EntryId, Fate, &'a Item<Delivery>)>,
    /// Those that had no turn because the others took long.
    rest: &'a Items,
    is_begun: bool,
    /// What is called is all that the transaction does.
    pub(super) is_sole: bool,
    /// A handler was called, and what came of it is known.
    has_handled: bool,
    spans: &'a mut Spans,
}

impl<'a> Batch<'a> {
    pub(super) fn new(
        place: &'a Place,
        purpose: Purpose<'a>,
        entered: Entered,
        spans: &'a mut Spans,
    ) -> Self {
        Self {
            place,
            took: match purpose {
                Purpose::Apart(took) => took,
                _ => Duration::ZERO,
            },
            purpose,
            entered,
            keyed: Keyed::default(),
            parked: HashSet::new(),
            opened: HashSet::new(),
            failures: HashMap::new(),
            fates: Vec::new(),
            rest: &[],
            is_begun: false,
            is_sole: false,
            has_handled: false,
            spans,
        }
    }

    /// Whether a handler answered success, and may have left something behind.
    pub(super) fn has_applied(&self) -> bool {
        self.fates.iter().any(|(_, fate, _)| *fate == Fate::Applied)
    }

    /// Those that had no turn.
    pub(super) fn rest(&self) -> &'a Items {
        self.rest
    }

    /// Whether any key of the flow is parked: it must be asked which.
    pub(super) fn may_be_parked(&self) -> bool {
        self.entered.may_be_parked
    }

    /// Finds out which of the new events say what another one said before, where that is asked for.
    pub(super) async fn find_repeated(
        &mut self,
        tx: &mut PgConnection,
        events: &[(EntryId, &Event)],
    ) -> Result<(), Error> {
        let topic = &self.place.stream.topic;
        let Some(by) = self.place.settings().deduplicate.get(topic) else {
            return Ok(());
        };
        let is_new = |id: &EntryId| self.entered.fresh.contains(id) && !self.entered.too_old.contains_key(id);
        let new: Vec<(EntryId, &Event)> = events.iter().filter(|(id, _)| is_new(id)).copied().collect();
        self.keyed = self.place.store().enter_keyed(tx, topic, *by, &new).await?;
        Ok(())
    }

    /// Finds out which lanes are parked already, and keeps them so until the commit.
    pub(super) async fn find_parked(&mut self, tx: &mut PgConnection, items: &Items) -> Result<(), Error> {
        let fresh = items.iter().filter(|item| self.entered.fresh.contains(&item.id));
        let mut lanes: Vec<&str> = fresh.map(|item| item.lane.as_str()).collect();
        lanes.sort_unstable();
        lanes.dedup();
        let (store, flow, stream) = (self.place.store(), &self.place.flow, &self.place.stream.key);
        if self.place.stream.partition.is_some() {
            store.move_lanes(tx, flow, stream, &lanes).await?;
        }
        let parked = store.lock_lanes(tx, flow, &lanes).await?;
        self.parked = parked.iter().map(|lane| Lane::stored(lane)).collect();
        Ok(())
    }

    /// Calls one handler after the other. Once that took long, those that had no turn yet are left for another transaction.
    pub(super) async fn work(&mut self, tx: &mut PgConnection, items: &'a Items) -> Result<(), Halt> {
        let began = Instant::now();
        // So many of the next ones failed together.
        let mut alone = match self.purpose {
            Purpose::Apart(_) => items.len(),
            _ => 0,
        };
        let mut rest = items;
        while let [item, others @ ..] = rest {
            if self.has_handled && began.elapsed() > LONG_ENOUGH {
                self.rest = rest;
                break;
            }
            let together = match self.plan(item) {
                Plan::Call(applier, _) if alone == 0 => self.together(applier, rest),
                _ => None,
            };
            if let Some((handler, count)) = together {
                let (run, others) = rest.split_at(count);
                self.is_sole = self.is_all(items, count);
                if self.many(tx, handler, run).await? {
                    rest = others;
                } else {
                    alone = count;
                }
            } else {
                let is_all = self.is_all(items, 1);
                self.one(tx, item, is_all).await?;
                alone = alone.saturating_sub(1);
                rest = others;
            }
        }
        Ok(())
    }

    fn plan(&mut self, item: &'a Item<Delivery>) -> Plan<'a> {
        let Delivery { event, work, .. } = &item.payload;
        if event.is_some() && !self.entered.fresh.contains(&item.id) {
            return Plan::Leave(Fate::Duplicate);
        }
        if self.keyed.repeated.contains(&item.id) {
            return Plan::Leave(Fate::Repeated);
        }
        if let (Some(until), Some(event)) = (self.entered.too_old.get(&item.id), event) {
            return Plan::Fail(Failure::of_age(event, until), Duration::ZERO);
        }
        if self.parked.contains(&item.lane) {
            return Plan::Leave(Fate::Joined);
        }
        match (self.purpose, work, event) {
            (Purpose::Park, _, Some(_)) => {
                self.opened.insert(item.lane.clone());
                self.parked.insert(item.lane.clone());
                Plan::Leave(Fate::Joined)
            }
            (Purpose::Fail(failure, took), ..) => Plan::Fail(failure.clone(), took),
            (_, Work::Handle(applier), Some(event)) => Plan::Call(applier, event),
            (_, Work::Fail(failure), _) => Plan::Fail(failure.clone(), Duration::ZERO),
            // Nothing can be done with an event that is not there; nothing makes such an entry.
            (_, Work::Handle(_), None) => Plan::Leave(Fate::Duplicate),
        }
    }

    /// How many entries from the first on can be handed over together, if there are several.
    fn together(&mut self, applier: &'a Applier, items: &'a Items) -> Option<(&'a dyn BatchHandler, usize)> {
        let mut handler = None;
        let mut count = 0;
        for item in items {
            match self.plan(item) {
                Plan::Call(other, _) if applier.of_both(other).is_some() => {
                    handler = applier.of_both(other);
                    count += 1;
                }
                _ => break,
            }
        }
        handler.filter(|_| count > 1).map(|handler| (&**handler, count))
    }

    /// Hands several over together. False if that failed and is undone: each of them is tried alone. If the call is all that the
    /// transaction does, or they are too many for a savepoint each, an error that names none of them.
    async fn many(
        &mut self,
        tx: &mut PgConnection,
        handler: &'a dyn BatchHandler,
        items: &'a Items,
    ) -> Result<bool, Halt> {
        let events: Vec<Event> = items
            .iter()
            .filter_map(|item| item.payload.event.clone())
            .collect();
        // The handler is called once for all of them: within the span of the first, which points at those of the others.
        let spans: Vec<Span> = items
            .iter()
            .zip(&events)
            .map(|(item, event)| self.spans.begin(self.place, item.id, event, item.attempts + 1))
            .collect();
        let mut spans = spans.into_iter();
        let first = spans.next().unwrap_or_else(Span::none);
        for other in spans {
            first.follows_from(&other);
        }
        // If something is down for them together, it is asked which of them needs it.
        match self.call(tx, Call::Many(handler, &events), first, || true).await {
            Ok(()) => {
                let applied = items.iter().map(|item| (item.id, Fate::Applied, &**item));
                self.fates.extend(applied);
                self.has_handled = true;
                Ok(true)
            }
            Err(stopped @ Stopped::Undone { .. })
                if self.is_sole || items.len() > self.place.settings().batch =>
            {
                Err(Halt { id: None, stopped })
            }
            Err(Stopped::Undone { failure, .. }) => {
                for item in items {
                    self.spans.give_back(item.id, &failure.class);
                }
                Ok(false)
            }
            Err(stopped @ Stopped::Conflict(_)) => Err(Halt {
                id: Some(items[0].id),
                stopped,
            }),
            Err(stopped) => Err(Halt { id: None, stopped }),
        }
    }

    /// One entry by itself. `is_all`: the transaction does nothing else if it has a handler, and that succeeds.
    async fn one(
        &mut self,
        tx: &mut PgConnection,
        item: &'a Item<Delivery>,
        is_all: bool,
    ) -> Result<(), Halt> {
        let (applier, event) = match self.plan(item) {
            Plan::Leave(fate) => {
                let outcome = match fate {
                    Fate::Duplicate => "duplicate",
                    Fate::Repeated => "repeated",
                    _ => "parked",
                };
                self.mark(item, outcome);
                self.fates.push((item.id, fate, item));
                return Ok(());
            }
            Plan::Fail(failure, took) => {
                if matches!(self.purpose, Purpose::Apply | Purpose::Apart(_)) {
                    self.mark(item, "parked");
                }
                self.fail(item, failure, took);
                return Ok(());
            }
            Plan::Call(applier, event) => (applier, event),
        };
        self.is_sole = is_all;
        let span = self.spans.begin(self.place, item.id, event, item.attempts + 1);
        let (place, lane) = (self.place, &item.lane);
        let counts = || place.is_blamed(lane, &event.r#type);
        match self.call(tx, Call::One(applier, event), span, counts).await {
            Ok(()) => self.fates.push((item.id, Fate::Applied, item)),
            Err(Stopped::Undone { failure, took }) if !self.is_sole => self.fail(item, failure, took),
            Err(stopped) => {
                let id = Some(item.id);
                return Err(Halt { id, stopped });
            }
        }
        self.has_handled = true;
        Ok(())
    }

    /// The span of an event that no handler is called for.
    fn mark(&mut self, item: &Item<Delivery>, outcome: &'static str) {
        if let Some(event) = &item.payload.event {
            self.spans
                .mark(self.place, item.id, event, item.attempts + 1, outcome);
        }
    }

    async fn call(
        &mut self,
        tx: &mut PgConnection,
        call: Call<'_>,
        span: Span,
        counts: impl Fn() -> bool,
    ) -> Result<(), Stopped> {
        let ground = if self.is_sole {
            Ground::Transaction
        } else {
            Ground::Savepoint
        };
        if ground == Ground::Savepoint && !std::mem::replace(&mut self.is_begun, true) {
            pg::begin_attempt(tx, None).await.map_err(Stopped::Outage)?;
        }
        crash_point!(HANDLER_BEFORE);
        let began = Instant::now();
        let limit = self.place.settings().handler_limit;
        let outcome = attempt(tx, call, ground, limit, span, counts).await;
        self.took += began.elapsed();
        crash_point!(HANDLER_AFTER);
        outcome
    }

    fn fail(&mut self, item: &'a Item<Delivery>, failure: Failure, took: Duration) {
        let attempts = item.attempts + 1;
        let next = self.place.next(attempts, &failure);
        if next != Next::Dead || self.place.parks_dead(&item.lane, failure.kind) {
            self.parked.insert(item.lane.clone());
        }
        let class = failure.class.clone();
        self.spans.fail(item.id, &class, next);
        self.failures.insert(item.id, (failure, took));
        let fate = Fate::Failed {
            class,
            attempts,
            next,
        };
        self.fates.push((item.id, fate, item));
    }
}
