//! The work on one parked lane inside its transaction: event after event, up to the first that fails.

use std::time::{Duration, Instant};

use super::attempt::{Call, Ground, Stopped, attempt};
use super::drained::{Drained, Known, Outcome};
use super::pace::LONG_ENOUGH;
use super::park::{FailedParked, Lane, Parked};
use super::pg::{self, Cause, PgConnection, Transaction};
use super::place::{Given, Place};
use super::retry::Next;
use super::routes::Route;
use super::span::Spans;
use super::{Error, Failure};
use crate::dead_letter::Attributes;
use crate::event::{Event, envelope};

/// The place at which it ended, and why.
pub(super) struct Halt(pub(super) i64, pub(super) Stopped);

impl Halt {
    /// `handled`: the places of the events whose handlers had answered success.
    pub(super) fn outcome(self, events: &[Parked], handled: &[i64]) -> Result<Outcome, Error> {
        match self.1 {
            Stopped::Severed { failure, took } => {
                let at = events.iter().find(|parked| parked.place == self.0);
                let known = Known {
                    at: self.0,
                    failure,
                    took,
                };
                Ok(Outcome::Severed(at.map(|parked| parked.entry_id), known))
            }
            Stopped::Undone { failure, took }
            | Stopped::Lost { failure, took }
            | Stopped::Abandoned { failure, took } => Ok(Outcome::Lost(self.0, failure, took)),
            Stopped::Conflict(failure) => Ok(Outcome::Conflict(self.0, failure)),
            Stopped::Dependency(failure) => {
                let at = events.iter().find(|parked| parked.place == self.0);
                let r#type = at.map_or_else(String::new, |parked| parked.r#type.clone());
                Ok(Outcome::Dependency(r#type, failure))
            }
            Stopped::Outage(error) => unrecorded(events, handled, error),
        }
    }
}

/// A statement of ours was refused: if handlers had answered success, by what one of them set for the transaction.
fn unrecorded(events: &[Parked], handled: &[i64], error: Error) -> Result<Outcome, Error> {
    let Error::Postgres { code: Some(code), .. } = &error else {
        return Err(error);
    };
    let failure = Failure::of_commit(code, &error);
    match (pg::cause_of_code(code), events, handled) {
        (Cause::Handler(_), [_], [at]) => Ok(Outcome::Lost(*at, failure, Duration::ZERO)),
        (Cause::Handler(_), _, [_, ..]) => Ok(Outcome::Unclear),
        _ => Err(error),
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self(0, Stopped::Outage(error))
    }
}

/// The work on one lane inside its transaction.
pub(super) struct Emptying<'a> {
    place: &'a Place,
    lane: &'a Lane,
    drained: Drained,
    /// The places of the events whose handlers were called.
    handled: Vec<i64>,
    spans: &'a mut Spans,
}

impl<'a> Emptying<'a> {
    pub(super) fn new(place: &'a Place, lane: &'a Lane, spans: &'a mut Spans) -> Self {
        Self {
            place,
            lane,
            drained: Drained::default(),
            handled: Vec::new(),
            spans,
        }
    }

    /// Applies event after event, up to the first that fails, and leaves the lane as it is to be.
    pub(super) async fn work(
        &mut self,
        tx: &mut PgConnection,
        events: &[Parked],
        known: Option<&Known>,
    ) -> Result<(), Halt> {
        let began = Instant::now();
        for parked in events {
            if began.elapsed() > LONG_ENOUGH {
                break;
            }
            let failed = match known {
                Some(known) if known.at == parked.place => Some((known.failure.clone(), known.took)),
                _ => {
                    pg::begin_attempt(tx, Some(parked.entry_id)).await?;
                    self.apply(tx, parked).await?
                }
            };
            if let Some((failure, took)) = failed {
                return Ok(self.fail(tx, parked, &failure, took).await?);
            }
        }
        Ok(self.leave(tx, Next::Dead).await?)
    }

