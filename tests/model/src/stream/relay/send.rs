//! Comparing, sending, and what the answers mean: a loss counts for the leader alone, and sets the stream aside.

use super::{Lane, reconnect, record, step_down};
use crate::step::{Next, Who};
use crate::stream::ledger::{self, Entry, Id, MIN};
use crate::stream::sink::Parcel;
use crate::stream::{State, Stream, Why, Without};

/// What the sink says.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(in crate::stream) struct Answer {
    pub(in crate::stream) confirmed: usize,
    pub(in crate::stream) chain: Id,
    /// What should be there and is not.
    pub(in crate::stream) missing: Option<Id>,
}

pub(super) fn compare(rules: &Stream, state: &State, at: u8, lane: &Lane, next: &mut Next<State>) {
    if state.set_aside.is_some() || lane.is_waiting {
        return;
    }
    let is_asked = match rules.without {
        Without::NothingConfirmed => !lane.is_kept && lane.rows > 0 && lane.chain == MIN || lane.chain > MIN,
        _ => lane.chain > MIN && !lane.is_kept,
    };
    let is_missing = match rules.without {
        Without::NothingConfirmed if lane.chain == MIN => state.stored.top == MIN,
        _ => !state.stored.shows(rules, lane.chain),
    };
    let is_lost = is_asked && is_missing && lane.chain >= lane.floor;
    if is_lost {
        let mut reached = state.clone();
        lose(rules, &mut reached, at, lane.chain);
        next.step(Who::Relay(at), "compare, and see a loss", lane.chain.1, reached);
    } else if !lane.is_compared {
        let mut reached = state.clone();
        reached.lanes[at as usize].as_mut().expect("it leads").is_compared = true;
        next.step(Who::Relay(at), "compare", lane.chain.1, reached);
    }
}

pub(super) fn send(rules: &Stream, state: &State, at: u8, lane: &Lane, next: &mut Next<State>) {
    let wire = &state.wires[at as usize];
    let ahead = match rules.without {
        Without::Transaction => 1,
        _ => 0,
    };
    if state.set_aside.is_some()
        || !lane.is_compared
        || wire.len() > ahead
        || wire.iter().any(|parcel| !parcel.is_awaited)
    {
        return;
    }
    let order = ledger::order(state, rules, lane.rows as usize);
    let sent = wire
        .last()
        .map_or(lane.chain, |parcel| parcel.entries[parcel.entries.len() - 1].id);
    let rest = ledger::behind(&order, sent);
    let Some(first) = rest.first() else { return };
    let mut entries: Vec<Entry> = rest
        .iter()
        .take_while(|entry| entry.id.0 == first.id.0)
        .take(2)
        .copied()
        .collect();
    let is_too_large = |entry: &Entry| rules.too_large && !state.limit_raised && entry.event == 1;
    let mut reached = state.clone();
    if is_too_large(first) {
        set_aside(&mut reached, at, Why::TooLarge);
        next.step(Who::Relay(at), "set the stream aside", first.event, reached);
        return;
    }
    entries.truncate(entries.iter().take_while(|entry| !is_too_large(entry)).count());
    let is_asked =
        sent > MIN && !(lane.is_kept && sent == lane.chain) && rules.without != Without::Transaction;
    reached.wires[at as usize].push(Parcel {
        entries,
        predecessor: is_asked.then_some(sent),
        floor: lane.floor,
        is_awaited: true,
    });
    reached.lanes[at as usize].as_mut().expect("it leads").is_waiting = true;
    next.step(Who::Relay(at), "send", first.event, reached);
    if state.left.answers > 0 {
        // The connection breaks while it is on its way.
        let mut broken = state.clone();
        broken.left.answers -= 1;
        reconnect(&mut broken, at);
        if !state.wires[at as usize].is_empty() {
            next.fault(Who::Relay(at), "lose the connection", first.event, broken);
        }
    }
}

/// The answer to a parcel arrives.
pub(in crate::stream) fn hear(rules: &Stream, state: &mut State, at: u8, answer: &Answer) {
    let is_more = !state.wires[at as usize].is_empty();
    let Some(lane) = &mut state.lanes[at as usize] else {
        return;
    };
    lane.is_waiting = is_more;
    if answer.confirmed > 0 {
        lane.chain = answer.chain;
        lane.is_kept = false;
        lane.is_dirty = true;
    }
    if let Some(missing) = answer.missing {
        lose(rules, state, at, missing);
    }
}

/// A loss counts for the leader alone.
fn lose(rules: &Stream, state: &mut State, at: u8, missing: Id) {
    if state.leader != Some(at) && rules.without != Without::LeaseFirst {
        return step_down(state, at);
    }
    if missing < state.floor && rules.without != Without::FloorReadAgain {
        // Trimmed since the lane was loaded: somebody else recorded progress that it does not know.
        let lane = Lane::load(state);
        state.lanes[at as usize] = Some(lane);
        for parcel in &mut state.wires[at as usize] {
            parcel.is_awaited = false;
        }
        return;
    }
    state.false_alarm |= !state.has_lost;
    if rules.without == Without::TopUntouched
        && let Some(lane) = &state.lanes[at as usize]
    {
        state.stored.top = state.stored.top.max(lane.chain);
    }
    set_aside(state, at, Why::Lost);
}

fn set_aside(state: &mut State, at: u8, why: Why) {
    if let Some(lane) = state.lanes[at as usize].clone() {
        record(state, &lane);
    }
    if let Some(lane) = &mut state.lanes[at as usize] {
        lane.is_dirty = false;
        lane.is_waiting = false;
    }
    state.set_aside = Some(why);
    state.flush();
}
