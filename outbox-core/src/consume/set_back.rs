//! Pure: whether a group stands where its inbox does not, and must be set back.
//!
//! An entry is acknowledged only after the inbox knows it as passed. So one that was delivered, is not pending, and comes next behind
//! what the inbox knows, was applied in a history that the consumer's database has no longer: it was restored to an earlier time.
//! A group that stands beyond the end of its stream would be delivered nothing before that is reached.

use crate::event::EntryId;

/// Where a group stands on its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GroupPlace {
    /// The entry last delivered to it.
    pub(super) delivered: EntryId,
    /// The last entry that the stream ever had.
    pub(super) end: EntryId,
}

impl GroupPlace {
    /// Where to set it back to, if it stands beyond the end of its stream: to what was passed, or behind nothing if the stream ends
    /// before that as well.
    pub(super) fn beyond_end(&self, passed: EntryId) -> Option<EntryId> {
        (self.delivered > self.end).then_some(if passed <= self.end { passed } else { EntryId::MIN })
    }

    /// Whether an entry was delivered.
    pub(super) fn was_delivered(&self, entry: EntryId) -> bool {
        entry <= self.delivered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(batch: u64) -> EntryId {
        EntryId::new(batch, 1)
    }

    #[test]
    fn a_group_beyond_the_end_goes_back_to_what_it_passed_or_to_the_beginning() {
        let place = |delivered, end| GroupPlace {
            delivered: id(delivered),
            end: id(end),
        };
        assert_eq!(place(9, 9).beyond_end(id(4)), None);
        assert_eq!(place(9, 7).beyond_end(id(4)), Some(id(4)));
        assert_eq!(
            place(9, 7).beyond_end(id(8)),
            Some(EntryId::MIN),
            "made anew, and shorter"
        );
        assert!(place(9, 9).was_delivered(id(9)) && !place(9, 12).was_delivered(id(10)));
    }
}
