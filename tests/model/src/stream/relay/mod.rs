//! A relay: taking the lead, cutting, recording; and what has files of its own: sending, repairing, trimming. Either of the two may be
//! a zombie.

mod repair;
mod send;
mod trim;

use super::ledger::{Id, Progress, Row};
use super::{ROWS_AT_MOST, State, Stream, Without};
use crate::step::{Next, Who};

pub(super) use send::{Answer, hear};

/// The stream as one relay has it in memory.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Lane {
    /// Rows of the ledger that it knows.
    rows: u8,
    /// The entry last confirmed.
    chain: Id,
    /// A re-issue kept that entry, and it need not be there any more.
    is_kept: bool,
    /// The stream was compared on this connection.
    pub(super) is_compared: bool,
    /// Entries below may have been trimmed: as it was when the lane was loaded.
    pub(super) floor: Id,
    /// It waits for an answer.
    is_waiting: bool,
    /// Confirmed and not recorded.
    is_dirty: bool,
    /// Upkeep looked at the stream: from behind this entry it is to be put out again.
    keep: Option<Id>,
}

impl Lane {
    /// As the database has it.
    fn load(state: &State) -> Self {
        let recorded = state.recorded;
        Self {
            rows: state.ledger.len() as u8,
            chain: recorded.chain,
            is_kept: recorded.place.0 != recorded.chain.0,
            is_compared: false,
            floor: state.floor,
            is_waiting: false,
            is_dirty: false,
            keep: None,
        }
    }

    fn place(&self) -> Progress {
        Progress {
            place: self.chain,
            chain: self.chain,
        }
    }
}

/// Everything that relay `at` may do.
pub(super) fn steps(rules: &Stream, state: &State, at: u8, next: &mut Next<State>) {
    let who = Who::Relay(at);
    let Some(lane) = &state.lanes[at as usize] else {
        return take_the_lead(state, at, next);
    };
    let is_leader = state.leader == Some(at);
    if !is_leader {
        let mut reached = state.clone();
        step_down(&mut reached, at);
        next.step(who, "step down", 0, reached);
    }
    cut(rules, state, at, lane, next);
    send::compare(rules, state, at, lane, next);
    send::send(rules, state, at, lane, next);
    if lane.is_dirty {
        let mut reached = state.clone();
        record(&mut reached, lane);
        reached.lanes[at as usize].as_mut().expect("it leads").is_dirty = false;
        next.step(who, "record progress", lane.chain.1, reached);
    }
    if is_leader {
        repair::look(rules, state, at, lane, next);
        trim::trim(rules, state, at, next);
    }
    repair::reissue(rules, state, at, lane, next);
    if state.left.relays > 0 {
        let mut dead = state.clone();
        dead.left.relays -= 1;
        step_down(&mut dead, at);
        if is_leader {
            dead.leader = None;
        }
        next.fault(who, "die", 0, dead);
    }
}

fn take_the_lead(state: &State, at: u8, next: &mut Next<State>) {
    let who = Who::Relay(at);
    let mut reached = state.clone();
    reached.leader = Some(at);
    reached.lanes[at as usize] = Some(Lane::load(state));
    let has_leader = state
        .leader
        .is_some_and(|leader| state.lanes[leader as usize].is_some());
    if !has_leader {
        next.step(who, "take the lead", 0, reached);
    } else if state.left.relays > 0 {
        reached.left.relays -= 1;
        next.fault(who, "take the lead from one that is stopped", 0, reached);
    }
}

pub(super) fn step_down(state: &mut State, at: u8) {
    state.lanes[at as usize] = None;
    for parcel in &mut state.wires[at as usize] {
        parcel.is_awaited = false;
    }
}

/// The connection to the sink is a new one.
pub(super) fn reconnect(state: &mut State, at: u8) {
    for parcel in &mut state.wires[at as usize] {
        parcel.is_awaited = false;
    }
    if let Some(lane) = &mut state.lanes[at as usize] {
        lane.is_compared = false;
        lane.is_waiting = false;
    }
}

fn record(state: &mut State, lane: &Lane) {
    // Progress is the highest that was recorded.
    if !lane.is_kept {
        state.recorded = state.recorded.max(lane.place());
    }
}

fn cut(rules: &Stream, state: &State, at: u8, lane: &Lane, next: &mut Next<State>) {
    // What its own last snapshot did not see is in the way also when somebody else has cut it.
    let known = lane.rows as usize;
    let through = state.ledger[..known].last().map_or(0, |row| row.through);
    let is_ours = known == state.ledger.len();
    if !is_ours {
        let mut reached = state.clone();
        step_down(&mut reached, at);
        if state.leader == Some(at) {
            reached.leader = None;
        }
        if state.appended > through {
            next.step(Who::Relay(at), "cut, and be refused", through, reached);
        } else if rules.without != Without::LedgerWatched {
            next.step(Who::Relay(at), "see that the ledger went on", lane.rows, reached);
        }
        return;
    }
    if state.appended > through && state.ledger.len() < ROWS_AT_MOST {
        let mut reached = state.clone();
        reached.ledger.push(Row {
            through: state.appended,
            kept: None,
            only: 0,
        });
        reached.flush();
        reached.lanes[at as usize].as_mut().expect("it leads").rows += 1;
        next.step(Who::Relay(at), "cut", through, reached);
    }
}
