//! One attempt: the handler between two savepoints of the transaction that also records the event.
//!
//! The savepoint is set again after each handler. That this succeeds proves that the handler left the transaction as it
//! found it: whole, and open. What a failed handler did is undone to the savepoint, and the transaction goes on with the
//! others; after a panic, or one that did not answer, nobody knows what the connection is in the middle of. A call that is all that
//! its transaction does needs neither savepoint nor proof of its own (`sole.rs`).

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tracing::{Instrument as _, Span};

use super::failure_kind::FailureKind;
use super::handler::{Applier, BatchHandler, BoxFuture, HandlerResult};
use super::pg::{self, Cause, PgConnection};
use super::{Error, Failure};
use crate::event::Event;

/// SQLSTATE with which the server ends a session whose transaction idled for longer than the lease.
pub(super) const IDLE: &str = "25P03";
/// SQLSTATE of a savepoint that is not there: another transaction was begun.
const NO_SAVEPOINT: &str = "3B001";

/// How an attempt failed, and what it left.
#[derive(Debug)]
pub(super) enum Stopped {
    /// What the handler did is undone; the transaction goes on.
    Undone { failure: Failure, took: Duration },
    /// The transaction is lost with everything in it, by the doing of this handler.
    Lost { failure: Failure, took: Duration },
    /// The same, and nobody knows what its connection is in the middle of.
    Abandoned { failure: Failure, took: Duration },
    /// The connection was lost while this handler was at work: by its doing, or with the server.
    Severed { failure: Failure, took: Duration },
    /// Another transaction was in the way: the same again may succeed.
    Conflict(Failure),
    /// Something that the handler needs is down.
    Dependency(Failure),
    /// The database is gone: no fault of the handler.
    Outage(Error),
}

impl Stopped {
    /// Whether the connection is of no use any more.
    pub(super) fn takes_connection(&self) -> bool {
        matches!(
            self,
            Self::Lost { .. } | Self::Abandoned { .. } | Self::Severed { .. }
        )
    }
}

#[cfg(feature = "crash-points")]
impl From<crate::crash::Harm> for Stopped {
    fn from(harm: crate::crash::Harm) -> Self {
        Self::Outage(harm.into())
    }
}

/// What a handler is called with.
#[derive(Clone, Copy)]
pub(super) enum Call<'a> {
    One(&'a Applier, &'a Event),
    Many(&'a dyn BatchHandler, &'a [Event]),
}

/// What a call stands on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    /// A savepoint: it is proven that the call left the transaction as it was, and undone what it did if it failed.
    Savepoint,
    /// The whole transaction: both is left to whoever ends it.
    Transaction,
}

impl Call<'_> {
    fn run<'c>(&'c self, tx: &'c mut PgConnection) -> BoxFuture<'c, HandlerResult> {
        match self {
            Self::One(applier, event) => applier.call(tx, event),
            Self::Many(handler, events) => handler.handle(tx, events),
        }
    }
}

/// Calls the handler, within `span`. Before it, unless it stands on the whole transaction, [`pg::begin_attempt`] was called, or this
/// function for another event. `counts`: whether that something is down is a failed attempt like others.
pub(super) async fn attempt(
    tx: &mut PgConnection,
    call: Call<'_>,
    ground: Ground,
    limit: Duration,
    span: Span,
    counts: impl Fn() -> bool,
) -> Result<(), Stopped> {
    let judged = |failure: Failure| match failure.kind {
        FailureKind::Dependency if counts() => failure.counted(),
        _ => failure,
    };
    let began = Instant::now();
    let handled = async { call.run(tx).await }.instrument(span);
    let call = AssertUnwindSafe(handled).catch_unwind();
    let answer = tokio::time::timeout(limit, call).await;
    let took = began.elapsed();
    let failure = match answer {
        Err(_) => {
            let failure = Failure::of_timeout(limit);
            return Err(Stopped::Abandoned { failure, took });
        }
        Ok(Err(panic)) => {
            let failure = Failure::of_panic(&*panic);
            return Err(Stopped::Abandoned { failure, took });
        }
        Ok(Ok(Ok(()))) if ground == Ground::Transaction => return Ok(()),
        Ok(Ok(Ok(()))) => match pg::next_attempt(tx).await {
            Ok(()) => return Ok(()),
            Err(error) => left_behind(error, took)?,
        },
        Ok(Ok(Err(error))) => match pg::cause_of(error.cause()) {
            Cause::Handler(state) => judged(Failure::of_handler(&error, state)),
            Cause::Conflict => {
                let failure = Failure::of_handler(&error, Some("conflict".to_owned()));
                return Err(Stopped::Conflict(failure));
            }
            Cause::Outage => {
                let failure = judged(Failure::of_handler(&error, None));
                return Err(perhaps_outage(tx, ground, failure, took).await);
            }
        },
    };
    if failure.kind == FailureKind::Dependency {
        return Err(Stopped::Dependency(failure));
    }
    Err(undo(tx, ground, failure, took).await)
}

