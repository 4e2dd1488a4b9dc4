//! A person's order to put streams out again, and what became of it.

use serde_json::{Map, Value};
use sqlx::PgConnection;

use super::Error;

/// What is to be put out again, or only looked at.
#[derive(Clone, Copy, Debug)]
pub struct ReissueOrder<'a> {
    /// The topic.
    pub topic: &'a str,
    /// One partition of it; none for all of its streams.
    pub partition: Option<i32>,
    /// From where on: an entry id or a time.
    pub from: &'a str,
    /// Up to where it is missed; none for the end.
    pub to: Option<&'a str>,
    /// Whether it is only asked what it would be.
    pub is_preview: bool,
    /// Why, for the audit.
    pub reason: &'a str,
}

/// Writes an order for the leading relay. Returns one number for each stream.
///
/// # Errors
/// There is no such stream, a place is neither an entry id nor a time, or the role is not in `outbox_maintainer`.
pub async fn order_reissue(conn: &mut PgConnection, order: &ReissueOrder<'_>) -> Result<Vec<i64>, Error> {
    let query = sqlx::query_scalar(include_str!("../../queries/ops/order_reissue.sql")).persistent(false);
    let bound = query
        .bind(order.topic)
        .bind(order.partition)
        .bind(order.from)
        .bind(order.to)
        .bind(order.is_preview)
        .bind(order.reason);
    let ordered = bound.fetch_all(conn).await;
    ordered.map_err(|error| Error::changing(format!("a re-issue of topic {}", order.topic), error))
}

/// What became of these orders, as JSON objects.
///
/// # Errors
/// The view is not there or may not be read.
pub async fn reissue_orders(
    conn: &mut PgConnection,
    numbers: &[i64],
) -> Result<Vec<Map<String, Value>>, Error> {
    let read = async {
        let query = sqlx::query_scalar(include_str!("../../queries/ops/reissue_orders.sql"));
        let rows: Vec<String> = query.persistent(false).bind(numbers).fetch_all(conn).await?;
        let parsed: Result<Vec<_>, _> = rows.iter().map(|row| serde_json::from_str(row)).collect();
        parsed.map_err(|error| sqlx::Error::Decode(Box::new(error)))
    };
    read.await
        .map_err(|error| Error::postgres("outbox_ops.reissue_orders", error))
}
