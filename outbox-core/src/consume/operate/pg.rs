//! The calls of the operators' functions. Statements are unnamed: they are sent once, perhaps through a pooler.

use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::consume::Error;
use crate::consume::pg::{bounded, refused};

/// Nothing new of the consumer is applied until it is resumed.
///
/// # Errors
/// There is no such consumer, no reason, or the role is not in `outbox_operator`.
pub async fn pause(conn: &mut PgConnection, consumer: &str, reason: &str) -> Result<(), Error> {
    let query = sqlx::query(include_str!("../../../queries/consume/pause_consumer.sql")).persistent(false);
    let paused = bounded(
        "pausing the consumer",
        query.bind(consumer).bind(reason).execute(conn),
    )
    .await;
    paused.map(drop).map_err(refused)
}

/// Lets a paused consumer go on. Returns since when it was paused.
///
/// # Errors
/// There is no such consumer, it is not paused, there is no reason, or the role is not in `outbox_operator`.
pub async fn resume(conn: &mut PgConnection, consumer: &str, reason: &str) -> Result<OffsetDateTime, Error> {
    let query =
        sqlx::query_scalar(include_str!("../../../queries/consume/resume_consumer.sql")).persistent(false);
    let resumed = bounded(
        "resuming the consumer",
        query.bind(consumer).bind(reason).fetch_one(conn),
    )
    .await;
    resumed.map_err(refused)
}

/// Takes a stream away from the member that holds it. Returns the name of that member. What it still tries to commit is
/// undone; the next member that looks takes the stream.
///
/// # Errors
/// There is no such consumer or stream, nobody holds it, there is no reason, or the role is not in `outbox_operator`.
pub async fn claim(
    conn: &mut PgConnection,
    consumer: &str,
    stream: &str,
    reason: &str,
) -> Result<String, Error> {
    let query =
        sqlx::query_scalar(include_str!("../../../queries/consume/claim_stream.sql")).persistent(false);
    let claimed = query.bind(consumer).bind(stream).bind(reason).fetch_one(conn);
    bounded("taking the stream away", claimed).await.map_err(refused)
}

/// Lets a consumer pass the hole before the entry `held` of a stream: what is missing there is given up for it. Returns the entry
/// that it passed last.
///
/// # Errors
/// There is no such consumer or stream, the entry is passed already, there is no reason, or the role is not in
/// `outbox_operator`.
pub async fn pass_hole(
    conn: &mut PgConnection,
    consumer: &str,
    stream: &str,
    held: &str,
    reason: &str,
) -> Result<Option<String>, Error> {
    let query = sqlx::query_scalar(include_str!("../../../queries/consume/pass_hole.sql")).persistent(false);
    let bound = query.bind(consumer).bind(stream).bind(held).bind(reason);
    let passed = bounded("passing a hole", bound.fetch_one(conn)).await;
    passed.map_err(refused)
}

/// Keeps nothing more for a consumer that will not come back; what of it still waits is given up if `give_up` says so. Returns how
/// many events that were.
///
/// # Errors
/// There is no such consumer, a member of it runs, something waits and is not to be given up, there is no reason, or the role is
/// not in `outbox_operator`.
pub async fn forget(
    conn: &mut PgConnection,
    consumer: &str,
    reason: &str,
    give_up: bool,
) -> Result<i64, Error> {
    let query =
        sqlx::query_scalar(include_str!("../../../queries/consume/forget_consumer.sql")).persistent(false);
    let bound = query.bind(consumer).bind(reason).bind(give_up);
    bounded("forgetting the consumer", bound.fetch_one(conn))
        .await
        .map_err(refused)
}
