//! What the reader has read and the session has not taken yet, by id, and the gap between two reads.
//!
//! What a read under way brings is pending in Redis and known to nobody here. Whoever wants to know which pending entries this
//! process has asks for a gap: the read under way ends, and the next one waits until the gap is closed. Then what is pending is in
//! the session's hands, or noted here, or with nobody.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;

use crate::event::EntryId;

/// Shared by a session and its reader.
#[derive(Clone, Debug, Default)]
pub(super) struct Ahead {
    state: Arc<watch::Sender<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// In the order in which they are handed over.
    ids: VecDeque<EntryId>,
    is_reading: bool,
    is_gap_wanted: bool,
}

impl Ahead {
    /// A read begins, unless a gap is wanted: then it waits for its end.
    pub(super) async fn begin(&self) {
        let mut changes = self.state.subscribe();
        let may_begin = |state: &mut State| {
            state.is_reading = !state.is_gap_wanted;
            state.is_reading
        };
        while !self.state.send_if_modified(may_begin) {
            // It fails when nobody can change it any more, and this is one who could.
            let _ = changes.wait_for(|state| !state.is_gap_wanted).await;
        }
    }

    /// The read ended with these.
    pub(super) fn end(&self, ids: impl IntoIterator<Item = EntryId>) {
        self.state.send_modify(|state| {
            state.is_reading = false;
            state.ids.extend(ids);
        });
    }

    /// The session took so many of them.
    pub(super) fn taken(&self, count: usize) {
        self.state.send_modify(|state| {
            state.ids.drain(..count.min(state.ids.len()));
        });
    }

    /// No read is to begin.
    pub(super) fn want_gap(&self) {
        self.state.send_modify(|state| state.is_gap_wanted = true);
    }

    /// Waits until none is under way.
    pub(super) async fn gap(&self) {
        let _ = self.state.subscribe().wait_for(|state| !state.is_reading).await;
    }

    /// Reads may begin again.
    pub(super) fn close_gap(&self) {
        self.state.send_modify(|state| state.is_gap_wanted = false);
    }

    pub(super) fn len(&self) -> usize {
        self.state.borrow().ids.len()
    }

    pub(super) fn contains(&self, id: EntryId) -> bool {
        self.state.borrow().ids.contains(&id)
    }

    pub(super) fn ids(&self) -> Vec<EntryId> {
        self.state.borrow().ids.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn id(n: u64) -> EntryId {
        EntryId::new(1, n)
    }

    #[test]
    fn what_was_read_is_known_until_it_is_taken() {
        let ahead = Ahead::default();
        assert_eq!(ahead.begin().now_or_never(), Some(()));
        ahead.end([id(1), id(2), id(3)]);
        ahead.taken(2);
        assert_eq!((ahead.len(), ahead.ids()), (1, vec![id(3)]));
        assert!(ahead.contains(id(3)) && !ahead.contains(id(2)));
    }

    #[test]
    fn a_gap_begins_when_the_read_under_way_ended_and_no_read_begins_in_it() {
        let ahead = Ahead::default();
        assert_eq!(ahead.begin().now_or_never(), Some(()));
        ahead.want_gap();
        assert_eq!(ahead.gap().now_or_never(), None, "a read is under way");
        ahead.end([id(1)]);
        assert_eq!(ahead.gap().now_or_never(), Some(()));
        assert_eq!(ahead.begin().now_or_never(), None);
        assert_eq!(ahead.gap().now_or_never(), Some(()), "it is still one");
        ahead.close_gap();
        assert_eq!(ahead.begin().now_or_never(), Some(()));
    }
}
