//! What a service says of a projection: its tables, and what an event does to them.

use std::sync::Arc;

use super::pg::PgConnection;
use crate::event_store::StoredEvent;
use crate::event_store::subscription::{BoxFuture, EventHandler, HandlerResult};

/// Tables made of events.
///
/// Names are written without a schema, in [`Projection::create`] and in [`Projection::apply`]: they are found in that of the projection.
/// What an event does must follow from the event and the tables alone, or a rebuild differs: no clock, no chance, no other tables that change.
pub trait Projection: Send + Sync + 'static {
    /// The statements that make its tables, with whatever others are to be granted on them.
    fn create(&self) -> Vec<String>;

    /// Applies an event.
    ///
    /// # Errors
    /// A failed attempt: everything done in the transaction is undone. Inline, the append fails with it.
    fn apply<'a>(
        &'a self,
        transaction: &'a mut PgConnection,
        event: &'a StoredEvent,
    ) -> BoxFuture<'a, HandlerResult>;
}

/// A projection as the handler of a subscription.
#[derive(Clone)]
pub(super) struct Applied(pub(super) Arc<dyn Projection>);

impl EventHandler for Applied {
    fn handle<'a>(
        &'a self,
        transaction: &'a mut PgConnection,
        event: &'a StoredEvent,
    ) -> BoxFuture<'a, HandlerResult> {
        self.0.apply(transaction, event)
    }
}
