//! Pure: what of a stream stands in its place, and from where a re-issue must go on.
//!
//! A re-issue takes everything behind the entry that it kept out of its old place: an id above that entry and below the
//! re-issue's own is *superseded*. The order of the stream is what is left.
//!
//! **The entry that a re-issue keeps must itself be in its place.** A group's last passed entry says what it has applied:
//! everything that stands at or before it. The first entry of a re-issue is let through by whoever has passed the kept one
//! or anything above it. If the kept one were superseded by an earlier re-issue, a group in the middle of that one has
//! passed a higher id without having applied what stood before the kept entry, and would never get it.

use crate::event::EntryId;

/// A re-issue of one stream, or the beginning of an era: both go on behind an entry that was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reissue {
    /// Its place in the ledger.
    pub number: i64,
    /// First half of its entries' ids.
    pub batch_id: u64,
    /// Its first entry.
    pub first: EntryId,
    /// The entry that it kept.
    pub kept: EntryId,
}

impl Reissue {
    fn supersedes(&self, id: EntryId) -> bool {
        self.kept < id && id.batch_id < self.batch_id
    }
}

/// A stretch of ids: from the first on, up to and with the second.
pub type Stretch = (EntryId, EntryId);

/// The re-issues of one stream, as the ledger has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Rising; eras among them. What was cut before an era and not sent is in its share, and what a person took off is nowhere.
    pub reissues: Vec<Reissue>,
}

impl Repairs {
    fn by(&self, id: EntryId) -> Option<&Reissue> {
        self.reissues.iter().rev().find(|reissue| reissue.supersedes(id))
    }

    /// The re-issue that `id` is of.
    fn of(&self, id: EntryId) -> Option<&Reissue> {
        self.reissues
            .iter()
            .rev()
            .find(|reissue| reissue.batch_id <= id.batch_id)
    }

    /// The entry to look for in the place of `id`: itself, or where the re-issue begins that took it out of its place.
    #[must_use]
    pub fn standing(&self, id: EntryId) -> EntryId {
        let mut id = id;
        // Each step leads to a later re-issue, so it ends.
        while let Some(reissue) = self.by(id) {
            id = reissue.first;
        }
        id
    }

    /// The last entry in its place at or before `id`.
    #[must_use]
    pub fn in_place(&self, id: EntryId) -> EntryId {
        let mut id = id;
        while let Some(reissue) = self.by(id) {
            id = reissue.kept;
        }
        id
    }

    /// The last entry in its place at or before `id`, where the ledger says that the last share at or before it ends with `end`. What a
    /// re-issue or an era took out of its place, or never sent, ends with the entry that it kept, which may be in no share: a recovery
    /// left it there.
    #[must_use]
    pub fn end_at(&self, id: EntryId, end: EntryId) -> EntryId {
        match self.by(id) {
            Some(_) => self.in_place(id),
            None => self.in_place(end),
        }
    }

    /// Where the entries stand that precede `id`, which is in its place: the nearest stretch first.
    #[must_use]
    pub fn before(&self, id: EntryId) -> Vec<Stretch> {
        let mut stretches = Vec::new();
        let mut to = match id.position.checked_sub(1) {
            Some(position) => EntryId::new(id.batch_id, position),
            None => EntryId::new(id.batch_id.saturating_sub(1), u64::MAX),
        };
        // One stretch for each re-issue at most: each kept entry is of an earlier one.
        while let Some(reissue) = self.of(to) {
            stretches.push((EntryId::new(reissue.batch_id, 0), to));
            to = reissue.kept;
        }
        stretches.push((EntryId::MIN, to));
        stretches
    }

    /// The entry to keep, if `found` is the nearest before the missing one that is still on the stream, and the group that
    /// asks has passed `passed`. The lower: what is above it, the group may not have had.
    #[must_use]
    pub fn keep(&self, found: Option<EntryId>, passed: Option<EntryId>) -> Option<EntryId> {
        match (found, passed) {
            (None, None) => None,
            (found, passed) => found.into_iter().chain(passed).min().map(|id| self.in_place(id)),
        }
    }
}

