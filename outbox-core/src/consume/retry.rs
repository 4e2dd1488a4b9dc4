//! What follows from a failed attempt: another one, later, or the dead letters. Pure but for the jitter.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

use super::failure_kind::FailureKind;

/// Attempts and the pauses between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How often an event is tried before it is given up.
    pub attempts: u32,
    /// The longest pause after the first failure; it doubles with each further one. How long it really is, is drawn at random.
    pub pause_min: Duration,
    /// The longest pause of all.
    pub pause_max: Duration,
}

impl Default for Policy {
    /// Three attempts, within 7 s on average and 15 s at most: a lock, a failover or a restart elsewhere is over by then mostly, and a
    /// key does not wait for long.
    fn default() -> Self {
        Self {
            attempts: 3,
            pause_min: Duration::from_secs(5),
            pause_max: Duration::from_mins(5),
        }
    }
}

/// Between attempts to reach a server again. Not the handlers' policy: theirs may wait for hours, and the work would go on
/// only that long after an outage is over.
pub(super) const OUTAGE: Policy = Policy {
    attempts: u32::MAX,
    pause_min: Duration::from_millis(200),
    pause_max: Duration::from_secs(2),
};

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try again after a pause.
    Retry(Duration),
    /// Let it wait for a member that knows its version.
    Wait,
    /// Give it up.
    Dead,
}

impl Policy {
    /// What follows from the `attempts`th failure, if it is of this kind.
    #[must_use]
    pub fn after(&self, attempts: u32, kind: FailureKind) -> Next {
        match kind {
            FailureKind::UnknownVersion => Next::Wait,
            FailureKind::Poison | FailureKind::Unreadable | FailureKind::TooOld => Next::Dead,
            FailureKind::Transient | FailureKind::Dependency if attempts >= self.attempts => Next::Dead,
            FailureKind::Transient | FailureKind::Dependency => Next::Retry(self.pause(attempts)),
        }
    }

    /// A pause after `failures` failures in a row, from 1 on.
    #[must_use]
    pub fn pause(&self, failures: u32) -> Duration {
        self.pause_at(failures, rand::random_range(0.0..=1.0))
    }

    /// The same, with `fraction` drawn from 0 to 1: "full jitter", a pause anywhere between nothing and the longest one that
    /// the count of failures allows, spreads those who failed together the widest
    /// (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).
    pub(super) fn pause_at(&self, failures: u32, fraction: f64) -> Duration {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(self.pause_min)
            .with_max_delay(self.pause_max)
            .without_max_times()
            .build();
        // Far beyond any longest pause; keeps the count of a long outage from being walked through.
        let step = failures.clamp(1, 32) as usize - 1;
        let longest = pauses.into_iter().nth(step).unwrap_or(self.pause_max);
        longest.min(self.pause_max).mul_f64(fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_attempt_gives_up_and_a_permanent_failure_does_at_once() {
        let policy = Policy::default();
        assert!(matches!(policy.after(1, FailureKind::Transient), Next::Retry(_)));
        assert!(matches!(policy.after(2, FailureKind::Transient), Next::Retry(_)));
        assert_eq!(policy.after(3, FailureKind::Transient), Next::Dead);
        assert_eq!(policy.after(1, FailureKind::Poison), Next::Dead);
        assert_eq!(policy.after(9, FailureKind::UnknownVersion), Next::Wait);
    }

    #[test]
    fn however_long_an_outage_was_its_end_is_noticed_within_seconds() {
        for failures in [1, 10, u32::MAX] {
            assert!(OUTAGE.pause(failures) <= OUTAGE.pause_max);
        }
        assert!(OUTAGE.pause_max <= Duration::from_secs(2));
    }

    #[test]
    fn pauses_grow_are_bounded_and_lie_anywhere_below() {
        let policy = Policy {
            attempts: 3,
            pause_min: Duration::from_millis(500),
            pause_max: Duration::from_secs(30),
        };
        assert_eq!(policy.pause_at(1, 1.0), Duration::from_millis(500));
        assert_eq!(policy.pause_at(2, 1.0), Duration::from_secs(1));
        assert_eq!(policy.pause_at(3, 0.5), Duration::from_secs(1));
        assert_eq!(policy.pause_at(3, 0.0), Duration::ZERO);
        for failures in [10, 100, u32::MAX] {
            assert_eq!(policy.pause_at(failures, 1.0), Duration::from_secs(30));
        }
        for _ in 0..100 {
            assert!(policy.pause(2) <= Duration::from_secs(1));
        }
    }
}
