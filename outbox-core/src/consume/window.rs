//! What a member has in hand of one stream: in order per key, and finished from the head. Pure.
//!
//! An entry that waits for its next attempt holds the later ones of its key and nothing else. What is finished behind an
//! unfinished one is remembered, and acknowledged only when everything before it is finished: until then a crash leaves
//! it pending, and the inbox knows that it had its effect. Strangers have no place in the chain: nothing waits for them.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::Instant;

use crate::event::EntryId;

/// One entry in hand.
#[derive(Clone, Debug)]
pub(super) struct Item<T> {
    /// Its id on the stream.
    pub(super) id: EntryId,
    /// Whether it is part of the chain.
    pub(super) chained: bool,
    /// The key whose order it keeps.
    pub(super) key: Option<String>,
    /// What it costs to have it in hand.
    pub(super) bytes: usize,
    /// How often it failed.
    pub(super) attempts: u32,
    /// Not to be tried before.
    pub(super) retry_at: Option<Instant>,
    /// What it is.
    pub(super) payload: T,
}

#[derive(Debug)]
enum Slot<T> {
    Open(Item<T>),
    Finished(EntryId),
}

impl<T> Slot<T> {
    fn id(&self) -> EntryId {
        match self {
            Self::Open(item) => item.id,
            Self::Finished(id) => *id,
        }
    }
}

/// The entries in hand, in the order in which they passed the gate.
#[derive(Debug)]
pub(super) struct Window<T> {
    slots: VecDeque<Slot<T>>,
    superseded: BTreeSet<EntryId>,
    capacity: usize,
    bytes: usize,
    bytes_max: usize,
}

impl<T> Window<T> {
    /// A window of at most `capacity` entries that closes at `bytes_max`; the read in flight may exceed it once.
    #[must_use]
    pub(super) fn new(capacity: usize, bytes_max: usize) -> Self {
        Self {
            slots: VecDeque::new(),
            superseded: BTreeSet::new(),
            capacity,
            bytes: 0,
            bytes_max,
        }
    }

    /// Whether more may be read.
    #[must_use]
    pub(super) fn has_room(&self) -> bool {
        self.slots.len() + self.superseded.len() < self.capacity && self.bytes < self.bytes_max
    }

    /// How many entries are in hand, the finished ones behind an unfinished one included.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.slots.len() + self.superseded.len()
    }

    /// Whether the entry is in hand.
    #[must_use]
    pub(super) fn contains(&self, id: EntryId) -> bool {
        self.superseded.contains(&id) || self.slots.iter().any(|slot| slot.id() == id)
    }

    /// Takes an entry in hand.
    pub(super) fn push(&mut self, item: Item<T>) {
        self.bytes += item.bytes;
        self.slots.push_back(Slot::Open(item));
    }

    /// Notes an entry that must be acknowledged without effect once the entry that superseded it is finished.
    pub(super) fn supersede(&mut self, id: EntryId) {
        self.superseded.insert(id);
    }

    /// The entries to try now, in order: at most `most`, none of a key that waits. One that failed before comes alone,
    /// so that its failure takes no other along.
    #[must_use]
    pub(super) fn ready(&self, now: Instant, most: usize) -> Vec<EntryId> {
        let mut waiting: HashSet<&str> = HashSet::new();
        let mut ready = Vec::new();
        for item in self.open() {
            let key = item.key.as_deref();
            if item.retry_at.is_some_and(|at| at > now) || key.is_some_and(|key| waiting.contains(key)) {
                waiting.extend(key);
            } else if item.attempts > 0 {
                if ready.is_empty() {
                    ready.push(item.id);
                }
                break;
            } else {
                ready.push(item.id);
                if ready.len() == most {
                    break;
                }
            }
        }
        ready
    }

    /// When the next waiting entry is due. Of a key the first that waits alone counts: a later one may be due already and
    /// still has to wait for it.
    #[must_use]
    pub(super) fn next_retry(&self) -> Option<Instant> {
        let mut waiting: HashSet<&str> = HashSet::new();
        self.open()
            .filter_map(|item| {
                let at = item.retry_at?;
                let is_first = item.key.as_deref().is_none_or(|key| waiting.insert(key));
                is_first.then_some(at)
            })
            .min()
    }

    /// The entries with these ids, in the order of the window.
    pub(super) fn items<'a>(&'a self, ids: &'a [EntryId]) -> impl Iterator<Item = &'a Item<T>> {
        self.open().filter(|item| ids.contains(&item.id))
    }

    /// How far the chain would be passed if `ids` were finished: the last one of its finished head.
    #[must_use]
    pub(super) fn head_after(&self, ids: &[EntryId]) -> Option<EntryId> {
        self.slots
            .iter()
            .filter(|slot| !matches!(slot, Slot::Open(item) if !item.chained))
            .take_while(|slot| matches!(slot, Slot::Finished(_)) || ids.contains(&slot.id()))
            .last()
            .map(Slot::id)
    }

    /// `ids` are finished and committed. Returns what may be acknowledged, and how far the chain is passed if it moved.
    pub(super) fn finish(&mut self, ids: &[EntryId]) -> (Vec<EntryId>, Option<EntryId>) {
        let mut acknowledge = Vec::new();
        let mut kept = VecDeque::with_capacity(self.slots.len());
        for slot in self.slots.drain(..) {
            match slot {
                Slot::Open(item) if ids.contains(&item.id) => {
                    self.bytes -= item.bytes;
                    if item.chained {
                        kept.push_back(Slot::Finished(item.id));
                    } else {
                        acknowledge.push(item.id);
                    }
                }
                other => kept.push_back(other),
            }
        }
        self.slots = kept;
        let head = self.head_after(&[]);
        if let Some(head) = head {
            self.slots.retain(|slot| match slot {
                Slot::Finished(id) if *id <= head => {
                    acknowledge.push(*id);
                    false
                }
                _ => true,
            });
            let later = self.superseded.split_off(&head);
            acknowledge.extend(std::mem::replace(&mut self.superseded, later));
        }
        (acknowledge, head)
    }

    /// The entry failed for the `attempts`th time and is tried again at `retry_at`.
    pub(super) fn fail(&mut self, id: EntryId, attempts: u32, retry_at: Instant) {
        for slot in &mut self.slots {
            if let Slot::Open(item) = slot
                && item.id == id
            {
                item.attempts = attempts;
                item.retry_at = Some(retry_at);
            }
        }
    }

    fn open(&self) -> impl Iterator<Item = &Item<T>> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Open(item) => Some(item),
            Slot::Finished(_) => None,
        })
    }
}

#[cfg(test)]
mod tests;
