//! How far an import is.

use sqlx::PgPool;

use crate::Result;

/// Records that are imported; none before it began.
pub(super) async fn records(pool: &PgPool, name: &str) -> Result<u64> {
    let there: bool = sqlx::query_scalar("select to_regclass('outbox_import.progress') is not null")
        .fetch_one(pool)
        .await?;
    if !there {
        return Ok(0);
    }
    let records: Option<i64> =
        sqlx::query_scalar("select records from outbox_import.progress where name = $1")
            .bind(name)
            .fetch_optional(pool)
            .await?;
    Ok(records.unwrap_or(0).unsigned_abs())
}

/// Events in the log.
pub(super) async fn events(pool: &PgPool) -> Result<u64> {
    let events: i64 = sqlx::query_scalar("select count(*) from outbox.log")
        .fetch_one(pool)
        .await?;
    Ok(events.unsigned_abs())
}
