//! The right to try one event while a breaker is open.

use std::sync::Arc;

use super::breaker::Breaker;
use super::shared::Shared;

/// The right to try one event. Dropped, it is given back: with its answer, or because nobody is left to hear one.
pub(super) struct Probe {
    pub(super) shared: Arc<Shared>,
    pub(super) topic: String,
    pub(super) number: u64,
}

impl Drop for Probe {
    fn drop(&mut self) {
        let give_back = |breaker: &mut Breaker| breaker.give_back(self.number);
        self.shared.breakers.of(&self.topic, give_back);
    }
}
