//! A lane that is slow must not fill the window nor hold the others up. Pure.
//!
//! Entries that wait behind a transaction of their lane may be set aside: they keep their place, their contents stay in Redis and
//! are read again in their turn. And a lane that holds the chain up, while much is finished behind it or no place is left, is
//! named: its entries can be parked, and then the chain goes on.

use super::{Item, Lane, Share, Slot, Window};
use crate::event::EntryId;

impl<T> Window<T> {
    /// Whose entry is the first unfinished one, if it holds the others up: so many are finished behind it, or nothing more can be read. What
    /// is finished before it waits for nothing but its record.
    #[must_use]
    pub(in crate::consume) fn held_up_by(&self) -> Option<&Lane> {
        let is_full = self.places_left() == 0;
        if !is_full && !self.is_half_full() {
            return None;
        }
        let mut before = 0;
        let chained = self.slots.values().filter(|slot| slot.is_chained());
        let first = chained.inspect(|_| before += 1).find_map(Slot::lane)?;
        let behind = self.finished + 1 - before;
        (is_full || behind * 2 >= self.capacity).then_some(first)
    }

    /// Whether something of this lane is loaded, and nothing of it in a transaction.
    #[must_use]
    pub(in crate::consume) fn is_waiting(&self, lane: &Lane) -> bool {
        self.lanes.get(lane).is_some_and(Share::is_free)
    }

    /// Sets entries aside that wait behind a transaction of their lane, where a lane has more than its share of what is
    /// loaded. Returns how many.
    pub(in crate::consume) fn set_aside(&mut self) -> usize {
        let share_max = (self.capacity / 8).max(1);
        let large: Vec<u64> = self
            .lanes
            .values()
            .filter(|share| share.flying > 0 && share.flying + share.open.len() > share_max)
            .flat_map(|share| &share.open)
            .copied()
            .collect();
        for place in &large {
            let Some(Slot::Open { item, .. }) = self.slots.get(place) else {
                continue;
            };
            let (id, chained, lane) = (item.id, item.chained, item.lane.clone());
            self.loaded -= 1;
            self.bytes -= item.bytes;
            self.open.remove(place);
            self.lanes.entry(lane.clone()).or_default().open.remove(place);
            self.keep_place(*place, id, chained, lane);
        }
        large.len()
    }

    /// Keeps the place of an entry without its contents.
    pub(super) fn keep_place(&mut self, place: u64, id: EntryId, chained: bool, lane: Lane) {
        self.aside += 1;
        self.lanes.entry(lane.clone()).or_default().aside.insert(place);
        self.slots.insert(place, Slot::Aside { id, chained, lane });
    }

    /// Entries to load again, at most `most`, if there is room for what is loaded: the first of a lane that has nothing else in
    /// hand. The lane that comes first on the stream goes first: perhaps it holds the others up.
    #[must_use]
    pub(in crate::consume) fn to_load(&self, most: usize) -> Vec<EntryId> {
        if self.aside == 0 || !self.may_load() {
            return Vec::new();
        }
        let share = self
            .lanes
            .values()
            .filter(|share| share.flying == 0 && share.open.is_empty() && !share.aside.is_empty())
            .min_by_key(|share| share.aside.first());
        let places = share.into_iter().flat_map(|share| &share.aside).take(most);
        places
            .filter_map(|place| self.slots.get(place))
            .map(Slot::id)
            .collect()
    }

    /// An entry that was set aside is loaded again. False if it was not.
    pub(in crate::consume) fn reload(&mut self, item: Item<T>) -> bool {
        let Some((place, _)) = self.forget_aside(item.id) else {
            return false;
        };
        self.load(place, item);
        true
    }

    /// There is nothing to do about an entry that was set aside. Returns whether it is part of the chain, which moves on over it.
    pub(in crate::consume) fn lose(&mut self, id: EntryId) -> bool {
        let Some((place, chained)) = self.forget_aside(id) else {
            return false;
        };
        if chained {
            self.slots.insert(place, Slot::Finished(id));
            self.finished += 1;
        } else {
            self.slots.remove(&place);
            self.places.remove(&id);
        }
        chained
    }

    /// Its place, and whether it is part of the chain.
    fn forget_aside(&mut self, id: EntryId) -> Option<(u64, bool)> {
        let place = *self.places.get(&id)?;
        let Some(Slot::Aside { lane, chained, .. }) = self.slots.get(&place) else {
            return None;
        };
        let (lane, chained) = (lane.clone(), *chained);
        self.aside -= 1;
        if let Some(share) = self.lanes.get_mut(&lane) {
            share.aside.remove(&place);
            if share.is_empty() {
                self.lanes.remove(&lane);
            }
        }
        Some((place, chained))
    }
}
