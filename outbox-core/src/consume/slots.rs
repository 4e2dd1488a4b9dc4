//! How many transactions a member may have open: as many as its pool has connections for, and always one for each topic.
//!
//! A topic whose handlers are slow takes what is free, and never the one that is kept for another topic. If the pool has fewer
//! connections than there are topics, all of them wait for the same few.

use std::collections::HashMap;

use tokio::sync::{Semaphore, SemaphorePermit};

/// Connections that are kept for leases and for recording how far a stream came.
const RESERVED: usize = 2;

pub(super) struct Slots {
    /// For whoever comes first.
    free: Semaphore,
    /// For one topic alone.
    kept: HashMap<String, Semaphore>,
}

impl Slots {
    /// The slots of a pool with so many connections.
    pub(super) fn new(connections: usize, topics: &[&str]) -> Self {
        let slots = connections.saturating_sub(RESERVED).max(1);
        let is_enough = slots >= topics.len();
        let kept = topics.iter().filter(|_| is_enough);
        let kept: HashMap<String, Semaphore> = kept
            .map(|topic| ((*topic).to_owned(), Semaphore::new(1)))
            .collect();
        Self {
            free: Semaphore::new(slots - kept.len()),
            kept,
        }
    }

    /// How many connections a pool needs at least, so that no topic waits for another.
    pub(super) fn wanted(topics: usize) -> usize {
        topics + RESERVED
    }

    /// Waits for the right to open a transaction. None only if nobody can ever have one again, which nothing makes happen.
    pub(super) async fn take(&self, topic: &str) -> Option<SemaphorePermit<'_>> {
        let Some(kept) = self.kept.get(topic) else {
            return self.free.acquire().await.ok();
        };
        tokio::select! {
            biased;
            slot = kept.acquire() => slot.ok(),
            slot = self.free.acquire() => slot.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn slots(connections: usize) -> Slots {
        Slots::new(connections, &["slow", "quick"])
    }

    #[test]
    fn one_is_left_for_each_topic_however_many_another_one_takes() {
        let slots = slots(6);
        let taken: Vec<_> = std::iter::from_fn(|| slots.take("slow").now_or_never()).collect();
        assert_eq!(taken.len(), 3);
        let quick = slots.take("quick").now_or_never();
        assert!(quick.is_some());
        assert!(slots.take("quick").now_or_never().is_none());
    }

    #[test]
    fn a_pool_that_is_too_small_has_one_at_least_and_keeps_none() {
        for connections in [1, 2, 3] {
            let slots = slots(connections);
            let taken = slots.take("slow").now_or_never();
            assert!(taken.is_some(), "{connections}");
            assert!(slots.take("quick").now_or_never().is_none(), "{connections}");
        }
        assert_eq!(Slots::wanted(2), 4);
    }
}
