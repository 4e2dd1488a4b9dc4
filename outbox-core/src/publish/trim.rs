//! Pure: how far a stream may be trimmed, and which group holds it.
//!
//! An entry goes only when it is old enough, every registered group has acknowledged it, and it is strictly below what the
//! recorded progress says was put on the stream last: the next parcel looks for that one. A group that is registered and
//! not on the stream has acknowledged nothing. Bounds are the lowest id that stays.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event::EntryId;

/// Entries stay up to this part of the retention longer, and floors are as far apart, so that none is recorded for every
/// handful of entries.
const SLACK: u32 = 20;

/// What the sink says of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Its name.
    pub name: String,
    /// The entry last delivered to it.
    pub delivered: EntryId,
    /// Entries delivered and not acknowledged.
    pub pending: u64,
    /// The lowest of them.
    pub lowest: Option<EntryId>,
}

impl Reader {
    /// Everything below is acknowledged.
    #[must_use]
    pub fn bound(&self) -> EntryId {
        match self.lowest {
            Some(lowest) => lowest,
            // Something is pending and it is not known what: nothing may be taken for acknowledged.
            None if self.pending > 0 => EntryId::MIN,
            None => self.delivered.next(),
        }
    }
}

/// What the sink says of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Entries on it.
    pub length: u64,
    /// What it takes there.
    pub memory: Option<u64>,
    /// Its first entry.
    pub first: Option<EntryId>,
    /// Its groups.
    pub readers: Vec<Reader>,
}

/// What the database says of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Entries below may be gone.
    pub floor: EntryId,
    /// When it was recorded, in milliseconds on the clock that batch ids are of.
    pub floor_at: u64,
    /// Whether the hard cap put it there: then it holds for what is unread as well.
    pub capped: bool,
    /// The entry that the recorded progress says was put on it last.
    pub chain: EntryId,
    /// How long an entry stays at least; none for ever.
    pub retention: Option<Duration>,
    /// Hard cap on its length.
    pub cap: Option<u64>,
    /// Groups that it waits for.
    pub registered: Vec<String>,
    /// Groups that it waits for because an earlier stream of its topic does: they were not seen here yet.
    pub expected: Vec<String>,
    /// Groups that a person unregistered, with what had been delivered to them.
    pub forgotten: BTreeMap<String, Option<EntryId>>,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Record this floor and trim to it.
    pub floor: Option<EntryId>,
    /// Trim to here, below a floor that is recorded: somebody recorded it and did not come to trimming.
    pub unfinished: Option<EntryId>,
    /// This group has not acknowledged entries that are old enough to go.
    pub held_by: Option<String>,
    /// So many entries are above the hard cap.
    pub above_cap: u64,
    /// Everything below is acknowledged by every registered group.
    pub acknowledged: EntryId,
}

/// Groups on the stream that it should wait for and does not: new ones, and forgotten ones that read on.
#[must_use]
pub fn newcomers(known: &Known, seen: &Seen) -> Vec<String> {
    let is_new = |reader: &&Reader| {
        !known.registered.contains(&reader.name)
            && known
                .forgotten
                .get(&reader.name)
                .is_none_or(|delivered| *delivered != Some(reader.delivered))
    };
    seen.readers
        .iter()
        .filter(is_new)
        .map(|reader| reader.name.clone())
        .collect()
}

