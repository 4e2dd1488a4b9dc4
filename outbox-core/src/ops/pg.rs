//! Reads the views and the facts that checks are made from.
//!
//! Statements are unnamed: they are sent once, and a named one is left behind in a pooler for strangers to trip over.

use serde_json::{Map, Value};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::check::{LogFacts, ServerFacts};
use super::lag::{Lag, TopicLag, labelled};
use super::{Error, Halves, View};
use crate::publish::{OPEN_REFUSAL, UNKNOWN_BATCHES};
use crate::tail::StreamId;

/// Which halves of the schema this database holds.
///
/// # Errors
/// The database cannot be read.
pub async fn halves(conn: &mut PgConnection) -> Result<Halves, Error> {
    let read = async {
        let row = sqlx::query(include_str!("../../queries/ops/find_views.sql"))
            .persistent(false)
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
        let rows: Vec<String> = sqlx::query_scalar(view.query())
            .persistent(false)
            .fetch_all(conn)
            .await?;
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
            .persistent(false)
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
            .persistent(false)
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
            database_id: row.try_get("database_id")?,
            writer: row.try_get("writer")?,
            last_batch_id: row.try_get("last_batch_id")?,
        })
    };
    read.await
        .map_err(|error| Error::postgres("the log's state", error))
}

/// The streams of the topics seen so far, at most ten thousand.
///
/// # Errors
/// The log is not there or may not be read.
pub async fn streams(conn: &mut PgConnection) -> Result<Vec<StreamId>, Error> {
    let read = async {
        let rows = sqlx::query(include_str!("../../queries/ops/list_streams.sql"))
            .persistent(false)
            .fetch_all(conn)
            .await?;
        let stream = |row: &PgRow| -> Result<Option<StreamId>, sqlx::Error> {
            let topic: String = row.try_get("topic")?;
            Ok(StreamId::from_slot(topic, row.try_get("partition")?))
        };
        rows.iter()
            .filter_map(|row| stream(row).transpose())
            .collect::<Result<_, _>>()
    };
    read.await
        .map_err(|error| Error::postgres("outbox.topic_stream", error))
}

/// Which of these batch ids, found in marks at the sink, the ledger never cut. The same question as the publisher's.
///
/// # Errors
/// The ledger is not there or may not be read.
pub async fn unknown_batches(conn: &mut PgConnection, ids: &[u64]) -> Result<Vec<u64>, Error> {
    let ids: Vec<i64> = ids
        .iter()
        .map(|id| i64::try_from(*id).unwrap_or(i64::MAX))
        .collect();
    let read = sqlx::query_scalar(UNKNOWN_BATCHES)
        .persistent(false)
        .bind(ids)
        .fetch_all(conn)
        .await;
    let unknown: Vec<i64> = read.map_err(|error| Error::postgres("the ledger", error))?;
    Ok(unknown.into_iter().map(i64::unsigned_abs).collect())
}

/// What a relay refused and no recovery has closed: its word, and what was seen.
///
/// # Errors
/// The log is not there, is of an older version, or may not be read.
pub async fn open_refusal(conn: &mut PgConnection) -> Result<Option<(String, String)>, Error> {
    let read = async {
        let row = sqlx::query(OPEN_REFUSAL)
            .persistent(false)
            .fetch_optional(conn)
            .await?;
        row.map(|row| Ok((row.try_get("code")?, row.try_get("said")?)))
            .transpose()
    };
    read.await
        .map_err(|error| Error::postgres("outbox.refusal", error))
}

/// Sets the retention class and the number of partitions of a topic, where given. Returns both as they are now.
///
/// # Errors
/// There is no such class, the number is not possible or smaller than before, or the role is not in `outbox_maintainer`.
pub async fn set_topic(
    conn: &mut PgConnection,
    topic: &str,
    retention: Option<&str>,
    partitions: Option<i32>,
) -> Result<(String, i32), Error> {
    let query = sqlx::query_as(include_str!("../../queries/ops/set_topic.sql")).persistent(false);
    let set = query
        .bind(topic)
        .bind(retention)
        .bind(partitions)
        .fetch_one(conn)
        .await;
    set.map_err(|error| Error::changing(format!("topic {topic}"), error))
}

