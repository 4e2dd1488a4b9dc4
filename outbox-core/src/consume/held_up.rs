//! For how long each key has held a stream up. Pure.
//!
//! Somebody is always the first unfinished one, and where processors are short much is finished behind it: the next transaction with room
//! takes all that is open of the few keys that are free, and those are far ahead of the others for a while. Quick keys take turns at
//! that, hundreds of them; a slow one is the first for as long as its handler takes, again and again, and several slow ones share the time
//! among them. So the time is counted by key, from when the stream is held up until it no longer is, and what is long ago counts less. Of
//! fifteen keys that share it each comes to a second; of a hundred none does.
//!
//! Of more slow ones than that none comes to it, and they may fill the window. So where a stream has been held up for ten seconds one key a
//! second is named whatever its time is: dozens of slow ones are gone within a minute, and of quick ones that costs one a moment.
//!
//! It is counted from look to look, as if who is seen had been the first one until the next look. Deliberately absent: remembering it
//! behind the end of a session, which begins with an empty window.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::pace::LONG_ENOUGH;
use super::park::Lane;

/// What was counted is worth half after this. So a key that is the first one for a part of the time comes to at least that part of it, and
/// to no more than twice.
const HALF_LIFE: Duration = Duration::from_secs(10);
/// Less than this is forgotten then: so at most five hundred keys are kept, and there is room for others.
const LITTLE: Duration = Duration::from_millis(20);
/// So many keys are counted, others when there is room again.
const LANES_MAX: usize = 2_000;
/// No key is held to have done more than this: one that was slow is not for a minute.
const MOST: Duration = Duration::from_secs(2);

/// A stream that is held up for so long needs somebody to be named.
const STUCK: Duration = Duration::from_secs(10);

/// Nothing is held up at first.
#[derive(Debug, Default)]
pub(super) struct HeldUp {
    /// Who was the first one at the last look.
    seen: Option<(Lane, Instant)>,
    spent: HashMap<Lane, Duration>,
    halved_at: Option<Instant>,
    /// Since when the stream is held up.
    since: Option<Instant>,
    /// When one was named whatever its time was.
    named_at: Option<Instant>,
}

impl HeldUp {
    /// Whose entry holds the others up at this time.
    pub(super) fn see(&mut self, lane: &Lane, now: Instant) {
        self.pass(now);
        self.seen = Some((lane.clone(), now));
    }

    /// The stream is held up, and the key is not to blame: what it waits for is ours.
    pub(super) fn pass(&mut self, now: Instant) {
        if let Some((before, since)) = self.seen.take() {
            self.count(before, now - since);
        }
        self.since.get_or_insert(now);
        if now - *self.halved_at.get_or_insert(now) >= HALF_LIFE {
            self.halve();
            self.halved_at = Some(now);
        }
    }

    /// Nothing is held up.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    /// Whether this one is to be parked: it has held the others up for as long as a transaction should last, or somebody has to be named.
    pub(super) fn names(&mut self, lane: &Lane, now: Instant) -> bool {
        if self.is_long(lane) {
            return true;
        }
        let is_stuck = self.since.is_some_and(|since| now - since >= STUCK);
        let is_due = is_stuck && self.named_at.is_none_or(|at| now - at >= LONG_ENOUGH);
        if is_due {
            self.named_at = Some(now);
        }
        is_due
    }

    fn is_long(&self, lane: &Lane) -> bool {
        self.spent.get(lane).is_some_and(|spent| *spent >= LONG_ENOUGH)
    }

    fn count(&mut self, lane: Lane, time: Duration) {
        let is_full = self.spent.len() >= LANES_MAX;
        if let Some(spent) = self.spent.get_mut(&lane) {
            *spent = (*spent + time).min(MOST);
        } else if !is_full {
            self.spent.insert(lane, time.min(MOST));
        }
    }

