//! Pure: which events of one identity stand for others, by the times at which they were recorded.
//!
//! The row of an identity keeps the event that stands for it, and from when to when. An event that lies within the window of
//! another one, before it or behind it, says the same again; any other one is new. The latest of them has the row.

use std::time::Duration;

use time::OffsetDateTime;

use crate::event::EntryId;

/// An event that stands for those of its identity that lie within the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leader {
    pub(super) source: String,
    pub(super) id: String,
    /// When it was recorded, or came.
    pub(super) at: OffsetDateTime,
    /// Until when it stands for others.
    pub(super) until: OffsetDateTime,
}

/// The events of one identity that stand for others: the one that has the row, and those that one transaction adds.
pub(super) struct Leaders {
    kept: Leader,
    added: Vec<(EntryId, Leader)>,
    window: Duration,
}

impl Leaders {
    pub(super) fn new(kept: Leader, window: Duration) -> Self {
        Self {
            kept,
            added: Vec::new(),
            window,
        }
    }

    /// Whether an event is the first to say what it says. From then on it stands for others.
    pub(super) fn admit(&mut self, entry: EntryId, source: &str, id: &str, at: OffsetDateTime) -> bool {
        let mut all = std::iter::once(&self.kept).chain(self.added.iter().map(|(_, leader)| leader));
        if all
            .clone()
            .any(|leader| leader.source == source && leader.id == id)
        {
            return true;
        }
        let until = at.checked_add(self.window.try_into().unwrap_or(time::Duration::MAX));
        let until = until.unwrap_or(OffsetDateTime::new_utc(time::Date::MAX, time::Time::MIDNIGHT));
        if all.any(|leader| at < leader.until && leader.at < until) {
            return false;
        }
        let leader = Leader {
            source: source.to_owned(),
            id: id.to_owned(),
            at,
            until,
        };
        self.added.push((entry, leader));
        true
    }

    /// The event that is to have the row instead of the one that has it. What is left to another transaction comes again there.
    pub(super) fn successor(&self, is_left: impl Fn(EntryId) -> bool) -> Option<&Leader> {
        let added = self.added.iter().filter(|(entry, _)| !is_left(*entry));
        let latest = added.map(|(_, leader)| leader).max_by_key(|leader| leader.at)?;
        (latest.at > self.kept.at).then_some(latest)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(minutes: i64) -> OffsetDateTime {
        datetime!(2026-11-20 12:00 UTC) + time::Duration::minutes(minutes)
    }

    fn entry(n: u64) -> EntryId {
        EntryId::new(1, n)
    }

    fn leaders() -> Leaders {
        let kept = Leader {
            source: "/shop".to_owned(),
            id: "kept".to_owned(),
            at: at(0),
            until: at(60),
        };
        Leaders::new(kept, HOUR)
    }

    #[test]
    fn what_lies_within_the_window_says_the_same_again_before_and_behind() {
        for (minutes, is_first) in [(0, false), (59, false), (60, true), (-59, false), (-60, true)] {
            assert_eq!(
                leaders().admit(entry(1), "/shop", "other", at(minutes)),
                is_first,
                "{minutes}"
            );
        }
    }

    #[test]
    fn an_event_that_comes_again_is_itself() {
        let mut leaders = leaders();
        assert!(leaders.admit(entry(2), "/shop", "kept", at(0)));
        assert!(!leaders.admit(entry(3), "/other", "kept", at(0)));
        assert!(
            leaders.admit(entry(4), "/shop", "late", at(100))
                && leaders.admit(entry(5), "/shop", "late", at(100))
        );
    }

    #[test]
    fn the_latest_has_the_row_and_the_others_stand_for_theirs_meanwhile() {
        let mut leaders = leaders();
        assert_eq!(leaders.successor(|_| false), None);
        assert!(leaders.admit(entry(6), "/shop", "early", at(-200)));
        assert_eq!(leaders.successor(|_| false), None);
        assert!(!leaders.admit(entry(7), "/shop", "early again", at(-190)));
        assert!(leaders.admit(entry(8), "/shop", "late", at(300)));
        assert!(leaders.admit(entry(9), "/shop", "between", at(200)));
        assert!(!leaders.admit(entry(10), "/shop", "late again", at(310)));
        assert_eq!(
            leaders.successor(|_| false).map(|leader| leader.id.as_str()),
            Some("late")
        );
    }

    #[test]
    fn what_is_left_to_another_transaction_takes_no_row() {
        let mut leaders = leaders();
        assert!(leaders.admit(entry(2), "/shop", "later", at(100)));
        assert!(leaders.admit(entry(3), "/shop", "left", at(200)));
        let successor = leaders.successor(|id| id == entry(3));
        assert_eq!(successor.map(|leader| leader.id.as_str()), Some("later"));
        assert_eq!(leaders.successor(|_| true), None);
    }

    #[test]
    fn a_window_without_end_has_none() {
        let mut leaders = Leaders::new(leaders().kept, Duration::MAX);
        assert!(!leaders.admit(entry(11), "/shop", "early", at(-600_000)));
    }
}
