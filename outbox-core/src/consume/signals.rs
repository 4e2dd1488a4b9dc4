//! What is told to the sessions of a member by those who look at the database for all of them at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use tokio::sync::{Notify, watch};

/// Why nothing new is applied.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Paused {
    /// Who paused the consumer.
    pub(super) by: String,
    /// Why.
    pub(super) reason: String,
}

/// One bell per stream, and whether the consumer is paused.
pub(super) struct Signals {
    due: Mutex<HashMap<String, Arc<Notify>>>,
    paused: watch::Sender<Option<Paused>>,
}

impl Default for Signals {
    fn default() -> Self {
        Self {
            due: Mutex::default(),
            paused: watch::Sender::new(None),
        }
    }
}

impl Signals {
    /// The bell of a stream: rung when keys of it may be due.
    pub(super) fn due(&self, stream: &str) -> Arc<Notify> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        due.entry(stream.to_owned()).or_default().clone()
    }

    /// Rings a bell.
    pub(super) fn ring(&self, stream: &str) {
        self.due(stream).notify_one();
    }

    /// Notes whether the consumer is paused. Returns whether that is news.
    pub(super) fn set_paused(&self, paused: Option<Paused>) -> bool {
        self.paused.send_if_modified(|known| {
            let is_news = *known != paused;
            *known = paused;
            is_news
        })
    }

    /// Whether the consumer is paused, from now on.
    pub(super) fn paused(&self) -> watch::Receiver<Option<Paused>> {
        self.paused.subscribe()
    }
}
