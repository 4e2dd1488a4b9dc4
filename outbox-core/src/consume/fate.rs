//! What becomes of the entries of one transaction.

use std::sync::Arc;
use std::time::Duration;

use super::Failure;
use super::delivery::Delivery;
use super::retry::Next;
use super::window::Item;
use crate::event::EntryId;

/// The entries of a transaction, in their order.
pub(super) type Items = [Arc<Item<Delivery>>];

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its effect is committed.
    Applied,
    /// It was in the inbox before.
    Duplicate,
    /// Another event said the same before, and input of this topic is told by what it says.
    Repeated,
    /// It waits behind another one of its key.
    Joined,
    /// It failed.
    Failed {
        class: String,
        attempts: u32,
        next: Next,
    },
}

/// What a batch came to.
#[derive(Debug, Default)]
pub(super) struct Landing {
    /// Finished, and committed.
    pub(super) fates: Vec<(EntryId, Fate)>,
    /// As they were.
    pub(super) rest: Vec<EntryId>,
    /// Each of the rest must be tried alone: together they failed, and nobody knows which of them did.
    pub(super) apart: bool,
    /// Handed over together they failed, after so long.
    pub(super) parted: Option<Duration>,
    /// How far the chain is passed now.
    pub(super) passed: Option<EntryId>,
    /// Something that this entry needs is down.
    pub(super) dependency: Option<(EntryId, Failure)>,
    /// How long the handlers took together.
    pub(super) took: Duration,
}

/// What is to be done with the entries of a transaction.
#[derive(Clone, Copy)]
pub(super) enum Purpose<'a> {
    /// To call their handlers.
    Apply,
    /// To call their handlers for one after the other: together they failed, after so long.
    Apart(Duration),
    /// To park them all.
    Park,
    /// To park the one there is, which failed and took its transaction along.
    Fail(&'a Failure, Duration),
}
