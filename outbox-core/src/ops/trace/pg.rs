//! Asks the databases about one event, by functions of the schema.

use serde_json::{Map, Value};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use super::step::Step;
use crate::ops::Error;

/// What tells an event from others of its id, and finds it in the inbox at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its source.
    pub source: String,
    /// When the log recorded it.
    pub recorded_at: Option<OffsetDateTime>,
}

/// What a handler said when it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The consumer group.
    pub consumer: String,
    /// Of the attempt that failed then; of the last one for none.
    pub at: Option<OffsetDateTime>,
    /// Its words.
    pub error: String,
}

/// What the log knows of an event: appended, cut, published, or what keeps it from that. `database` names the place asked.
///
/// # Errors
/// The log is not there, is older than this binary, or may not be read.
pub async fn log(conn: &mut PgConnection, id: Uuid, database: &str) -> Result<Vec<Step>, Error> {
    let query = sqlx::query(include_str!("../../../queries/trace/log.sql")).persistent(false);
    let rows = query.bind(id).fetch_all(conn).await;
    steps(rows, database).map_err(|error| Error::postgres(format!("event {id} in the log"), error))
}

/// The events that the transactions of these steps appended because of the event.
///
/// # Errors
/// The log is not there, is older than this binary, or may not be read.
pub async fn caused(
    conn: &mut PgConnection,
    id: &str,
    applied: &[Step],
    database: &str,
) -> Result<Vec<Step>, Error> {
    let transactions: Vec<i64> = applied
        .iter()
        .filter_map(|step| step.number("transaction"))
        .collect();
    let query = sqlx::query(include_str!("../../../queries/trace/caused.sql")).persistent(false);
    let rows = query.bind(id).bind(transactions).fetch_all(conn).await;
    let mut caused =
        steps(rows, database).map_err(|error| Error::postgres(format!("what event {id} caused"), error))?;
    for step in &mut caused {
        let transaction = step.number("transaction");
        let by = applied.iter().find(|by| by.number("transaction") == transaction);
        step.consumer = by.and_then(|by| by.consumer.clone());
    }
    Ok(caused)
}

/// What the consumers of a database know of an event: attempts, parking, effect, dead letters, redrives.
///
/// # Errors
/// The inbox is not there, is older than this binary, or may not be read.
pub async fn consumers(
    conn: &mut PgConnection,
    id: &str,
    origin: Option<&Origin>,
    database: &str,
) -> Result<Vec<Step>, Error> {
    let query = sqlx::query(include_str!("../../../queries/trace/consumers.sql")).persistent(false);
    let rows = query
        .bind(id)
        .bind(origin.map(|origin| origin.source.as_str()))
        .bind(origin.and_then(|origin| origin.recorded_at))
        .fetch_all(conn)
        .await;
    steps(rows, database).map_err(|error| Error::postgres(format!("event {id} in the inbox"), error))
}

/// What handlers said about an event before it was given up.
///
/// # Errors
/// The dead letters may not be read.
pub async fn remarks(conn: &mut PgConnection, id: &str) -> Result<Vec<Remark>, Error> {
    let query = sqlx::query(include_str!("../../../queries/trace/said.sql")).persistent(false);
    let read = async {
        let rows = query.bind(id).fetch_all(conn).await?;
        let remark = |row: &PgRow| {
            Ok(Remark {
                consumer: row.try_get("consumer")?,
                at: row.try_get("at")?,
                error: row.try_get("error")?,
            })
        };
        rows.iter().map(remark).collect::<Result<Vec<_>, sqlx::Error>>()
    };
    read.await
        .map_err(|error| Error::postgres("what handlers said", error))
}

/// What the streams of this database end with, where several databases write one topic.
///
/// # Errors
/// The log is not there or may not be read.
pub async fn writer(conn: &mut PgConnection) -> Result<Option<String>, Error> {
    let query = sqlx::query_scalar(include_str!("../../../queries/trace/writer.sql")).persistent(false);
    let read = query.fetch_one(conn).await;
    read.map_err(|error| Error::postgres("outbox.settings", error))
}

fn steps(rows: Result<Vec<PgRow>, sqlx::Error>, database: &str) -> Result<Vec<Step>, sqlx::Error> {
    let step = |row: &PgRow| {
        let detail: String = row.try_get("detail")?;
        let detail: Map<String, Value> =
            serde_json::from_str(&detail).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok(Step {
            at: row.try_get("at")?,
            consumer: row.try_get::<Option<String>, _>("consumer").ok().flatten(),
            database: database.to_owned(),
            step: row.try_get("step")?,
            detail,
        })
    };
    rows?.iter().map(step).collect()
}
