//! A breaker: while something that a handler needs is down, one event now and then is tried instead of all of them. Pure.

use std::time::{Duration, Instant};

use super::retry::Policy;

/// Between two attempts to reach what is down.
const PROBE: Policy = Policy {
    attempts: u32::MAX,
    pause_min: Duration::from_millis(500),
    pause_max: Duration::from_secs(30),
};

/// What may be tried now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// Everything.
    All,
    /// One event, alone.
    One,
    /// Nothing before this moment.
    None(Instant),
}

/// The breaker of one topic.
#[derive(Clone, Debug, Default)]
pub(super) struct Breaker {
    /// In a row.
    failures: u32,
    /// Open until then; half-open behind it. None: closed.
    open_until: Option<Instant>,
    cause: String,
}

impl Breaker {
    /// What may be tried now. Who is allowed one event has `patience` to say how it went.
    pub(super) fn pass(&mut self, now: Instant, patience: Duration) -> Pass {
        match self.open_until {
            None => Pass::All,
            Some(until) if now < until => Pass::None(until),
            Some(_) => {
                self.open_until = Some(now + patience);
                Pass::One
            }
        }
    }

    /// What is needed is down. Of many that were in hand together the first counts.
    /// `fraction`, drawn from 0 to 1, keeps many members from trying at the same moment.
    pub(super) fn fail(&mut self, now: Instant, is_probe: bool, cause: &str, fraction: f64) {
        if self.open_until.is_some() && !is_probe {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        self.open_until = Some(now + PROBE.pause_at(self.failures, fraction));
        cause.clone_into(&mut self.cause);
    }

    /// The probe got through, or failed of something else.
    pub(super) fn close(&mut self) {
        *self = Self::default();
    }

    /// The probe said nothing: its event needed no handler.
    pub(super) fn retry(&mut self, now: Instant) {
        if self.open_until.is_some() {
            self.open_until = Some(now);
        }
    }

    /// What is down, while it is open.
    pub(super) fn cause(&self) -> Option<&str> {
        self.open_until.map(|_| self.cause.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn it_opens_lets_one_through_and_closes_when_that_succeeds() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        assert_eq!(breaker.pass(now, PATIENCE), Pass::All);
        breaker.fail(now, false, "stock: gone", 1.0);
        assert_eq!(breaker.cause(), Some("stock: gone"));
        let Pass::None(until) = breaker.pass(now, PATIENCE) else {
            panic!("it is closed");
        };
        assert_eq!(until, now + PROBE.pause_min);
        assert_eq!(breaker.pass(until, PATIENCE), Pass::One);
        assert!(
            matches!(breaker.pass(until, PATIENCE), Pass::None(_)),
            "one alone"
        );
        breaker.close();
        assert_eq!(breaker.pass(until, PATIENCE), Pass::All);
        assert_eq!(breaker.cause(), None);
    }

    #[test]
    fn what_was_in_hand_with_the_first_failure_does_not_count_again() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..10 {
            breaker.fail(now, false, "gone", 1.0);
        }
        assert_eq!(breaker.failures, 1);
        let later = now + PROBE.pause_max;
        assert_eq!(breaker.pass(later, PATIENCE), Pass::One);
        breaker.fail(later, true, "gone", 1.0);
        assert_eq!(breaker.failures, 2);
    }

    #[test]
    fn a_probe_that_is_never_heard_of_is_followed_by_another() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        breaker.fail(now, false, "gone", 1.0);
        let later = now + PROBE.pause_max;
        assert_eq!(breaker.pass(later, PATIENCE), Pass::One);
        assert_eq!(breaker.pass(later + PATIENCE, PATIENCE), Pass::One);
        breaker.retry(later + PATIENCE);
        assert_eq!(
            breaker.pass(later + PATIENCE, PATIENCE),
            Pass::One,
            "it said nothing"
        );
    }
}
