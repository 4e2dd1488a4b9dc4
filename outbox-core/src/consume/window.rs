//! What a member has in hand of one stream: at most one transaction per lane, and finished from the head. Pure.
//!
//! Entries are taken from here into transactions, several at a time; a lane is in one of them at most, and its entries in
//! order. What is finished behind an unfinished one is remembered, and acknowledged only when everything before it is
//! finished and that is committed: until then a crash leaves it pending, and the inbox knows that it had its effect.
//! Strangers have no place in the chain: nothing waits for them.
//!
//! Loaded entries are bounded by number and by bytes, and places by number. One that has a place is loaded again however few places
//! are left: that is how they become free.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::park::Lane;
use crate::event::EntryId;

mod aside;
mod ready;

/// So many places there are for each loaded entry: a few dozen bytes each.
const PLACES: usize = 100;

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
    /// Not loaded.
    Aside { id: EntryId, chained: bool, lane: Lane },
    /// Committed, behind one that is not.
    Finished(EntryId),
}

impl<T> Slot<T> {
    fn id(&self) -> EntryId {
        match self {
            Self::Open { item, .. } | Self::Flying(item) => item.id,
            Self::Aside { id, .. } | Self::Finished(id) => *id,
        }
    }

    fn is_chained(&self) -> bool {
        match self {
            Self::Open { item, .. } | Self::Flying(item) => item.chained,
            Self::Aside { chained, .. } => *chained,
            Self::Finished(_) => true,
        }
    }

    fn lane(&self) -> Option<&Lane> {
        match self {
            Self::Open { item, .. } | Self::Flying(item) => Some(&item.lane),
            Self::Aside { lane, .. } => Some(lane),
            Self::Finished(_) => None,
        }
    }
}

/// What is in hand of one lane.
#[derive(Debug, Default)]
struct Share {
    flying: usize,
    open: BTreeSet<u64>,
    aside: BTreeSet<u64>,
}

impl Share {
    fn is_empty(&self) -> bool {
        self.flying == 0 && self.open.is_empty() && self.aside.is_empty()
    }

    /// Something is loaded, and nothing in a transaction.
    fn is_free(&self) -> bool {
        self.flying == 0 && !self.open.is_empty()
    }
}

/// The entries in hand, in the order in which they passed the gate.
#[derive(Debug)]
pub(super) struct Window<T> {
    slots: BTreeMap<u64, Slot<T>>,
    places: HashMap<EntryId, u64>,
    open: BTreeSet<u64>,
    lanes: HashMap<Lane, Share>,
    next: u64,
    superseded: BTreeSet<EntryId>,
    finished: usize,
    aside: usize,
    capacity: usize,
    loaded: usize,
    bytes: usize,
    bytes_max: usize,
}

impl<T> Window<T> {
    /// A window of at most `capacity` loaded entries that closes at `bytes_max`; the read in flight may exceed it once.
    #[must_use]
    pub(super) fn new(capacity: usize, bytes_max: usize) -> Self {
        Self {
            slots: BTreeMap::new(),
            places: HashMap::new(),
            open: BTreeSet::new(),
            lanes: HashMap::new(),
            next: 0,
            superseded: BTreeSet::new(),
            finished: 0,
            aside: 0,
            capacity,
            loaded: 0,
            bytes: 0,
            bytes_max,
        }
    }

    /// Whether more may be read: as many entries as there are places left.
    #[must_use]
    pub(super) fn has_room(&self) -> bool {
        self.may_load() && self.places_left() > 0
    }

    /// Whether more may be loaded. What has its place needs no other one.
    fn may_load(&self) -> bool {
        self.loaded < self.capacity && self.bytes < self.bytes_max
    }

    /// How many more entries there are places for.
    #[must_use]
    pub(super) fn places_left(&self) -> usize {
        (self.capacity * PLACES).saturating_sub(self.len())
    }

