//! The warehouse: takes what was ordered from the stock and puts back what was cancelled.

use outbox_core::consume::{BoxFuture, Consumer, Error, HandlerResult, PgConnection};
use outbox_core::event::Event;
use sqlx::PgPool;

use super::order::{Change, State};
use super::{TOPIC, visit};
use crate::Result;

const SCHEMA: &str = include_str!("sql/stock.sql");
const TAKE: &str = include_str!("sql/take_from_stock.sql");
/// More than will be sold.
pub const ON_HAND_AT_FIRST: i64 = 1_000_000;

/// Makes its tables and fills the shelves.
///
/// # Errors
/// When the tables are there already, or the database refuses.
pub async fn open(pool: &PgPool) -> Result {
    sqlx::raw_sql(SCHEMA).execute(pool).await?;
    sqlx::query("insert into stock.items (sku, on_hand) select unnest($1::text[]), $2")
        .bind(visit::goods().map(str::to_owned).collect::<Vec<_>>())
        .bind(ON_HAND_AT_FIRST)
        .execute(pool)
        .await?;
    Ok(())
}

/// The consumer, on the database with its tables and inbox.
///
/// # Errors
/// When the description is wrong.
pub fn consumer(pool: PgPool, redis: &str) -> Result<Consumer, Error> {
    Consumer::builder("stock")
        .database(pool)
        .redis(redis)
        .on_json(TOPIC, apply)
        .build()
}

fn apply<'a>(
    transaction: &'a mut PgConnection,
    change: Change,
    _: &'a Event,
) -> BoxFuture<'a, HandlerResult> {
    Box::pin(async move {
        let sign = match change.state {
            State::Placed => 1,
            State::Paid => 0,
            State::Cancelled => -1,
        };
        let pieces: Vec<i64> = change
            .lines
            .iter()
            .map(|line| sign * i64::from(line.quantity))
            .collect();
        sqlx::query("insert into stock.movements (order_id, step, pieces) values ($1, $2, $3)")
            .bind(change.order)
            .bind(change.step)
            .bind(pieces.iter().sum::<i64>())
            .execute(&mut *transaction)
            .await?;
        if sign != 0 {
            let goods: Vec<String> = change.lines.into_iter().map(|line| line.sku).collect();
            sqlx::query(TAKE)
                .bind(goods)
                .bind(pieces)
                .execute(transaction)
                .await?;
        }
        Ok(())
    })
}
