//! A relay: taking the lead, comparing, sending, recording, repairing, trimming. Either of the two may be a zombie.

use super::group;
use super::ledger::{self, Entry, Id, MIN, Progress, Row};
use super::sink::Parcel;
use super::{ROWS_AT_MOST, State, Stream, Why, Without};
use crate::step::{Next, Who};

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

/// What the sink says.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Answer {
    pub(super) confirmed: usize,
    pub(super) chain: Id,
    /// What should be there and is not.
    pub(super) missing: Option<Id>,
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
    compare(rules, state, at, lane, next);
    send(rules, state, at, lane, next);
    if lane.is_dirty {
        let mut reached = state.clone();
        record(&mut reached, lane);
        reached.lanes[at as usize].as_mut().expect("it leads").is_dirty = false;
        next.step(who, "record progress", lane.chain.1, reached);
    }
    if is_leader {
        look(rules, state, at, lane, next);
        trim(rules, state, at, next);
    }
    reissue(rules, state, at, lane, next);
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

fn compare(rules: &Stream, state: &State, at: u8, lane: &Lane, next: &mut Next<State>) {
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

fn send(rules: &Stream, state: &State, at: u8, lane: &Lane, next: &mut Next<State>) {
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
pub(super) fn hear(rules: &Stream, state: &mut State, at: u8, answer: &Answer) {
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

/// Upkeep finds from where the stream must be put out again.
fn look(rules: &Stream, state: &State, at: u8, lane: &Lane, next: &mut Next<State>) {
    if lane.keep.is_some() || lane.is_waiting {
        return;
    }
    let order = ledger::order(state, rules, state.ledger.len());
    let held = state
        .group
        .pending
        .iter()
        .filter_map(|id| state.stored.entries.iter().find(|entry| entry.id == *id))
        .filter(|entry| entry.previous > state.group.passed)
        .min_by_key(|entry| entry.id);
    let is_lost = state.set_aside == Some(Why::Lost);
    let by_end = is_lost.then(|| missing_at_end(rules, state, &order)).flatten();
    if is_lost && by_end.is_none() && rules.without != Without::WholeGoesOn {
        // Set aside by somebody who did not know what was put out again meanwhile.
        let mut reached = state.clone();
        reached.set_aside = None;
        reached.lanes[at as usize] = Some(Lane::load(state));
        next.step(Who::Relay(at), "let a whole stream go on", 0, reached);
    }
    let by_group = held.and_then(|entry| missing_before(rules, state, &order, entry.previous));
    let asked = [(by_end, None), (by_group, Some(state.group.passed))];
    for (place, passed) in asked {
        let Some(place) = place else { continue };
        let found = order[..place]
            .iter()
            .rev()
            .find(|entry| state.stored.has(entry.id));
        // Nothing is left before it: from the floor on.
        let floor = order[..place].iter().rev().find(|entry| entry.id < state.floor);
        let found = found.or(floor).map_or(MIN, |entry| entry.id);
        let passed = passed.and_then(|passed| {
            let event = ledger::event_of(state, rules, passed)?;
            let standing = order.iter().find(|entry| entry.event == event)?.id;
            Some(if standing == passed {
                passed
            } else {
                kept_before(state, &order, passed)
            })
        });
        let keep = passed.map_or(found, |passed| found.min(passed));
        let mut reached = state.clone();
        reached.lanes[at as usize].as_mut().expect("it leads").keep = Some(keep);
        next.step(Who::Relay(at), "look what is left", keep.1, reached);
    }
}

/// Of a stream that was set aside: the entry last put on it, or else the next one that it refuses and does not hold.
fn missing_at_end(rules: &Stream, state: &State, order: &[Entry]) -> Option<usize> {
    let recorded = state.recorded;
    let last = order.iter().position(|entry| entry.id == recorded.chain);
    let is_kept = recorded.place.0 != recorded.chain.0;
    let is_missing = |place: &usize| {
        let id = order[*place].id;
        id >= state.floor && !state.stored.shows(rules, id)
    };
    let is_refused = |place: &usize| {
        let id = order[*place].id;
        id >= state.floor && id <= state.stored.top && !state.stored.has(id)
    };
    let next = last.map_or(0, |last| last + 1);
    let by_chain = last.filter(|_| !is_kept).filter(is_missing);
    if rules.without == Without::RefusedIsMissing {
        return by_chain;
    }
    by_chain.or_else(|| Some(next).filter(|next| *next < order.len()).filter(is_refused))
}

/// Of what a group misses: the entry that stands in its place, if that should be on the stream and is not.
fn missing_before(rules: &Stream, state: &State, order: &[Entry], missing: Id) -> Option<usize> {
    let event = ledger::event_of(state, rules, missing)?;
    let place = order.iter().position(|entry| entry.event == event)?;
    let standing = order[place].id;
    let recorded = state.recorded;
    let last = order.iter().position(|entry| entry.id == recorded.chain)?;
    let is_kept_gone = recorded.place.0 != recorded.chain.0 && standing == recorded.chain;
    let is_there = standing < state.floor || state.stored.shows(rules, standing);
    (place <= last && !is_kept_gone && !is_there && state.set_aside.is_none()).then_some(place)
}

/// The last entry in its place at or before one that a re-issue took out of its place.
fn kept_before(state: &State, order: &[Entry], id: Id) -> Id {
    let mut id = id;
    while !order.iter().any(|entry| entry.id == id) && id > MIN {
        let by = state
            .ledger
            .iter()
            .enumerate()
            .rev()
            .find(|(at, row)| row.kept.is_some_and(|kept| kept < id) && id.0 < *at as u8 + 1);
        match by {
            Some((_, row)) => id = row.kept.unwrap_or(MIN),
            None => return id,
        }
    }
    id
}

fn reissue(rules: &Stream, state: &State, at: u8, lane: &Lane, next: &mut Next<State>) {
    let Some(keep) = lane.keep else { return };
    let who = Who::Relay(at);
    let mut reached = state.clone();
    if lane.rows as usize != state.ledger.len() {
        step_down(&mut reached, at);
        if state.leader == Some(at) {
            reached.leader = None;
        }
        next.step(who, "re-issue, and be refused", keep.1, reached);
        return;
    }
    if state.ledger.len() >= ROWS_AT_MOST {
        return;
    }
    let number = lane.rows + 1;
    let is_same = rules.without == Without::FreshIds;
    if is_same {
        reached.recorded = Progress {
            place: keep,
            chain: keep,
        };
    } else {
        let order = ledger::order(state, rules, state.ledger.len());
        let missing = ledger::behind(&order, keep)
            .iter()
            .filter(|entry| !state.stored.has(entry.id));
        let only = match rules.without {
            Without::WholeRest => missing.fold(0, |bits, entry| bits | 1 << entry.event),
            _ => 0,
        };
        let through = state.ledger.last().map_or(0, |row| row.through);
        reached.ledger.push(Row {
            through,
            kept: Some(keep),
            only,
        });
        reached.recorded = Progress {
            place: (number, 0),
            chain: keep,
        };
    }
    reached.set_aside = None;
    reached.flush();
    for parcel in &mut reached.wires[at as usize] {
        parcel.is_awaited = false;
    }
    let lane = reached.lanes[at as usize].as_mut().expect("it leads");
    lane.rows = reached.ledger.len() as u8;
    lane.chain = keep;
    lane.is_kept = true;
    lane.is_waiting = false;
    lane.is_dirty = false;
    lane.keep = None;
    next.step(who, "cut a re-issue", keep.1, reached);
}

fn trim(rules: &Stream, state: &State, at: u8, next: &mut Next<State>) {
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
