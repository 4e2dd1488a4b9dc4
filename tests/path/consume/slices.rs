//! What handlers that take several events at once were given.

use std::sync::{Arc, Mutex, PoisonError};

use outbox_core::consume::{HandlerError, PgConnection};
use outbox_core::event::Event;

use super::bench::Order;

/// The sizes of the slices, in the order of the calls.
#[derive(Clone, Default)]
pub(crate) struct Slices(Arc<Mutex<Vec<usize>>>);

impl Slices {
    pub(crate) fn sizes(&self) -> Vec<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes all orders by one statement, and how many there are. Returns their numbers.
    pub(crate) async fn note(
        &self,
        tx: &mut PgConnection,
        events: &[Event],
    ) -> Result<Vec<i64>, HandlerError> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(events.len());
        let (mut keys, mut numbers) = (Vec::new(), Vec::new());
        for event in events {
            keys.push(event.key.clone());
            numbers.push(event.json::<Order>()?.number);
        }
        sqlx::query("insert into effect (key, number) select * from unnest($1::text[], $2::bigint[])")
            .bind(keys)
            .bind(&numbers)
            .execute(tx)
            .await?;
        Ok(numbers)
    }
}
