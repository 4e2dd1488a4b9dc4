//! A search among the pending entries for those that nobody in this process has. Pure.
//!
//! It goes by ids, page by page, and names runs of pending entries that are not in hand: only these are claimed, each run in
//! portions. So a search beside a lot that is in hand costs ids, and not contents.

use std::collections::VecDeque;

use crate::event::EntryId;

/// Ids of one page.
pub(super) const PAGE: usize = 500;
/// After every entry.
pub(super) const END: EntryId = EntryId::new(u64::MAX, u64::MAX);

/// Whether what is pending is to be counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Count {
    #[default]
    No,
    /// As soon as no read is under way.
    Asked,
    /// None is. Nothing is acknowledged before it was counted.
    Now,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask for a page of ids between these two.
    Page(EntryId, EntryId),
    /// Claim these: they follow each other among the pending ones, or did when they were seen.
    Claim(Vec<EntryId>),
    /// That was all.
    End,
}

/// How far a search came.
#[derive(Debug)]
pub(super) struct Search {
    /// Where the next page begins; none after the last.
    next: Option<EntryId>,
    until: EntryId,
    /// Found and not claimed yet, of one page.
    runs: VecDeque<VecDeque<EntryId>>,
}

impl Search {
    /// A search from the one to the other.
    pub(super) fn new(from: EntryId, until: EntryId) -> Self {
        Self {
            next: Some(from),
            until,
            runs: VecDeque::new(),
        }
    }

    /// This one, and one in another place: what is not done of either.
    pub(super) fn and(&self, from: EntryId, until: EntryId) -> Self {
        let found = self.runs.front().and_then(|run| run.front()).copied();
        let rest = found.or(self.next).unwrap_or(from);
        Self::new(rest.min(from), self.until.max(until))
    }

    /// Whether something was found that is to be claimed.
    pub(super) fn has_found(&self) -> bool {
        !self.runs.is_empty()
    }

    /// What to do next; at most so many are claimed at a time.
    pub(super) fn step(&self, most: usize) -> Step {
        match (self.runs.front(), self.next) {
            (Some(run), _) => Step::Claim(run.iter().take(most).copied().collect()),
            (None, Some(from)) if from <= self.until => Step::Page(from, self.until),
            _ => Step::End,
        }
    }

    /// A page came.
    pub(super) fn found(&mut self, page: &[EntryId], is_in_hand: impl Fn(EntryId) -> bool) {
        self.next = page.last().filter(|_| page.len() >= PAGE).map(|last| last.next());
        let runs = page.split(|id| is_in_hand(*id)).filter(|run| !run.is_empty());
        self.runs.extend(runs.map(|run| run.iter().copied().collect()));
    }

    /// So many of the first run were claimed, or need not be.
    pub(super) fn claimed(&mut self, count: usize) {
        if let Some(run) = self.runs.front_mut() {
            run.drain(..count.min(run.len()));
            if run.is_empty() {
                self.runs.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> EntryId {
        EntryId::new(1, n)
    }

    fn ids(numbers: impl IntoIterator<Item = u64>) -> Vec<EntryId> {
        numbers.into_iter().map(id).collect()
    }

    #[test]
    fn only_what_nobody_has_is_claimed_in_runs_and_portions() {
        let mut search = Search::new(EntryId::MIN, id(9));
        assert_eq!(search.step(10), Step::Page(EntryId::MIN, id(9)));
        let in_hand = ids([1, 4, 9]);
        search.found(&ids(1..=9), |id| in_hand.contains(&id));
        assert_eq!(search.step(10), Step::Claim(ids([2, 3])));
        search.claimed(2);
        assert_eq!(search.step(3), Step::Claim(ids([5, 6, 7])));
        search.claimed(3);
        assert_eq!(search.step(3), Step::Claim(ids([8])));
        assert!(search.has_found());
        search.claimed(1);
        assert_eq!(search.step(3), Step::End, "the page was not full");
    }

    #[test]
    fn it_goes_on_behind_a_full_page_and_ends_where_it_is_to() {
        let last = PAGE as u64;
        let mut search = Search::new(id(1), id(last + 1));
        search.found(&ids(1..=last), |_| true);
        assert_eq!(search.step(9), Step::Page(id(last + 1), id(last + 1)));
        let mut search = Search::new(id(1), id(last));
        search.found(&ids(1..=last), |_| true);
        assert_eq!(search.step(9), Step::End);
    }

    #[test]
    fn what_is_found_meanwhile_is_searched_as_well() {
        let mut search = Search::new(id(3), id(9));
        assert_eq!(search.and(id(5), id(7)).step(1), Step::Page(id(3), id(9)));
        assert_eq!(search.and(id(2), END).step(1), Step::Page(id(2), END));
        search.found(&ids([4, 6]), |_| false);
        search.claimed(1);
        assert_eq!(search.and(id(8), id(8)).step(1), Step::Page(id(6), id(9)));
        search.claimed(1);
        assert_eq!(search.and(id(8), id(8)).step(1), Step::Page(id(8), id(9)));
    }
}
