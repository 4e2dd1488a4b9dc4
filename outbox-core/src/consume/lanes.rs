//! The parked lanes of a stream that this session knows to be due, and when to look for more. Pure.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::park::Lane;

/// How often it is looked for lanes that became due by the doing of others, if nobody rings. The member rings once a second for as
/// long as one is due: it looks for all of its streams at once. So this costs a statement per stream for nothing, mostly.
const LOOK_EVERY: Duration = Duration::from_secs(300);

/// Lanes that are due, and those that are being drained.
#[derive(Debug)]
pub(super) struct Lanes {
    queue: VecDeque<Lane>,
    queued: HashSet<Lane>,
    draining: HashSet<Lane>,
    look_at: Instant,
    /// There were more than one look shows.
    is_more: bool,
}

impl Lanes {
    /// So many are looked for at once.
    pub(super) const FOUND_MAX: usize = 100;

    pub(super) fn new(now: Instant) -> Self {
        Self {
            queue: VecDeque::new(),
            queued: HashSet::new(),
            draining: HashSet::new(),
            look_at: now,
            is_more: false,
        }
    }

    /// When to look.
    pub(super) fn look_at(&self) -> Instant {
        self.look_at
    }

    /// Somebody says that there is something to see.
    pub(super) fn look_now(&mut self, now: Instant) {
        self.look_at = now;
    }

    /// One of ours is due after a pause.
    pub(super) fn due_after(&mut self, now: Instant, pause: Duration) {
        self.look_at = self.look_at.min(now + pause);
    }

    /// What a look has found: lanes, and how long until each is due.
    pub(super) fn found(&mut self, found: Vec<(Lane, Duration)>, now: Instant) {
        self.look_at = now + LOOK_EVERY;
        self.is_more = found.len() >= Self::FOUND_MAX;
        for (lane, pause) in found {
            if pause > Duration::ZERO {
                self.due_after(now, pause);
            } else if !self.draining.contains(&lane) {
                self.queue(lane);
            }
        }
    }

    fn queue(&mut self, lane: Lane) {
        if self.queued.insert(lane.clone()) {
            self.queue.push_back(lane);
        }
    }

    /// The next lane to drain: the first that may be.
    pub(super) fn next(&mut self, may: impl Fn(&Lane) -> bool) -> Option<Lane> {
        let place = self.queue.iter().position(may)?;
        let lane = self.queue.remove(place)?;
        self.queued.remove(&lane);
        self.draining.insert(lane.clone());
        Some(lane)
    }

    /// Those that are due.
    pub(super) fn queued(&self) -> &HashSet<Lane> {
        &self.queued
    }

    /// A lane was drained; `again`: after how long there is more to do.
    pub(super) fn drained(&mut self, lane: Lane, again: Option<Duration>, now: Instant) {
        self.draining.remove(&lane);
        if self.is_more && self.queue.is_empty() {
            self.look_at = now;
        }
        match again {
            Some(Duration::ZERO) => self.queue(lane),
            Some(pause) => self.due_after(now, pause),
            None => {}
        }
    }

    /// Lanes that are being drained: nothing else of them may be in hand of a transaction.
    pub(super) fn draining(&self) -> &HashSet<Lane> {
        &self.draining
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn lane(key: &str) -> Lane {
        Lane::of_key(key)
    }

    #[test]
    fn a_lane_is_drained_by_one_at_a_time_in_turns() {
        let now = Instant::now();
        let mut lanes = Lanes::new(now);
        let both = || vec![(lane("a"), Duration::ZERO), (lane("b"), Duration::ZERO)];
        lanes.found(both(), now);
        assert_eq!(lanes.next(|_| true), Some(lane("a")));
        lanes.found(both(), now);
        assert_eq!(lanes.next(|_| true), Some(lane("b")), "a is in hand");
        assert_eq!(lanes.next(|_| true), None);
        lanes.drained(lane("a"), Some(Duration::ZERO), now);
        assert_eq!(lanes.next(|_| true), Some(lane("a")), "there was more");
        lanes.drained(lane("a"), None, now);
        assert!(lanes.queued().is_empty());
    }

    #[test]
    fn when_there_were_more_than_a_look_shows_it_looks_again_at_the_end_of_them() {
        let now = Instant::now();
        let mut lanes = Lanes::new(now);
        let many = (0..Lanes::FOUND_MAX).map(|n| (lane(&n.to_string()), Duration::ZERO));
        lanes.found(many.collect(), now);
        for n in 0..Lanes::FOUND_MAX {
            assert_eq!(lanes.look_at(), now + LOOK_EVERY, "{n}");
            let next = lanes.next(|_| true).expect("there are some");
            lanes.drained(next, None, now);
        }
        assert_eq!(lanes.look_at(), now);
    }

    #[test]
    fn a_lane_that_may_not_be_drained_now_keeps_its_place() {
        let now = Instant::now();
        let mut lanes = Lanes::new(now);
        lanes.found(
            vec![(lane("a"), Duration::ZERO), (lane("b"), Duration::ZERO)],
            now,
        );
        assert_eq!(lanes.next(|found| *found != lane("a")), Some(lane("b")));
        assert_eq!(lanes.next(|_| true), Some(lane("a")));
    }

    #[test]
    fn it_looks_when_the_first_one_is_due_and_at_the_latest_in_a_while() {
        let now = Instant::now();
        let mut lanes = Lanes::new(now);
        assert_eq!(lanes.look_at(), now, "at the beginning, at once");
        lanes.found(vec![(lane("a"), SECOND / 4), (lane("b"), SECOND / 2)], now);
        assert_eq!(lanes.look_at(), now + SECOND / 4);
        assert!(lanes.queued().is_empty());
        lanes.found(vec![(lane("a"), 2 * LOOK_EVERY)], now);
        assert_eq!(lanes.look_at(), now + LOOK_EVERY);
        lanes.due_after(now, SECOND / 2);
        assert_eq!(lanes.look_at(), now + SECOND / 2);
    }
}
