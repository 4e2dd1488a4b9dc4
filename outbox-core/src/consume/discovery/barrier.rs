//! Between two generations of partitions, on one stream: an entry of the next one waits until nothing of the one before is
//! left on any stream of its flow.
//!
//! It waits on the stream: reading stops, and what was delivered stays pending and is claimed again when the barrier opens.
//!
//! Whoever may write to a stream could write what looks like the relay's control entry. Only one in its place in the chain, of the
//! relay's source, that names no generation beyond the next one is taken for it; anything else that looks so is no event, and
//! holds nothing up.

use serde::Deserialize;
use tokio::sync::watch;

use super::{Discovery, Known};
use crate::consume::stream::{Flow, Stream};
use crate::event::{Data, EntryId, Event};
use crate::tail::layout::{MOVED, SOURCE};

/// What an entry is, to the barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::consume) enum Kind {
    /// For a handler.
    Event,
    /// One of the relay's own, for consumers and not for their handlers: this generation begins behind it.
    Control(usize),
    /// It looks like one of those, and is not.
    Pretender,
}

/// What a control entry says.
#[derive(Deserialize)]
struct Moved {
    generation: usize,
}

/// The barrier on one stream.
pub(in crate::consume) struct Barrier<'a> {
    discovery: &'a Discovery,
    known: watch::Receiver<Known>,
    flow: Flow,
    partition: Option<u32>,
    /// The generation that begins after an entry of this stream: its layout may not be known here yet.
    announced: Option<(EntryId, usize)>,
    closed_at: Option<EntryId>,
}

impl<'a> Barrier<'a> {
    pub(in crate::consume) fn new(discovery: &'a Discovery, stream: &Stream) -> Self {
        Self {
            discovery,
            known: discovery.watch(),
            flow: stream.flow(),
            partition: stream.partition,
            announced: None,
            closed_at: None,
        }
    }

    /// Whether this entry of the chain may be applied. If not, nothing from it on is taken until the barrier opens.
    pub(in crate::consume) fn admits(&mut self, id: EntryId) -> bool {
        if self.closed_at.is_none_or(|closed| id < closed) && self.is_open_for(id) {
            return true;
        }
        if self.closed_at.is_none_or(|closed| id < closed) {
            self.closed_at = Some(id);
            self.discovery
                .await_generation(&self.flow, self.generation_of(id));
        }
        false
    }

    /// What an entry is; `chained`: it has its place in the chain.
    pub(in crate::consume) fn kind(&self, id: EntryId, event: &Event, chained: bool) -> Kind {
        // The log has no position 0.
        if id.position != 0 || event.r#type != MOVED {
            return Kind::Event;
        }
        let next = self.generation_of(id) + 1;
        match generation(event) {
            Some(generation) if chained && event.source == SOURCE && (1..=next).contains(&generation) => {
                Kind::Control(generation)
            }
            _ => Kind::Pretender,
        }
    }

    /// A control entry was taken in hand: what follows it on this stream is of the next generation.
    pub(in crate::consume) fn announce(&mut self, id: EntryId, generation: usize) {
        self.announced = Some((id, generation));
        self.discovery.announce(&self.flow, generation);
    }

    pub(in crate::consume) fn is_closed(&self) -> bool {
        self.closed_at.is_some()
    }

    /// The group was set back: what waits behind the barrier is read again, and closes it again.
    pub(in crate::consume) fn lift(&mut self) {
        self.closed_at = None;
    }

    /// Waits until it may have opened; for ever if it is not closed.
    pub(in crate::consume) async fn changed(&mut self) {
        if self.closed_at.is_none() || self.known.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// The entry at which it was closed, if it has opened since.
    pub(in crate::consume) fn reopen(&mut self) -> Option<EntryId> {
        let closed_at = self.closed_at?;
        self.known.mark_unchanged();
        if !self.is_open_for(closed_at) {
            return None;
        }
        self.closed_at.take()
    }

    fn is_open_for(&self, id: EntryId) -> bool {
        let generation = self.generation_of(id);
        let known = self.known.borrow();
        known
            .get(&self.flow)
            .is_some_and(|opening| generation <= opening.open())
    }

    /// The generation of an entry. That of a layout which is not known here is what the control entry announced; a stream that
    /// ends with it has no other.
    fn generation_of(&self, id: EntryId) -> usize {
        let known = self.known.borrow();
        let Some(layout) = known.get(&self.flow).map(super::Opening::layout) else {
            return 0;
        };
        match self.announced {
            Some((end, generation)) if id > end && layout.newest() < generation => generation,
            _ => layout.generation_of(self.partition, id),
        }
    }
}

/// Which generation a control entry says that begins.
fn generation(event: &Event) -> Option<usize> {
    let Some(Data::Json(data)) = &event.data else {
        return None;
    };
    let moved: Moved = serde_json::from_str(data.get()).ok()?;
    Some(moved.generation)
}
