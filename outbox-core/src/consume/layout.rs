//! Pure: how many partitions a flow had when, and which entry belongs to which of these generations.
//!
//! A topic only grows. Each growth begins a generation: a key then may live on another stream, so nothing of a generation
//! is applied before everything of the one before it was passed. On each stream of the older generation the relay's control
//! entry `<first batch>-0` is the last one; what comes after it, on a stream that goes on, belongs to the next generation.

use std::fmt;

use super::stream::PARTITIONS_MAX;
use crate::event::EntryId;

/// How many partitions there were from which batch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Generation {
    partitions: u32,
    first_batch: u64,
}

/// The generations of a flow, as the relay publishes them: `1@0,4@1790000000000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Never empty.
    generations: Vec<Generation>,
}

/// The text is not the layout of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotALayout;

impl fmt::Display for NotALayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a layout is <partitions>@<first batch id> per generation, both rising, such as 1@0,4@1790000000000",
        )
    }
}

/// What a group has still to do on a stream of an older generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// It passed this entry; none if it never passed one.
    Passed(Option<EntryId>),
    /// It did not pass the end, and this is the first entry on the stream.
    First(EntryId),
    /// It did not pass the end, and nothing is on the stream; this was the last entry there, the smallest id if there never
    /// was one.
    Empty(EntryId),
    /// It did not pass the end, and nothing of the generation is on the stream behind what it passed: a person gave that up.
    GivenUp,
}

