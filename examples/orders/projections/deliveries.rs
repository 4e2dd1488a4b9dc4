//! How long deliveries took, and which were late.

use outbox_core::event_store::StoredEvent;
use outbox_core::event_store::projection::Projection;
use outbox_core::event_store::subscription::{BoxFuture, HandlerResult};
use outbox_core::event_store::typed::{Decoder, Incoherent};
use sqlx::PgConnection;

use crate::orders::event::OrderEvent;

/// A row per order: the events of one stream stay together, so several processes may share it.
pub(in crate::orders) struct Deliveries {
    decoder: Decoder<OrderEvent>,
}

impl Deliveries {
    pub(in crate::orders) const NAME: &'static str = "deliveries";

    pub(in crate::orders) fn new() -> Result<Self, Incoherent> {
        Ok(Self {
            decoder: Decoder::new()?,
        })
    }
}

impl Projection for Deliveries {
    fn create(&self) -> Vec<String> {
        vec![
            "create table orders (order_id text primary key, placed_at timestamptz not null, promised timestamptz not null, delivered_at timestamptz)"
                .to_owned(),
            "create view months as
             select date_trunc('month', placed_at at time zone 'UTC')::date as month, count(*) as orders, count(delivered_at) as delivered,
                    coalesce(sum(extract(epoch from delivered_at - placed_at)::bigint / 60), 0)::bigint as minutes,
                    count(*) filter (where delivered_at > promised) as late
             from orders group by 1"
                .to_owned(),
        ]
    }

    fn apply<'a>(
        &'a self,
        transaction: &'a mut PgConnection,
        stored: &'a StoredEvent,
    ) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            let order = stored.stream.id();
            let query = match self.decoder.decode(stored)? {
                OrderEvent::Placed { at, promised, .. } => {
                    sqlx::query("insert into orders (order_id, placed_at, promised) values ($1, $2, $3)")
                        .bind(order)
                        .bind(at)
                        .bind(promised)
                }
                OrderEvent::Delivered { at: Some(at) } => {
                    sqlx::query("update orders set delivered_at = $2 where order_id = $1")
                        .bind(order)
                        .bind(at)
                }
                _ => return Ok(()),
            };
            query.execute(transaction).await?;
            Ok(())
        })
    }
}
