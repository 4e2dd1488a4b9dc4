//! Appending to streams through sqlx: a connection, or a transaction of it.

use sqlx::PgConnection;
use uuid::Uuid;

use super::outcome::{Answer, Outcome, Outcomes};
use super::request::{APPEND, APPEND_STORED, Call, Single, StreamAppend};
use crate::append::{Limits, NewEvent};
use crate::event_store::pg::{failed, get, version};
use crate::event_store::{Error, Expected, StreamName};

const FIND_APPENDED: &str = include_str!("../../../queries/event_store/find_appended.sql");

const APPENDING: &str = "appending to streams";
const FINDING: &str = "looking for appended events";

/// Appends events to one stream, in the transaction of this connection, if the stream is where it is expected.
///
/// # Errors
/// When an event or the request breaks a rule (nothing is sent then), or the database refuses it. A conflict is an [`Outcome`].
pub async fn append(
    connection: &mut PgConnection,
    stream: &StreamName,
    expected: Expected,
    events: Vec<NewEvent>,
) -> Result<Outcome, Error> {
    let one = StreamAppend {
        stream: stream.clone(),
        expected,
        events,
    };
    append_streams(connection, vec![one]).await.and_then(Outcome::of)
}

/// Appends to several streams in one round trip: all of it, or nothing.
///
/// # Errors
/// As [`append`].
pub async fn append_streams(
    connection: &mut PgConnection,
    appends: Vec<StreamAppend>,
) -> Result<Outcomes, Error> {
    append_streams_within(connection, appends, &Limits::default()).await
}

/// As [`append_streams`], with limits of your own.
///
/// # Errors
/// As [`append`].
pub async fn append_streams_within(
    connection: &mut PgConnection,
    appends: Vec<StreamAppend>,
    limits: &Limits,
) -> Result<Outcomes, Error> {
    let asked = appends
        .iter()
        .map(|append| (append.stream.clone(), append.expected))
        .collect();
    let call = Call::of(appends, limits)?;
    if let Some(single) = call.single()
        && let Some(outcomes) = append_single(connection, &single).await?
    {
        return Ok(outcomes);
    }
    let columns = &call.columns;
    let rows = sqlx::query(APPEND)
        .bind(&call.streams)
        .bind(&call.expected)
        .bind(&call.numbers)
        .bind(&columns.ids)
        .bind(&columns.topics)
        .bind(&columns.types)
        .bind(&columns.sources)
        .bind(&columns.subjects)
        .bind(&columns.times)
        .bind(&columns.data_content_types)
        .bind(&columns.data_schemas)
        .bind(&columns.schema_versions)
        .bind(&columns.correlation_ids)
        .bind(&columns.causation_ids)
        .bind(&columns.traceparents)
        .bind(&columns.tracestates)
        .bind(&columns.extensions)
        .bind(&columns.data)
        .bind(&columns.data_binaries)
        .bind(&columns.tags)
        .fetch_all(connection)
        .await
        .map_err(failed(APPENDING))?;
    let answers = rows
        .iter()
        .map(|row| {
            Ok(Answer {
                outcome: get(row, "outcome", APPENDING)?,
                version: version(get(row, "version", APPENDING)?, APPENDING)?,
                positions: get(row, "positions", APPENDING)?,
            })
        })
        .collect::<Result<_, Error>>()?;
    Outcomes::of(asked, answers)
}

/// None: nothing was appended, and the general statement says why, or appends it.
async fn append_single(
    connection: &mut PgConnection,
    single: &Single<'_>,
) -> Result<Option<Outcomes>, Error> {
    let place = sqlx::query_scalar(APPEND_STORED)
        .bind(single.stream)
        .bind(single.expected)
        .bind(single.id)
        .bind(single.topic)
        .bind(single.r#type)
        .bind(single.schema_version)
        .bind(single.correlation_id)
        .bind(single.causation_id)
        .bind(single.traceparent)
        .bind(single.tracestate)
        .bind(single.data)
        .fetch_one(connection)
        .await
        .map_err(failed(APPENDING))?;
    Outcomes::of_single(place)
}

/// Which of these events a stream has, by id: each with its version and position, in order. For a commit whose outcome is not known:
/// a transaction that is still at work on the stream is waited for, so that the answer holds.
///
/// # Errors
/// When the database cannot be asked. The stream is locked until the transaction of this connection ends.
pub async fn find_appended(
    connection: &mut PgConnection,
    stream: &StreamName,
    ids: &[Uuid],
) -> Result<Vec<(Uuid, u64, i64)>, Error> {
    let rows = sqlx::query(FIND_APPENDED)
        .bind(stream.as_str())
        .bind(ids)
        .fetch_all(connection)
        .await
        .map_err(failed(FINDING))?;
    rows.iter()
        .map(|row| {
            let at = version(get(row, "version", FINDING)?, FINDING)?;
            Ok((get(row, "id", FINDING)?, at, get(row, "position", FINDING)?))
        })
        .collect()
}
