//! Appending to streams through tokio-postgres: a client or a transaction of it, also one of a pool.

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{GenericClient, Row};

use super::outcome::{Answer, Outcome, Outcomes};
use super::request::{APPEND, APPEND_STORED, Call, Single, StreamAppend};
use crate::append::{Limits, NewEvent};
use crate::event_store::{Error, Expected, StreamName};

const DOING: &str = "appending to streams";

/// Appends events to one stream, in the transaction of this client, if the stream is where it is expected.
///
/// # Errors
/// As [`super::append`].
pub async fn append<C: GenericClient + Sync>(
    client: &C,
    stream: &StreamName,
    expected: Expected,
    events: Vec<NewEvent>,
) -> Result<Outcome, Error> {
    let one = StreamAppend {
        stream: stream.clone(),
        expected,
        events,
    };
    append_streams_within(client, vec![one], &Limits::default())
        .await
        .and_then(Outcome::of)
}

/// Appends to several streams in one round trip: all of it, or nothing.
///
/// # Errors
/// As [`super::append`].
pub async fn append_streams_within<C: GenericClient + Sync>(
    client: &C,
    appends: Vec<StreamAppend>,
    limits: &Limits,
) -> Result<Outcomes, Error> {
    let asked = appends
        .iter()
        .map(|append| (append.stream.clone(), append.expected))
        .collect();
    let call = Call::of(appends, limits)?;
    if let Some(single) = call.single()
        && let Some(outcomes) = append_single(client, &single).await?
    {
        return Ok(outcomes);
    }
    // The types are known, so that no statement is prepared and the call is one round trip.
    let rows = client
        .query_typed(APPEND, &parameters(&call))
        .await
        .map_err(failed(DOING))?;
    let answers = rows
        .iter()
        .map(|row| answer(row, DOING))
        .collect::<Result<_, Error>>()?;
    Outcomes::of(asked, answers)
}

/// None: nothing was appended, and the general statement says why, or appends it.
async fn append_single<C: GenericClient + Sync>(
    client: &C,
    single: &Single<'_>,
) -> Result<Option<Outcomes>, Error> {
    let parameters: [(&(dyn ToSql + Sync), Type); 11] = [
        (&single.stream, Type::TEXT),
        (&single.expected, Type::INT8),
        (&single.id, Type::UUID),
        (&single.topic, Type::TEXT),
        (&single.r#type, Type::TEXT),
        (&single.schema_version, Type::TEXT),
        (&single.correlation_id, Type::TEXT),
        (&single.causation_id, Type::TEXT),
        (&single.traceparent, Type::TEXT),
        (&single.tracestate, Type::TEXT),
        (&single.data, Type::TEXT),
    ];
    let rows = client
        .query_typed(APPEND_STORED, &parameters)
        .await
        .map_err(failed(DOING))?;
    let row = rows.first().ok_or_else(|| Error::shape(DOING, "no row"))?;
    Outcomes::of_single(row.try_get(0).map_err(failed(DOING))?)
}

pub(in crate::event_store) fn parameters(call: &Call) -> [(&(dyn ToSql + Sync), Type); 20] {
    let columns = &call.columns;
    [
        (&call.streams, Type::TEXT_ARRAY),
        (&call.expected, Type::INT8_ARRAY),
        (&call.numbers, Type::INT4_ARRAY),
        (&columns.ids, Type::UUID_ARRAY),
        (&columns.topics, Type::TEXT_ARRAY),
        (&columns.types, Type::TEXT_ARRAY),
        (&columns.sources, Type::TEXT_ARRAY),
        (&columns.subjects, Type::TEXT_ARRAY),
        (&columns.times, Type::TIMESTAMPTZ_ARRAY),
        (&columns.data_content_types, Type::TEXT_ARRAY),
        (&columns.data_schemas, Type::TEXT_ARRAY),
        (&columns.schema_versions, Type::TEXT_ARRAY),
        (&columns.correlation_ids, Type::TEXT_ARRAY),
        (&columns.causation_ids, Type::TEXT_ARRAY),
        (&columns.traceparents, Type::TEXT_ARRAY),
        (&columns.tracestates, Type::TEXT_ARRAY),
        (&columns.extensions, Type::TEXT_ARRAY),
        (&columns.data, Type::TEXT_ARRAY),
        (&columns.data_binaries, Type::BYTEA_ARRAY),
        (&columns.tags, Type::TEXT_ARRAY),
    ]
}

/// What is said about one stream of the call.
pub(in crate::event_store) fn answer(row: &Row, doing: &'static str) -> Result<Answer, Error> {
    let version: i64 = row.try_get("version").map_err(failed(doing))?;
    Ok(Answer {
        outcome: row.try_get("outcome").map_err(failed(doing))?,
        version: u64::try_from(version).map_err(|_| Error::shape(doing, format!("a version {version}")))?,
        positions: row.try_get("positions").map_err(failed(doing))?,
    })
}

pub(in crate::event_store) fn failed(doing: &'static str) -> impl Fn(tokio_postgres::Error) -> Error {
    move |error| match error.as_db_error() {
        Some(refused) => Error::database(doing, refused.code().code(), refused.message()),
        None => Error::Connection {
            doing,
            source: Box::new(error),
        },
    }
}
