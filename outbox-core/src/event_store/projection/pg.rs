//! Statements about projections: which is live, what is being built, their schemas.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Postgres, Row as _};

pub(super) use sqlx::{PgConnection, PgPool};

use super::catalogue::{next_schema, old_schema, quoted};
use super::compare::{Contents, Pair};
use super::definition::Projection;
use crate::event_store::StoredEvent;
use crate::event_store::pg::{failed, get, stored_events};
use crate::event_store::subscription::Error;
use crate::event_store::subscription::pg::bounded;

pub(super) type Transaction = sqlx::Transaction<'static, Postgres>;

const SEEING: &str = "looking at a projection";
const COMPARING: &str = "comparing tables";

/// A projection, and what is being built of it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) kind: String,
    pub(super) generation: i32,
    pub(super) rebuild: Option<Rebuild>,
}

/// A rebuild that has not ended, or was cancelled and left something.
#[derive(Clone, Debug)]
pub(super) struct Rebuild {
    pub(super) number: i64,
    pub(super) state: String,
    pub(super) generation: i32,
    pub(super) accept_differences: bool,
    /// Whether the schema that it fills was made.
    pub(super) has_schema: bool,
}

pub(super) async fn begin(pool: &PgPool) -> Result<Transaction, Error> {
    let statement = "begin isolation level read committed read write; set local lock_timeout = '2s'; set local statement_timeout = '10min'";
    bounded("beginning a transaction", pool.begin_with(statement)).await
}

pub(super) async fn commit(tx: Transaction) -> Result<(), Error> {
    bounded("committing", tx.commit()).await
}

pub(super) async fn register(pool: &PgPool, name: &str, kind: &str) -> Result<(), Error> {
    let query = sqlx::query(include_str!("../../../queries/projection/register.sql"))
        .bind(name)
        .bind(kind);
    bounded("registering a projection", query.execute(pool))
        .await
        .map(drop)
}

pub(super) async fn see(pool: &PgPool, name: &str) -> Result<Seen, Error> {
    let query = sqlx::query(include_str!("../../../queries/projection/see.sql"))
        .bind(name)
        .bind(next_schema(name));
    let row = bounded(SEEING, query.fetch_optional(pool)).await?;
    let row = row.ok_or_else(|| Error::Gone {
        name: name.to_owned(),
    })?;
    let number: Option<i64> = get(&row, "number", SEEING)?;
    let rebuild = match number {
        None => None,
        Some(number) => Some(Rebuild {
            number,
            state: get(&row, "state", SEEING)?,
            generation: get(&row, "next", SEEING)?,
            accept_differences: get(&row, "accept_differences", SEEING)?,
            has_schema: get(&row, "has_schema", SEEING)?,
        }),
    };
    Ok(Seen {
        kind: get(&row, "kind", SEEING)?,
        generation: get(&row, "generation", SEEING)?,
        rebuild,
    })
}

/// Held until the transaction ends, against whoever makes, switches or drops something of it.
pub(super) async fn hold(tx: &mut PgConnection, name: &str) -> Result<i32, Error> {
    let query = sqlx::query_scalar(include_str!("../../../queries/projection/hold.sql")).bind(name);
    let generation: Option<i32> = bounded("holding a projection", query.fetch_optional(tx)).await?;
    generation.ok_or_else(|| Error::Gone {
        name: name.to_owned(),
    })
}

/// Waits for who applies a projection inline, and keeps the next ones waiting.
pub(super) async fn exclude(tx: &mut PgConnection, name: &str) -> Result<(), Error> {
    let query = sqlx::query(include_str!("../../../queries/projection/exclude.sql")).bind(name);
    bounded("waiting for who applies a projection", query.execute(tx))
        .await
        .map(drop)
}

/// Held against a switch; which of them there are.
pub(super) async fn share(tx: &mut PgConnection, names: &[String]) -> Result<Vec<String>, Error> {
    let query = sqlx::query_as(include_str!("../../../queries/projection/share.sql")).bind(names);
    let rows: Vec<(String, i64)> = bounded("holding projections", query.fetch_all(tx)).await?;
    Ok(rows.into_iter().map(|(name, _)| name).collect())
}

/// A schema of a projection's name.
#[derive(Clone, Copy, Debug)]
pub(super) struct SchemaState {
    pub(super) is_there: bool,
    /// The generation that it was made for; none: it is somebody else's.
    pub(super) made_for: Option<i32>,
    /// Whether the generation that was asked about has applied anything, or may have: the projection is from before schemas said whose they are.
    pub(super) has_events: bool,
}

