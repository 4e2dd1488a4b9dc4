//! What the demo asks Postgres: who leads, what was published when, and everything the audit compares.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use super::audit::Step;
use crate::Result;

/// Who leads, on the clock of the database.
#[derive(Clone, Debug)]
pub(super) struct Leader {
    /// Process id.
    pub(super) process: u32,
    pub(super) epoch: i64,
    pub(super) since: OffsetDateTime,
}

/// What the operators' view says.
#[derive(Clone, Debug, Default)]
pub(super) struct Summary {
    pub(super) leader: Option<u32>,
    pub(super) epoch: i64,
    pub(super) backlog: i64,
    pub(super) oldest_age: Option<Duration>,
}

/// The sums that must agree between the shop and its consumers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Books {
    /// Pieces of orders that stand.
    pub(super) pieces: i64,
    /// Points for orders that are paid.
    pub(super) points: i64,
}

pub(super) async fn open(url: &str) -> Result<PgConnection> {
    Ok(PgConnection::connect(url).await?)
}

/// What of the demo's names is there already.
pub(super) async fn found_in_use(connection: &mut PgConnection, databases: &[&str]) -> Result<Vec<String>> {
    let statement = "select format('the schema %I', nspname) from pg_namespace where nspname = any(array['outbox', 'outbox_ops', 'shop']) \
                     union all select format('the database %I', datname) from pg_database where datname = any($1::text[])";
    let databases: Vec<String> = databases.iter().map(|name| (*name).to_owned()).collect();
    Ok(sqlx::query_scalar(statement)
        .bind(databases)
        .fetch_all(connection)
        .await?)
}

/// Roles that migrating will make.
pub(super) async fn roles_to_be_made(connection: &mut PgConnection) -> Result<Vec<String>> {
    let statement = "select 'outbox_' || name from unnest(array['producer', 'relay', 'maintainer', 'consumer', 'observer']) name \
                     where not exists (select from pg_roles where rolname = 'outbox_' || name)";
    Ok(sqlx::query_scalar(statement).fetch_all(connection).await?)
}