/// Decides, at `now` in milliseconds on the clock that batch ids are of. Newcomers are registered before.
#[must_use]
pub fn decide(known: &Known, seen: &Seen, now: u64) -> Decision {
    let slowest = known
        .registered
        .iter()
        .chain(&known.expected)
        .map(|name| {
            let reader = seen.readers.iter().find(|reader| reader.name == *name);
            (reader.map_or(EntryId::MIN, Reader::bound), name)
        })
        .min();
    let acknowledged = slowest.as_ref().map_or(known.chain, |(bound, _)| *bound);
    let mut decision = Decision {
        acknowledged,
        above_cap: known.cap.map_or(0, |cap| seen.length.saturating_sub(cap)),
        ..Decision::default()
    };
    let Some(first) = seen.first else {
        return decision;
    };
    // After a restart with an older copy the groups may be behind a floor that was fine before.
    let safe = if known.capped {
        known.floor
    } else {
        known.floor.min(acknowledged)
    };
    decision.unfinished = (first < safe).then_some(safe);
    let Some(retention) = known.retention else {
        return decision;
    };
    let milliseconds = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let over = now.saturating_sub(milliseconds(retention));
    let old = EntryId::new(over, 0).min(known.chain);
    let floor = old.min(acknowledged);
    let slack = milliseconds(retention / SLACK);
    let is_time = over.saturating_sub(first.batch_id) >= slack && now.saturating_sub(known.floor_at) >= slack;
    if floor > known.floor && floor > first && is_time {
        decision.floor = Some(floor);
    }
    decision.held_by = slowest
        .filter(|(bound, _)| *bound < old && first < old)
        .map(|(_, name)| name.clone());
    decision
}