/// How a stream stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its re-issues.
    pub repairs: Repairs,
    /// The entry that the recorded progress says was put on it last.
    pub chain: EntryId,
    /// Entries below may be gone.
    pub floor: EntryId,
    /// Whether it waits for a person, or for the sink to take it.
    pub stopped: bool,
    /// Whether it was found to have lost its end.
    pub lost: bool,
}

/// From where on a stream is put out again that lost its end, before it is known of what the log has everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The entry to keep.
    pub kept: EntryId,
    /// What is missing before that and cannot be put out again: it is from before the topic got its partitions.
    pub given_up_behind: Option<EntryId>,
}

/// What is known of the beginning of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// Entries below may be gone.
    pub floor: EntryId,
    /// The last entry in its place below the batch of the floor: whoever counts has passed it.
    pub floor_end: EntryId,
    /// The last entry from before the topic got its partitions; 0-0 where there is none.
    pub layout_end: EntryId,
    /// What the first entry on the stream names as its predecessor; none where nothing of the chain is there.
    pub first_previous: Option<EntryId>,
}

impl Beginning {
    /// `found` is the last entry of the stream in its place that is there, `chain` what should be.
    #[must_use]
    pub fn wanted(&self, found: Option<EntryId>, chain: EntryId) -> Wanted {
        // What a leader that was replaced put on an empty stream is no beginning. A floor may be in the middle of a batch.
        let begins = self
            .first_previous
            .is_some_and(|previous| previous <= self.floor_end || previous < self.floor);
        let kept = match found {
            Some(found) if begins => found.max(self.floor_end),
            _ => self.floor_end,
        };
        let layout_end = self.layout_end.min(chain);
        Wanted {
            kept: kept.max(layout_end).min(chain),
            given_up_behind: (kept < layout_end).then_some(kept),
        }
    }
}

/// What to make of a missing entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It was trimmed: whoever misses it was not registered, or the hard cap took it.
    Trimmed,
    /// A person must let the stream go on first.
    Stopped,
    /// It is put on the stream again at this moment.
    OnItsWay,
    /// It should be on the stream, or what stands in its place.
    LookFor(EntryId),
}

impl Facts {
    /// The first step for a missing entry.
    #[must_use]
    pub fn step(&self, missing: EntryId) -> Step {
        let standing = self.repairs.standing(missing);
        if standing < self.floor {
            Step::Trimmed
        } else if self.stopped {
            Step::Stopped
        } else if standing > self.chain {
            Step::OnItsWay
        } else {
            Step::LookFor(standing)
        }
    }

    /// What a group waits for that has passed so much and misses an entry: that one, or if it was put out again behind an entry
    /// that the group has not passed either, that.
    #[must_use]
    pub fn awaited(&self, missing: EntryId, passed: Option<EntryId>) -> EntryId {
        let mut awaited = missing;
        // Each step leads to what an earlier re-issue or a cut brought, so it ends.
        while let Some(reissue) = self.repairs.by(awaited)
            && passed.unwrap_or(EntryId::MIN) < reissue.kept
        {
            awaited = reissue.kept;
        }
        awaited
    }

    /// How often in a row everything behind the end of the stream was put out again and nothing of it came there, and the first half
    /// of the ids of the last time; none if something did, or it never was.
    #[must_use]
    pub fn in_vain(&self) -> Option<(usize, u64)> {
        let last = self.repairs.reissues.last()?;
        let times = self.repairs.reissues.iter().rev();
        let times = times.take_while(|reissue| reissue.kept == self.chain).count();
        (times > 0).then_some((times, last.batch_id))
    }

