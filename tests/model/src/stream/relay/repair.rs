//! Upkeep: what a stream lost, at its end or before what a group holds, from where it is put out again, and the re-issue.

use super::{Lane, step_down};
use crate::step::{Next, Who};
use crate::stream::ledger::{self, Entry, Id, MIN, Progress, Row};
use crate::stream::{ROWS_AT_MOST, State, Stream, Why, Without};

/// Upkeep finds from where the stream must be put out again.
pub(super) fn look(rules: &Stream, state: &State, at: u8, lane: &Lane, next: &mut Next<State>) {
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

pub(super) fn reissue(rules: &Stream, state: &State, at: u8, lane: &Lane, next: &mut Next<State>) {
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
