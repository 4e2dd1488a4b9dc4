//! Postgres: the producers' transactions, what their commits flush, and what a crash undoes.

use super::{KEY, Phase, Relay, State};
use crate::step::{Next, Who};

pub(super) fn steps(state: &State, next: &mut Next<State>) {
    for (at, writer) in state.writers.iter().enumerate() {
        let who = Who::Writer(at as u8);
        let mut reached = state.clone();
        match writer.phase {
            Phase::Idle | Phase::Begun => {
                if writer.phase == Phase::Idle {
                    let mut begun = state.clone();
                    begun.writers[at].phase = Phase::Begun;
                    begun.writers[at].xid = state.next_xid;
                    begun.next_xid += 1;
                    next.step(who, "take an id", at as u8, begun);
                }
                // The key's lock, which a transaction takes before it appends.
                let is_locked = KEY.contains(&at)
                    && KEY
                        .iter()
                        .any(|other| *other != at && state.writers[*other].phase == Phase::Appended);
                if !is_locked {
                    let ours = &mut reached.writers[at];
                    if writer.phase == Phase::Idle {
                        ours.xid = state.next_xid;
                        reached.next_xid += 1;
                    }
                    ours.phase = Phase::Appended;
                    ours.position = state.next_position;
                    reached.next_position += 1;
                    next.step(who, "append", at as u8, reached);
                }
            }
            Phase::Appended => {
                let mut undone = state.clone();
                undone.writers[at].phase = Phase::Gone;
                next.step(who, "roll back", at as u8, undone);
                reached.writers[at].phase = Phase::Committed;
                if KEY.contains(&at) {
                    reached.commits.push(at as u8);
                }
                next.step(who, "commit", at as u8, reached);
            }
            Phase::Committed | Phase::Gone => {}
        }
    }
}

/// The commit of a batch flushes everything before it.
pub(super) fn flush(state: &mut State) {
    for writer in &mut state.writers {
        writer.is_flushed |= writer.phase == Phase::Committed;
    }
    for batch in &mut state.ledger {
        batch.is_flushed |= batch.open_by.is_none();
    }
    state.flushed_xid = state.next_xid;
}

pub(super) fn crash(state: &State) -> State {
    let mut reached = state.clone();
    for writer in &mut reached.writers {
        let is_undone = writer.phase == Phase::Committed && !writer.is_flushed
            || matches!(writer.phase, Phase::Begun | Phase::Appended);
        if is_undone {
            writer.phase = Phase::Gone;
        }
    }
    let writers = &reached.writers;
    reached
        .commits
        .retain(|writer| writers[*writer as usize].phase == Phase::Committed);
    reached.ledger.retain(|batch| batch.is_flushed);
    reached.relays = [Relay::default(), Relay::default()];
    reached.next_xid = state.flushed_xid;
    reached.crashes -= 1;
    reached
}