/// The handler met a server that is gone. If this transaction goes on, it was another one, and the attempt failed.
async fn perhaps_outage(tx: &mut PgConnection, ground: Ground, failure: Failure, took: Duration) -> Stopped {
    let undone = match ground {
        Ground::Savepoint => pg::undo_attempt(tx).await,
        Ground::Transaction => pg::is_there(tx).await,
    };
    match undone {
        Ok(()) if failure.kind == FailureKind::Dependency => Stopped::Dependency(failure),
        Ok(()) => Stopped::Undone { failure, took },
        Err(_) => severed(&failure.text, took),
    }
}

/// Undoes what a handler did, up to the savepoint before it.
async fn undo(tx: &mut PgConnection, ground: Ground, failure: Failure, took: Duration) -> Stopped {
    if ground == Ground::Transaction {
        return Stopped::Undone { failure, took };
    }
    match pg::undo_attempt(tx).await {
        Ok(()) => Stopped::Undone { failure, took },
        // The server ended the session while the handler was busy elsewhere, or the handler ended the transaction.
        Err(error) if failure.class == IDLE || is_handlers_doing(&error) => Stopped::Lost { failure, took },
        Err(_) => severed(&failure.text, took),
    }
}

pub(super) fn severed(text: &str, took: Duration) -> Stopped {
    let failure = Failure {
        class: "connection".to_owned(),
        text: format!("the connection was lost while the handler was at work: {text}"),
        kind: FailureKind::Transient,
    };
    Stopped::Severed { failure, took }
}

/// The handler said that all was well, and the transaction says otherwise.
pub(super) fn left_behind(error: Error, took: Duration) -> Result<Failure, Stopped> {
    let Error::Postgres { code: Some(code), .. } = &error else {
        return Err(severed(&error.to_string(), took));
    };
    let text = match code.as_str() {
        pg::ABORTED => {
            "a statement of the handler failed and the handler answered success: its effect would be lost".to_owned()
        }
        pg::ENDED | NO_SAVEPOINT => {
            "the handler committed or rolled back the transaction, which also records the event: use savepoints instead"
                .to_owned()
        }
        IDLE => "the handler let its transaction idle for longer than the lease".to_owned(),
        _ => format!("after the handler: {error}"),
    };
    let class = if code == NO_SAVEPOINT { pg::ENDED } else { code };
    match pg::cause_of_code(code) {
        Cause::Handler(_) => Ok(Failure {
            class: class.to_owned(),
            text,
            kind: FailureKind::Transient,
        }),
        Cause::Conflict => Err(Stopped::Conflict(Failure {
            class: class.to_owned(),
            text,
            kind: FailureKind::Transient,
        })),
        Cause::Outage => Err(severed(&error.to_string(), took)),
    }
}

/// Whether the transaction is gone because of what the handler did, and not of an outage.
pub(super) fn is_handlers_doing(error: &Error) -> bool {
    matches!(error, Error::Postgres { code: Some(code), .. } if [IDLE, pg::ENDED, NO_SAVEPOINT].contains(&code.as_str()))
}