pub(super) async fn drop_everything(connection: &mut PgConnection, databases: &[String]) -> Result {
    sqlx::raw_sql("set lock_timeout = '30s'; drop schema if exists shop, outbox, outbox_ops cascade")
        .execute(&mut *connection)
        .await?;
    for database in databases {
        let statement = format!("drop database if exists {} with (force)", quoted(database));
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

pub(super) async fn drop_role(connection: &mut PgConnection, role: &str) -> Result {
    sqlx::raw_sql(AssertSqlSafe(format!("drop role if exists {}", quoted(role))))
        .execute(connection)
        .await?;
    Ok(())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The relay that leads now.
pub(super) async fn leader(pool: &PgPool) -> Result<Option<Leader>> {
    let row = sqlx::query(
        "select holder, epoch, acquired_at from outbox.lease \
         where name = 'tail' and expires_at > clock_timestamp()",
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let holder: String = row.try_get("holder")?;
    Ok(Some(Leader {
        process: process_of(&holder)
            .ok_or_else(|| format!("the lease's holder {holder} names no process"))?,
        epoch: row.try_get("epoch")?,
        since: row.try_get("acquired_at")?,
    }))
}

/// The process of `<host>/<process>/<random>`.
fn process_of(holder: &str) -> Option<u32> {
    holder.rsplit('/').nth(1)?.parse().ok()
}

/// The clock of the database.
pub(super) async fn now(pool: &PgPool) -> Result<OffsetDateTime> {
    Ok(sqlx::query_scalar("select clock_timestamp()")
        .fetch_one(pool)
        .await?)
}

/// When the first event after a moment was confirmed by the sink.
pub(super) async fn first_published_after(
    pool: &PgPool,
    moment: OffsetDateTime,
) -> Result<Option<OffsetDateTime>> {
    let statement = "select min(recorded_at) from outbox.progress where topic = $1 and recorded_at > $2";
    Ok(sqlx::query_scalar(statement)
        .bind(crate::shop::TOPIC)
        .bind(moment)
        .fetch_one(pool)
        .await?)
}

pub(super) async fn summary(pool: &PgPool) -> Result<Summary> {
    let row = sqlx::query(
        "select leader, epoch, backlog, extract(epoch from oldest_unpublished_age)::float8 as age from outbox_ops.summary",
    )
    .fetch_one(pool)
    .await?;
    let leader: Option<String> = row.try_get("leader")?;
    let age: Option<f64> = row.try_get("age")?;
    Ok(Summary {
        leader: leader.as_deref().and_then(process_of),
        epoch: row.try_get("epoch")?,
        backlog: row.try_get("backlog")?,
        oldest_age: age.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
    })
}

/// Rows of one of the tables below.
pub(super) async fn count(pool: &PgPool, table: Table) -> Result<u64> {
    let count: i64 = sqlx::query_scalar(match table {
        Table::Changes => "select count(*) from shop.order_changes",
        Table::Orders => "select count(*) from shop.orders",
        Table::Movements => "select count(*) from stock.movements",
        Table::Ledger => "select count(*) from loyalty.ledger",
        Table::DeadLetters => "select count(*) from outbox.dead_letter",
    })
    .fetch_one(pool)
    .await?;
    Ok(count.unsigned_abs())
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Table {
    Changes,
    Orders,
    Movements,
    Ledger,
    DeadLetters,
}

/// Which change of which order, in the order in which they came about there.
pub(super) async fn steps(pool: &PgPool, place: Place) -> Result<Vec<Step>> {
    let statement = match place {
        Place::Shop => "select order_id, step from shop.order_changes order by order_id, step",
        // The key is what order is promised for; the step is inside the payload.
        Place::Log => {
            "select key::uuid as order_id, (data::json ->> 'step')::integer as step from outbox.log \
             where topic = 'orders' order by position"
        }
        Place::Stock => "select order_id, step from stock.movements order by entry",
        Place::Loyalty => "select order_id, step from loyalty.ledger order by entry",
    };
    Ok(sqlx::query_as::<_, (Uuid, i32)>(statement)
        .fetch_all(pool)
        .await?)
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Shop,
    Log,
    Stock,
    Loyalty,
}

/// What the shop's orders come to.
pub(super) async fn shop_books(pool: &PgPool) -> Result<Books> {
    let (pieces, points) = sqlx::query_as::<_, (i64, i64)>(
        "select (select coalesce(sum(line.quantity), 0) from shop.order_lines line join shop.orders o on o.id = line.order_id \
                 where o.state <> 'cancelled'), \
                (select coalesce(sum(total_cents / $1), 0)::bigint from shop.orders where state = 'paid')",
    )
    .bind(crate::shop::loyalty::CENTS_PER_POINT)
    .fetch_one(pool)
    .await?;
    Ok(Books { pieces, points })
}

/// What the consumers came to.
pub(super) async fn consumers_books(stock: &PgPool, loyalty: &PgPool) -> Result<Books> {
    let pieces = sqlx::query_scalar("select coalesce(sum($1 - on_hand), 0)::bigint from stock.items")
        .bind(crate::shop::stock::ON_HAND_AT_FIRST)
        .fetch_one(stock)
        .await?;
    let points = sqlx::query_scalar("select coalesce(sum(points), 0)::bigint from loyalty.accounts")
        .fetch_one(loyalty)
        .await?;
    Ok(Books { pieces, points })
}

#[cfg(test)]
mod tests {
    use super::process_of;

    #[test]
    fn the_process_of_a_holder_is_its_middle() {
        assert_eq!(process_of("host/4711/0a1b2c3d"), Some(4711));
        assert_eq!(process_of("a/b/4711/0a1b2c3d"), Some(4711));
        assert_eq!(process_of("host"), None);
    }
}