    /// One event. Returns why it failed, if it did and that is undone.
    async fn apply(
        &mut self,
        tx: &mut PgConnection,
        parked: &Parked,
    ) -> Result<Option<(Failure, Duration)>, Halt> {
        let (store, flow) = (self.place.store(), &self.place.flow);
        let event = match envelope::decode_entry(&parked.fields) {
            Ok(event) => event,
            Err(error) => return Ok(Some((Failure::of_entry(&error), Duration::ZERO))),
        };
        let route = self.place.shared.routes.find(&self.place.stream.topic, &event);
        let (outcome, handler) = match &route {
            Route::Handler(handler) => ("applied", Some(handler)),
            Route::Skip => ("skipped", None),
            Route::UnknownVersion => return Ok(Some((Failure::of_version(&event), Duration::ZERO))),
        };
        let row = (parked.source.as_str(), parked.id.as_str(), parked.recorded_at);
        let changed = store
            .change_outcome(tx, outcome, &["parked", "dead"], &[row])
            .await?;
        store.unpark(tx, flow, self.lane, parked.place).await?;
        let is_new = changed == 1 || handler.is_some() && self.enter_again(tx, parked, &event).await?;
        let (Some(handler), true) = (handler, is_new) else {
            self.place.settle(tx, parked.dead_letter, "applied").await?;
            self.drained.dropped += 1;
            return Ok(None);
        };
        let limit = self.place.settings().handler_limit;
        let span = self
            .spans
            .begin(self.place, parked.entry_id, &event, parked.attempts + 1);
        self.drained.r#type.get_or_insert_with(|| event.r#type.clone());
        let (place, lane) = (self.place, self.lane);
        let counts = || place.is_blamed(lane, &event.r#type);
        let call = Call::One(handler, &event);
        match attempt(tx, call, Ground::Savepoint, limit, span, counts).await {
            Ok(()) => {
                self.place.settle(tx, parked.dead_letter, "applied").await?;
                self.drained.applied += 1;
                self.handled.push(parked.place);
                Ok(None)
            }
            Err(Stopped::Undone { failure, took }) => Ok(Some((failure, took))),
            Err(stopped) => {
                self.tell(parked, &stopped);
                Err(Halt(parked.place, stopped))
            }
        }
    }

    /// An event that waits and whose row the inbox does not have: that it waits proves that it had no effect. False when
    /// there is a row that says that it had.
    async fn enter_again(
        &self,
        tx: &mut PgConnection,
        parked: &Parked,
        event: &Event,
    ) -> Result<bool, Error> {
        let places = self.place.shared.places(&[event]).await?;
        let events = [(parked.entry_id, event)];
        let (stream, flow) = (&self.place.stream.key, &self.place.flow);
        let store = self.place.store();
        store.fence(tx, stream, self.place.lease, &events).await?;
        let entered = store.enter_inbox(tx, stream, flow, &events, &places).await?;
        Ok(entered.fresh.contains(&parked.entry_id))
    }

    /// Says in the span of an event how it ended the transaction.
    fn tell(&mut self, parked: &Parked, stopped: &Stopped) {
        match stopped {
            Stopped::Undone { failure, .. }
            | Stopped::Lost { failure, .. }
            | Stopped::Abandoned { failure, .. } => {
                let next = self.place.next(parked.attempts + 1, failure);
                self.spans.lose(parked.entry_id, &failure.class, next);
            }
            Stopped::Conflict(failure) | Stopped::Dependency(failure) | Stopped::Severed { failure, .. } => {
                self.spans.give_back(parked.entry_id, &failure.class);
            }
            Stopped::Outage(_) => {}
        }
    }

    /// The event at the head failed: what follows from it.
    async fn fail(
        &mut self,
        tx: &mut PgConnection,
        parked: &Parked,
        failure: &Failure,
        took: Duration,
    ) -> Result<(), Error> {
        let (store, flow) = (self.place.store(), &self.place.flow);
        let attempts = parked.attempts + 1;
        let next = self.place.next(attempts, failure);
        self.spans.fail(parked.entry_id, &failure.class, next);
        self.drained.failed = Some((failure.class.clone(), attempts, next));
        match next {
            Next::Wait => {}
            Next::Retry(_) => {
                let failed = FailedParked {
                    attempts,
                    failure,
                    took,
                };
                store
                    .fail_parked(tx, flow, self.lane, parked.place, &failed)
                    .await?;
            }
            Next::Dead => {
                self.place
                    .give_up(tx, given(parked, self.lane, failure, took))
                    .await?;
                self.place.settle(tx, parked.dead_letter, "dead").await?;
                let row = (parked.source.as_str(), parked.id.as_str(), parked.recorded_at);
                store
                    .change_outcome(tx, "dead", &["parked", "dead"], &[row])
                    .await?;
                store.unpark(tx, flow, self.lane, parked.place).await?;
                if self.place.parks_dead(self.lane, failure.kind) {
                    return store.turn_lane(tx, flow, self.lane, "dead", Duration::ZERO).await;
                }
            }
        }
        self.leave(tx, next).await
    }

    /// The state of the lane behind the events that left it, or behind one that failed and stays at its head.
    async fn leave(&mut self, tx: &mut PgConnection, next: Next) -> Result<(), Error> {
        let (store, flow) = (self.place.store(), &self.place.flow);
        let (state, pause) = match next {
            Next::Wait => ("waiting_version", Duration::ZERO),
            Next::Retry(pause) => ("retrying", pause),
            Next::Dead if store.close_lane(tx, flow, self.lane).await? => return Ok(()),
            Next::Dead => ("draining", Duration::ZERO),
        };
        if next != Next::Wait {
            self.drained.again = Some(pause);
        }
        store.turn_lane(tx, flow, self.lane, state, pause).await
    }

    /// The places of the events whose handlers answered success.
    pub(super) fn handled(&self) -> &[i64] {
        &self.handled
    }

    pub(super) async fn close(self, mut tx: Transaction<'_>) -> Result<Outcome, Error> {
        let closed = async {
            self.place.store().prove_whole(&mut tx).await?;
            crash_point!(LANE_BEFORE_COMMIT);
            pg::commit(tx).await?;
            crash_point!(LANE_COMMITTED);
            Ok(())
        };
        let error = match closed.await {
            Ok(()) => return Ok(Outcome::Committed(self.drained)),
            Err(error) => error,
        };
        let Error::Postgres { code: Some(code), .. } = &error else {
            return Err(error);
        };
        let failure = Failure::of_commit(code, &error);
        match (pg::cause_of_code(code), self.handled.as_slice()) {
            (Cause::Handler(_), [at]) => Ok(Outcome::Lost(*at, failure, Duration::ZERO)),
            (Cause::Handler(_), [_, ..]) => Ok(Outcome::Unclear),
            (Cause::Conflict, [at, ..]) => Ok(Outcome::Conflict(*at, failure)),
            _ => Err(error),
        }
    }
}

fn given<'a>(parked: &'a Parked, lane: &'a Lane, failure: &'a Failure, took: Duration) -> Given<'a> {
    Given {
        stream: &parked.stream,
        entry_id: parked.entry_id.to_string(),
        lane,
        place: Some(parked.place),
        event: Some(Attributes {
            source: &parked.source,
            id: &parked.id,
            r#type: &parked.r#type,
            schema_version: parked.schema_version.as_deref(),
            key: parked.key.as_deref(),
            recorded_at: parked.recorded_at,
        }),
        fields: &parked.fields,
        failure,
        attempts: parked.attempts + 1,
        history: &parked.history,
        took,
    }
}
