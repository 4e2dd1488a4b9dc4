//! Pure: when the leader cuts, dozes or sleeps.
//!
//! The leader holds the doorbell's lock only while it sleeps; an appender that cannot share it rings. Going to sleep:
//! take the lock (it fails while an appender is in flight: doze and try again), look once more, then wait for a ring.
//! No window is open: who appended before the lock was taken is seen by that look; who appends after it rings.
//!
//! ```text
//!          rows                    none                 lock taken          look: none
//!  Awake ───────▶ Awake    Awake ───────▶ Drowsy ─────────────▶ Looking ───────────────▶ Asleep
//!                            ▲              │ lock refused          │ rows                  │ ring, or a long while
//!                            └──────────────┴─── Doze(¼→20 ms) ◀────┴───────────────────────┘
//! ```

use std::time::Duration;

/// Events of a batch behind which the next one is looked for at once. A batch of a few takes about a millisecond: up to some three
/// thousand events in a second nothing is waited for, and beyond that the pause makes batches that cost each event less.
const CALM: i64 = 4;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Cut a batch if there is anything to cut.
    Look,
    /// Try to take the doorbell's lock.
    TrySleep,
    /// Wait this long, or for a ring.
    Doze(Duration),
    /// Wait for a ring, with this slow poll as a floor.
    Sleep(Duration),
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A cut brought so many events.
    Rows(i64),
    /// There was nothing to cut.
    Nothing,
    /// The lock was taken.
    Locked,
    /// The lock was refused: an appender is in flight.
    InFlight,
    /// A notification came.
    Ring,
    /// The wait is over.
    Timeout,
}

/// The state between looks.
#[derive(Debug)]
pub struct Doorbell {
    listening: bool,
    slow_poll: Duration,
    pace: Duration,
    bounds: (Duration, Duration),
    doze: Duration,
    asleep: bool,
}

impl Doorbell {
    /// `listening`: notifications arrive on this session (proven, not assumed). `slow_poll`: the floor while asleep.
    /// `pace`: the pause after a look that brought many events, so that a stream of small transactions makes batches.
    /// `doze`: a short and the longest pause between looks while an appender is in flight, or without notifications. The first one is
    /// a quarter of the short one, since most appenders are through by then, and each is twice as long as the one before.
    #[must_use]
    pub fn new(listening: bool, slow_poll: Duration, pace: Duration, doze: (Duration, Duration)) -> Self {
        Self {
            listening,
            slow_poll,
            pace,
            bounds: doze,
            doze: first(doze),
            asleep: false,
        }
    }

    /// Whether the lock is held: it must be given back before the next pause but the sleep itself.
    #[must_use]
    pub fn is_asleep(&self) -> bool {
        self.asleep
    }

    /// What follows from what was seen.
    pub fn after(&mut self, seen: Seen) -> Step {
        match seen {
            Seen::Rows(events) => {
                self.asleep = false;
                self.doze = first(self.bounds);
                if events > CALM {
                    Step::Doze(self.pace)
                } else {
                    Step::Look
                }
            }
            Seen::Nothing if self.asleep => Step::Sleep(self.slow_poll),
            Seen::Nothing if self.listening => Step::TrySleep,
            Seen::Nothing | Seen::InFlight => {
                let pause = self.doze;
                self.doze = (self.doze * 2).min(self.bounds.1);
                Step::Doze(pause)
            }
            Seen::Locked => {
                self.asleep = true;
                Step::Look
            }
            Seen::Ring => {
                self.asleep = false;
                self.doze = first(self.bounds);
                Step::Look
            }
            // Still asleep after a long while: look without giving the lock back, since nobody rang.
            Seen::Timeout => Step::Look,
        }
    }
}

fn first((short, _): (Duration, Duration)) -> Duration {
    short / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Duration = Duration::from_secs(5);
    const PACE: Duration = Duration::from_millis(2);
    const DOZE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

    #[test]
    fn looks_once_more_between_lock_and_sleep() {
        let mut bell = Doorbell::new(true, SLOW, PACE, DOZE);
        assert_eq!(bell.after(Seen::Nothing), Step::TrySleep);
        assert_eq!(bell.after(Seen::Locked), Step::Look);
        assert_eq!(bell.after(Seen::Nothing), Step::Sleep(SLOW));
        assert!(bell.is_asleep());
        assert_eq!(bell.after(Seen::Ring), Step::Look);
        assert!(!bell.is_asleep());
    }

    #[test]
    fn rows_seen_by_the_last_look_cancel_the_sleep() {
        let mut bell = Doorbell::new(true, SLOW, PACE, DOZE);
        bell.after(Seen::Nothing);
        bell.after(Seen::Locked);
        assert_eq!(bell.after(Seen::Rows(1)), Step::Look);
        assert!(!bell.is_asleep());
    }

    #[test]
    fn waits_for_more_only_behind_a_batch_of_many() {
        let mut bell = Doorbell::new(true, SLOW, PACE, DOZE);
        assert_eq!(bell.after(Seen::Rows(CALM)), Step::Look);
        assert_eq!(bell.after(Seen::Rows(CALM + 1)), Step::Doze(PACE));
        assert_eq!(bell.after(Seen::Timeout), Step::Look);
    }

    #[test]
    fn dozes_longer_and_longer_while_an_appender_is_in_flight() {
        let mut bell = Doorbell::new(true, SLOW, PACE, DOZE);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            assert_eq!(bell.after(Seen::Nothing), Step::TrySleep);
            let Step::Doze(pause) = bell.after(Seen::InFlight) else {
                panic!("must doze")
            };
            pauses.push(pause);
        }
        assert_eq!(pauses[..3], [DOZE.0 / 4, DOZE.0 / 2, DOZE.0]);
        assert_eq!(pauses[7], DOZE.1);
    }

    #[test]
    fn without_notifications_it_only_polls() {
        let mut bell = Doorbell::new(false, SLOW, PACE, DOZE);
        for _ in 0..10 {
            assert!(matches!(bell.after(Seen::Nothing), Step::Doze(_)));
            assert_eq!(bell.after(Seen::Timeout), Step::Look);
            assert!(!bell.is_asleep());
        }
    }
}
