//! Where each order is, right in the transaction that appends.

use outbox_core::event_store::StoredEvent;
use outbox_core::event_store::projection::Projection;
use outbox_core::event_store::subscription::{BoxFuture, HandlerResult};
use outbox_core::event_store::typed::{Decoder, Incoherent};
use sqlx::PgConnection;

use crate::orders::event::OrderEvent;

/// The furthest step of each order.
#[derive(Clone)]
pub(in crate::orders) struct Statuses {
    decoder: Decoder<OrderEvent>,
}

impl Statuses {
    pub(in crate::orders) const NAME: &'static str = "order_statuses";

    pub(in crate::orders) fn new() -> Result<Self, Incoherent> {
        Ok(Self {
            decoder: Decoder::new()?,
        })
    }
}

impl Projection for Statuses {
    fn create(&self) -> Vec<String> {
        vec![
            "create table orders (order_id text primary key, status text not null, rank smallint not null)"
                .to_owned(),
            "create index on orders (status)".to_owned(),
        ]
    }

    fn apply<'a>(
        &'a self,
        transaction: &'a mut PgConnection,
        stored: &'a StoredEvent,
    ) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            let status = self.decoder.decode(stored)?.status();
            sqlx::query(
                "insert into orders as o (order_id, status, rank) values ($1, $2, $3)
                 on conflict (order_id) do update set status = excluded.status, rank = excluded.rank where excluded.rank > o.rank",
            )
            .bind(stored.stream.id())
            .bind(status.word())
            .bind(status as i16)
            .execute(transaction)
            .await?;
            Ok(())
        })
    }
}
