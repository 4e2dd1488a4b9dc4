//! A relay: reads the ledger, publishes what is in it, cuts what comes next. It asks for no lease.

use super::{Batch, Relay, State, Tail, write};
use crate::step::{Next, Who};

impl Tail {
    pub(super) fn relay(&self, state: &State, at: u8, next: &mut Next<State>) {
        let who = Who::Relay(at);
        let relay = &state.relays[at as usize];
        let Some(head) = relay.head else {
            let mut reached = state.clone();
            let seen = state.ledger.iter().take_while(|batch| batch.open_by.is_none());
            reached.relays[at as usize].head = Some(seen.count() as u8);
            next.step(who, "read the ledger", 0, reached);
            return;
        };
        let published = relay.published;
        let ours = |batch: &Batch| batch.open_by.is_none() || batch.open_by == Some(at);
        if published < head
            && let Some(batch) = state.ledger.get(published as usize).filter(|batch| ours(batch))
        {
            let mut reached = state.clone();
            let top = state.stream.last().map_or(0, |entry| entry.0);
            if batch.id > top {
                reached
                    .stream
                    .extend(batch.rows.iter().map(|row| (batch.id, *row)));
            }
            reached.relays[at as usize].published += 1;
            next.step(who, "publish", published, reached);
        }
        // The channel between cutting and publishing holds one.
        if published + 1 >= head {
            self.cut(state, at, head, next);
        }
        if let Some(open) = state.ledger.iter().position(|batch| batch.open_by == Some(at))
            && published as usize > open
        {
            let mut reached = state.clone();
            reached.ledger[open].open_by = None;
            write::flush(&mut reached);
            next.step(who, "commit the batch", open as u8, reached);
        }
        if state.troubles > 0 {
            let mut dead = state.clone();
            dead.relays[at as usize] = Relay::default();
            dead.ledger.retain(|batch| batch.open_by != Some(at));
            dead.troubles -= 1;
            next.fault(who, "die", 0, dead);
        }
    }
}
