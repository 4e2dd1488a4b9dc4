//! What follows from a failed attempt: another one, later, or the dead letters. Pure but for the jitter.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// Attempts and the pauses between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How often an event is tried before it is given up.
    pub attempts: u32,
    /// The pause after the first failure; each further one is twice as long, with jitter.
    pub pause_min: Duration,
    /// The longest pause.
    pub pause_max: Duration,
}

impl Default for Policy {
    /// Three attempts: what passes by itself passes within seconds, what does not should not hold its key for long.
    fn default() -> Self {
        Self {
            attempts: 3,
            pause_min: Duration::from_millis(500),
            pause_max: Duration::from_secs(30),
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
    /// Give it up.
    Dead,
}

impl Policy {
    /// What follows from the `attempts`th failure; a permanent one is not tried again.
    #[must_use]
    pub fn after(&self, attempts: u32, permanent: bool) -> Next {
        if permanent || attempts >= self.attempts {
            Next::Dead
        } else {
            Next::Retry(self.pause(attempts))
        }
    }

    /// The pause after `failures` failures in a row, from 1 on.
    #[must_use]
    pub fn pause(&self, failures: u32) -> Duration {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(self.pause_min)
            .with_max_delay(self.pause_max)
            .with_jitter()
            .without_max_times()
            .build();
        // Far beyond any longest pause; keeps the count of a long outage from being walked through.
        let step = failures.clamp(1, 32) as usize - 1;
        pauses.into_iter().nth(step).unwrap_or(self.pause_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_attempt_gives_up_and_a_permanent_failure_does_at_once() {
        let policy = Policy::default();
        assert!(matches!(policy.after(1, false), Next::Retry(_)));
        assert!(matches!(policy.after(2, false), Next::Retry(_)));
        assert_eq!(policy.after(3, false), Next::Dead);
        assert_eq!(policy.after(1, true), Next::Dead);
    }

    #[test]
    fn however_long_an_outage_was_its_end_is_noticed_within_seconds() {
        for failures in [1, 10, u32::MAX] {
            assert!(OUTAGE.pause(failures) <= 2 * OUTAGE.pause_max);
        }
        assert!(OUTAGE.pause_max <= Duration::from_secs(2));
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        let policy = Policy::default();
        let first = policy.pause(1);
        assert!(
            first >= Duration::from_millis(500) && first <= Duration::from_secs(1),
            "{first:?}"
        );
        for failures in [10, 100, u32::MAX] {
            let pause = policy.pause(failures);
            assert!(
                pause >= Duration::from_secs(30) && pause <= Duration::from_secs(60),
                "{pause:?}"
            );
        }
    }
}
