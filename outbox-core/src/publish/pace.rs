//! Pure: how fast streams are put out again, all of them together, so that a large repair leaves room for what is new elsewhere.

use std::time::{Duration, Instant};

/// A rate, and when the next events may go.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Events per second; 0 is no bound.
    rate: u32,
    free_at: Option<Instant>,
}

impl Pace {
    /// So many events per second; 0 is no bound.
    #[must_use]
    pub fn new(rate: u32) -> Self {
        Self { rate, free_at: None }
    }

    /// Whether events may go now.
    #[must_use]
    pub fn admits(&self, now: Instant) -> bool {
        self.free_at.is_none_or(|free_at| free_at <= now)
    }

    /// So many went: the next ones wait for as long as these take at that rate.
    pub fn took(&mut self, events: usize, now: Instant) {
        if self.rate == 0 {
            return;
        }
        let took = Duration::from_secs_f64(events as f64 / f64::from(self.rate));
        let from = self.free_at.map_or(now, |free_at| free_at.max(now));
        self.free_at = Some(from + took);
    }

    /// When the next events may go.
    #[must_use]
    pub fn free_at(&self) -> Option<Instant> {
        self.free_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_go_in_a_second_and_no_more() {
        let (mut pace, start) = (Pace::new(1_000), Instant::now());
        let mut gone = 0;
        for millisecond in 0..2_000 {
            let now = start + Duration::from_millis(millisecond);
            if pace.admits(now) {
                pace.took(100, now);
                gone += 100;
            }
        }
        assert_eq!(gone, 2_000);
    }

    #[test]
    fn what_was_not_used_is_not_made_up_for() {
        let (mut pace, start) = (Pace::new(10), Instant::now());
        let later = start + Duration::from_secs(100);
        pace.took(10, start);
        assert!(!pace.admits(start) && pace.admits(later));
        pace.took(10, later);
        assert_eq!(pace.free_at(), Some(later + Duration::from_secs(1)));
    }

    #[test]
    fn nothing_is_no_bound() {
        let (mut pace, start) = (Pace::new(0), Instant::now());
        pace.took(1_000_000, start);
        assert!(pace.admits(start));
    }
}
