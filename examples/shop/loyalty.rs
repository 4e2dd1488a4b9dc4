//! The loyalty programme: a point for each whole euro paid, taken back when the order is cancelled.

use outbox_core::consume::{BoxFuture, Consumer, Error, HandlerResult, PgConnection};
use outbox_core::event::Event;
use sqlx::PgPool;

use super::TOPIC;
use super::order::{Change, State};
use crate::Result;

const SCHEMA: &str = include_str!("sql/loyalty.sql");
const CREDIT: &str = include_str!("sql/credit.sql");
/// What a point costs.
pub const CENTS_PER_POINT: i64 = 100;

/// Makes its tables.
///
/// # Errors
/// When they are there already, or the database refuses.
pub async fn open(pool: &PgPool) -> Result {
    sqlx::raw_sql(SCHEMA).execute(pool).await?;
    Ok(())
}

/// The consumer, on the database with its tables and inbox.
///
/// # Errors
/// When the description is wrong.
pub fn consumer(pool: PgPool, redis: &str) -> Result<Consumer, Error> {
    Consumer::builder("loyalty")
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
        let points = match change.state {
            State::Placed => Some(0),
            State::Paid => Some(change.total_cents / CENTS_PER_POINT),
            State::Cancelled => None,
        };
        sqlx::query(CREDIT)
            .bind(change.order)
            .bind(change.step)
            .bind(change.customer)
            .bind(points)
            .execute(transaction)
            .await?;
        Ok(())
    })
}