/// Lets a stream go on after its cause was mended; audited. Returns the position it goes on from,
/// where one event stopped it. Without a `partition` it is the one of the topic that does not move.
///
/// # Errors
/// The topic is not set aside, several of its partitions are, or the role is not in `outbox_maintainer`.
pub async fn resume_topic(
    conn: &mut PgConnection,
    topic: &str,
    partition: Option<i32>,
    reason: &str,
) -> Result<Option<i64>, Error> {
    let query = sqlx::query_scalar(include_str!("../../queries/ops/resume_topic.sql")).persistent(false);
    let bound = query.bind(topic).bind(reason).bind(partition);
    let resumed = bound.fetch_one(conn).await;
    resumed.map_err(|error| Error::changing(format!("topic {topic}"), error))
}

/// Gives up the event that a stream waits at; audited, and the event stays in `outbox.unpublished`. Returns its position.
/// Without a `partition` it is the one of the topic that is set aside.
///
/// # Errors
/// The topic is not set aside, waits at another event, or the role is not in `outbox_maintainer`.
pub async fn skip_event(
    conn: &mut PgConnection,
    topic: &str,
    partition: Option<i32>,
    event: Uuid,
    reason: &str,
) -> Result<i64, Error> {
    let query = sqlx::query_scalar(include_str!("../../queries/ops/skip_event.sql")).persistent(false);
    let bound = query.bind(topic).bind(event).bind(reason).bind(partition);
    let skipped = bound.fetch_one(conn).await;
    skipped.map_err(|error| Error::changing(format!("topic {topic}"), error))
}

/// Sets how long entries of a topic's streams stay, as an interval of Postgres, and how many stay at most, where given; the inner
/// none is for ever, and no cap. Topic `*` is the default of all. Returns both as they are now.
///
/// # Errors
/// It is no interval or too short, or the role is not in `outbox_maintainer`.
pub async fn set_stream(
    conn: &mut PgConnection,
    topic: &str,
    retention: Option<Option<&str>>,
    cap: Option<Option<i64>>,
) -> Result<(Option<String>, Option<i64>), Error> {
    let query = sqlx::query_as(include_str!("../../queries/ops/set_stream.sql")).persistent(false);
    let set = query
        .bind(topic)
        .bind(retention.is_some())
        .bind(retention.flatten())
        .bind(cap.is_some())
        .bind(cap.flatten())
        .fetch_one(conn)
        .await;
    set.map_err(|error| Error::changing(format!("the streams of topic {topic}"), error))
}

/// Unregisters a group: a topic's streams wait for it no longer. Audited. Returns how many did.
///
/// # Errors
/// It is not registered, or the role is not in `outbox_maintainer`.
pub async fn forget_group(
    conn: &mut PgConnection,
    topic: &str,
    group: &str,
    reason: &str,
) -> Result<i32, Error> {
    let query = sqlx::query_scalar(include_str!("../../queries/ops/forget_group.sql")).persistent(false);
    let forgotten = query.bind(topic).bind(group).bind(reason).fetch_one(conn).await;
    forgotten.map_err(|error| Error::changing(format!("group {group} of topic {topic}"), error))
}

/// How far publishing is behind.
///
/// # Errors
/// The log is not there or may not be read.
pub async fn lag(conn: &mut PgConnection) -> Result<Lag, Error> {
    let read = async {
        let backlog = sqlx::query(include_str!("../../queries/ops/read_backlog.sql")).persistent(false);
        let topics = backlog.fetch_all(&mut *conn).await?;
        let topic = |row: &PgRow| -> Result<TopicLag, sqlx::Error> {
            Ok(TopicLag {
                topic: row.try_get("topic")?,
                events: row.try_get("events")?,
                oldest_age: row.try_get("oldest_age")?,
            })
        };
        let topics: Result<Vec<TopicLag>, sqlx::Error> = topics.iter().map(topic).collect();
        let row = sqlx::query(include_str!("../../queries/ops/read_lag.sql"))
            .persistent(false)
            .fetch_one(conn)
            .await?;
        Ok(Lag {
            topics: labelled(topics?),
            set_aside: row.try_get("set_aside")?,
            blocked: row.try_get("blocked")?,
            waiting: row.try_get("waiting")?,
            waiting_age: row.try_get("waiting_age")?,
            notification_queue: row.try_get("notification_queue")?,
            sampled_at: row.try_get("sampled_at")?,
        })
    };
    read.await
        .map_err(|error| Error::postgres("how far publishing is behind", error))
}
