//! Reads the views and the facts that checks are made from.

use serde_json::{Map, Value};
use sqlx::{PgConnection, Row};

use super::check::{LogFacts, ServerFacts};
use super::{Error, Halves, View};

/// Which halves of the schema this database holds.
///
/// # Errors
/// The database cannot be read.
pub async fn halves(conn: &mut PgConnection) -> Result<Halves, Error> {
    let read = async {
        let row = sqlx::query(include_str!("../../queries/ops/find_views.sql"))
            .fetch_one(conn)
            .await?;
        Ok(Halves {
            log: row.try_get("log")?,
            inbox: row.try_get("inbox")?,
        })
    };
    read.await
        .map_err(|error| Error::postgres("which parts of the schema are here", error))
}

/// The rows of a view as JSON objects. Ages are seconds, times are ISO 8601. The number of rows is bounded.
///
/// # Errors
/// The view is not there or may not be read.
pub async fn view(conn: &mut PgConnection, view: View) -> Result<Vec<Map<String, Value>>, Error> {
    let read = async {
        let rows: Vec<String> = sqlx::query_scalar(view.query()).fetch_all(conn).await?;
        let parsed: Result<Vec<_>, _> = rows.iter().map(|row| serde_json::from_str(row)).collect();
        parsed.map_err(|error| sqlx::Error::Decode(Box::new(error)))
    };
    read.await
        .map_err(|error| Error::postgres(format!("outbox_ops.{}", view.name()), error))
}

/// What the server is and how it is set.
///
/// # Errors
/// The database cannot be read.
pub async fn server_facts(conn: &mut PgConnection) -> Result<ServerFacts, Error> {
    let read = async {
        let row = sqlx::query(include_str!("../../queries/ops/read_server.sql"))
            .fetch_one(conn)
            .await?;
        Ok(ServerFacts {
            version_number: row.try_get("version_number")?,
            version: row.try_get("version")?,
            in_recovery: row.try_get("in_recovery")?,
            system_identifier: row.try_get("system_identifier")?,
            fsync: row.try_get::<String, _>("fsync")? == "on",
            full_page_writes: row.try_get::<String, _>("full_page_writes")? == "on",
            max_prepared_transactions: row.try_get("max_prepared_transactions")?,
            notification_queue_usage: row.try_get("notification_queue_usage")?,
            clock: row.try_get("clock")?,
            user_name: row.try_get("user_name")?,
        })
    };
    read.await
        .map_err(|error| Error::postgres("the server's settings", error))
}

/// Whether the log is what a relay needs, and what the current role may do with it.
///
/// # Errors
/// The log is not there or may not be read.
pub async fn log_facts(conn: &mut PgConnection) -> Result<LogFacts, Error> {
    let read = async {
        let row = sqlx::query(include_str!("../../queries/ops/read_log.sql"))
            .fetch_one(conn)
            .await?;
        Ok(LogFacts {
            sequence_cache: row.try_get("sequence_cache")?,
            era_system_identifier: row.try_get("era_system_identifier")?,
            snapshot_is_older: row.try_get("snapshot_is_older")?,
            may_relay: row.try_get("may_relay")?,
            may_maintain: row.try_get("may_maintain")?,
            may_see_sessions: row.try_get("may_see_sessions")?,
            doorbell: row.try_get("doorbell")?,
            forgers: row.try_get("forgers")?,
            pieces_half_detached: row.try_get("pieces_half_detached")?,
            pieces_ahead: row.try_get("pieces_ahead")?,
        })
    };
    read.await
        .map_err(|error| Error::postgres("the log's state", error))
}
