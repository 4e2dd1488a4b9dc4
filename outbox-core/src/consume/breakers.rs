//! The breakers of a member, and word to its sessions when one lets more go.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::breaker::Breaker;

/// By topic: what a handler needs is needed for all streams of its topic.
pub(super) struct Breakers {
    topics: Mutex<HashMap<String, Breaker>>,
    freed: watch::Sender<()>,
}

impl Default for Breakers {
    fn default() -> Self {
        Self {
            topics: Mutex::default(),
            freed: watch::Sender::new(()),
        }
    }
}

impl Breakers {
    /// Looks at the breaker of a topic, or changes it. Whoever waits is told if it closed, holds less, or may be probed again.
    pub(super) fn of<R>(&self, topic: &str, work: impl FnOnce(&mut Breaker) -> R) -> R {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let breaker = topics.entry(topic.to_owned()).or_default();
        let before = breaker.freedom();
        let answer = work(breaker);
        if breaker.freedom() > before {
            self.freed.send_replace(());
        }
        answer
    }

    /// What is down, if a topic's breaker is open.
    pub(super) fn cause(&self, topic: &str) -> Option<String> {
        self.of(topic, |breaker| breaker.cause().map(str::to_owned))
    }

    /// Told whenever a breaker lets more go.
    pub(super) fn freed(&self) -> watch::Receiver<()> {
        self.freed.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::blame::tests::line;
    use super::super::breaker::Pass;
    use super::super::park::Lane;
    use super::*;

    #[test]
    fn those_who_wait_are_told_when_it_closes_and_when_a_probe_is_given_back() {
        let (breakers, now, lane) = (Breakers::default(), Instant::now(), Lane::of_key("a"));
        let line = line(&lane, "placed");
        let mut freed = breakers.freed();
        breakers.of("orders", |breaker| breaker.fail(now, None, line, "gone", 0.0));
        assert_eq!(breakers.cause("orders").as_deref(), Some("gone"));
        assert_eq!(breakers.cause("stock"), None);
        let pass = breakers.of("orders", |breaker| breaker.pass(now, Duration::from_secs(60), 0));
        let Pass::One(number) = pass else {
            panic!("nothing may be tried");
        };
        assert!(!freed.has_changed().expect("the sender lives"));
        breakers.of("orders", |breaker| breaker.give_back(number));
        assert!(freed.has_changed().expect("the sender lives"));
        freed.mark_unchanged();
        breakers.of("orders", |breaker| breaker.answer(now, Some("placed")));
        assert!(freed.has_changed().expect("the sender lives"));
    }
}
