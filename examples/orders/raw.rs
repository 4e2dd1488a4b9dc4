//! The file in plain tables, and what is counted there.

use std::io::Read as _;
use std::path::Path;

use sqlx::{PgPool, Row as _};

use super::report::Check;
use crate::Result;

const CHUNK_BYTES: usize = 64 * 1024;
/// A line is one value, whatever is in it.
const COPY: &str =
    "copy raw.line (text) from stdin (format csv, delimiter e'\\x01', quote e'\\x02', null e'\\x03')";

/// What a projection, or the store, is compared by.
pub(super) const STREAMS: (&str, &str) = (
    "one stream per order, versions dense, steps in the order of their times",
    include_str!("sql/check_streams.sql"),
);
pub(super) const EVENTS: (&str, &str) = (
    "events of each type in the store",
    include_str!("sql/check_events.sql"),
);
pub(super) const PROJECTIONS: [(&str, &str); 5] = [
    (
        "order_statuses (inline): where each order is",
        include_str!("sql/check_statuses.sql"),
    ),
    (
        "orders_by_day: what happened on each day",
        include_str!("sql/check_days.sql"),
    ),
    (
        "deliveries: how long they took by month, and how many were late",
        include_str!("sql/check_deliveries.sql"),
    ),
    (
        "loyalty ledger: one entry per order and reason",
        include_str!("sql/check_ledger.sql"),
    ),
    (
        "loyalty balances: what each customer has",
        include_str!("sql/check_balances.sql"),
    ),
];

/// Copies the file into a table, as it is, and sorts its lines in SQL. Returns how many are orders.
pub(super) async fn load(pool: &PgPool, file: &Path) -> Result<u64> {
    sqlx::raw_sql(include_str!("sql/raw.sql")).execute(pool).await?;
    let mut input = std::fs::File::open(file)?;
    let mut connection = pool.acquire().await?;
    let mut copy = connection.copy_in_raw(COPY).await?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = input.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        if chunk[..read].contains(&b'"') {
            copy.abort("a quote").await?;
            return Err("the file has a quoted value, which the count in SQL does not know".into());
        }
        copy.send(&chunk[..read]).await?;
    }
    copy.finish().await?;
    drop(connection);
    sqlx::raw_sql(include_str!("sql/raw_orders.sql"))
        .execute(pool)
        .await?;
    count(pool, "select count(*) from raw.orders").await
}

/// Lines of the file that are no orders, found in SQL.
pub(super) async fn bad_lines(pool: &PgPool) -> Result<Vec<u64>> {
    let lines: Vec<i64> = sqlx::query_scalar(include_str!("sql/bad_lines.sql"))
        .fetch_all(pool)
        .await?;
    Ok(lines.into_iter().map(i64::unsigned_abs).collect())
}

/// Compares.
pub(super) async fn check(pool: &PgPool, (what, sql): (&'static str, &'static str)) -> Result<Check> {
    let row = sqlx::query(sql).fetch_one(pool).await?;
    let (compared, different): (i64, i64) = (row.try_get("compared")?, row.try_get("different")?);
    Ok(Check::of(what, compared.unsigned_abs(), different.unsigned_abs()))
}

pub(super) async fn count(pool: &PgPool, sql: &'static str) -> Result<u64> {
    let count: i64 = sqlx::query_scalar(sql).fetch_one(pool).await?;
    Ok(count.unsigned_abs())
}
