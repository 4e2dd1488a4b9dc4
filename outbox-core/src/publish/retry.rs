//! Pure: when to try a failed sink or stream again.
//!
//! Exponential backoff with jitter (Brooker, "Exponential Backoff And Jitter", AWS 2015) from the `backon` crate, also at its
//! bound: relays that lost one server together do not come back to it together. The breaker lets one parcel through after a
//! pause, and the rest only when that one was confirmed.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Pauses that grow to a bound.
#[derive(Debug)]
pub struct Backoff {
    bounds: (Duration, Duration),
    pauses: Option<ExponentialBackoff>,
    last: Duration,
}

impl Backoff {
    /// From `min` to `max`.
    #[must_use]
    pub fn new(min: Duration, max: Duration) -> Self {
        Self {
            bounds: (min, max),
            pauses: None,
            last: Duration::ZERO,
        }
    }

    /// For a stream that refuses entries: it was asked a moment ago, and what is wrong is mended by people.
    #[must_use]
    pub fn of_lane() -> Self {
        Self::new(Duration::from_secs(1), Duration::from_secs(30))
    }

    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        let (min, max) = self.bounds;
        // The crate adds up to as much again.
        let pauses = self.pauses.get_or_insert_with(|| {
            ExponentialBuilder::default()
                .with_min_delay(min)
                .with_max_delay(max / 2)
                .with_jitter()
                .without_max_times()
                .build()
        });
        self.last = pauses.next().unwrap_or(max).min(max);
        self.last
    }

    /// What failed now had gone well for so long. Longer than the pause before it: then this is a new failure, and not the
    /// one before going on.
    pub fn went_well_for(&mut self, lasted: Duration) {
        if lasted > self.last {
            self.reset();
        }
    }

    /// Success: the next failure starts from the shortest pause.
    pub fn reset(&mut self) {
        self.pauses = None;
    }
}

/// Whether the sink takes parcels.
#[derive(Debug)]
pub enum Breaker {
    /// It does.
    Closed,
    /// It failed; not before then.
    Open(Instant),
    /// It answers again; one parcel may find out whether it takes entries.
    HalfOpen,
    /// One parcel is on its way to find out.
    Probing,
}

impl Breaker {
    /// Whether something may leave now.
    #[must_use]
    pub fn admits(&self, now: Instant) -> bool {
        match self {
            Self::Closed | Self::HalfOpen => true,
            Self::Open(until) => now >= *until,
            Self::Probing => false,
        }
    }

    /// Something left: the first one after a pause is the probe. Said when it has left and not when it was admitted, or
    /// an event that turns out not to be sendable would leave everything waiting for an answer that never comes.
    pub fn sent(&mut self) {
        if !matches!(self, Self::Closed) {
            *self = Self::Probing;
        }
    }

    /// The sink answers again after it had failed.
    pub fn half_open(&mut self) {
        if !matches!(self, Self::Closed) {
            *self = Self::HalfOpen;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_start_again() {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
        let pauses: Vec<Duration> = (0..40).map(|_| backoff.pause()).collect();
        assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(5)));
        assert!(pauses[30] >= Duration::from_millis(2500));
        backoff.reset();
        assert!(backoff.pause() <= Duration::from_millis(100));
    }

    #[test]
    fn two_that_failed_together_do_not_come_back_together() {
        let bounds = (Duration::from_millis(50), Duration::from_secs(3));
        let (mut one, mut other) = (Backoff::new(bounds.0, bounds.1), Backoff::new(bounds.0, bounds.1));
        let together = (0..40)
            .map(|_| (one.pause(), other.pause()))
            .filter(|(one, other)| one == other)
            .count();
        assert!(together < 5, "{together} of 40 pauses were the same");
    }

    #[test]
    fn what_went_well_for_longer_than_the_pause_before_is_forgotten() {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(3));
        let long = (0..20).map(|_| backoff.pause()).last().unwrap_or_default();
        backoff.went_well_for(long / 2);
        assert!(backoff.pause() >= Duration::from_millis(1500));
        backoff.went_well_for(Duration::from_secs(4));
        assert!(backoff.pause() <= Duration::from_millis(100));
    }

    #[test]
    fn one_probe_leaves_after_the_pause() {
        let now = Instant::now();
        let mut breaker = Breaker::Open(now + Duration::from_secs(1));
        assert!(!breaker.admits(now));
        let later = now + Duration::from_secs(1);
        assert!(breaker.admits(later));
        assert!(
            breaker.admits(later),
            "what was admitted and not sent is no probe"
        );
        breaker.sent();
        assert!(!breaker.admits(later + Duration::from_secs(1)));
        breaker.half_open();
        assert!(breaker.admits(later));
    }
}