/// The floor, but not above what the stream lost and a group waits for: it can be put out again only as long as the floor is not
/// above it. None if that leaves nothing to take off.
#[must_use]
pub fn below_gaps(known: &Known, seen: &Seen, floor: EntryId, lost: &[EntryId]) -> Option<EntryId> {
    let floor = lost.iter().copied().fold(floor, EntryId::min);
    (floor > known.floor && Some(floor) > seen.first).then_some(floor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    fn id(batch: u64, position: u64) -> EntryId {
        EntryId::new(batch, position)
    }

    fn reader(name: &str, delivered: EntryId, lowest: Option<EntryId>) -> Reader {
        Reader {
            name: name.to_owned(),
            delivered,
            pending: lowest.map_or(0, |_| 1),
            lowest,
        }
    }

    /// A stream from 100,000 on, kept for 100 s; its last entry is of just now.
    fn scene(registered: &[&str], readers: Vec<Reader>) -> (Known, Seen) {
        let known = Known {
            chain: id(999_000, 7),
            retention: Some(Duration::from_secs(100)),
            registered: registered.iter().map(|name| (*name).to_owned()).collect(),
            ..Known::default()
        };
        let seen = Seen {
            length: 50,
            first: Some(id(100_000, 1)),
            readers,
            ..Seen::default()
        };
        (known, seen)
    }

    #[test]
    fn what_is_old_and_acknowledged_by_all_goes() {
        let (known, seen) = scene(&["a"], vec![reader("a", id(999_000, 7), None)]);
        let decision = decide(&known, &seen, NOW);
        assert_eq!(
            decision.floor,
            Some(id(900_000, 0)),
            "older than the retention, and no more"
        );
        assert_eq!(decision.held_by, None);
    }

    #[test]
    fn the_slowest_group_holds_and_is_named() {
        let (known, seen) = scene(
            &["a", "b"],
            vec![
                reader("a", id(999_000, 7), None),
                reader("b", id(999_000, 7), Some(id(300_000, 4))),
            ],
        );
        let decision = decide(&known, &seen, NOW);
        assert_eq!(decision.floor, Some(id(300_000, 4)), "its lowest pending stays");
        assert_eq!(decision.held_by.as_deref(), Some("b"));
    }

    #[test]
    fn a_registered_group_that_is_missing_has_acknowledged_nothing() {
        let (known, seen) = scene(&["a", "gone"], vec![reader("a", id(999_000, 7), None)]);
        let decision = decide(&known, &seen, NOW);
        assert_eq!(
            (decision.floor, decision.held_by.as_deref()),
            (None, Some("gone"))
        );
    }

    #[test]
    fn a_group_that_is_expected_is_waited_for_and_registered_when_it_is_seen() {
        let (mut known, mut seen) = scene(&["a"], vec![reader("a", id(999_000, 7), None)]);
        known.expected.push("late".to_owned());
        let decision = decide(&known, &seen, NOW);
        assert_eq!(
            (decision.floor, decision.held_by.as_deref()),
            (None, Some("late"))
        );
        seen.readers.push(reader("late", EntryId::MIN, None));
        assert_eq!(newcomers(&known, &seen), vec!["late".to_owned()]);
    }

    #[test]
    fn a_group_whose_pending_entries_are_not_known_has_acknowledged_nothing() {
        let mut unclear = reader("a", id(999_000, 7), None);
        unclear.pending = 3;
        let (known, seen) = scene(&["a"], vec![unclear]);
        assert_eq!(decide(&known, &seen, NOW).floor, None);
    }

    #[test]
    fn the_entry_that_the_next_parcel_looks_for_stays() {
        let (mut known, seen) = scene(&[], Vec::new());
        known.chain = id(400_000, 9);
        assert_eq!(
            decide(&known, &seen, NOW).floor,
            Some(id(400_000, 9)),
            "also when it is old, and nobody reads"
        );
    }

    #[test]
    fn a_floor_is_not_recorded_for_a_handful() {
        let (mut known, mut seen) = scene(&["a"], vec![reader("a", id(999_000, 7), None)]);
        // The first entry is old enough for 2 s, which is less than a twentieth of 100 s.
        seen.first = Some(id(898_000, 1));
        assert_eq!(decide(&known, &seen, NOW).floor, None);
        assert_eq!(decide(&known, &seen, NOW + 3_000).floor, Some(id(903_000, 0)));
        // A group that catches up makes a floor every now and then, not at every look.
        known.floor = id(897_000, 0);
        known.floor_at = NOW + 1_000;
        assert_eq!(decide(&known, &seen, NOW + 3_000).floor, None);
        assert_eq!(decide(&known, &seen, NOW + 6_000).floor, Some(id(906_000, 0)));
    }

    #[test]
    fn who_recorded_a_floor_and_died_is_continued() {
        let (mut known, seen) = scene(&["a"], vec![reader("a", id(999_000, 7), Some(id(150_000, 0)))]);
        known.floor = id(150_000, 0);
        let decision = decide(&known, &seen, NOW);
        assert_eq!((decision.unfinished, decision.floor), (Some(known.floor), None));
    }

    #[test]
    fn a_floor_is_not_trimmed_to_where_a_group_came_back_behind_it() {
        let (mut known, seen) = scene(&["a"], vec![reader("a", id(999_000, 7), Some(id(120_000, 0)))]);
        known.floor = id(150_000, 0);
        assert_eq!(decide(&known, &seen, NOW).unfinished, Some(id(120_000, 0)));
        known.capped = true;
        assert_eq!(decide(&known, &seen, NOW).unfinished, Some(known.floor));
    }

    #[test]
    fn what_was_lost_before_a_pending_entry_is_not_below_the_floor() {
        let (known, seen) = scene(&["a"], vec![reader("a", id(300_000, 4), Some(id(300_000, 4)))]);
        let floor = decide(&known, &seen, NOW).floor.unwrap();
        assert_eq!(floor, id(300_000, 4));
        let below = |lost: &[EntryId]| below_gaps(&known, &seen, floor, lost);
        assert_eq!(below(&[]), Some(floor));
        assert_eq!(below(&[id(200_000, 1)]), Some(id(200_000, 1)));
        assert_eq!(
            below(&[id(200_000, 1), id(100_000, 1)]),
            None,
            "nothing is left to take off"
        );
    }

    #[test]
    fn for_ever_is_for_ever_but_for_the_cap() {
        let (mut known, seen) = scene(&["a"], vec![reader("a", id(200_000, 7), None)]);
        known.retention = None;
        known.cap = Some(20);
        let decision = decide(&known, &seen, NOW);
        assert_eq!(
            (decision.floor, decision.above_cap, decision.acknowledged),
            (None, 30, id(200_000, 8))
        );
    }

    #[test]
    fn a_forgotten_group_is_waited_for_again_when_it_reads_on() {
        let (mut known, mut seen) = scene(&[], vec![reader("back", id(200_000, 7), None)]);
        known.forgotten.insert("back".to_owned(), Some(id(200_000, 7)));
        assert_eq!(newcomers(&known, &seen), Vec::<String>::new());
        seen.readers[0].delivered = id(200_000, 8);
        assert_eq!(newcomers(&known, &seen), vec!["back".to_owned()]);
    }
}
