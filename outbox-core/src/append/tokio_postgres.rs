//! Appending through tokio-postgres: a client or a transaction of it, also one of a pool.

use tokio_postgres::GenericClient;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::columns::{BATCH, Columns, EVENT};
use super::error::Error;
use super::limits::Limits;
use super::new_event::NewEvent;
use super::refuse::Home;

/// Appends one event in the transaction of this client and returns its id.
///
/// # Errors
/// When the event breaks a rule (nothing is sent then), or the database refuses it.
pub async fn append<C: GenericClient + Sync>(client: &C, event: NewEvent) -> Result<Uuid, Error> {
    let id = event.id;
    append_many(client, vec![event]).await?;
    Ok(id)
}

/// Appends events in one round trip, in this order, and returns their ids.
///
/// # Errors
/// As [`append`]; either all are appended or none. Above the bounds of [`Limits::default`] the call is refused.
pub async fn append_many<C: GenericClient + Sync>(
    client: &C,
    events: Vec<NewEvent>,
) -> Result<Vec<Uuid>, Error> {
    append_many_within(client, events, &Limits::default()).await
}

/// As [`append_many`], with limits of your own.
///
/// # Errors
/// As [`append_many`].
pub async fn append_many_within<C: GenericClient + Sync>(
    client: &C,
    events: Vec<NewEvent>,
    limits: &Limits,
) -> Result<Vec<Uuid>, Error> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let columns = Columns::of(events, Home::Log, limits)?;
    // The types are known, so that no statement is prepared and the call is one round trip.
    if columns.ids.len() == 1 {
        client
            .query_typed(EVENT, &firsts(&columns))
            .await
            .map_err(error_of)?;
        return Ok(columns.ids);
    }
    let rows = client
        .query_typed(BATCH, &parameters(&columns))
        .await
        .map_err(error_of)?;
    let appended = rows
        .first()
        .map_or(Ok(0), |row| row.try_get(0))
        .map_err(error_of)?;
    Error::expect_count(columns.ids.len(), appended)?;
    Ok(columns.ids)
}

/// The first of each.
fn firsts(columns: &Columns) -> [(&(dyn ToSql + Sync), Type); 17] {
    [
        (&columns.ids[0], Type::UUID),
        (&columns.topics[0], Type::TEXT),
        (&columns.keys[0], Type::TEXT),
        (&columns.types[0], Type::TEXT),
        (&columns.sources[0], Type::TEXT),
        (&columns.subjects[0], Type::TEXT),
        (&columns.times[0], Type::TIMESTAMPTZ),
        (&columns.data_content_types[0], Type::TEXT),
        (&columns.data_schemas[0], Type::TEXT),
        (&columns.schema_versions[0], Type::TEXT),
        (&columns.correlation_ids[0], Type::TEXT),
        (&columns.causation_ids[0], Type::TEXT),
        (&columns.traceparents[0], Type::TEXT),
        (&columns.tracestates[0], Type::TEXT),
        (&columns.extensions[0], Type::TEXT),
        (&columns.data[0], Type::TEXT),
        (&columns.data_binaries[0], Type::BYTEA),
    ]
}

fn parameters(columns: &Columns) -> [(&(dyn ToSql + Sync), Type); 17] {
    [
        (&columns.ids, Type::UUID_ARRAY),
        (&columns.topics, Type::TEXT_ARRAY),
        (&columns.keys, Type::TEXT_ARRAY),
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
    ]
}

fn error_of(error: tokio_postgres::Error) -> Error {
    match error.as_db_error() {
        Some(refused) => Error::database(refused.code().code(), refused.message()),
        None => Error::connection(error),
    }
}
