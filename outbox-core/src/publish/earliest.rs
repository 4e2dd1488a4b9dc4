//! Pure: from which entry on the log still has everything of a stream.
//!
//! Whether it has everything behind an entry is asked of the log, and costs. If it has that behind one, it has it behind every
//! later one as well: so the range is halved.

use crate::event::EntryId;

/// A search for the earliest entry of a range that may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Earliest {
    /// Behind entries of batches up to this one something is gone.
    gone: u64,
    /// Behind this one nothing is.
    whole: EntryId,
}

impl Earliest {
    /// Something is gone behind `gone`; nothing is behind `whole`.
    #[must_use]
    pub fn new(gone: EntryId, whole: EntryId) -> Self {
        Self {
            gone: gone.batch_id,
            whole,
        }
    }

    /// The batch to ask about: the last entry of the stream at or before it; none when nothing is left to ask.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        let apart = self.whole.batch_id.saturating_sub(self.gone);
        (apart > 1).then(|| self.gone + apart / 2)
    }

    /// The stream has no entry in the lower half, or something is gone behind the last of it.
    pub fn is_gone(&mut self, batch_id: u64) {
        self.gone = self.gone.max(batch_id);
    }

    /// Nothing is gone behind this entry, which is the last at or before what was asked about.
    pub fn is_whole(&mut self, entry: EntryId) {
        self.whole = self.whole.min(entry);
    }

    /// What was found.
    #[must_use]
    pub fn found(&self) -> EntryId {
        self.whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(batch: u64) -> EntryId {
        EntryId::new(batch, 9)
    }

    /// Goes on until nothing is left to ask: entries of these batches, of which the log has all from `whole` on.
    fn search(ends: &[u64], gone: u64, whole: u64) -> (EntryId, usize) {
        let mut search = Earliest::new(id(gone), id(*ends.last().unwrap()));
        let mut asked = 0;
        while let Some(batch) = search.next() {
            asked += 1;
            match ends.iter().rev().find(|end| **end <= batch && **end > gone) {
                Some(end) if *end >= whole => search.is_whole(id(*end)),
                _ => search.is_gone(batch),
            }
        }
        (search.found(), asked)
    }

    #[test]
    fn the_earliest_entry_behind_which_all_is_there_is_found_wherever_it_is() {
        let ends: Vec<u64> = (1..200).map(|n| 1_700_000_000_000 + n * 997).collect();
        for whole in &ends[1..] {
            let (found, asked) = search(&ends, ends[0], *whole);
            assert_eq!(found, id(*whole));
            assert!(asked < 40, "{asked} questions");
        }
    }

    #[test]
    fn where_only_the_last_entry_is_left_it_is_kept() {
        let search = Earliest::new(id(7), id(8));
        assert_eq!((search.next(), search.found()), (None, id(8)));
    }
}
