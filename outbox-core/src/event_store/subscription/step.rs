//! One transaction: the lease, a page of events, the handler's effects, the checkpoint. Then, and only then, it counts.
//!
//! A page is applied without savepoints, since nearly all succeed. When something fails everything is undone, and the same page is
//! applied again with a savepoint for each event ([`Care::Each`]), or, when the transaction as a whole was refused, one event at a time
//! ([`Care::Alone`]): then what failed is known, and its stream is parked.

use std::collections::HashSet;
use std::sync::Arc;

use super::attempt::{Stopped, attempt, left_behind};
use super::failure::Failure;
use super::obstacle::Obstacle;
use super::partition::jitter;
use super::pg::{self, Page, PgConnection, Store};
use super::set_aside::set_aside;
use super::{Error, EventHandler, difference, metric};
use crate::event_store::StoredEvent;

/// Where a process applies: a partition, as long as the lease of this epoch holds.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) store: Store,
    pub(super) handler: Arc<dyn EventHandler>,
    pub(super) partition: i32,
    pub(super) epoch: i64,
}

/// How carefully a page is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    /// As a whole.
    Whole,
    /// With a savepoint for each event.
    Each,
    /// One event.
    Alone,
}

/// What a step came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stepped {
    /// The checkpoint moved; whether the difference goes on.
    Moved { is_all: bool },
    /// Nothing was committed; the same again, so carefully, for as many events.
    Again(Care, usize),
    /// Something was in the way that may pass by itself.
    Hindered(Hindered),
    /// What failed waits, and was passed over; nothing else was committed.
    SetAside,
    /// A person paused it.
    Paused,
    /// So many streams wait for their next attempt that nothing more is begun.
    Full,
}

/// What was in the way of a page of so many events: at which of them, by stream and version, and as what it counts if it does not pass.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hindered {
    pub(super) obstacle: Obstacle,
    pub(super) event: (i64, i64),
    pub(super) events: usize,
    pub(super) failure: Failure,
}

/// What is known after the handlers of a page.
pub(super) struct Done<'p> {
    applied: Vec<&'p StoredEvent>,
    parked: usize,
}

/// An attempt that ends the transaction: of which event of the page.
pub(super) struct Halt {
    at: usize,
    stopped: Stopped,
}

/// Applies a page.
///
/// # Errors
/// When the lease or the database is gone, or went back in time.
pub(super) async fn step(place: &Place, care: Care) -> Result<Stepped, Error> {
    let store = &place.store;
    let mut lent = store.lend().await?;
    let mut tx = store.begin(&mut lent).await?;
    let drawn = Store::drawn(&mut tx).await?;
    let fenced = store.fence(&mut tx, place.partition, place.epoch).await?;
    if fenced.is_paused {
        pg::rollback(tx).await?;
        return Ok(Stepped::Paused);
    }
    if store.is_full(&mut tx, place.partition).await? {
        pg::rollback(tx).await?;
        return Ok(Stepped::Full);
    }
    if fenced.checkpoint.is_before_all(drawn) {
        difference::mark_beginning(store, &mut tx, place.partition, &fenced, drawn).await?;
        pg::commit(tx).await?;
        return Ok(Stepped::Moved { is_all: false });
    }
    let Some(mut open) = difference::open(&mut tx, &fenced).await? else {
        pg::rollback(tx).await?;
        return Ok(Stepped::Moved { is_all: true });
    };
    let at_most = if care == Care::Alone { 1 } else { u32::MAX };
    let page = open.page(store, &mut tx, place.partition, at_most).await?;
    let outcome = apply_page(place, &mut tx, &page, care).await;
    let done = match outcome {
        Ok(done) => done,
        Err(halt) => {
            drop(tx);
            lent.close();
            return stop(place, &page, halt, care).await;
        }
    };
    let moved = async {
        open.pass(store, &mut tx, place.partition, drawn, &page).await?;
        pg::commit(tx).await
    };
    if let Err(error) = moved.await {
        lent.close();
        let at = page.events.len().saturating_sub(1);
        let stopped = left_behind(error);
        return stop(place, &page, Halt { at, stopped }, care).await;
    }
    tell(place, &done);
    Ok(Stepped::Moved { is_all: page.is_all })
}

