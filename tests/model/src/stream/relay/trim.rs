//! Upkeep: how far a stream is trimmed, and that its floor is recorded first.

use crate::step::{Next, Who};
use crate::stream::group;
use crate::stream::ledger::{Id, MIN};
use crate::stream::{State, Stream, Without};

pub(super) fn trim(rules: &Stream, state: &State, at: u8, next: &mut Next<State>) {
    let is_unfinished = state
        .stored
        .entries
        .first()
        .is_some_and(|first| first.id < state.floor);
    if is_unfinished {
        let mut reached = state.clone();
        take_off(&mut reached, state.floor);
        next.step(Who::Relay(at), "trim", state.floor.1, reached);
        return;
    }
    if state.left.trims == 0 || state.stored.entries.is_empty() {
        return;
    }
    let bound = match group::bound(rules, state) {
        Some(bound) => bound,
        None if rules.without == Without::MissingGroup => state.recorded.chain,
        None => MIN,
    };
    let floor = bound.min(state.recorded.chain);
    if floor <= state.floor || state.stored.entries[0].id >= floor {
        return;
    }
    let mut reached = state.clone();
    reached.left.trims -= 1;
    match rules.without {
        Without::Floor => take_off(&mut reached, floor),
        Without::FlushedFloor => reached.floor = floor,
        _ => {
            reached.floor = floor;
            reached.flush();
        }
    }
    next.step(Who::Relay(at), "record a floor", floor.1, reached);
}

fn take_off(state: &mut State, floor: Id) {
    state.stored.entries.retain(|entry| entry.id >= floor);
}
