//! Pure: what a seek does to one stream, by what is on it and what the log still has.
//!
//! A stream loses entries at its front only: those that were trimmed. So what is behind the place is either on the stream as
//! a whole, or its beginning is missing up to the predecessor that the first entry names.

use super::target::before;
use crate::event::EntryId;

/// What is on a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Front {
    /// How many entries.
    pub(super) length: u64,
    /// The first entry that is part of the chain, with its predecessor.
    pub(super) first: Option<(EntryId, EntryId)>,
}

/// What of one stream must come from the log: behind the one, up to and with the other; without an end up to what the relay
/// has published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) behind: EntryId,
    pub(super) until: Option<EntryId>,
}

/// The place behind which one stream is read again: not beyond its end, or what is still to come would be passed over. The end of
/// a stream that never had an entry is now.
pub(super) fn place(behind: EntryId, last: EntryId, now_ms: u64) -> EntryId {
    let end = match last {
        EntryId::MIN => EntryId::new(now_ms, 0),
        last => last,
    };
    behind.min(end)
}

/// What is missing on a stream for reading everything behind a place.
pub(super) fn missing(behind: EntryId, front: Front) -> Option<Missing> {
    match front.first {
        Some((_, previous)) if previous <= behind => None,
        Some((_, previous)) => Some(Missing {
            behind,
            until: Some(previous),
        }),
        // Entries of strangers only: no relay writes here, and its log would have none of them.
        None if front.length > 0 => None,
        None => Some(Missing { behind, until: None }),
    }
}

/// The entry that counts as passed, so that the first one to be read again follows it. `fetched`: the first entry that came
/// from the log. `end`: that of the last older generation of the stream, if it has one.
pub(super) fn passed(
    behind: EntryId,
    front: Front,
    fetched: Option<EntryId>,
    end: Option<EntryId>,
) -> EntryId {
    match (fetched, front.first) {
        (Some(first), _) => before(first).max(behind),
        // What neither the stream nor the log has is not waited for.
        (None, Some((_, previous))) => previous.max(behind),
        // Nor on a stream of an older generation, of which nothing is left: a group that had passed any of it would wait for the
        // end, or for a person.
        (None, None) if end.is_some_and(|end| behind < end) => EntryId::MIN,
        (None, None) => behind,
    }
}

/// Why a seek is refused, if it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It reaches back to where ids were forgotten: whatever comes from there would be given up as too old.
    Forgotten,
    /// Keys wait: what is read again of them would come behind what waits.
    Parked { keys: u64 },
}

/// Whether events recorded before `forgotten_ms` (milliseconds since 1970) would be read again by a group that forgot them.
pub(super) fn refuse(
    behind: EntryId,
    forgotten_ms: Option<u64>,
    forget: bool,
    parked_keys: u64,
) -> Option<Refusal> {
    if forget {
        return (parked_keys > 0).then_some(Refusal::Parked { keys: parked_keys });
    }
    // A batch is cut after what is in it was recorded: behind this place everything may be young enough only from there on.
    forgotten_ms
        .is_some_and(|forgotten| behind.batch_id + 1 < forgotten)
        .then_some(Refusal::Forgotten)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(batch: u64, position: u64) -> EntryId {
        EntryId::new(batch, position)
    }

    fn front(first: Option<(EntryId, EntryId)>) -> Front {
        Front {
            length: u64::from(first.is_some()),
            first,
        }
    }

    #[test]
    fn nothing_that_is_still_to_come_is_passed_over() {
        assert_eq!(place(id(7, 3), id(9, 9), 20), id(7, 3));
        assert_eq!(place(id(99, 0), id(9, 9), 20), id(9, 9));
        assert_eq!(place(id(99, 0), EntryId::MIN, 20), id(20, 0));
        assert_eq!(place(id(7, 3), EntryId::MIN, 20), id(7, 3));
    }

    #[test]
    fn a_stream_that_holds_its_beginning_needs_nothing() {
        let whole = front(Some((id(5, 1), EntryId::MIN)));
        assert_eq!(missing(EntryId::MIN, whole), None);
        assert_eq!(passed(EntryId::MIN, whole, None, None), EntryId::MIN);
        // Trimmed, and read again from a place behind that.
        let trimmed = front(Some((id(5, 1), id(4, 9))));
        assert_eq!(missing(id(4, 9), trimmed), None);
        assert_eq!(missing(id(6, 0), trimmed), None);
        assert_eq!(passed(id(6, 0), trimmed, None, None), id(6, 0));
    }

    #[test]
    fn what_was_trimmed_comes_from_the_log_up_to_the_predecessor_of_the_first_entry() {
        let trimmed = front(Some((id(5, 1), id(4, 9))));
        let wanted = Missing {
            behind: id(2, 2),
            until: Some(id(4, 9)),
        };
        assert_eq!(missing(id(2, 2), trimmed), Some(wanted));
        assert_eq!(passed(id(2, 2), trimmed, Some(id(2, 3)), None), id(2, 2));
        // The log begins later than the place.
        assert_eq!(passed(id(2, 2), trimmed, Some(id(3, 7)), None), id(3, 6));
    }

    #[test]
    fn what_nobody_has_is_not_waited_for() {
        let trimmed = front(Some((id(5, 1), id(4, 9))));
        assert_eq!(passed(EntryId::MIN, trimmed, None, None), id(4, 9));
    }

    #[test]
    fn an_older_stream_with_nothing_left_counts_as_one_that_the_group_never_read() {
        let (gone, end) = (front(None), Some(id(5, 0)));
        assert_eq!(passed(id(4, 1), gone, None, end), EntryId::MIN);
        assert_eq!(passed(id(5, 0), gone, None, end), id(5, 0));
        assert_eq!(passed(id(4, 1), gone, None, None), id(4, 1));
        assert_eq!(passed(id(4, 1), gone, Some(id(4, 2)), end), id(4, 1));
    }

    #[test]
    fn a_stream_that_is_gone_comes_from_the_log_as_a_whole() {
        let gone = front(None);
        let wanted = Missing {
            behind: EntryId::MIN,
            until: None,
        };
        assert_eq!(missing(EntryId::MIN, gone), Some(wanted));
        let strangers = Front {
            length: 3,
            first: None,
        };
        assert_eq!(missing(EntryId::MIN, strangers), None);
    }

    #[test]
    fn forgotten_time_is_read_again_only_by_who_forgets_all() {
        let forgotten = Some(1_000);
        assert_eq!(
            refuse(EntryId::MIN, forgotten, false, 0),
            Some(Refusal::Forgotten)
        );
        assert_eq!(refuse(id(999, u64::MAX), forgotten, false, 0), None);
        assert_eq!(refuse(EntryId::MIN, None, false, 5), None);
        assert_eq!(refuse(EntryId::MIN, forgotten, true, 0), None);
        assert_eq!(
            refuse(EntryId::MIN, None, true, 5),
            Some(Refusal::Parked { keys: 5 })
        );
    }
}