impl Layout {
    /// The layout of a flow that never grew.
    pub(super) fn single() -> Self {
        Self {
            generations: vec![Generation {
                partitions: 1,
                first_batch: 0,
            }],
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, NotALayout> {
        let generation = |text: &str| {
            let (partitions, first_batch) = text.split_once('@')?;
            let partitions = partitions.parse().ok()?;
            let first_batch = first_batch.parse().ok()?;
            (1..=PARTITIONS_MAX).contains(&partitions).then_some(Generation {
                partitions,
                first_batch,
            })
        };
        let generations: Vec<Generation> = text
            .split(',')
            .map(generation)
            .collect::<Option<_>>()
            .ok_or(NotALayout)?;
        let rises = |pair: &[Generation]| {
            pair[0].partitions < pair[1].partitions && pair[0].first_batch < pair[1].first_batch
        };
        if generations.windows(2).all(rises) {
            Ok(Self { generations })
        } else {
            Err(NotALayout)
        }
    }

    /// The number of the newest generation, from 0 on.
    pub(super) fn newest(&self) -> usize {
        self.generations.len() - 1
    }

    /// Whether this is `older`, or what it grew to.
    pub(super) fn extends(&self, older: &Self) -> bool {
        self.generations.starts_with(&older.generations)
    }

    /// The partitions of a generation; of a topic with one it has no number.
    pub(super) fn partitions(&self, generation: usize) -> Vec<Option<u32>> {
        match self.generations[generation].partitions {
            1 => vec![None],
            count => (0..count).map(Some).collect(),
        }
    }

    /// The entry that is the last one of a generation on each of its streams; none for the newest.
    pub(super) fn end(&self, generation: usize) -> Option<EntryId> {
        let next = self.generations.get(generation + 1)?;
        Some(EntryId::new(next.first_batch, 0))
    }

    /// The generation of an entry. What is re-issued on a stream that the newer ones no longer have belongs to its last.
    pub(super) fn generation_of(&self, partition: Option<u32>, id: EntryId) -> usize {
        let has_begun =
            |generation: usize| generation == 0 || self.end(generation - 1).is_some_and(|end| end < id);
        (0..=self.newest())
            .rfind(|generation| self.has(*generation, partition) && has_begun(*generation))
            .unwrap_or_else(|| self.newest())
    }

    /// Whether nothing of a generation is left for the group on one of its streams.
    pub(super) fn is_over(&self, generation: usize, partition: Option<u32>, rest: Rest) -> bool {
        let Some(end) = self.end(generation) else {
            return false;
        };
        match rest {
            Rest::Passed(passed) => passed.is_some_and(|passed| passed >= end),
            // Beyond the end there are newer generations, or what was re-issued and is still to be applied.
            Rest::First(first) => first > end && self.has(generation + 1, partition),
            // Of a stream that was trimmed before its end there is more to come; one that was in use has at least its end.
            Rest::Empty(last) => last == EntryId::MIN || last >= end,
            Rest::GivenUp => true,
        }
    }

    /// The streams of the generations before the newest: what a group may have to finish. A stream that several of them have
    /// comes with each.
    pub(super) fn older(&self) -> impl Iterator<Item = (usize, Option<u32>)> {
        (0..self.newest()).flat_map(|generation| {
            let partitions = self.partitions(generation).into_iter();
            partitions.map(move |partition| (generation, partition))
        })
    }

    /// Where the last older generation of a stream ends; none for one that only the newest has.
    pub(super) fn last_end(&self, partition: Option<u32>) -> Option<EntryId> {
        let of = self.older().filter(|(_, of)| *of == partition);
        of.last().and_then(|(generation, _)| self.end(generation))
    }

    /// The newest generation that may be applied: of those before it nothing is left on any stream.
    pub(super) fn open(&self, is_over: impl Fn(usize, Option<u32>) -> bool) -> usize {
        let all_over = |generation: &usize| {
            let mut partitions = self.partitions(*generation).into_iter();
            partitions.all(|partition| is_over(*generation, partition))
        };
        (0..self.newest()).take_while(all_over).count()
    }

    /// Whether a generation has this stream.
    pub(super) fn has(&self, generation: usize, partition: Option<u32>) -> bool {
        let count = self.generations[generation].partitions;
        partition.map_or(count == 1, |number| count > 1 && number < count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(text: &str) -> Layout {
        Layout::parse(text).unwrap()
    }

    fn id(batch: u64, position: u64) -> EntryId {
        EntryId::new(batch, position)
    }

    #[test]
    fn a_layout_is_read_as_the_relay_writes_it() {
        assert_eq!(layout("1@0"), Layout::single());
        let grown = layout("1@0,4@17,8@23");
        assert_eq!(
            (grown.newest(), grown.end(0), grown.end(2)),
            (2, Some(id(17, 0)), None)
        );
        assert!(grown.extends(&layout("1@0,4@17")) && !layout("1@0,4@17").extends(&grown));
        assert!(!layout("1@0,4@18").extends(&layout("1@0,4@17")));
        assert_eq!(layout("4@0").partitions(0), [Some(0), Some(1), Some(2), Some(3)]);
        for text in [
            "", "1", "0@0", "1025@0", "1@0,", "4@0,4@9", "8@0,4@9", "1@9,4@9", "1@0 4@9",
        ] {
            assert_eq!(Layout::parse(text), Err(NotALayout), "{text:?}");
        }
    }

    #[test]
    fn the_control_entry_is_the_last_of_its_generation_on_each_stream() {
        let grown = layout("4@0,8@17,16@23");
        assert_eq!(grown.generation_of(Some(0), id(16, 99)), 0);
        assert_eq!(
            grown.generation_of(Some(0), id(17, 0)),
            0,
            "the control entry itself"
        );
        assert_eq!(grown.generation_of(Some(0), id(17, 1)), 1);
        assert_eq!(grown.generation_of(Some(0), id(23, 0)), 1);
        assert_eq!(grown.generation_of(Some(0), id(23, 1)), 2);
        assert_eq!(grown.generation_of(Some(5), id(18, 1)), 1);
        assert_eq!(grown.generation_of(Some(9), id(99, 1)), 2);
    }

    #[test]
    fn what_is_reissued_on_a_stream_that_is_no_more_belongs_to_its_last_generation() {
        assert_eq!(layout("1@0,4@17").generation_of(None, id(99, 1)), 0);
    }

    #[test]
    fn a_generation_opens_when_nothing_of_those_before_is_left() {
        let grown = layout("1@0,2@17,4@23");
        let over = |over: &[(usize, Option<u32>)]| {
            let over = over.to_vec();
            grown.open(|generation, partition| over.contains(&(generation, partition)))
        };
        assert_eq!(over(&[]), 0);
        assert_eq!(over(&[(0, None)]), 1);
        assert_eq!(over(&[(0, None), (1, Some(0))]), 1);
        assert_eq!(
            over(&[(1, Some(0)), (1, Some(1))]),
            0,
            "the first one holds all later ones"
        );
        assert_eq!(over(&[(0, None), (1, Some(0)), (1, Some(1))]), 2);
        assert_eq!(Layout::single().open(|_, _| false), 0);
    }

    #[test]
    fn a_stream_is_over_when_its_end_is_passed_or_nothing_is_there() {
        let grown = layout("4@0,8@17");
        let over = |rest| grown.is_over(0, Some(1), rest);
        assert!(!over(Rest::Passed(None)));
        assert!(!over(Rest::Passed(Some(id(16, 9)))));
        assert!(over(Rest::Passed(Some(id(17, 0)))));
        assert!(over(Rest::Empty(EntryId::MIN)), "there was never anything on it");
        assert!(over(Rest::Empty(id(17, 0))), "all of it was trimmed");
        assert!(!over(Rest::Empty(id(16, 9))), "trimmed before its end came");
        assert!(
            !over(Rest::First(id(17, 0))),
            "the control entry is still to be passed"
        );
        assert!(over(Rest::First(id(17, 1))), "trimmed beyond the end");
        assert!(over(Rest::GivenUp), "a person said so");
        assert!(
            !grown.is_over(1, Some(1), Rest::Empty(EntryId::MIN)),
            "the newest is never over"
        );
    }

    #[test]
    fn what_was_reissued_on_a_stream_that_is_no_more_is_still_to_be_applied() {
        assert!(!layout("1@0,4@17").is_over(0, None, Rest::First(id(20, 1))));
    }

    #[test]
    fn the_streams_of_older_generations_come_with_each() {
        let older: Vec<_> = layout("1@0,2@17,4@23").older().collect();
        assert_eq!(older, [(0, None), (1, Some(0)), (1, Some(1))]);
        assert_eq!(Layout::single().older().count(), 0);
        let grown = layout("1@0,2@17,4@23");
        assert_eq!(grown.last_end(None), Some(id(17, 0)));
        assert_eq!(grown.last_end(Some(1)), Some(id(23, 0)));
        assert_eq!(grown.last_end(Some(2)), None);
    }
}
