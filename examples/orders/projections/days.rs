//! How much happened on each day, over all orders.

use outbox_core::event_store::StoredEvent;
use outbox_core::event_store::projection::Projection;
use outbox_core::event_store::subscription::{BoxFuture, HandlerResult};
use outbox_core::event_store::typed::{Decoder, Incoherent};
use sqlx::PgConnection;

use crate::orders::event::OrderEvent;

/// Events of each type that have a time, by their day. Rows of it belong to many streams: one process at a time applies them.
pub(in crate::orders) struct Days {
    decoder: Decoder<OrderEvent>,
}

impl Days {
    pub(in crate::orders) const NAME: &'static str = "orders_by_day";

    pub(in crate::orders) fn new() -> Result<Self, Incoherent> {
        Ok(Self {
            decoder: Decoder::new()?,
        })
    }
}

impl Projection for Days {
    fn create(&self) -> Vec<String> {
        vec![
            "create table days (day date, type text, events bigint not null, primary key (day, type))"
                .to_owned(),
        ]
    }

    fn apply<'a>(
        &'a self,
        transaction: &'a mut PgConnection,
        stored: &'a StoredEvent,
    ) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            let Some(at) = self.decoder.decode(stored)?.at() else {
                return Ok(());
            };
            sqlx::query(
                "insert into days as d (day, type, events) values ($1, $2, 1) on conflict (day, type) do update set events = d.events + 1",
            )
            .bind(at.date())
            .bind(&stored.event.r#type)
            .execute(transaction)
            .await?;
            Ok(())
        })
    }
}
