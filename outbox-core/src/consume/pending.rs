//! What is pending in Redis and not in hand: counted, searched by its ids, claimed.
//!
//! At its start a session has nothing, so it claims everything that is pending, in its order. From then on it claims what nobody
//! in this process has. Whether there is any, the number of what is pending says, beside the number of what is here: that is exact
//! only while nothing is read or acknowledged, so a suspicion is looked into in a gap between two reads. A turn of the session
//! asks Redis one question of a bounded size, and work goes on beside that.

use std::cmp::Reverse;
use std::collections::HashSet;

use super::Error;
use super::redis::{Claimed, Entry, Pending};
use super::search::{Count, PAGE, Search, Step};
use super::session::{HELD_MAX, Session};
use crate::event::EntryId;

impl Session<'_> {
    /// Whether it is still to be found what is pending: nothing new is read before that.
    pub(super) fn is_searching(&self) -> bool {
        self.sweep.is_some() || self.search.is_some()
    }

    /// Whether the next turn has something to find or to claim, without waiting for anything.
    pub(super) fn finds_more(&self) -> bool {
        let is_paging = self.search.as_ref().is_some_and(|search| !search.has_found());
        is_paging || self.window.has_room() && (self.is_searching() || self.releasable().is_some())
    }

    /// More is pending than is in hand, perhaps: it is counted when that can be done.
    pub(super) fn suspect_more(&mut self, pending: &Pending) {
        // What is being acknowledged is pending or not. Where more are held than are remembered, the number says nothing.
        let known = self.known() - self.flights.acknowledging();
        if pending.count > known && self.held.len() < HELD_MAX && self.count == Count::No {
            self.count = Count::Asked;
            self.ahead.want_gap();
        }
    }

    /// Counts what is pending, while nothing is read or acknowledged, and starts a search if there is more than is here.
    pub(super) async fn count_pending(&mut self) -> Result<(), Error> {
        if self.count != Count::Now || self.flights.acknowledging() > 0 {
            return Ok(());
        }
        let pending = self.link.pending_summary().await?;
        self.count = Count::No;
        self.ahead.close_gap();
        if pending.count > self.known()
            && self.held.len() < HELD_MAX
            && let (Some(lowest), Some(highest)) = (pending.lowest, pending.highest)
        {
            self.search_for(lowest, highest);
        }
        Ok(())
    }

    /// How many pending entries this process has.
    fn known(&self) -> usize {
        let finished = self.flights.unacknowledged().count() + self.superseded.len();
        self.window.len() + self.held.len() + self.ahead.len() + finished
    }

    /// Looks among the pending entries between these two for those that are not in hand.
    pub(super) fn search_for(&mut self, from: EntryId, until: EntryId) {
        match (self.sweep, &self.search) {
            (Some(next), _) => self.sweep = Some(next.min(from)),
            (None, Some(search)) => self.search = Some(search.and(from, until)),
            (None, None) => self.search = Some(Search::new(from, until)),
        }
    }

    /// Goes a step on in what is pending: everything at the start, later what is not in hand.
    pub(super) async fn search_pending(&mut self) -> Result<(), Error> {
        let most = self.portion.count().min(self.window.places_left()).max(1);
        if let Some(from) = self.sweep {
            if self.window.has_room() {
                self.sweep = self.claim(from, most).await?;
            }
            return Ok(());
        }
        let Some(search) = &self.search else {
            return Ok(());
        };
        match search.step(most) {
            Step::Page(from, until) => {
                let page = self.link.pending_ids(from, until, PAGE).await?;
                let others = self.in_hand_elsewhere();
                let is_in_hand = |id| self.window.contains(id) || others.contains(&id);
                if let Some(search) = &mut self.search {
                    search.found(&page, is_in_hand);
                }
            }
            Step::Claim(ids) if self.window.has_room() => self.claim_found(&ids).await?,
            Step::Claim(_) => {}
            Step::End => self.search = None,
        }
        Ok(())
    }

    /// The entries of this process that are not in the window.
    fn in_hand_elsewhere(&self) -> HashSet<EntryId> {
        let held = self.held.keys().copied();
        let finished = self
            .flights
            .unacknowledged()
            .chain(self.superseded.iter().copied());
        held.chain(finished).chain(self.ahead.ids()).collect()
    }

    /// Claims a part of a run that a search found. What came meanwhile is not claimed again.
    async fn claim_found(&mut self, ids: &[EntryId]) -> Result<(), Error> {
        let is_known = |id: &&EntryId| self.window.contains(**id);
        let known = ids.iter().take_while(is_known).count();
        if let Some(&first) = ids.get(known) {
            let claimed = self.link.claim(first, ids.len() - known).await?;
            let came: HashSet<EntryId> = claimed.entries.iter().map(|entry| entry.id).collect();
            let is_past = |id: EntryId| claimed.next.is_none_or(|next| id < next);
            let gone = ids[known..].iter().copied();
            let gone: Vec<EntryId> = gone.filter(|id| is_past(*id) && !came.contains(id)).collect();
            if claimed.deleted > 0 {
                // Later versions of Redis did this themselves; 6.2 leaves them pending.
                self.superseded.extend(gone);
            }
            self.take_claimed(claimed).await?;
        }
        if let Some(search) = &mut self.search {
            search.claimed(ids.len());
        }
        Ok(())
    }

    /// Claims pending entries, so many from `from` on. Returns where the next ones begin.
    async fn claim(&mut self, from: EntryId, count: usize) -> Result<Option<EntryId>, Error> {
        let claimed = self.link.claim(from, count).await?;
        let next = claimed.next;
        self.take_claimed(claimed).await?;
        Ok(next)
    }

    async fn take_claimed(&mut self, claimed: Claimed) -> Result<(), Error> {
        self.portion.learn(claimed.entries.iter().map(Entry::size));
        self.tell_deleted(claimed.deleted);
        for entry in claimed.entries {
            self.take(entry).await?;
        }
        Ok(())
    }

    /// Takes held entries in hand whose predecessor came.
    pub(super) async fn release_held(&mut self) -> Result<(), Error> {
        if self.window.has_room()
            && let Some((id, previous)) = self.releasable()
        {
            // Behind the held ones is what was read ahead.
            let most = self.portion.count().min(self.window.places_left());
            self.claim(id, most.min(self.held.len()).max(1)).await?;
            // It is no longer pending if it was deleted meanwhile.
            if self.held.get(&id) == Some(&previous) {
                self.held.remove(&id);
            }
        }
        // What was asked for is had when what waited for it is no longer held.
        let waiting = self.first_held();
        if self.hole.is_some() && self.hole != waiting {
            self.close_hole().await?;
        }
        self.meters.held.set(self.held.len() as f64);
        Ok(())
    }

    /// The first held entry, if it need not be held any more, with its predecessor.
    fn releasable(&self) -> Option<(EntryId, EntryId)> {
        let passed = self.gate.passed()?;
        let lowest = self.held.first_key_value().map(|(&id, &previous)| (id, previous));
        let is_releasable = |(id, previous): &(EntryId, EntryId)| *previous <= passed || *id <= passed;
        lowest
            .filter(is_releasable)
            .or_else(|| self.first_held().filter(is_releasable))
    }

    /// The held entry that is the first of the chain, with its predecessor: a re-issue has higher ids than what it takes out of its
    /// place.
    pub(super) fn first_held(&self) -> Option<(EntryId, EntryId)> {
        let held = self.held.iter().map(|(&id, &previous)| (id, previous));
        held.min_by_key(|&(id, previous)| (previous, Reverse(id)))
    }
}
