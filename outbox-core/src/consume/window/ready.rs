//! What may be tried now, and how much of it one transaction takes. Pure.
//!
//! A lane is in one transaction at a time. One that took the first entries of all lanes would take nearly all lanes of a stream that has few,
//! and leave a handful of entries to each of the next ones, which cost as much. So where much is open each takes half of its part of the lanes,
//! and more entries of each. The other half stays free: who begins next finds lanes that others had before, and takes those whose entries are
//! the oldest. With its whole part each would find its own lanes again, and the slowest of these groups would hold the stream up.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::{Item, Lane, Share, Slot, Window};

impl<T> Window<T> {
    /// The entries to try now, in order: at most `most`, none of a lane that is in a transaction or in `busy`. One that
    /// may only be tried alone is.
    #[must_use]
    pub(in crate::consume) fn ready(&self, busy: &HashSet<Lane>, most: usize) -> Vec<Arc<Item<T>>> {
        self.ready_of(busy, most, None, |_| true)
    }

    /// The same, none of those that may not be tried, nor behind one of them; of the first `lanes` different lanes (one at least) alone, as
    /// long as these have `most`.
    #[must_use]
    pub(in crate::consume) fn ready_of(
        &self,
        busy: &HashSet<Lane>,
        most: usize,
        lanes: Option<usize>,
        may: impl Fn(&Item<T>) -> bool,
    ) -> Vec<Arc<Item<T>>> {
        // Where few lanes have all that is open, this is the answer to most questions.
        if !self.lanes.values().any(Share::is_free) {
            return Vec::new();
        }
        let mut held: HashSet<&Lane> = HashSet::new();
        let mut taken: HashSet<&Lane> = HashSet::new();
        let mut ready = Vec::new();
        // Of further lanes: of each from its first on.
        let mut others = Vec::new();
        for (place, item, is_alone) in self.open() {
            let lane = &item.lane;
            if busy.contains(lane) || held.contains(lane) || self.is_flying(lane) {
                continue;
            }
            if !may(item) {
                held.insert(lane);
                continue;
            }
            if is_alone && ready.is_empty() {
                return vec![item.clone()];
            }
            if is_alone {
                held.insert(lane);
                continue;
            }
            let is_taken = match lanes {
                Some(lanes) => taken.contains(lane) || (taken.len() < lanes.max(1) && taken.insert(lane)),
                None => true,
            };
            if is_taken {
                ready.push((place, item));
            } else {
                others.push((place, item));
            }
            if ready.len() == most {
                break;
            }
        }
        others.truncate(most.saturating_sub(ready.len()));
        if !others.is_empty() {
            ready.extend(others);
            ready.sort_unstable_by_key(|(place, _)| *place);
        }
        ready.into_iter().map(|(_, item)| item.clone()).collect()
    }

    /// The entries of these lanes that are not in a transaction, in order: at most `most`.
    #[must_use]
    pub(in crate::consume) fn of_lanes(&self, lanes: &HashSet<Lane>, most: usize) -> Vec<Arc<Item<T>>> {
        let places = lanes
            .iter()
            .filter_map(|lane| self.lanes.get(lane))
            .flat_map(|share| &share.open);
        let places: BTreeSet<u64> = places.copied().collect();
        let items = places
            .into_iter()
            .filter_map(|place| match self.slots.get(&place)? {
                Slot::Open { item, .. } if !self.is_flying(&item.lane) => Some(item.clone()),
                _ => None,
            });
        items.take(most).collect()
    }

    /// How many may be tried, or wait behind one of their lane.
    #[must_use]
    pub(in crate::consume) fn open_count(&self) -> usize {
        self.open.len()
    }

    /// Of how many lanes a transaction of `most` entries takes: half of its part, if there may be `concurrency` of them at a time, and not
    /// fewer than have so many entries in the mean. None, and it is not asked, where less is in hand than the `free` ones could take that may
    /// begin now, and where there is one at a time: that one takes entries as they come.
    #[must_use]
    pub(in crate::consume) fn part(&self, most: usize, free: usize, concurrency: usize) -> Option<usize> {
        let (open, lanes) = (self.open.len(), self.lanes.len());
        let is_enough = concurrency > 1 && open >= most * free;
        is_enough.then(|| {
            let half = lanes.div_ceil(concurrency * 2);
            half.max((lanes * most).div_ceil(open.max(1)))
        })
    }

    fn open(&self) -> impl Iterator<Item = (u64, &Arc<Item<T>>, bool)> {
        self.open.iter().filter_map(|place| match self.slots.get(place)? {
            Slot::Open { item, is_alone } => Some((*place, item, *is_alone)),
            _ => None,
        })
    }
}