    /// How many entries are in hand, those set aside and the finished ones behind an unfinished one included.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.slots.len() + self.superseded.len()
    }

    /// Whether so many are finished that the chain should be moved on.
    #[must_use]
    pub(super) fn is_half_full(&self) -> bool {
        self.finished * 2 >= self.capacity
    }

    /// Whether the entry is in hand.
    #[must_use]
    pub(super) fn contains(&self, id: EntryId) -> bool {
        self.superseded.contains(&id) || self.places.contains_key(&id)
    }

    /// An unfinished entry.
    #[must_use]
    pub(super) fn item(&self, id: EntryId) -> Option<&Item<T>> {
        match self.slots.get(self.places.get(&id)?)? {
            Slot::Open { item, .. } | Slot::Flying(item) => Some(item),
            Slot::Aside { .. } | Slot::Finished(_) => None,
        }
    }

    /// Whether an entry of this lane is in a transaction.
    #[must_use]
    pub(super) fn is_flying(&self, lane: &Lane) -> bool {
        self.lanes.get(lane).is_some_and(|share| share.flying > 0)
    }

    /// Takes an entry in hand. Behind others of its lane that are set aside, it is too.
    pub(super) fn push(&mut self, item: Item<T>) {
        let place = self.add(item.id);
        if self
            .lanes
            .get(&item.lane)
            .is_some_and(|share| !share.aside.is_empty())
        {
            self.keep_place(place, item.id, item.chained, item.lane);
        } else {
            self.load(place, item);
        }
    }

    /// Takes an entry of the chain in hand that there is nothing to do about.
    pub(super) fn push_finished(&mut self, id: EntryId) {
        let place = self.add(id);
        self.slots.insert(place, Slot::Finished(id));
        self.finished += 1;
    }

    fn add(&mut self, id: EntryId) -> u64 {
        let place = self.next;
        self.places.insert(id, place);
        self.next += 1;
        place
    }

    fn load(&mut self, place: u64, item: Item<T>) {
        self.loaded += 1;
        self.bytes += item.bytes;
        self.lanes
            .entry(item.lane.clone())
            .or_default()
            .open
            .insert(place);
        self.open.insert(place);
        let item = Arc::new(item);
        self.slots.insert(
            place,
            Slot::Open {
                item,
                is_alone: false,
            },
        );
    }

    /// Notes an entry that must be acknowledged without effect once the entry that superseded it is finished.
    pub(super) fn supersede(&mut self, id: EntryId) {
        self.superseded.insert(id);
    }

    /// These are in a transaction now.
    pub(super) fn start(&mut self, ids: &[EntryId]) {
        for id in ids {
            let Some(&place) = self.places.get(id) else {
                continue;
            };
            if let Some(slot) = self.slots.get_mut(&place)
                && let Slot::Open { item, .. } = slot
            {
                let share = self.lanes.entry(item.lane.clone()).or_default();
                share.open.remove(&place);
                share.flying += 1;
                self.open.remove(&place);
                *slot = Slot::Flying(item.clone());
            }
        }
    }

    /// These came back from a transaction as they were; perhaps to be tried each apart from all others.
    pub(super) fn release(&mut self, ids: &[EntryId], is_alone: bool) {
        for id in ids {
            let Some(&place) = self.places.get(id) else {
                continue;
            };
            if let Some(slot) = self.slots.get_mut(&place)
                && let Slot::Flying(item) = slot
            {
                let item = item.clone();
                let share = self.lanes.entry(item.lane.clone()).or_default();
                share.flying -= 1;
                share.open.insert(place);
                self.open.insert(place);
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
            let Some(Slot::Flying(item)) = self.slots.get(&place) else {
                continue;
            };
            self.loaded -= 1;
            self.bytes -= item.bytes;
            let (lane, chained) = (item.lane.clone(), item.chained);
            if let Some(share) = self.lanes.get_mut(&lane) {
                share.flying -= 1;
                if share.is_empty() {
                    self.lanes.remove(&lane);
                }
            }
            if chained {
                self.slots.insert(place, Slot::Finished(*id));
                self.finished += 1;
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
        let head: Vec<(u64, EntryId)> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.is_chained())
            .map_while(|(place, slot)| match slot {
                Slot::Finished(id) if *id <= passed => Some((*place, *id)),
                _ => None,
            })
            .collect();
        for (place, id) in &head {
            self.slots.remove(place);
            self.places.remove(id);
        }
        self.finished -= head.len();
        let mut acknowledge: Vec<EntryId> = head.into_iter().map(|(_, id)| id).collect();
        let later = self.superseded.split_off(&passed);
        acknowledge.extend(std::mem::replace(&mut self.superseded, later));
        acknowledge
    }
}

#[cfg(test)]
mod few_keys;
#[cfg(test)]
mod tests;
