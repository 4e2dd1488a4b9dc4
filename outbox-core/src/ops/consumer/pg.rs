//! Reads the views of consumers.

use serde_json::{Map, Value};
use sqlx::PgConnection;

use crate::ops::Error;

/// Consumer groups: state, members, what waits, how long their ids are remembered. One of them, or all.
///
/// # Errors
/// The inbox is not there or may not be read.
pub async fn consumers(
    conn: &mut PgConnection,
    consumer: Option<&str>,
) -> Result<Vec<Map<String, Value>>, Error> {
    let query = sqlx::query_scalar(include_str!("../../../queries/ops/consumers.sql")).persistent(false);
    rows(query.bind(consumer).fetch_all(conn).await, "outbox_ops.consumers")
}

/// Streams of consumer groups: who applies each, how far it came. Of one group, or of all.
///
/// # Errors
/// The inbox is not there or may not be read.
pub async fn consumer_streams(
    conn: &mut PgConnection,
    consumer: Option<&str>,
) -> Result<Vec<Map<String, Value>>, Error> {
    let query =
        sqlx::query_scalar(include_str!("../../../queries/ops/consumer_streams.sql")).persistent(false);
    rows(
        query.bind(consumer).fetch_all(conn).await,
        "outbox_ops.consumer_partitions",
    )
}

fn rows(read: Result<Vec<String>, sqlx::Error>, what: &str) -> Result<Vec<Map<String, Value>>, Error> {
    let parsed = read.and_then(|rows| {
        let parsed: Result<Vec<_>, _> = rows.iter().map(|row| serde_json::from_str(row)).collect();
        parsed.map_err(|error| sqlx::Error::Decode(Box::new(error)))
    });
    parsed.map_err(|error| Error::postgres(what, error))
}
