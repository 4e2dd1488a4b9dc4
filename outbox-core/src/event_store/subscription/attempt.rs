//! One attempt: the handler with one event, in the transaction that also moves the checkpoint.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tracing::Instrument as _;

use super::failure::Failure;
use super::obstacle::Obstacle;
use super::pg::{Cause, PgConnection, cause_of};
use super::{Error, EventHandler};
use crate::event_store::{self, StoredEvent};
use crate::span;

/// How an attempt ended that did not succeed.
pub(super) enum Stopped {
    /// The handler said no; the connection is usable, up to the savepoint before it.
    Failed(Failure),
    /// Nobody knows what the connection is in the middle of: it is of no use any more.
    Abandoned(Failure),
    /// Something was in the way: the same again may succeed. If it never does, this is why.
    Hindered(Obstacle, Failure),
    /// The database is gone: no fault of the handler.
    Outage(Error),
}

/// Calls the handler.
pub(super) async fn attempt(
    tx: &mut PgConnection,
    handler: &dyn EventHandler,
    event: &StoredEvent,
    subscription: &str,
    limit: Duration,
) -> Result<(), Stopped> {
    let span = tracing::info_span!(
        target: span::TARGET,
        "apply",
        otel.name = format!("apply {subscription}"),
        otel.kind = "consumer",
        outbox.subscription = subscription,
        cloudevents.event_id = event.event.id,
        cloudevents.event_type = event.event.r#type,
    );
    span::follow(
        &span,
        event.event.traceparent.as_deref(),
        event.event.tracestate.as_deref(),
    );
    let handled = async { handler.handle(tx, event).await }.instrument(span);
    let call = AssertUnwindSafe(handled).catch_unwind();
    match tokio::time::timeout(limit, call).await {
        Err(_) => Err(Stopped::Abandoned(Failure::of_timeout(limit))),
        Ok(Err(panic)) => Err(Stopped::Abandoned(Failure::of_panic(&*panic))),
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => Err(match cause_of(&*error) {
            Cause::Handler(state) => Stopped::Failed(Failure::of_handler(&*error, state)),
            Cause::Obstacle(obstacle, state) => {
                Stopped::Hindered(obstacle, Failure::of_handler(&*error, Some(state)))
            }
            Cause::Outage => Stopped::Outage(Error::Store(event_store::Error::Connection {
                doing: "while a handler was at work",
                source: error,
            })),
        }),
    }
}

/// What a statement of ours means that was refused after a handler had answered success.
pub(super) fn left_behind(error: Error) -> Stopped {
    match &error {
        Error::Store(event_store::Error::Database { code, message, .. }) => {
            match super::pg::cause_of_code(code) {
                Cause::Handler(_) => Stopped::Abandoned(Failure::of_transaction(code, message)),
                Cause::Obstacle(obstacle, _) => {
                    Stopped::Hindered(obstacle, Failure::of_transaction(code, message))
                }
                Cause::Outage => Stopped::Outage(error),
            }
        }
        _ => Stopped::Outage(error),
    }
}
