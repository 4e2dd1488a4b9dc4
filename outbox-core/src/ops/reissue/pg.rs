//! Orders of re-issues in Postgres.

use serde_json::{Map, Value};
use sqlx::PgConnection;

use super::ReissueOrder;
use crate::ops::Error;

/// Writes an order for the leading relay. Returns one number for each stream.
///
/// # Errors
/// There is no such stream, a place is neither an entry id nor a time, or the role is not in `outbox_maintainer`.
pub async fn order_reissue(conn: &mut PgConnection, order: &ReissueOrder<'_>) -> Result<Vec<i64>, Error> {
    let query = sqlx::query_scalar(include_str!("../../../queries/ops/order_reissue.sql")).persistent(false);
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
        let query = sqlx::query_scalar(include_str!("../../../queries/ops/reissue_orders.sql"));
        let rows: Vec<String> = query.persistent(false).bind(numbers).fetch_all(conn).await?;
        let parsed: Result<Vec<_>, _> = rows.iter().map(|row| serde_json::from_str(row)).collect();
        parsed.map_err(|error| sqlx::Error::Decode(Box::new(error)))
    };
    read.await
        .map_err(|error| Error::postgres("outbox_ops.reissue_orders", error))
}
