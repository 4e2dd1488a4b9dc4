//! Pure: when entries of a topic's new generation may leave.
//!
//! A reader applies nothing of a generation before it has passed the end of the one before on each of its streams. A stream that
//! is not there has nothing to wait for, and a reader must be able to tell it from one whose first entry is still to come. So
//! nothing of a new generation leaves before each stream of the one before has an entry, be it the one that says that the topic
//! moved on.

use std::collections::{BTreeMap, BTreeSet};

use super::lane::Lane;
use crate::tail::StreamId;
use crate::tail::layout::Layout;

/// What topics wait for.
#[derive(Debug, Default)]
pub(super) struct Openings(BTreeMap<String, Vec<Opening>>);

#[derive(Debug)]
struct Opening {
    /// Entries of later batches are of the new generation.
    batch_id: u64,
    /// Streams without any entry.
    waits_for: BTreeSet<StreamId>,
}

impl Openings {
    /// What a topic of this layout waits for, given what is on its streams.
    pub(super) fn look(&mut self, topic: &str, layout: &Layout, lanes: &BTreeMap<StreamId, Lane>) {
        let has_no_entry = |stream: &StreamId| lanes.get(stream).is_none_or(|lane| !lane.has_entries());
        let waits: Vec<Opening> = layout
            .moves(topic)
            .map(|(batch_id, streams)| Opening {
                batch_id,
                waits_for: streams.into_iter().filter(has_no_entry).collect(),
            })
            .filter(|opening| !opening.waits_for.is_empty())
            .collect();
        if waits.is_empty() {
            self.0.remove(topic);
        } else {
            self.0.insert(topic.to_owned(), waits);
        }
    }

    /// Something is on this stream.
    pub(super) fn has_entries(&mut self, stream: &StreamId) {
        let Some(waits) = self.0.get_mut(&stream.topic) else {
            return;
        };
        waits.retain_mut(|opening| {
            opening.waits_for.remove(stream);
            !opening.waits_for.is_empty()
        });
        if waits.is_empty() {
            self.0.remove(&stream.topic);
        }
    }

    /// Whether what a lane holds may leave.
    pub(super) fn admits(&self, lane: &Lane) -> bool {
        let Some(waits) = self.0.get(&lane.stream.topic) else {
            return true;
        };
        lane.next_batch_id()
            .is_none_or(|batch_id| waits.iter().all(|opening| batch_id <= opening.batch_id))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use std::sync::Arc;

    use super::*;
    use crate::event::{EntryId, Event};
    use crate::publish::lane::{Place, Portion};
    use crate::tail::layout::Generation;
    use crate::tail::row::Content;
    use crate::tail::row::Row;

    fn stream(slot: i32) -> StreamId {
        StreamId::from_slot("t", slot).unwrap()
    }

    /// A lane whose next entry is of this batch.
    fn lane(slot: i32, chain: EntryId, batch: u64) -> Lane {
        let target = Place {
            batch_number: i64::MAX,
            position: 0,
        };
        let mut lane = Lane::new(stream(slot), Place::default(), chain, target);
        lane.hold(Portion {
            batch_number: batch.cast_signed(),
            batch_id: batch,
            rows: VecDeque::from([Row {
                position: 1,
                stream: Arc::new(stream(slot)),
                content: Content::Event(Box::new(Event::new("e", "/s", "t"))),
                bytes: 1,
            }]),
            is_again: false,
        });
        lane
    }

    fn layout(moved: bool) -> Layout {
        let mut layout = Layout::default();
        layout.grow(Generation {
            number: 1,
            partitions: 2,
            batch_id: 10,
            moved,
        });
        layout.grow(Generation {
            number: 2,
            partitions: 3,
            batch_id: 20,
            moved: true,
        });
        layout
    }

    #[test]
    fn nothing_of_a_generation_leaves_before_every_stream_of_the_one_before_has_an_entry() {
        let mut openings = Openings::default();
        openings.look("t", &layout(true), &BTreeMap::new());
        let admits = |openings: &Openings, slot, batch| openings.admits(&lane(slot, EntryId::MIN, batch));
        assert!(
            admits(&openings, 0, 9) && admits(&openings, 0, 10),
            "the old stream goes on"
        );
        assert!(
            !admits(&openings, 1, 11),
            "the old one may still have its first entry to come"
        );
        openings.has_entries(&stream(0));
        assert!(admits(&openings, 1, 11) && admits(&openings, 1, 20));
        assert!(!admits(&openings, 3, 21));
        openings.has_entries(&stream(1));
        assert!(!admits(&openings, 3, 21), "one of two");
        openings.has_entries(&stream(2));
        assert!(admits(&openings, 3, 21));
    }

    #[test]
    fn what_has_entries_or_never_began_is_not_waited_for() {
        let here = EntryId::new(5, 1);
        let lanes: BTreeMap<StreamId, Lane> = [1, 2].map(|slot| (stream(slot), lane(slot, here, 15))).into();
        let mut openings = Openings::default();
        // Nothing was cut of the topic before it had partitions: there is no stream without a number.
        openings.look("t", &layout(false), &lanes);
        assert!(openings.admits(&lane(1, here, 11)) && openings.admits(&lane(3, EntryId::MIN, 21)));
        openings.look("t", &layout(true), &lanes);
        assert!(!openings.admits(&lane(1, here, 11)));
    }
}
