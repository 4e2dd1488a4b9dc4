//! The breakers of a member, and word to its sessions when one closes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::breaker::Breaker;

/// By topic: what a handler needs is needed for all streams of its topic.
pub(super) struct Breakers {
    topics: Mutex<HashMap<String, Breaker>>,
    closed: watch::Sender<()>,
}

impl Default for Breakers {
    fn default() -> Self {
        Self {
            topics: Mutex::default(),
            closed: watch::Sender::new(()),
        }
    }
}

impl Breakers {
    /// Looks at the breaker of a topic, or changes it. Whoever waits is told if it closed.
    pub(super) fn of<R>(&self, topic: &str, work: impl FnOnce(&mut Breaker) -> R) -> R {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let breaker = topics.entry(topic.to_owned()).or_default();
        let was_open = breaker.cause().is_some();
        let answer = work(breaker);
        if was_open && breaker.cause().is_none() {
            self.closed.send_replace(());
        }
        answer
    }

    /// What is down, if a topic's breaker is open.
    pub(super) fn cause(&self, topic: &str) -> Option<String> {
        self.of(topic, |breaker| breaker.cause().map(str::to_owned))
    }

    /// Told whenever a breaker closes.
    pub(super) fn closed(&self) -> watch::Receiver<()> {
        self.closed.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn those_who_wait_are_told_when_it_closes() {
        let (breakers, now) = (Breakers::default(), Instant::now());
        let closed = breakers.closed();
        breakers.of("orders", |breaker| breaker.fail(now, false, "gone", 1.0));
        assert_eq!(breakers.cause("orders").as_deref(), Some("gone"));
        assert_eq!(breakers.cause("stock"), None);
        assert!(!closed.has_changed().expect("the sender lives"));
        breakers.of("orders", Breaker::close);
        assert!(closed.has_changed().expect("the sender lives"));
    }
}
