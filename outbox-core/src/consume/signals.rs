//! What is told to the sessions of a member by those who look at the database for all of them at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, watch};

/// Why nothing new is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
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

    /// Whether the consumer is paused, from now on.
    pub(super) fn paused(&self) -> watch::Receiver<Option<Paused>> {
        self.paused.subscribe()
    }
}
