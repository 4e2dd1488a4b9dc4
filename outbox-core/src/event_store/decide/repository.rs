//! How a decider's streams are read and appended to.

use std::fmt;
use std::sync::Arc;

use super::command::Context;
use super::decider::Decider;
use super::snapshot::Snapshots;
use crate::append::NewEvent;
use crate::event_store::forget::Keyring;
use crate::event_store::read::PageLimits;
use crate::event_store::typed::{Decoder, Incoherent, TypedEvent, encode};
use crate::event_store::{Error, StreamName};

/// Attempts of one command, the first one included, where nothing else is said.
const ATTEMPTS: u32 = 5;

type Prepare<E> = dyn Fn(&E, NewEvent) -> NewEvent + Send + Sync;

/// Loads, decides and appends, in your transaction. One for each decider, made once, used from anywhere.
pub struct Repository<D: Decider> {
    pub(super) decoder: Decoder<D::Event>,
    pub(super) attempts: u32,
    pub(super) page: PageLimits,
    pub(super) snapshots: Option<Snapshots<D::State>>,
    pub(super) keyring: Option<Keyring>,
    prepare: Option<Arc<Prepare<D::Event>>>,
}

impl<D: Decider<Event: TypedEvent>> Repository<D> {
    /// With what is usual: five attempts, pages of 1,000 events, and topics by the routes of the category.
    ///
    /// # Errors
    /// When the types and upcasters of its events do not fit together.
    pub fn new() -> Result<Self, Incoherent> {
        Ok(Self {
            decoder: Decoder::new()?,
            attempts: ATTEMPTS,
            page: PageLimits::default(),
            snapshots: None,
            keyring: None,
            prepare: None,
        })
    }

    /// How often a command is decided before a conflict is an error; one at least.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// How much is read at once.
    #[must_use]
    pub fn page(mut self, limits: PageLimits) -> Self {
        self.page = limits;
        self
    }

    /// Keeps a state now and then, so that a load folds only what came behind it.
    #[must_use]
    pub fn snapshots(mut self, snapshots: Snapshots<D::State>) -> Self {
        self.snapshots = Some(snapshots);
        self
    }

    /// Seals the data of events that are about somebody ([`TypedEvent::data_subject`]), and opens it when they are read. A state that
    /// such an event was folded into is not kept as a snapshot.
    #[must_use]
    pub fn keyring(mut self, keyring: Keyring) -> Self {
        self.keyring = Some(keyring);
        self
    }

    /// What is said about each event before it is appended: its topic, its tags, its subject.
    #[must_use]
    pub fn prepare(
        mut self,
        prepare: impl Fn(&D::Event, NewEvent) -> NewEvent + Send + Sync + 'static,
    ) -> Self {
        self.prepare = Some(Arc::new(prepare));
        self
    }

    /// The events of a decision as they are appended, each with whom it is about.
    pub(super) fn to_append(
        &self,
        events: &[D::Event],
        stream: &StreamName,
        context: &Context,
    ) -> Result<Vec<(NewEvent, Option<String>)>, Error> {
        events
            .iter()
            .enumerate()
            .map(|(index, event)| {
                let encoded = encode(event)?;
                let prepared = match &self.prepare {
                    Some(prepare) => prepare(event, encoded),
                    None => encoded,
                };
                Ok((context.dress(prepared, stream, index), event.data_subject()))
            })
            .collect()
    }
}

impl<D: Decider> Clone for Repository<D> {
    fn clone(&self) -> Self {
        Self {
            decoder: self.decoder.clone(),
            attempts: self.attempts,
            page: self.page,
            snapshots: self.snapshots.clone(),
            keyring: self.keyring.clone(),
            prepare: self.prepare.clone(),
        }
    }
}

impl<D: Decider> fmt::Debug for Repository<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository")
            .field("decoder", &self.decoder)
            .field("attempts", &self.attempts)
            .field("page", &self.page)
            .field("snapshots", &self.snapshots)
            .finish_non_exhaustive()
    }
}
