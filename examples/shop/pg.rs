//! The shop's transactions: rows and event together.

use outbox_core::append::{self, NewEvent};
use sqlx::{PgPool, Postgres, Row, Transaction};
use uuid::Uuid;

use super::TOPIC;
use super::order::{Change, Errand, Line, State, total_cents};
use crate::Result;

const SCHEMA: &str = include_str!("sql/shop.sql");
const PLACE: &str = include_str!("sql/place.sql");
const PICK_OPEN: &str = include_str!("sql/pick_open.sql");
const LOCK: &str = include_str!("sql/lock.sql");
const LINES: &str = include_str!("sql/lines.sql");
const CHANGE: &str = include_str!("sql/change.sql");
const SELL_AT_THE_TILL: &str = include_str!("sql/sell_at_the_till.sql");

/// The shop's database.
#[derive(Clone, Debug)]
pub struct Shop {
    pool: PgPool,
}

/// A change that is made but not decided: commit it, or roll it back.
#[derive(Debug)]
pub struct Sale {
    transaction: Transaction<'static, Postgres>,
    /// What was changed.
    pub change: Change,
}

impl Shop {
    /// The shop on this database.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Makes its tables.
    ///
    /// # Errors
    /// When they are there already, or the database refuses.
    pub async fn open(&self) -> Result {
        sqlx::raw_sql(SCHEMA).execute(&self.pool).await?;
        Ok(())
    }

    /// A new order and its event.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn place(&self, customer: i32, lines: Vec<Line>) -> Result<Sale> {
        let change = Change {
            order: Uuid::now_v7(),
            step: 1,
            state: State::Placed,
            customer,
            total_cents: total_cents(&lines),
            lines,
        };
        let mut transaction = self.pool.begin().await?;
        sqlx::query(PLACE)
            .bind(change.order)
            .bind(customer)
            .bind(change.total_cents)
            .bind(
                change
                    .lines
                    .iter()
                    .map(|line| line.sku.clone())
                    .collect::<Vec<_>>(),
            )
            .bind(change.lines.iter().map(|line| line.quantity).collect::<Vec<_>>())
            .bind(change.lines.iter().map(|line| line.cents).collect::<Vec<_>>())
            .execute(&mut *transaction)
            .await?;
        publish(&mut transaction, &change).await?;
        Ok(Sale { transaction, change })
    }

    /// The next change of an order and its event; none when the errand does not apply to it any more.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn change(&self, order: Uuid, errand: Errand) -> Result<Option<Sale>> {
        let mut transaction = self.pool.begin().await?;
        let row = sqlx::query(LOCK).bind(order).fetch_one(&mut *transaction).await?;
        let state = State::of(row.try_get("state")?).ok_or("the order has a state that nobody knows")?;
        let Some(state) = state.after(errand) else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let lines = sqlx::query_as::<_, (String, i32, i64)>(LINES)
            .bind(order)
            .fetch_all(&mut *transaction)
            .await?;
        let change = Change {
            order,
            step: row.try_get::<i32, _>("step")? + 1,
            state,
            customer: row.try_get("customer")?,
            lines: lines
                .into_iter()
                .map(|(sku, quantity, cents)| Line { sku, quantity, cents })
                .collect(),
            total_cents: row.try_get("total_cents")?,
        };
        sqlx::query(CHANGE)
            .bind(order)
            .bind(change.step)
            .bind(state.word())
            .execute(&mut *transaction)
            .await?;
        publish(&mut transaction, &change).await?;
        Ok(Some(Sale { transaction, change }))
    }

    /// An order that changed lately and may change again.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn pick_open(&self, pass_over: i64) -> Result<Option<Uuid>> {
        Ok(sqlx::query_scalar(PICK_OPEN)
            .bind(pass_over)
            .fetch_optional(&self.pool)
            .await?)
    }

    /// A sale in one statement of plain SQL, as a program in any language would do it.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn sell_at_the_till(&self) -> Result {
        let _event: Uuid = sqlx::query_scalar(SELL_AT_THE_TILL)
            .bind(Uuid::now_v7())
            .fetch_one(&self.pool)
            .await?;
        Ok(())
    }
}

/// The one line of outbox in this shop: the event joins the transaction.
async fn publish(transaction: &mut Transaction<'static, Postgres>, change: &Change) -> Result {
    let event = NewEvent::new(TOPIC)
        .event_type(change.event_type())
        .key(change.order.to_string())
        .json(change);
    append::append(transaction, event).await?;
    Ok(())
}

impl Sale {
    /// It happened.
    ///
    /// # Errors
    /// When the database refuses, or does not answer: then nobody knows.
    pub async fn commit(self) -> Result {
        Ok(self.transaction.commit().await?)
    }

    /// It never happened.
    ///
    /// # Errors
    /// When the database does not answer. It did not happen then either.
    pub async fn roll_back(self) -> Result {
        Ok(self.transaction.rollback().await?)
    }
}
