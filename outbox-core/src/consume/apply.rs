//! One transaction: the lease, the inbox, the handlers' effects, how far the stream came. Then, and only then, it counts.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use super::error::Source;
use super::handler::Handler;
use super::lease::Lease;
use super::pg::{self, Cause, PgConnection, Store, Transaction};
use super::window::Item;
use super::{Error, Failure};
use crate::dead_letter::{self, DeadLetter};
use crate::event::{EntryId, Event};

/// What is to be done with an entry in hand.
pub(super) struct Delivery {
    pub(super) fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) work: Work,
}

pub(super) enum Work {
    /// Hand it to its handler.
    Handle(Box<Event>, Arc<dyn Handler>),
    /// Nobody here wants its type.
    Skip,
    /// It is no event.
    GiveUp(Failure),
}

impl Delivery {
    pub(super) fn event(&self) -> Option<&Event> {
        match &self.work {
            Work::Handle(event, _) => Some(event),
            Work::Skip | Work::GiveUp(_) => None,
        }
    }
}

/// What one transaction came to.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is committed; so many of its events had no effect before.
    Committed { fresh: usize },
    /// It is undone because this entry failed.
    Failed { id: EntryId, failure: Failure },
    /// It is undone because one of its entries failed, and only trying each alone tells which.
    Unclear,
    /// It is undone because another transaction was in the way: the same again may succeed.
    Conflict { id: EntryId, failure: Failure },
}

/// Where a transaction applies.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) store: &'a Store,
    pub(super) stream: &'a str,
    pub(super) lease: Lease,
    pub(super) handler_limit: Duration,
}

/// Applies `items` in one transaction that passes the chain up to `head`.
///
/// # Errors
/// When the database or the lease is gone. Whether the transaction committed may then be unknown: the inbox knows.
pub(super) async fn apply(
    place: Place<'_>,
    items: &[&Item<Delivery>],
    head: Option<EntryId>,
) -> Result<Outcome, Error> {
    let Place {
        store, stream, lease, ..
    } = place;
    let events: Vec<(EntryId, &Event)> = items
        .iter()
        .filter_map(|item| Some((item.id, item.payload.event()?)))
        .collect();
    let mut connection = store.acquire("taking a connection to apply").await?;
    let mut tx = store.begin(&mut connection).await?;
    store.fence(&mut tx, stream, lease).await?;
    let fresh = store.enter_inbox(&mut tx, stream, "applied", &events).await?;
    for item in items {
        let Work::Handle(event, handler) = &item.payload.work else {
            continue;
        };
        if !fresh.contains(&item.id) {
            continue;
        }
        let Err(stopped) = handle(&**handler, &mut tx, event, place.handler_limit).await else {
            continue;
        };
        if matches!(stopped, Stopped::Abandoned(_)) {
            // In the middle of a statement: the server ends it and undoes it, the connection is not used again.
            drop(tx);
            drop(connection.detach());
        } else if let Err(error) = pg::rollback(tx).await {
            if !stopped.is_idle_end() && !is_idle_end(&error) {
                return Err(error);
            }
            // The server ended the session, and with it the transaction, while the handler was busy elsewhere.
            drop(connection.detach());
        }
        return stopped.outcome(item.id, items.len());
    }
    let retried: Vec<EntryId> = items
        .iter()
        .filter(|item| item.attempts > 0)
        .map(|item| item.id)
        .collect();
    match close(place, tx, &retried, head).await {
        Ok(()) => Ok(Outcome::Committed { fresh: fresh.len() }),
        Err(Error::Postgres {
            code: Some(code),
            source,
            doing,
        }) => refused(items, doing, code, source),
        Err(error) => Err(error),
    }
}

/// SQLSTATE of any statement in a transaction in which one failed.
const ABORTED: &str = "25P02";
/// SQLSTATE with which the server ends a session whose transaction idled for longer than the lease.
const IDLE: &str = "25P03";

/// Whether the session was ended because the handler let it idle: its doing, and no outage.
fn is_idle_end(error: &Error) -> bool {
    matches!(error, Error::Postgres { code: Some(code), .. } if code == IDLE)
}

/// What comes before the commit must fail if the transaction was aborted or ended on the way: the handler may have ignored
/// the one, and the commit would be a silent rollback; after the other nothing more may be recorded.
async fn close(
    place: Place<'_>,
    mut tx: Transaction<'_>,
    retried: &[EntryId],
    head: Option<EntryId>,
) -> Result<(), Error> {
    let Place { store, stream, .. } = place;
    match head {
        Some(head) => store.move_passed(&mut tx, stream, head).await?,
        None => store.prove_whole(&mut tx).await?,
    }
    if !retried.is_empty() {
        store.clear_failures(&mut tx, stream, retried).await?;
    }
    pg::commit(tx).await
}

