//! What a service does with a stored event: the one thing it writes itself.

use std::error::Error as StdError;
use std::pin::Pin;

use super::pg::PgConnection;
use crate::event_store::StoredEvent;

/// A future that can be moved between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why an attempt failed. It is kept with the stream that waits: no secrets.
pub type HandlerError = Box<dyn StdError + Send + Sync>;

/// What a handler answers.
pub type HandlerResult = Result<(), HandlerError>;

/// Applies one event inside the transaction that also moves the checkpoint.
///
/// Whatever goes through `transaction` has its effect once per subscription and event. What does not (a mail, a call of another
/// service) may happen again. A handler does not commit or roll back. It may append, and is handed what it appended, later.
pub trait EventHandler: Send + Sync + 'static {
    /// Applies the event.
    ///
    /// # Errors
    /// A failed attempt: everything the handler did in the transaction is undone, and it is tried again. A panic is one too.
    fn handle<'a>(
        &'a self,
        transaction: &'a mut PgConnection,
        event: &'a StoredEvent,
    ) -> BoxFuture<'a, HandlerResult>;
}

impl<F> EventHandler for F
where
    F: for<'a> Fn(&'a mut PgConnection, &'a StoredEvent) -> BoxFuture<'a, HandlerResult>
        + Send
        + Sync
        + 'static,
{
    fn handle<'a>(
        &'a self,
        transaction: &'a mut PgConnection,
        event: &'a StoredEvent,
    ) -> BoxFuture<'a, HandlerResult> {
        self(transaction, event)
    }
}
