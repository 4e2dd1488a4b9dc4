//! Whether events share transactions, and transactions run side by side, where handlers meet in the rows they change. Pure.
//!
//! Handlers of different keys may change the same rows: the stock of an article, the account of a customer. Two transactions
//! with several events each take such rows in different orders sooner or later, and wait for each other until the server
//! ends one of them, after its `deadlock_timeout` (a second, unless set otherwise). Nothing is lost by that and no attempt is
//! spent, but a second is the time of a thousand events. So after a conflict the events of the topic go alone for a while,
//! one to a transaction; where that meets conflicts as well, a stream goes on with one transaction at a time. The while
//! doubles from five seconds to five minutes as long as conflicts come back, so that finding out costs next to nothing.
//!
//! Known to one member only: others find out by themselves. Deliberately absent: remembering it across a restart.

use std::time::{Duration, Instant};

const PAUSE_MIN: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_mins(5);

/// How close together events are applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Company {
    /// Many to a transaction, and several transactions of a stream at a time.
    #[default]
    Together,
    /// One to a transaction.
    Alone,
    /// One to a transaction, and one transaction of a stream at a time.
    OneByOne,
}

/// What is known of one topic.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Contention {
    company: Company,
    until: Option<Instant>,
    pause: Duration,
}

impl Contention {
    /// How events may be applied now.
    pub(super) fn company(&self, now: Instant) -> Company {
        match self.until {
            Some(until) if now < until => self.company,
            _ => Company::Together,
        }
    }

    /// A transaction that began in this company met another one. Returns for how long events go apart now, if that changes.
    pub(super) fn met(&mut self, began: Company, now: Instant) -> Option<Duration> {
        if began < self.company(now) || began == Company::OneByOne {
            // It is from before that was found out, or nothing is left to try.
            return None;
        }
        if began == Company::Together {
            let is_again = self.until.is_some_and(|until| now < until + self.pause);
            self.pause = if is_again { self.pause * 2 } else { PAUSE_MIN }.min(PAUSE_MAX);
            self.company = Company::Alone;
        } else {
            self.company = Company::OneByOne;
        }
        self.until = Some(now + self.pause);
        Some(self.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_conflict_events_go_alone_and_after_another_one_by_one_until_the_time_is_over() {
        let (mut contention, now) = (Contention::default(), Instant::now());
        assert_eq!(contention.company(now), Company::Together);
        assert_eq!(contention.met(Company::Together, now), Some(PAUSE_MIN));
        assert_eq!(contention.company(now), Company::Alone);
        let later = now + Duration::from_secs(1);
        assert_eq!(contention.met(Company::Alone, later), Some(PAUSE_MIN));
        assert_eq!(contention.company(later), Company::OneByOne);
        assert_eq!(contention.company(later + PAUSE_MIN), Company::Together);
    }

    #[test]
    fn what_began_before_it_was_found_out_says_nothing_new() {
        let (mut contention, now) = (Contention::default(), Instant::now());
        assert!(contention.met(Company::Together, now).is_some());
        assert_eq!(contention.met(Company::Together, now), None);
        assert_eq!(contention.company(now), Company::Alone);
        assert!(contention.met(Company::Alone, now).is_some());
        assert_eq!(contention.met(Company::Alone, now), None);
        assert_eq!(contention.met(Company::OneByOne, now), None);
    }

    #[test]
    fn the_while_doubles_as_long_as_conflicts_come_back_and_starts_anew_after_a_quiet_one() {
        let (mut contention, mut now) = (Contention::default(), Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let pause = contention.met(Company::Together, now).expect("it began together");
            pauses.push(pause.as_secs());
            now += pause;
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        now += PAUSE_MAX;
        assert_eq!(contention.met(Company::Together, now), Some(PAUSE_MIN));
    }
}