/// The server refused to go on or to commit after the handlers had answered success: what they left behind is at fault.
fn refused(
    items: &[&Item<Delivery>],
    doing: &'static str,
    code: String,
    source: Source,
) -> Result<Outcome, Error> {
    let text = match code.as_str() {
        ABORTED => {
            "a statement of the handler failed and the handler answered success: its effect would be lost".to_owned()
        }
        pg::ENDED => {
            "the handler committed or rolled back the transaction, which also records the event: use savepoints instead"
                .to_owned()
        }
        _ => format!("{doing} after the handler: {source}"),
    };
    let stopped = match pg::cause_of_code(&code) {
        Cause::Handler(_) if items.len() > 1 => return Ok(Outcome::Unclear),
        Cause::Handler(_) => Stopped::Failed(Failure {
            class: code,
            text,
            permanent: false,
        }),
        Cause::Conflict => Stopped::Conflict(Failure {
            class: code,
            text,
            permanent: false,
        }),
        Cause::Outage => {
            return Err(Error::Postgres {
                doing,
                code: Some(code),
                source,
            });
        }
    };
    stopped.outcome(items[0].id, items.len())
}

/// Gives one entry up: the dead letter, the inbox and the place on the stream, or none of them.
pub(super) async fn bury(
    place: Place<'_>,
    item: &Item<Delivery>,
    attempts: u32,
    failure: &Failure,
    head: Option<EntryId>,
) -> Result<(), Error> {
    let Place {
        store, stream, lease, ..
    } = place;
    let mut connection = store.acquire("taking a connection to give an event up").await?;
    let mut tx = store.begin(&mut connection).await?;
    store.fence(&mut tx, stream, lease).await?;
    let event = item.payload.event();
    let fresh = match event {
        Some(event) => !store
            .enter_inbox(&mut tx, stream, "dead", &[(item.id, event)])
            .await?
            .is_empty(),
        None => true,
    };
    if fresh {
        let letter = DeadLetter {
            consumer: store.consumer(),
            stream,
            entry_id: item.id.to_string(),
            event,
            fields: &item.payload.fields,
            error_class: &failure.class,
            error: &failure.text,
            attempts,
        };
        pg::bounded("keeping a dead letter", dead_letter::enter(&mut tx, &letter)).await?;
    }
    close(place, tx, &[item.id], head).await
}

enum Stopped {
    Failed(Failure),
    Conflict(Failure),
    Abandoned(Failure),
    Outage(Failure),
}

impl Stopped {
    /// Whether the handler found its session ended because it had let it idle.
    fn is_idle_end(&self) -> bool {
        matches!(self, Self::Failed(failure) if failure.class == IDLE)
    }

    /// What the transaction came to when the entry `id`, one of `of`, stopped it.
    fn outcome(self, id: EntryId, of: usize) -> Result<Outcome, Error> {
        match self {
            // An entry before it ignored the failure of a statement.
            Self::Failed(failure) if of > 1 && failure.class == ABORTED => Ok(Outcome::Unclear),
            Self::Failed(failure) | Self::Abandoned(failure) => Ok(Outcome::Failed { id, failure }),
            Self::Conflict(failure) => Ok(Outcome::Conflict { id, failure }),
            Self::Outage(failure) => Err(Error::Postgres {
                doing: "applying an event",
                code: None,
                source: failure.text.into(),
            }),
        }
    }
}

async fn handle(
    handler: &dyn Handler,
    tx: &mut PgConnection,
    event: &Event,
    limit: Duration,
) -> Result<(), Stopped> {
    let attempt = AssertUnwindSafe(async { handler.handle(tx, event).await }).catch_unwind();
    match tokio::time::timeout(limit, attempt).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => Err(match pg::cause_of(error.cause()) {
            Cause::Handler(sql_state) => Stopped::Failed(Failure::of_handler(&error, sql_state)),
            Cause::Conflict => Stopped::Conflict(Failure::of_handler(&error, Some("conflict".to_owned()))),
            Cause::Outage => Stopped::Outage(Failure::of_handler(&error, None)),
        }),
        Ok(Err(panic)) => Err(Stopped::Abandoned(Failure::of_panic(&*panic))),
        Err(_) => Err(Stopped::Abandoned(Failure::of_timeout(limit))),
    }
}
