//! Loyalty points as a projection: a ledger with one entry per order and reason, and what each customer has.
//!
//! Its first version only took note of customers: points were to come later, and orders were paid meanwhile. What was missed comes by
//! building it anew from what is stored, with the code that credits.

use outbox_core::event_store::StoredEvent;
use outbox_core::event_store::projection::Projection;
use outbox_core::event_store::subscription::{BoxFuture, HandlerResult};
use outbox_core::event_store::typed::{Decoder, Incoherent};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::event::OrderEvent;

/// Name of the projection, and of its schema.
pub(super) const NAME: &str = "loyalty";
/// For an order that is paid.
const PAID: i64 = 10;
/// For one that came later than promised.
const LATE: i64 = 5;

/// The projection.
pub(super) struct Loyalty {
    decoder: Decoder<OrderEvent>,
    credits: bool,
}

impl Loyalty {
    /// As it was first: no points.
    pub(super) fn stub() -> Result<Self, Incoherent> {
        Ok(Self {
            credits: false,
            ..Self::mended()?
        })
    }

    /// As it is meant.
    pub(super) fn mended() -> Result<Self, Incoherent> {
        Ok(Self {
            decoder: Decoder::new()?,
            credits: true,
        })
    }

    async fn placed(
        transaction: &mut PgConnection,
        order: &str,
        customer: &str,
        promised: OffsetDateTime,
    ) -> HandlerResult {
        sqlx::query("insert into orders (order_id, customer, promised) values ($1, $2, $3)")
            .bind(order)
            .bind(customer)
            .bind(promised)
            .execute(transaction)
            .await?;
        Ok(())
    }
}

/// Credits an order once for a reason, and its customer only if it was not credited before.
async fn credit(transaction: &mut PgConnection, order: &str, entry_type: &str, points: i64) -> HandlerResult {
    sqlx::query(
        "with entry as (
             insert into ledger (order_id, entry_type, points) values ($1, $2, $3)
             on conflict (order_id, entry_type) do nothing returning points
         )
         insert into balances as b (customer, points)
         select o.customer, entry.points from orders o, entry where o.order_id = $1
         on conflict (customer) do update set points = b.points + excluded.points",
    )
    .bind(order)
    .bind(entry_type)
    .bind(points)
    .execute(transaction)
    .await?;
    Ok(())
}

/// What an order was credited for being paid.
async fn points_of(transaction: &mut PgConnection, order: &str) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar("select points from ledger where order_id = $1 and entry_type = 'paid'")
        .bind(order)
        .fetch_optional(transaction)
        .await
}

impl Projection for Loyalty {
    fn create(&self) -> Vec<String> {
        [
            "create table orders (order_id text primary key, customer text not null, promised timestamptz not null)",
            "create table ledger (
                 order_id text not null,
                 entry_type text not null check (entry_type in ('paid', 'late', 'canceled')),
                 points bigint not null,
                 primary key (order_id, entry_type)
             )",
            "create table balances (customer text primary key, points bigint not null)",
        ]
        .map(str::to_owned)
        .into()
    }

    fn apply<'a>(
        &'a self,
        transaction: &'a mut PgConnection,
        stored: &'a StoredEvent,
    ) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            let order = stored.stream.id();
            match self.decoder.decode(stored)? {
                OrderEvent::Placed {
                    customer, promised, ..
                } => Self::placed(transaction, order, &customer, promised).await,
                _ if !self.credits => Ok(()),
                OrderEvent::Paid { .. } => credit(transaction, order, "paid", PAID).await,
                OrderEvent::Delivered { at: Some(at) } => {
                    let is_late: bool =
                        sqlx::query_scalar("select $2 > promised from orders where order_id = $1")
                            .bind(order)
                            .bind(at)
                            .fetch_one(&mut *transaction)
                            .await?;
                    match is_late {
                        true => credit(transaction, order, "late", LATE).await,
                        false => Ok(()),
                    }
                }
                OrderEvent::Canceled => match points_of(transaction, order).await? {
                    Some(points) => credit(transaction, order, "canceled", -points).await,
                    None => Ok(()),
                },
                _ => Ok(()),
            }
        })
    }
}
