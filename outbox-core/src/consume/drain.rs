//! What waits in a lane is applied: the first event that failed, when it is due, or all of a lane that goes back, in order.
//!
//! The lane's row is held, the outcome of each event in the inbox changes from `parked` (or `dead`) to `applied` in the same
//! transaction, and must change for one row: if it does not, the event had its effect, and is dropped without another.

use std::time::{Duration, Instant};

use super::apply::{CONFLICTS_MAX, jitter};
use super::attempt::{Call, Stopped, attempt, is_handlers_doing};
use super::park::{FailedParked, Lane, Parked};
use super::pg::{self, Cause, PgConnection, Transaction};
use super::place::{Given, Place};
use super::retry::Next;
use super::routes::Route;
use super::span::Spans;
use super::{Error, Failure};
use crate::dead_letter::Attributes;
use crate::event::{Event, envelope};

/// A transaction that took this long takes no further event: its locks are held, and what joins the lane waits for its end.
const LONG_ENOUGH: Duration = Duration::from_secs(1);

/// What a lane came to.
#[derive(Debug, Default)]
pub(super) struct Drained {
    /// Events whose effect is committed.
    pub(super) applied: usize,
    /// Events that had their effect before, or that nobody here wants any more.
    pub(super) dropped: usize,
    /// The event that failed: class, attempts, what follows.
    pub(super) failed: Option<(String, u32, Next)>,
    /// Something that its first event needs is down.
    pub(super) dependency: Option<Failure>,
    /// Until when the lane waits; none if it does not wait for a time.
    pub(super) again: Option<Duration>,
}

/// What one transaction came to.
enum Outcome {
    Committed(Drained),
    /// Undone, by the doing of the event at this place.
    Lost(i64, Failure, Duration),
    /// Undone; each of its events may be at fault.
    Unclear,
    /// Undone because another transaction was in the way, which the event at this place met.
    Conflict(i64, Failure),
    Dependency(Failure),
}

/// Applies the first events of a lane, at most `most`.
///
/// # Errors
/// When the database or the lease is gone.
pub(super) async fn drain(place: &Place, lane: &Lane, mut most: usize) -> Result<Drained, Error> {
    let mut known: Option<Known> = None;
    let mut conflicts = 0;
    loop {
        match transaction(place, lane, most, known.as_ref()).await? {
            Outcome::Committed(drained) => return Ok(drained),
            Outcome::Dependency(failure) => {
                return Ok(Drained {
                    dependency: Some(failure),
                    ..Drained::default()
                });
            }
            // Those before it come again; when it is its turn, what is known of it counts.
            Outcome::Lost(at, failure, took) => known = Some(Known { at, failure, took }),
            Outcome::Unclear => most = 1,
            Outcome::Conflict(at, failure) if conflicts == CONFLICTS_MAX => {
                let took = Duration::ZERO;
                known = Some(Known { at, failure, took });
            }
            Outcome::Conflict(..) => {
                conflicts += 1;
                jitter().await;
            }
        }
    }
}

/// An attempt that failed with the transaction it was in.
struct Known {
    at: i64,
    failure: Failure,
    took: Duration,
}

async fn transaction(
    place: &Place,
    lane: &Lane,
    most: usize,
    known: Option<&Known>,
) -> Result<Outcome, Error> {
    let mut spans = Spans::default();
    let came = traced(place, lane, most, known, &mut spans).await;
    spans.end(matches!(came, Ok(Outcome::Committed(_))));
    came
}

async fn traced(
    place: &Place,
    lane: &Lane,
    most: usize,
    known: Option<&Known>,
    spans: &mut Spans,
) -> Result<Outcome, Error> {
    let store = place.store();
    let _slot = place.shared.slot().await;
    let mut connection = store
        .acquire("taking a connection to apply what is parked")
        .await?;
    let mut tx = store.begin(&mut connection, None).await?;
    let backend = store.fence(&mut tx, &place.stream.key, place.lease).await?;
    let Some(is_whole) = store
        .lock_lane(&mut tx, &place.flow, lane, &place.stream.key)
        .await?
    else {
        pg::rollback(tx).await?;
        return Ok(Outcome::Committed(Drained::default()));
    };
    let most = if is_whole { most } else { 1 };
    let events = store.parked_events(&mut tx, &place.flow, lane, most).await?;
    let mut work = Emptying {
        place,
        lane,
        drained: Drained::default(),
        handled: Vec::new(),
        spans,
    };
    let halt = match work.work(&mut tx, &events, known).await {
        Ok(()) => return work.close(tx).await,
        Err(halt) => halt,
    };
    if matches!(halt.1, Stopped::Abandoned { .. }) {
        store.end_backend(backend).await;
    }
    if matches!(halt.1, Stopped::Abandoned { .. } | Stopped::Lost { .. }) {
        drop(tx);
        connection.close();
    } else if let Err(error) = pg::rollback(tx).await {
        if !is_handlers_doing(&error) {
            return Err(error);
        }
        connection.close();
    }
    halt.outcome()
}

/// The place at which it ended, and why.
struct Halt(i64, Stopped);

impl Halt {
    fn outcome(self) -> Result<Outcome, Error> {
        match self.1 {
            Stopped::Undone { failure, took }
            | Stopped::Lost { failure, took }
            | Stopped::Abandoned { failure, took } => Ok(Outcome::Lost(self.0, failure, took)),
            Stopped::Conflict(failure) => Ok(Outcome::Conflict(self.0, failure)),
            Stopped::Dependency(failure) => Ok(Outcome::Dependency(failure)),
            Stopped::Outage(error) => Err(error),
        }
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self(0, Stopped::Outage(error))
    }
}

/// The work on one lane inside its transaction.
struct Emptying<'a> {
    place: &'a Place,
    lane: &'a Lane,
    drained: Drained,
    /// The places of the events whose handlers were called.
    handled: Vec<i64>,
    spans: &'a mut Spans,
}

impl Emptying<'_> {
    /// Applies event after event, up to the first that fails, and leaves the lane as it is to be.
    async fn work(
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
        match attempt(tx, Call::One(handler, &event), limit, span).await {
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
        self.place.shared.ensure_days([event]).await?;
        let events = [(parked.entry_id, event)];
        let (stream, flow) = (&self.place.stream.key, &self.place.flow);
        let entered = self.place.store().enter_inbox(tx, stream, flow, &events).await?;
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
            Stopped::Conflict(failure) | Stopped::Dependency(failure) => {
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

    async fn close(self, mut tx: Transaction<'_>) -> Result<Outcome, Error> {
        let closed = async {
            self.place.store().prove_whole(&mut tx).await?;
            pg::commit(tx).await
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
