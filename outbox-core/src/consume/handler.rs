//! What a service does with an event: the one thing it writes itself.

use std::error::Error as StdError;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::failure_kind::FailureKind;
use super::pg::PgConnection;
use crate::event::{self, Event};

/// A future that can be moved between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a handler answers.
pub type HandlerResult = Result<(), HandlerError>;

/// Applies one event inside the transaction that also records it as applied.
///
/// Whatever goes through `transaction` has its effect once per consumer and event id. What does not (a mail, a call of
/// another service) may happen again after a crash. A handler does not commit or roll back.
pub trait Handler: Send + Sync + 'static {
    /// Applies the event.
    ///
    /// # Errors
    /// A failed attempt: everything the handler did in the transaction is undone, and it is tried again.
    fn handle<'a>(
        &'a self,
        transaction: &'a mut PgConnection,
        event: &'a Event,
    ) -> BoxFuture<'a, HandlerResult>;
}

impl<F> Handler for F
where
    F: for<'a> Fn(&'a mut PgConnection, &'a Event) -> BoxFuture<'a, HandlerResult> + Send + Sync + 'static,
{
    fn handle<'a>(
        &'a self,
        transaction: &'a mut PgConnection,
        event: &'a Event,
    ) -> BoxFuture<'a, HandlerResult> {
        self(transaction, event)
    }
}

/// Applies several events of a topic at once, inside the transaction that also records them as applied: one statement for all
/// of them is what makes it fast. The events come in their order; those of one key may be among them.
pub trait BatchHandler: Send + Sync + 'static {
    /// Applies the events.
    ///
    /// # Errors
    /// Everything it did is undone, and each event is tried alone, as a slice of one: that is an attempt, the whole was none.
    fn handle<'a>(
        &'a self,
        transaction: &'a mut PgConnection,
        events: &'a [Event],
    ) -> BoxFuture<'a, HandlerResult>;
}

impl<F> BatchHandler for F
where
    F: for<'a> Fn(&'a mut PgConnection, &'a [Event]) -> BoxFuture<'a, HandlerResult> + Send + Sync + 'static,
{
    fn handle<'a>(
        &'a self,
        transaction: &'a mut PgConnection,
        events: &'a [Event],
    ) -> BoxFuture<'a, HandlerResult> {
        self(transaction, events)
    }
}

/// What an event is handed to.
#[derive(Clone)]
pub(super) enum Applier {
    One(Arc<dyn Handler>),
    Many(Arc<dyn BatchHandler>),
}

impl Applier {
    /// Hands over an event.
    pub(super) fn call<'a>(
        &'a self,
        transaction: &'a mut PgConnection,
        event: &'a Event,
    ) -> BoxFuture<'a, HandlerResult> {
        match self {
            Self::One(handler) => handler.handle(transaction, event),
            Self::Many(handler) => handler.handle(transaction, std::slice::from_ref(event)),
        }
    }

    /// What takes several events at once; the same for both.
    pub(super) fn of_both<'a>(&'a self, other: &Self) -> Option<&'a Arc<dyn BatchHandler>> {
        match (self, other) {
            (Self::Many(handler), Self::Many(other)) if Arc::ptr_eq(handler, other) => Some(handler),
            _ => None,
        }
    }
}

/// A handler of the payload as a type of yours.
pub(super) struct JsonHandler<T, F> {
    function: F,
    payload: PhantomData<fn() -> T>,
}

impl<T, F> JsonHandler<T, F> {
    pub(super) fn new(function: F) -> Self {
        Self {
            function,
            payload: PhantomData,
        }
    }
}

impl<T, F> Handler for JsonHandler<T, F>
where
    T: DeserializeOwned + Send + 'static,
    F: for<'a> Fn(&'a mut PgConnection, T, &'a Event) -> BoxFuture<'a, HandlerResult> + Send + Sync + 'static,
{
    fn handle<'a>(
        &'a self,
        transaction: &'a mut PgConnection,
        event: &'a Event,
    ) -> BoxFuture<'a, HandlerResult> {
        match event.json::<T>() {
            Ok(payload) => (self.function)(transaction, payload, event),
            Err(error) => Box::pin(std::future::ready(Err(HandlerError::from(error).permanent()))),
        }
    }
}

/// Why an attempt failed. Any error becomes one with `?`.
pub struct HandlerError {
    source: Box<dyn StdError + Send + Sync>,
    class: &'static str,
    kind: FailureKind,
}

impl HandlerError {
    /// A failure told by its sentence. It is kept with the event: no secrets.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            source: message.into().into(),
            class: "handler",
            kind: FailureKind::Transient,
        }
    }

    /// Something that the handler needs is down: a service, another database. It spends no attempt: the consumer pauses
    /// this topic, and tries one event now and then.
    #[must_use]
    pub fn dependency(name: &str, message: impl fmt::Display) -> Self {
        Self {
            source: format!("{name}: {message}").into(),
            class: "dependency",
            kind: FailureKind::Dependency,
        }
    }

    /// The event has a version that this handler does not know: it waits, and its key with it, for a member that does.
    #[must_use]
    pub fn unknown_version() -> Self {
        Self {
            source: "the version of the event is not known here".into(),
            class: "version",
            kind: FailureKind::UnknownVersion,
        }
    }

    /// Trying again cannot help: the event goes to the dead letters at once.
    #[must_use]
    pub fn permanent(mut self) -> Self {
        self.kind = FailureKind::Poison;
        self
    }

    /// What follows from it.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    pub(super) fn class(&self) -> &'static str {
        self.class
    }

    pub(super) fn cause(&self) -> &(dyn StdError + 'static) {
        &*self.source
    }
}

// Not an `Error` itself, or this would overlap with the conversion of every type to itself.
impl<E: StdError + Send + Sync + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        let is_payload = (&error as &dyn StdError).is::<event::Error>();
        Self {
            source: Box::new(error),
            class: if is_payload { "payload" } else { "handler" },
            kind: FailureKind::Transient,
        }
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerError")
            .field("source", &self.source)
            .field("kind", &self.kind)
            .finish()
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}