    fn halve(&mut self) {
        self.spent.retain(|_, spent| {
            *spent /= 2;
            *spent >= LITTLE
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(n: usize) -> Lane {
        Lane::of_key(&n.to_string())
    }

    /// These are the first one in turns, for so many milliseconds each, until one whose turn it is was for long; none within ten minutes.
    fn until_long(lanes: usize, each_ms: u64) -> Option<Duration> {
        let lanes: Vec<Lane> = (0..lanes).map(lane).collect();
        let began = Instant::now();
        let mut held_up = HeldUp::default();
        let turns = 600_000 / each_ms;
        (0..turns).zip(lanes.iter().cycle()).find_map(|(turn, lane)| {
            let now = began + Duration::from_millis(turn * each_ms);
            held_up.see(lane, now);
            held_up.is_long(lane).then(|| now - began)
        })
    }

    #[test]
    fn one_that_is_the_first_for_a_second_was_for_long_and_so_were_a_few_that_shared_the_time() {
        assert_eq!(until_long(1, 100), Some(LONG_ENOUGH));
        let two = until_long(2, 300).expect("two slow ones");
        assert!(two <= LONG_ENOUGH * 3, "{two:?}");
        let ten = until_long(10, 500).expect("ten slow ones");
        assert!(ten <= LONG_ENOUGH * 20, "{ten:?}");
    }

    #[test]
    fn of_many_that_take_turns_none_was_for_long() {
        assert_eq!(until_long(100, 5), None);
        assert_eq!(until_long(1_000, 2), None);
    }

    #[test]
    fn it_is_counted_from_when_the_stream_is_held_up_until_it_no_longer_is() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let is_long = |held_up: &mut HeldUp, ms| {
            held_up.see(&lane(1), at(ms));
            held_up.is_long(&lane(1))
        };
        let mut held_up = HeldUp::default();
        assert!(!is_long(&mut held_up, 5_000), "it was not seen before");
        assert!(!is_long(&mut held_up, 5_999));
        assert!(is_long(&mut held_up, 6_000));
        assert!(!held_up.is_long(&lane(2)));
        held_up.end();
        assert!(!is_long(&mut held_up, 7_000), "it came to an end");
        held_up.pass(at(7_500));
        assert!(!is_long(&mut held_up, 9_000), "it waited for us");
        assert!(!is_long(&mut held_up, 9_499));
        assert!(is_long(&mut held_up, 9_500));
    }

    #[test]
    fn one_that_was_slow_once_is_forgotten_while_others_hold_the_stream_up() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let mut held_up = HeldUp::default();
        held_up.see(&lane(1), at(0));
        held_up.see(&lane(2), at(60_000));
        assert!(held_up.is_long(&lane(1)));
        held_up.see(&lane(2), at(70_000));
        held_up.see(&lane(2), at(80_000));
        assert!(!held_up.is_long(&lane(1)));
    }

    #[test]
    fn where_too_many_share_the_time_one_a_second_is_named_after_ten() {
        let began = Instant::now();
        let mut held_up = HeldUp::default();
        let named: Vec<u64> = (0..15_000)
            .filter(|ms| {
                let (lane, now) = (lane(*ms as usize % 500), began + Duration::from_millis(*ms));
                held_up.see(&lane, now);
                held_up.names(&lane, now)
            })
            .collect();
        assert_eq!(named, [10_000, 11_000, 12_000, 13_000, 14_000]);
        held_up.end();
        held_up.see(&lane(1), began + Duration::from_secs(16));
        assert!(
            !held_up.names(&lane(1), began + Duration::from_secs(16)),
            "it came to an end"
        );
    }

    #[test]
    fn what_is_counted_is_bounded_and_a_slow_one_that_comes_behind_many_is_found() {
        let began = Instant::now();
        let at = |n: u64| began + Duration::from_micros(n * 500);
        let mut held_up = HeldUp::default();
        for n in 0..50_000 {
            held_up.see(&lane(n), at(n as u64));
            assert!(held_up.spent.len() <= LANES_MAX);
        }
        assert_eq!(held_up.spent.len(), LANES_MAX);
        let slow = lane(50_000);
        let looks = u64::try_from((HALF_LIFE + LONG_ENOUGH).as_micros() / 500).expect("few looks");
        let is_found = (50_000..=50_000 + looks).any(|n| {
            held_up.see(&slow, at(n));
            held_up.is_long(&slow)
        });
        assert!(is_found, "not within {looks} looks");
    }
}