    /// The re-issue that put `missing` on the stream again, if there is one.
    #[must_use]
    pub fn reissued(&self, missing: EntryId) -> Option<i64> {
        let standing = self.repairs.standing(missing);
        (standing != missing)
            .then(|| self.repairs.of(standing).map(|reissue| reissue.number))
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(batch: u64, position: u64) -> EntryId {
        EntryId::new(batch, position)
    }

    fn reissue(batch_id: u64, position: u64, kept: EntryId) -> Reissue {
        Reissue {
            number: i64::try_from(batch_id).unwrap(),
            batch_id,
            first: id(batch_id, position),
            kept,
        }
    }

    /// 10 and 20 are cuts; 30 kept 10-5; 40 is a cut; 50 kept 30-8.
    fn repaired_twice() -> Repairs {
        Repairs {
            reissues: vec![reissue(30, 6, id(10, 5)), reissue(50, 9, id(30, 8))],
        }
    }

    #[test]
    fn without_repairs_everything_is_in_its_place() {
        let none = Repairs::default();
        assert_eq!(none.standing(id(10, 5)), id(10, 5));
        assert_eq!(none.in_place(id(10, 5)), id(10, 5));
        assert_eq!(none.before(id(10, 5)), vec![(EntryId::MIN, id(10, 4))]);
        assert_eq!(none.before(id(10, 0)), vec![(EntryId::MIN, id(9, u64::MAX))]);
    }

    #[test]
    fn what_a_reissue_took_out_is_looked_for_where_that_begins() {
        let repairs = repaired_twice();
        assert_eq!(repairs.standing(id(10, 5)), id(10, 5), "it was kept");
        assert_eq!(repairs.standing(id(20, 7)), id(30, 6));
        assert_eq!(
            repairs.standing(id(30, 9)),
            id(50, 9),
            "behind what the second one kept"
        );
        assert_eq!(repairs.standing(id(40, 20)), id(50, 9));
        assert_eq!(repairs.standing(id(60, 30)), id(60, 30));
    }

    #[test]
    fn the_entry_before_a_reissue_is_the_one_that_it_kept() {
        let repairs = repaired_twice();
        assert_eq!(
            repairs.before(id(50, 9)),
            vec![
                (id(50, 0), id(50, 8)),
                (id(30, 0), id(30, 8)),
                (EntryId::MIN, id(10, 5))
            ]
        );
    }

    #[test]
    fn an_entry_out_of_its_place_is_never_kept() {
        let repairs = repaired_twice();
        // 20-9 is on the stream and numerically right below 30-6; but 30 took it out of its place.
        assert_eq!(repairs.keep(Some(id(20, 9)), None), Some(id(10, 5)));
        assert_eq!(repairs.keep(Some(id(40, 2)), Some(id(45, 1))), Some(id(30, 8)));
    }

    #[test]
    fn a_group_that_came_less_far_is_not_forgotten() {
        let none = Repairs::default();
        assert_eq!(none.keep(Some(id(9, 9)), Some(id(3, 3))), Some(id(3, 3)));
        assert_eq!(none.keep(None, Some(id(3, 3))), Some(id(3, 3)));
        assert_eq!(none.keep(None, None), None);
    }

    #[test]
    fn who_has_not_passed_what_a_reissue_kept_waits_for_that() {
        let facts = Facts {
            repairs: repaired_twice(),
            ..Facts::default()
        };
        assert_eq!(
            facts.awaited(id(20, 7), Some(id(30, 8))),
            id(20, 7),
            "it takes the re-issue"
        );
        assert_eq!(facts.awaited(id(40, 2), Some(id(10, 7))), id(30, 8));
        assert_eq!(facts.awaited(id(20, 7), Some(id(10, 4))), id(10, 5));
        assert_eq!(facts.awaited(id(10, 3), None), id(10, 3), "never put out again");
    }

    #[test]
    fn what_lost_its_end_goes_on_behind_what_is_left_and_what_lost_its_beginning_behind_the_floor() {
        let mut beginning = Beginning {
            floor: id(6, 5),
            floor_end: id(5, 4),
            layout_end: EntryId::MIN,
            first_previous: Some(id(5, 4)),
        };
        let wanted = |beginning: &Beginning, found| {
            let wanted = beginning.wanted(found, id(9, 9));
            (wanted.kept, wanted.given_up_behind)
        };
        assert_eq!(wanted(&beginning, Some(id(8, 1))), (id(8, 1), None));
        assert_eq!(
            wanted(&beginning, Some(id(3, 1))),
            (id(5, 4), None),
            "an old copy"
        );
        assert_eq!(wanted(&beginning, None), (id(5, 4), None));
        beginning.floor = id(6, 8);
        beginning.first_previous = Some(id(6, 7));
        assert_eq!(
            wanted(&beginning, Some(id(8, 1))),
            (id(8, 1), None),
            "it was trimmed in the middle of a batch, and begins there"
        );
        beginning.first_previous = Some(id(7, 6));
        assert_eq!(
            wanted(&beginning, Some(id(8, 1))),
            (id(5, 4), None),
            "a zombie made the stream anew"
        );
        beginning.first_previous = None;
        beginning.layout_end = id(6, 0);
        assert_eq!(wanted(&beginning, None), (id(6, 0), Some(id(5, 4))));
        beginning.layout_end = id(10, 0);
        assert_eq!(
            wanted(&beginning, None),
            (id(9, 9), Some(id(5, 4))),
            "it has not come to its end yet"
        );
    }

    #[test]
    fn what_an_era_passed_over_ends_with_the_entry_that_stayed() {
        // Known up to 9-9, accepted up to 12-4, cut and never sent 20-3: the era 30 goes on behind 12-4.
        let repairs = Repairs {
            reissues: vec![reissue(30, 2, id(12, 4))],
        };
        assert_eq!(repairs.end_at(id(25, u64::MAX), id(20, 3)), id(12, 4));
        assert_eq!(repairs.end_at(id(15, 0), id(9, 9)), id(12, 4), "in no share");
        assert_eq!(repairs.end_at(id(12, 1), id(9, 9)), id(9, 9));
        assert_eq!(repairs.end_at(id(31, 0), id(30, 7)), id(30, 7));
        assert_eq!(repairs.standing(id(20, 3)), id(30, 2));
        assert_eq!(
            repairs.before(id(30, 2)),
            [(id(30, 0), id(30, 1)), (EntryId::MIN, id(12, 4))]
        );
    }

    #[test]
    fn what_was_put_out_again_in_vain_is_counted_until_something_of_it_came() {
        let mut facts = Facts {
            repairs: repaired_twice(),
            chain: id(30, 8),
            ..Facts::default()
        };
        assert_eq!(facts.in_vain(), Some((1, 50)));
        facts.repairs.reissues.push(reissue(60, 9, id(30, 8)));
        assert_eq!(facts.in_vain(), Some((2, 60)));
        facts.chain = id(60, 9);
        assert_eq!(facts.in_vain(), None, "its first entry is there");
        assert_eq!(Facts::default().in_vain(), None);
    }

    #[test]
    fn the_first_step_says_why_nothing_is_cut() {
        let mut facts = Facts {
            repairs: repaired_twice(),
            chain: id(60, 30),
            floor: id(9, 0),
            stopped: false,
            lost: false,
        };
        assert_eq!(facts.step(id(8, 1)), Step::Trimmed);
        assert_eq!(facts.step(id(20, 7)), Step::LookFor(id(30, 6)));
        assert_eq!(facts.reissued(id(20, 7)), Some(30));
        assert_eq!(facts.reissued(id(60, 2)), None);
        facts.chain = id(10, 5);
        assert_eq!(
            facts.step(id(20, 7)),
            Step::OnItsWay,
            "the re-issue was cut and nothing of it is out"
        );
        facts.stopped = true;
        assert_eq!(facts.step(id(20, 7)), Step::Stopped);
    }
}