/// Hands the events over, but for those of streams that wait.
pub(super) async fn apply_page<'p>(
    place: &Place,
    tx: &mut PgConnection,
    page: &'p Page,
    care: Care,
) -> Result<Done<'p>, Halt> {
    let store = &place.store;
    let outage = |at: usize| {
        move |error: Error| Halt {
            at,
            stopped: left_behind(error),
        }
    };
    let mut done = Done {
        applied: Vec::with_capacity(page.events.len()),
        parked: 0,
    };
    if page.events.is_empty() {
        return Ok(done);
    }
    let streams: Vec<i64> = page
        .events
        .iter()
        .map(|(stream, _)| *stream)
        .collect::<HashSet<_>>()
        .into_iter()
        .collect();
    let mut waiting = store.parked_among(tx, &streams).await.map_err(outage(0))?;
    store.enter_schema(tx).await.map_err(outage(0))?;
    for (at, (stream, event)) in page.events.iter().enumerate() {
        if waiting.contains(stream) {
            continue;
        }
        match one(place, tx, event, care).await {
            Ok(()) => done.applied.push(event),
            // A limit of the transaction, which others used up before: by itself the event may pass.
            Err(Stopped::Failed(failure)) if care == Care::Each && failure.is_of_the_transaction() => {
                let stopped = Stopped::Abandoned(failure);
                return Err(Halt { at, stopped });
            }
            Err(Stopped::Failed(failure)) if care != Care::Whole => {
                let from = (*stream, version(event));
                park(place, tx, from, &failure).await.map_err(outage(at))?;
                waiting.insert(*stream);
                done.parked += 1;
            }
            Err(stopped) => return Err(Halt { at, stopped }),
        }
    }
    Ok(done)
}

async fn one(place: &Place, tx: &mut PgConnection, event: &StoredEvent, care: Care) -> Result<(), Stopped> {
    let settings = &place.store.subscription;
    if care == Care::Whole {
        return attempt(tx, &*place.handler, event, &settings.name, settings.handler_limit).await;
    }
    pg::begin_attempt(tx).await.map_err(left_behind)?;
    let outcome = attempt(tx, &*place.handler, event, &settings.name, settings.handler_limit).await;
    match outcome {
        // A handler that ignored a failed statement is found here.
        Ok(()) => match pg::keep_attempt(tx).await.map_err(left_behind) {
            Err(Stopped::Abandoned(failure)) if pg::undo_attempt(tx).await.is_ok() => {
                Err(Stopped::Failed(failure))
            }
            kept => kept,
        },
        Err(Stopped::Failed(failure)) => match pg::undo_attempt(tx).await {
            Ok(()) => Err(Stopped::Failed(failure)),
            Err(_) => Err(Stopped::Abandoned(failure)),
        },
        Err(stopped) => Err(stopped),
    }
}

/// Draws the conclusion from an attempt that ended the transaction.
async fn stop(place: &Place, page: &Page, halt: Halt, care: Care) -> Result<Stepped, Error> {
    let events = page.events.len();
    let event = page
        .events
        .get(halt.at)
        .map(|(stream, event)| (*stream, version(event)));
    match (halt.stopped, care) {
        (Stopped::Outage(error), _) => Err(error),
        (Stopped::Hindered(obstacle, failure), _) => match event {
            Some(event) => Ok(Stepped::Hindered(Hindered {
                obstacle,
                event,
                events,
                failure,
            })),
            // A page without events: no handler had a part in it.
            None => {
                tokio::time::sleep(jitter(obstacle.pause_max())).await;
                Ok(Stepped::Again(care, 1))
            }
        },
        (Stopped::Failed(_), _) => Ok(Stepped::Again(Care::Each, 1)),
        (Stopped::Abandoned(_), Care::Whole) => Ok(Stepped::Again(Care::Each, 1)),
        (Stopped::Abandoned(_), Care::Each) => Ok(Stepped::Again(Care::Alone, events)),
        (Stopped::Abandoned(failure), Care::Alone) => match event {
            Some(event) => set_aside(place, event, &failure).await,
            None => Ok(Stepped::Again(Care::Whole, 1)),
        },
    }
}

pub(super) async fn park(
    place: &Place,
    tx: &mut PgConnection,
    from: (i64, i64),
    failure: &Failure,
) -> Result<(), Error> {
    let settings = &place.store.subscription;
    let pause = settings.retry.after(1, rand::random());
    place
        .store
        .park(tx, place.partition, from, pause, failure)
        .await?;
    say(&settings.name, from.1, 1, pause.is_some(), failure);
    Ok(())
}

/// Tells of a failed attempt, without what the handler said: it may quote what it was given.
pub(super) fn say(subscription: &str, version: i64, attempts: u32, is_retried: bool, failure: &Failure) {
    metric::failures(subscription, &failure.class).increment(1);
    if is_retried {
        tracing::warn!(
            subscription,
            version,
            attempts,
            class = failure.class,
            "an event failed and is tried again: its stream waits"
        );
    } else {
        metric::parked(subscription).increment(1);
        tracing::error!(
            subscription,
            version,
            attempts,
            class = failure.class,
            "an event failed for good: its stream waits for a person (outbox_ops.parked_streams)"
        );
    }
}

fn tell(place: &Place, done: &Done<'_>) {
    let name = &place.store.subscription.name;
    metric::applied(name).increment(done.applied.len() as u64);
    let now = time::OffsetDateTime::now_utc();
    for event in &done.applied {
        metric::delay(name).record((now - event.recorded_at).as_seconds_f64().max(0.0));
    }
}

pub(super) fn version(event: &StoredEvent) -> i64 {
    i64::try_from(event.version).unwrap_or(i64::MAX)
}