pub(super) async fn schema_state(
    tx: &mut PgConnection,
    schema: &str,
    name: &str,
    generation: i32,
) -> Result<SchemaState, Error> {
    let query = sqlx::query_as(include_str!("../../../queries/projection/schema_state.sql"))
        .bind(schema)
        .bind(name)
        .bind(generation);
    let (is_there, made_for, has_events) = bounded(SEEING, query.fetch_one(tx)).await?;
    Ok(SchemaState {
        is_there,
        made_for,
        has_events,
    })
}

/// Makes a schema with the tables of a projection. What is named without a schema stays in it for the transaction.
pub(super) async fn make_schema(
    tx: &mut PgConnection,
    schema: &str,
    (name, generation): (&str, i32),
    projection: &Arc<dyn Projection>,
) -> Result<(), Error> {
    let making = "making the schema of a projection";
    let statement = format!("create schema {0}; set local search_path = {0}", quoted(schema));
    bounded(making, sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *tx)).await?;
    own_schema(tx, schema, (name, generation)).await?;
    for statement in projection.create() {
        bounded(making, sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *tx)).await?;
    }
    Ok(())
}

/// Says on a schema whose it is: by it, and by nothing else, it is known later.
pub(super) async fn own_schema(
    tx: &mut PgConnection,
    schema: &str,
    (name, generation): (&str, i32),
) -> Result<(), Error> {
    let statement = format!(
        "comment on schema {} is 'outbox projection {name} generation {generation}'",
        quoted(schema)
    );
    bounded(
        "marking the schema of a projection",
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(tx),
    )
    .await
    .map(drop)
}

/// Drops the schema of what was being built.
pub(super) async fn drop_next(tx: &mut PgConnection, name: &str) -> Result<(), Error> {
    let statement = format!("drop schema if exists {} cascade", quoted(&next_schema(name)));
    bounded(
        "dropping what was built",
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(tx),
    )
    .await
    .map(drop)
}

/// Puts the schema that was built in the place of the live one, and drops that.
pub(super) async fn rename(tx: &mut PgConnection, name: &str) -> Result<(), Error> {
    let (live, next, old) = (
        quoted(name),
        quoted(&next_schema(name)),
        quoted(&old_schema(name)),
    );
    let statement = format!(
        "alter schema {live} rename to {old}; alter schema {next} rename to {live}; drop schema {old} cascade"
    );
    bounded(
        "renaming schemas",
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(tx),
    )
    .await
    .map(drop)
}

pub(super) async fn drop_generation(tx: &mut PgConnection, name: &str, generation: i32) -> Result<(), Error> {
    let query = sqlx::query(include_str!("../../../queries/projection/drop_generation.sql"))
        .bind(name)
        .bind(generation);
    bounded("dropping a generation", query.execute(tx))
        .await
        .map(drop)
}

pub(super) async fn start_rebuild(tx: &mut PgConnection, number: i64) -> Result<(), Error> {
    let query = sqlx::query(include_str!("../../../queries/projection/start_rebuild.sql")).bind(number);
    bounded("beginning a rebuild", query.execute(tx)).await.map(drop)
}

pub(super) async fn hold_rebuild(pool: &PgPool, number: i64, said: &str) -> Result<(), Error> {
    let query = sqlx::query(include_str!("../../../queries/projection/hold_rebuild.sql"))
        .bind(number)
        .bind(said);
    bounded("holding a rebuild", query.execute(pool)).await.map(drop)
}

/// What a rebuild that has caught up waits for; none: for nothing that is not seen.
pub(super) async fn say_rebuild(pool: &PgPool, number: i64, said: Option<&str>) -> Result<(), Error> {
    let query = sqlx::query(include_str!("../../../queries/projection/say_rebuild.sql"))
        .bind(number)
        .bind(said);
    bounded("telling of a rebuild", query.execute(pool))
        .await
        .map(drop)
}

/// Whether it had not been cancelled meanwhile.
pub(super) async fn end_rebuild(tx: &mut PgConnection, number: i64, said: &str) -> Result<bool, Error> {
    let query = sqlx::query_scalar(include_str!("../../../queries/projection/end_rebuild.sql"))
        .bind(number)
        .bind(said);
    let ended: Option<i64> = bounded("ending a rebuild", query.fetch_optional(tx)).await?;
    Ok(ended.is_some())
}

pub(super) async fn make_live(tx: &mut PgConnection, name: &str, generation: i32) -> Result<(), Error> {
    let query = sqlx::query(include_str!("../../../queries/projection/make_live.sql"))
        .bind(name)
        .bind(generation);
    bounded("making a generation live", query.execute(tx))
        .await
        .map(drop)
}

