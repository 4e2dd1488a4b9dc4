//! Pure: what is known of one flow: its layout, how far its generations are open, and which streams are to be read.

use std::collections::BTreeSet;

use crate::consume::layout::{Layout, Rest};

/// A stream in one of its generations.
pub(super) type Part = (usize, Option<u32>);

/// What is known of one flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::consume) struct Opening {
    layout: Layout,
    /// The newest generation that may be applied. Falls only when the group is set back.
    open: usize,
    /// An entry of this generation was seen.
    wanted: usize,
    /// A control entry was seen that says that this generation begins.
    announced: usize,
    /// Streams of older generations on which nothing of them is left.
    over: BTreeSet<Part>,
    /// Streams of older generations that events came from which still wait, parked.
    waiting: BTreeSet<Option<u32>>,
}

impl Opening {
    pub(in crate::consume) fn new(layout: Layout) -> Self {
        Self {
            layout,
            open: 0,
            wanted: 0,
            announced: 0,
            over: BTreeSet::new(),
            waiting: BTreeSet::new(),
        }
    }

    pub(in crate::consume) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(in crate::consume) fn open(&self) -> usize {
        self.open
    }

    /// The group was set back: what was over may have to be read again.
    pub(super) fn set_back(&mut self) {
        self.open = 0;
        self.over.clear();
    }

    /// Takes over a newer layout. An older one is what a Redis that lost its latest writes remembers: nothing is unlearned.
    /// False when the two contradict each other.
    pub(super) fn learn(&mut self, layout: Layout) -> bool {
        if layout.extends(&self.layout) {
            self.layout = layout;
            true
        } else {
            self.layout.extends(&layout)
        }
    }

    /// An entry of `generation` was seen: so the relay has finished the streams of those before, and what is not there
    /// will not come any more.
    pub(super) fn await_generation(&mut self, generation: usize) {
        self.wanted = self.wanted.max(generation);
    }

    /// A control entry says that `generation` begins. On other streams entries of those before may still be to come.
    pub(super) fn announce(&mut self, generation: usize) {
        self.announced = self.announced.max(generation);
    }

    /// Whether a generation was announced, or an entry of it seen, that the layout does not know.
    pub(super) fn is_unconfirmed(&self) -> bool {
        self.announced.max(self.wanted) > self.layout.newest()
    }

    /// Whether somebody waits for a generation that is not open.
    pub(super) fn is_awaited(&self) -> bool {
        self.wanted > self.open
    }

    /// What may still be left of older generations.
    pub(super) fn unfinished(&self) -> Vec<Part> {
        let parts = self.layout.older();
        parts.filter(|part| !self.over.contains(part)).collect()
    }

    /// Whether it helps to ask what is on a stream: before an entry of a newer generation was seen, an empty stream may be
    /// one whose entries are still to come.
    pub(super) fn may_be_empty(&self, part: Part) -> bool {
        part.0 < self.wanted
    }

    /// The streams that only older generations have.
    pub(super) fn retired(&self) -> BTreeSet<Option<u32>> {
        let newest = self.layout.newest();
        let partitions = self.layout.older().map(|(_, partition)| partition);
        partitions
            .filter(|partition| !self.layout.has(newest, *partition))
            .collect()
    }

    /// Notes what is left on a stream.
    pub(super) fn note(&mut self, part: Part, rest: Rest) {
        if self.layout.is_over(part.0, part.1, rest) {
            self.over.insert(part);
            let over = &self.over;
            let open = self
                .layout
                .open(|generation, partition| over.contains(&(generation, partition)));
            self.open = self.open.max(open);
        }
    }

    /// Notes whether events that came from a stream are parked.
    pub(super) fn note_waiting(&mut self, partition: Option<u32>, is_waiting: bool) {
        if is_waiting {
            self.waiting.insert(partition);
        } else {
            self.waiting.remove(&partition);
        }
    }

    /// The streams to read: the newest ones, and older ones as long as anything is left there. What waits, parked, is applied
    /// by the owner of the stream that it came from.
    pub(in crate::consume) fn partitions(&self) -> BTreeSet<Option<u32>> {
        let mut partitions: BTreeSet<_> = self.layout.partitions(self.layout.newest()).into_iter().collect();
        partitions.extend(self.unfinished().into_iter().map(|(_, partition)| partition));
        partitions.extend(&self.waiting);
        partitions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EntryId;

    fn opening(layout: &str) -> Opening {
        Opening::new(Layout::parse(layout).unwrap())
    }

    fn passed(batch: u64) -> Rest {
        Rest::Passed(Some(EntryId::new(batch, 0)))
    }

    #[test]
    fn a_flow_that_never_grew_has_one_stream_and_nothing_to_finish() {
        let opening = opening("1@0");
        assert_eq!(opening.partitions(), BTreeSet::from([None]));
        assert_eq!((opening.open(), opening.unfinished().len()), (0, 0));
    }

    #[test]
    fn a_retired_stream_is_read_until_its_end_is_passed_and_again_while_its_events_wait() {
        let mut opening = opening("1@0,2@17");
        let both = BTreeSet::from([Some(0), Some(1)]);
        assert_eq!(opening.partitions().len(), 3);
        opening.note((0, None), passed(16));
        assert_eq!((opening.open(), opening.partitions().len()), (0, 3));
        opening.note((0, None), passed(17));
        assert_eq!((opening.open(), opening.partitions()), (1, both.clone()));
        opening.note_waiting(None, true);
        assert_eq!((opening.open(), opening.partitions().len()), (1, 3));
        opening.note_waiting(None, false);
        assert_eq!(opening.partitions(), both);
    }

    #[test]
    fn a_group_that_was_set_back_reads_the_older_streams_again() {
        let mut opening = opening("1@0,2@17");
        opening.note((0, None), passed(17));
        assert_eq!((opening.open(), opening.partitions().len()), (1, 2));
        opening.set_back();
        assert_eq!((opening.open(), opening.partitions().len()), (0, 3));
        opening.note((0, None), passed(16));
        assert_eq!(opening.open(), 0);
    }

    #[test]
    fn nothing_is_taken_for_empty_before_a_newer_entry_was_seen() {
        let mut opening = opening("1@0,2@17");
        assert!(!opening.may_be_empty((0, None)) && !opening.is_awaited());
        opening.await_generation(1);
        assert!(opening.may_be_empty((0, None)) && opening.is_awaited());
        opening.note((0, None), Rest::Empty(EntryId::MIN));
        assert!(!opening.is_awaited());
        assert_eq!(opening.open(), 1);
    }

    #[test]
    fn what_was_announced_waits_for_the_layout_and_takes_no_older_stream_for_empty() {
        let mut opening = opening("1@0");
        opening.announce(1);
        assert!(opening.is_unconfirmed() && !opening.is_awaited());
        assert!(opening.learn(Layout::parse("1@0,2@17").unwrap()));
        assert!(!opening.is_unconfirmed() && !opening.may_be_empty((0, None)));
    }

    #[test]
    fn a_layout_that_redis_forgot_is_kept_and_one_that_contradicts_is_refused() {
        let mut opening = opening("1@0,2@17");
        assert!(opening.learn(Layout::single()));
        assert_eq!(opening.layout().newest(), 1);
        assert!(opening.learn(Layout::parse("1@0,2@17,4@23").unwrap()));
        assert_eq!(
            (opening.layout().newest(), opening.retired()),
            (2, BTreeSet::from([None]))
        );
        assert!(!opening.learn(Layout::parse("1@0,2@18").unwrap()));
        assert_eq!(opening.layout().newest(), 2);
    }
}
