//! What a member has in hand of one stream: at most one transaction per key, and finished from the head. Pure.
//!
//! Entries are taken from here into transactions, several at a time; a key is in one of them at most, and its entries in
//! order. What is finished behind an unfinished one is remembered, and acknowledged only when everything before it is
//! finished and that is committed: until then a crash leaves it pending, and the inbox knows that it had its effect.
//! Strangers have no place in the chain: nothing waits for them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::park::Lane;
use crate::event::EntryId;

/// One entry in hand.
#[derive(Debug)]
pub(super) struct Item<T> {
    /// Its id on the stream.
    pub(super) id: EntryId,
    /// Whether it is part of the chain.
    pub(super) chained: bool,
    /// The line whose order it keeps.
    pub(super) lane: Lane,
    /// What it costs to have it in hand.
    pub(super) bytes: usize,
    /// How often it failed, as counted before keys were parked.
    pub(super) attempts: u32,
    /// What it is.
    pub(super) payload: T,
}

#[derive(Debug)]
enum Slot<T> {
    /// Not tried, or to be tried again: perhaps only apart from all others.
    Open { item: Arc<Item<T>>, is_alone: bool },
    /// In a transaction.
    Flying(Arc<Item<T>>),
    /// Committed, behind one that is not.
    Finished(EntryId),
}

impl<T> Slot<T> {
    fn id(&self) -> EntryId {
        match self {
            Self::Open { item, .. } | Self::Flying(item) => item.id,
            Self::Finished(id) => *id,
        }
    }

    fn is_chained(&self) -> bool {
        match self {
            Self::Open { item, .. } | Self::Flying(item) => item.chained,
            Self::Finished(_) => true,
        }
    }
}

