//! Appending through sqlx: a connection, or a transaction of it.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo};
use sqlx::{Connection as _, Encode, PgConnection, Postgres, Type};
use uuid::Uuid;

use super::columns::{BATCH, Columns, EVENT};
use super::error::Error;
use super::limits::Limits;
use super::new_event::NewEvent;
use super::refuse::Home;
use super::way::{OTHERS, Way};

/// `json`, of `pg_type`: the same in every database.
const JSON: Oid = Oid(114);

/// Appends one event in the transaction of this connection and returns its id.
///
/// # Errors
/// When the event breaks a rule (nothing is sent then), or the database refuses it.
pub async fn append(connection: &mut PgConnection, event: NewEvent) -> Result<Uuid, Error> {
    let id = event.id;
    append_many(connection, vec![event]).await?;
    Ok(id)
}

/// Appends events in one round trip, in this order, and returns their ids.
///
/// # Errors
/// As [`append`]; either all are appended or none. Above the bounds of [`Limits::default`] the call is refused.
pub async fn append_many(connection: &mut PgConnection, events: Vec<NewEvent>) -> Result<Vec<Uuid>, Error> {
    append_many_within(connection, events, &Limits::default()).await
}

/// As [`append_many`], with limits of your own.
///
/// # Errors
/// As [`append_many`].
pub async fn append_many_within(
    connection: &mut PgConnection,
    events: Vec<NewEvent>,
    limits: &Limits,
) -> Result<Vec<Uuid>, Error> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let columns = Columns::of(events, Home::Log, limits)?;
    if columns.ids.len() == 1 {
        // A connection that has kept a statement keeps this one too. One that keeps none (behind some poolers) plans each anew.
        let way = match connection.cached_statements_size() > 0 {
            true => Way::of(&columns),
            false => Way::Function,
        };
        return append_by(way, connection, columns).await;
    }
    let appended: i64 = sqlx::query_scalar(BATCH)
        .bind(&columns.ids)
        .bind(&columns.topics)
        .bind(&columns.keys)
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
        .fetch_one(connection)
        .await
        .map_err(error_of)?;
    Error::expect_count(columns.ids.len(), appended)?;
    Ok(columns.ids)
}

async fn append_by(way: Way, connection: &mut PgConnection, columns: Columns) -> Result<Vec<Uuid>, Error> {
    if way == Way::Function {
        return append_first(connection, &columns).await;
    }
    let mut inserted = insert(way, connection, &columns).await?;
    if inserted == 0 && way != Way::Any {
        // It is kept otherwise than most, or the database has narrower limits: this way takes it, or says why it does not.
        inserted = insert(Way::Any, connection, &columns).await?;
        if let Some(topic) = columns.topics.first().and_then(Option::as_ref) {
            OTHERS.add(topic);
        }
    }
    Error::expect_count(1, inserted.cast_signed())?;
    Ok(columns.ids)
}

/// How many rows were inserted.
async fn insert(way: Way, connection: &mut PgConnection, columns: &Columns) -> Result<u64, Error> {
    let data = columns.data.first().and_then(Option::as_deref).map(Json);
    let mut query = sqlx::query(way.statement())
        .bind(columns.ids.first())
        .bind(columns.topics.first().and_then(Option::as_ref))
        .bind(columns.keys.first().and_then(Option::as_ref));
    if way != Way::Short {
        query = query
            .bind(columns.types.first().and_then(Option::as_ref))
            .bind(columns.sources.first().and_then(Option::as_ref))
            .bind(columns.schema_versions.first().and_then(Option::as_ref))
            .bind(columns.correlation_ids.first().and_then(Option::as_ref))
            .bind(columns.causation_ids.first().and_then(Option::as_ref))
            .bind(columns.traceparents.first().and_then(Option::as_ref))
            .bind(columns.tracestates.first().and_then(Option::as_ref));
    }
    let done = query.bind(data).execute(connection).await.map_err(error_of)?;
    Ok(done.rows_affected())
}

/// A text that is JSON, sent as such: a text that the statement casts is parsed wherever the rule of `outbox.outgoing` names it.
struct Json<'a>(&'a str);

impl Type<Postgres> for Json<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(JSON)
    }
}

impl Encode<'_, Postgres> for Json<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <&str as Encode<Postgres>>::encode(self.0, buffer)
    }
}

async fn append_first(connection: &mut PgConnection, columns: &Columns) -> Result<Vec<Uuid>, Error> {
    let id: Uuid = sqlx::query_scalar(EVENT)
        .bind(columns.ids.first())
        .bind(columns.topics.first().and_then(Option::as_ref))
        .bind(columns.keys.first().and_then(Option::as_ref))
        .bind(columns.types.first().and_then(Option::as_ref))
        .bind(columns.sources.first().and_then(Option::as_ref))
        .bind(columns.subjects.first().and_then(Option::as_ref))
        .bind(columns.times.first().and_then(Option::as_ref))
        .bind(columns.data_content_types.first().and_then(Option::as_ref))
        .bind(columns.data_schemas.first().and_then(Option::as_ref))
        .bind(columns.schema_versions.first().and_then(Option::as_ref))
        .bind(columns.correlation_ids.first().and_then(Option::as_ref))
        .bind(columns.causation_ids.first().and_then(Option::as_ref))
        .bind(columns.traceparents.first().and_then(Option::as_ref))
        .bind(columns.tracestates.first().and_then(Option::as_ref))
        .bind(columns.extensions.first().and_then(Option::as_ref))
        .bind(columns.data.first().and_then(Option::as_ref))
        .bind(columns.data_binaries.first().and_then(Option::as_ref))
        .fetch_one(connection)
        .await
        .map_err(error_of)?;
    Ok(vec![id])
}

fn error_of(error: sqlx::Error) -> Error {
    match error.as_database_error() {
        Some(refused) => Error::database(refused.code().as_deref().unwrap_or_default(), refused.message()),
        None => Error::connection(error),
    }
}
