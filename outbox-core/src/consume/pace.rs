//! How many events a transaction should have, so that it is over soon. Pure.
//!
//! Nothing is known of a handler when a session opens, so it begins with one event to a transaction. As long as handlers are
//! quick that doubles with each one that comes back: a full batch after half a dozen. Where they are slow it stays small.

use std::time::Duration;

/// A transaction that took this long takes no further event: its locks are held, and its keys wait for its end, as does
/// whoever takes the stream over.
pub(super) const LONG_ENOUGH: Duration = Duration::from_secs(1);

/// What is expected of a handler that nobody has seen at work.
pub(super) const AT_FIRST: Duration = LONG_ENOUGH;

/// How long an event's handler takes, after events that took so long each: sooner believed when it is more, and doubted when
/// it is far less, as events that are slow come among others that are not.
pub(super) fn after(pace: Duration, each: Duration) -> Duration {
    if each > pace {
        (pace * 3 + each) / 4
    } else {
        each.max(pace / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(1);

    #[test]
    fn a_quick_handler_has_a_full_batch_after_half_a_dozen_transactions() {
        let mut pace = AT_FIRST;
        let mut sizes = Vec::new();
        for _ in 0..7 {
            sizes.push(LONG_ENOUGH.as_nanos() / pace.as_nanos());
            pace = after(pace, QUICK);
        }
        assert_eq!(sizes, [1, 2, 4, 8, 16, 32, 64]);
    }

    #[test]
    fn one_that_is_slow_for_once_makes_the_next_batches_small() {
        let pace = after(QUICK, Duration::from_secs(30));
        assert!(pace > LONG_ENOUGH);
        assert_eq!(after(pace, QUICK), pace / 2);
    }

    #[test]
    fn a_handler_that_takes_as_long_as_ever_keeps_its_pace() {
        let each = Duration::from_millis(300);
        assert_eq!(after(each, each), each);
    }
}
