//! Events whose handlers were at work when their connection was lost, although the server answers. Pure but for its lock.
//!
//! A handler may cost its connection: by a statement that crashes the server's session, or that ends it. The event would be
//! tried again for ever, and with it all that is in its transaction. But a connection is also lost by a failover, or by
//! somebody who ends it, and then the event is not at fault. So it is counted how often that happens to an event: the first
//! times only cost a pause and company (it is tried alone), from then on it is a failed attempt.
//!
//! Known to one process only, and to it as long as it runs: another one counts anew. What became a failed attempt is in the
//! database. Bounded: when too many are remembered, all are forgotten, and counted anew.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::event::EntryId;

/// From the so manieth lost connection of an event on it is a failed attempt.
const LOSSES_MAX: u32 = 3;
/// So many events are remembered.
const EVENTS_MAX: usize = 1000;

/// How many connections were lost while the handler of an event was at work, by stream and entry.
#[derive(Default)]
pub(super) struct Suspects(Mutex<HashMap<(String, EntryId), u32>>);

/// What follows from a connection that was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suspicion {
    /// It happened so often: the event is tried again, alone.
    Again(u32),
    /// It is the event's fault: a failed attempt.
    Failed,
}

impl Suspects {
    /// The handler of this entry was at work when its connection was lost.
    pub(super) fn lost(&self, stream: &str, id: EntryId) -> Suspicion {
        let mut events = self.events();
        let of = (stream.to_owned(), id);
        if events.len() >= EVENTS_MAX && !events.contains_key(&of) {
            events.clear();
        }
        let losses = events.entry(of).or_default();
        *losses += 1;
        if *losses >= LOSSES_MAX {
            *losses = LOSSES_MAX;
            return Suspicion::Failed;
        }
        Suspicion::Again(*losses)
    }

    /// These were applied, or given up.
    pub(super) fn forget(&self, stream: &str, ids: impl Iterator<Item = EntryId>) {
        let mut events = self.events();
        if events.is_empty() {
            return;
        }
        for id in ids {
            events.remove(&(stream.to_owned(), id));
        }
    }

    fn events(&self) -> MutexGuard<'_, HashMap<(String, EntryId), u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: EntryId = EntryId::new(1, 1);

    #[test]
    fn the_third_lost_connection_and_each_one_after_it_is_a_failed_attempt() {
        let suspects = Suspects::default();
        let lost: Vec<Suspicion> = (0..4).map(|_| suspects.lost("s", ID)).collect();
        let wanted = [
            Suspicion::Again(1),
            Suspicion::Again(2),
            Suspicion::Failed,
            Suspicion::Failed,
        ];
        assert_eq!(lost, wanted);
        assert_eq!(suspects.lost("another", ID), Suspicion::Again(1));
    }

    #[test]
    fn what_was_applied_is_no_longer_suspected() {
        let suspects = Suspects::default();
        suspects.lost("s", ID);
        suspects.forget("s", [ID].into_iter());
        assert_eq!(suspects.lost("s", ID), Suspicion::Again(1));
    }

    #[test]
    fn so_many_are_remembered_and_no_more() {
        let suspects = Suspects::default();
        for position in 0..=EVENTS_MAX as u64 {
            suspects.lost("s", EntryId::new(1, position));
        }
        assert_eq!(suspects.events().len(), 1);
    }
}