/// All partitions of a generation, with new epochs.
pub(super) async fn seize(
    tx: &mut PgConnection,
    name: &str,
    generation: i32,
) -> Result<Vec<(i32, i64)>, Error> {
    let query = sqlx::query_as(include_str!("../../../queries/projection/seize.sql"))
        .bind(name)
        .bind(generation);
    bounded("taking all partitions", query.fetch_all(tx)).await
}

pub(super) async fn let_go(tx: &mut PgConnection, name: &str, generation: i32) -> Result<(), Error> {
    let query = sqlx::query(include_str!("../../../queries/projection/let_go.sql"))
        .bind(name)
        .bind(generation);
    bounded("letting partitions go", query.execute(tx))
        .await
        .map(drop)
}

/// How far a generation is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Near {
    pub(super) is_near: bool,
    /// Streams that wait because an event failed.
    pub(super) waiting: i64,
    pub(super) is_paused: bool,
}

/// Whether a generation has few events before it.
pub(super) async fn near(
    tx: &mut PgConnection,
    name: &str,
    generation: i32,
    most: i64,
) -> Result<Near, Error> {
    let query = sqlx::query_as(include_str!("../../../queries/projection/is_near.sql"))
        .bind(name)
        .bind(generation)
        .bind(most);
    let (is_near, waiting, is_paused) = bounded("asking how far a rebuild is", query.fetch_one(tx)).await?;
    Ok(Near {
        is_near,
        waiting,
        is_paused,
    })
}

/// What outside of a schema depends on it.
pub(super) async fn dependents(tx: &mut PgConnection, schema: &str) -> Result<Option<String>, Error> {
    let query = sqlx::query_scalar(include_str!("../../../queries/projection/dependents.sql")).bind(schema);
    bounded("asking what depends on a schema", query.fetch_one(tx)).await
}

/// The tables of both schemas with their contents. Takes as long as reading them all.
pub(super) async fn contents(tx: &mut PgConnection, name: &str) -> Result<Vec<Pair>, Error> {
    let next = next_schema(name);
    let query = sqlx::query_as(include_str!("../../../queries/projection/tables_of.sql"))
        .bind(name)
        .bind(&next);
    let tables: Vec<(String, bool, bool)> = bounded(COMPARING, query.fetch_all(&mut *tx)).await?;
    let mut pairs = Vec::with_capacity(tables.len());
    for (table, in_live, in_next) in tables {
        let live = if in_live {
            Some(sum(tx, name, &table).await?)
        } else {
            None
        };
        let next = if in_next {
            Some(sum(tx, &next, &table).await?)
        } else {
            None
        };
        pairs.push(Pair { table, live, next });
    }
    Ok(pairs)
}

/// Bounded by the server's limit for the transaction's statements: it may be a large table.
async fn sum(tx: &mut PgConnection, schema: &str, table: &str) -> Result<Contents, Error> {
    let statement = format!(
        "select count(*) as rows, coalesce(sum(hashtextextended((t.*)::text, 0)::numeric), 0)::text as checksum from {}.{} t",
        quoted(schema),
        quoted(table)
    );
    let row = sqlx::query(AssertSqlSafe(statement))
        .fetch_one(tx)
        .await
        .map_err(failed(COMPARING))?;
    Ok(Contents {
        rows: row.try_get("rows").map_err(failed(COMPARING))?,
        checksum: row.try_get("checksum").map_err(failed(COMPARING))?,
    })
}

/// Events that this transaction has just appended.
pub(super) async fn events_at(tx: &mut PgConnection, positions: &[i64]) -> Result<Vec<StoredEvent>, Error> {
    let reading = "reading what was appended";
    let query = sqlx::query(include_str!("../../../queries/projection/events_at.sql")).bind(positions);
    let rows = bounded(reading, query.fetch_all(tx)).await?;
    Ok(stored_events(&rows, reading)?)
}

/// What is named without a schema is looked for in that of a projection first; what the path was before.
pub(super) async fn enter(tx: &mut PgConnection, name: &str) -> Result<String, Error> {
    let query = sqlx::query_scalar(include_str!("../../../queries/projection/enter.sql")).bind(name);
    bounded("entering the schema of a projection", query.fetch_one(tx)).await
}

pub(super) async fn leave(tx: &mut PgConnection, path: &str) -> Result<(), Error> {
    let query = sqlx::query(include_str!("../../../queries/projection/leave.sql")).bind(path);
    bounded("leaving the schema of a projection", query.execute(tx))
        .await
        .map(drop)
}
