//! What the producers did, counted while they do it. For show: the audit goes by the tables.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counters that all producers share.
#[derive(Debug, Default)]
pub struct Tally {
    committed: AtomicU64,
    rolled_back: AtomicU64,
    at_the_till: AtomicU64,
    held: AtomicU64,
    held_now: AtomicU64,
    failed: AtomicU64,
    failure: Mutex<Option<String>>,
}

impl Tally {
    pub(super) fn commit(&self) {
        self.committed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn roll_back(&self) {
        self.rolled_back.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sell_at_the_till(&self) {
        self.at_the_till.fetch_add(1, Ordering::Relaxed);
        self.commit();
    }

    pub(super) fn hold(&self) {
        self.held.fetch_add(1, Ordering::Relaxed);
        self.held_now.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn let_go(&self) {
        self.held_now.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn fail(&self, why: impl Display) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_string());
    }

    /// Changes that were committed, an event each.
    pub fn committed(&self) -> u64 {
        self.committed.load(Ordering::Relaxed)
    }

    /// Of those, by plain SQL.
    pub fn at_the_till(&self) -> u64 {
        self.at_the_till.load(Ordering::Relaxed)
    }

    /// Changes that were rolled back after their event was appended.
    pub fn rolled_back(&self) -> u64 {
        self.rolled_back.load(Ordering::Relaxed)
    }

    /// Transactions that were held open.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Transactions that are held open at this moment.
    pub fn held_now(&self) -> u64 {
        self.held_now.load(Ordering::Relaxed)
    }

    /// Sales that the database refused: there should be none, whatever happens to relays and Redis.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Why the last of them was refused.
    pub fn failure(&self) -> Option<String> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