/// The entries in hand, in the order in which they passed the gate.
#[derive(Debug)]
pub(super) struct Window<T> {
    slots: BTreeMap<u64, Slot<T>>,
    places: HashMap<EntryId, u64>,
    next: u64,
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
            slots: BTreeMap::new(),
            places: HashMap::new(),
            next: 0,
            superseded: BTreeSet::new(),
            capacity,
            bytes: 0,
            bytes_max,
        }
    }

    /// Whether more may be read.
    #[must_use]
    pub(super) fn has_room(&self) -> bool {
        self.len() < self.capacity && self.bytes < self.bytes_max
    }

    /// How many entries are in hand, the finished ones behind an unfinished one included.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.slots.len() + self.superseded.len()
    }

    /// Whether the entry is in hand.
    #[must_use]
    pub(super) fn contains(&self, id: EntryId) -> bool {
        self.superseded.contains(&id) || self.places.contains_key(&id)
    }

    /// Whether it is time to move the chain on, so that there is room again.
    #[must_use]
    pub(super) fn is_half_full(&self) -> bool {
        self.len() * 2 >= self.capacity
    }

    /// An unfinished entry.
    #[must_use]
    pub(super) fn item(&self, id: EntryId) -> Option<&Item<T>> {
        match self.slots.get(self.places.get(&id)?)? {
            Slot::Open { item, .. } | Slot::Flying(item) => Some(item),
            Slot::Finished(_) => None,
        }
    }

    /// Whether an entry of this lane is in a transaction.
    #[must_use]
    pub(super) fn is_flying(&self, lane: &Lane) -> bool {
        self.slots
            .values()
            .any(|slot| matches!(slot, Slot::Flying(item) if item.lane == *lane))
    }

    /// Takes an entry in hand.
    pub(super) fn push(&mut self, item: Item<T>) {
        self.bytes += item.bytes;
        let id = item.id;
        let item = Arc::new(item);
        self.add(
            id,
            Slot::Open {
                item,
                is_alone: false,
            },
        );
    }

    /// Takes an entry of the chain in hand that there is nothing to do about.
    pub(super) fn push_finished(&mut self, id: EntryId) {
        self.add(id, Slot::Finished(id));
    }

    fn add(&mut self, id: EntryId, slot: Slot<T>) {
        self.places.insert(id, self.next);
        self.slots.insert(self.next, slot);
        self.next += 1;
    }

    /// Notes an entry that must be acknowledged without effect once the entry that superseded it is finished.
    pub(super) fn supersede(&mut self, id: EntryId) {
        self.superseded.insert(id);
    }

    /// The entries to try now, in order: at most `most`, none of a key that is in a transaction or in `busy`. One that may
    /// only be tried alone is.
    #[must_use]
    pub(super) fn ready(&self, busy: &HashSet<Lane>, most: usize) -> Vec<Arc<Item<T>>> {
        let mut blocked: HashSet<&Lane> = HashSet::new();
        let mut ready: Vec<Arc<Item<T>>> = Vec::new();
        for slot in self.slots.values() {
            match slot {
                Slot::Finished(_) => {}
                Slot::Flying(item) => drop(blocked.insert(&item.lane)),
                Slot::Open { item, .. } if blocked.contains(&item.lane) || busy.contains(&item.lane) => {}
                Slot::Open { item, is_alone: true } if ready.is_empty() => return vec![item.clone()],
                Slot::Open { item, is_alone: true } => drop(blocked.insert(&item.lane)),
                Slot::Open { item, .. } => {
                    ready.push(item.clone());
                    if ready.len() == most {
                        break;
                    }
                }
            }
        }
        ready
    }

    /// These are in a transaction now.
    pub(super) fn start(&mut self, ids: &[EntryId]) {
        for id in ids {
            if let Some(slot) = self.places.get(id).and_then(|place| self.slots.get_mut(place))
                && let Slot::Open { item, .. } = slot
            {
                *slot = Slot::Flying(item.clone());
            }
        }
    }

    /// These came back from a transaction as they were; perhaps to be tried each apart from all others.
    pub(super) fn release(&mut self, ids: &[EntryId], is_alone: bool) {
        for id in ids {
            if let Some(slot) = self.places.get(id).and_then(|place| self.slots.get_mut(place))
                && let Slot::Flying(item) = slot
            {
                let item = item.clone();
                *slot = Slot::Open { item, is_alone };
            }
        }
    }

    /// How far the chain would be passed if `ids` were finished: the last one of its finished head.
    #[must_use]
    pub(super) fn head_after(&self, ids: &[EntryId]) -> Option<EntryId> {
        self.slots
            .values()
            .filter(|slot| slot.is_chained())
            .take_while(|slot| matches!(slot, Slot::Finished(_)) || ids.contains(&slot.id()))
            .last()
            .map(Slot::id)
    }

    /// `ids` are finished and committed. Returns what may be acknowledged at once: the strangers among them.
    pub(super) fn finish(&mut self, ids: &[EntryId]) -> Vec<EntryId> {
        let mut strangers = Vec::new();
        for id in ids {
            let Some(&place) = self.places.get(id) else {
                continue;
            };
            let (Some(Slot::Open { item, .. }) | Some(Slot::Flying(item))) = self.slots.get(&place) else {
                continue;
            };
            self.bytes -= item.bytes;
            if item.chained {
                self.slots.insert(place, Slot::Finished(*id));
            } else {
                self.slots.remove(&place);
                self.places.remove(id);
                strangers.push(*id);
            }
        }
        strangers
    }

    /// The chain is passed up to here, and that is committed. Returns what may be acknowledged.
    pub(super) fn pass(&mut self, passed: EntryId) -> Vec<EntryId> {
        let mut acknowledge = Vec::new();
        self.slots.retain(|_, slot| match slot {
            Slot::Finished(id) if *id <= passed => {
                acknowledge.push(*id);
                false
            }
            _ => true,
        });
        for id in &acknowledge {
            self.places.remove(id);
        }
        let later = self.superseded.split_off(&passed);
        acknowledge.extend(std::mem::replace(&mut self.superseded, later));
        acknowledge
    }
}

#[cfg(test)]
mod tests;
