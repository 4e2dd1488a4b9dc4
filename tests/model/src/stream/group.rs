//! A consumer group: what was delivered, what is pending, the gate, and what had its effect.

use super::ledger::{Id, MIN};
use super::{State, Stream, Without};
use crate::step::{Next, Who};

/// The group, at the sink and in its own database.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Group {
    /// At the sink: the entry last delivered; none where there is no group.
    pub(super) delivered: Option<Id>,
    /// At the sink: delivered and not acknowledged.
    pub(super) pending: Vec<Id>,
    /// The entry last passed.
    pub(super) passed: Id,
    /// Events that had their effect, in this order.
    pub(super) effects: Vec<u8>,
}

impl Group {
    pub(super) fn lose_all(&mut self) {
        self.delivered = None;
        self.pending.clear();
    }

    pub(super) fn lose_behind(&mut self, top: Id) {
        self.delivered = self.delivered.map(|delivered| delivered.min(top));
        self.pending.retain(|id| *id <= top);
    }
}

/// Whether an entry waits for its predecessor.
fn is_held(rules: &Stream, group: &Group, id: Id, previous: Id) -> bool {
    rules.without != Without::Gate && id > group.passed && previous > group.passed
}

fn take(rules: &Stream, state: &mut State, id: Id, event: u8) {
    let group = &mut state.group;
    let is_behind = id <= group.passed && !matches!(rules.without, Without::Gate | Without::Superseded);
    if !is_behind && !group.effects.contains(&event) {
        group.effects.push(event);
    }
    group.passed = group.passed.max(id);
    group.pending.retain(|pending| *pending != id);
}

/// What the group may still need begins here; none where there is no group.
pub(super) fn bound(rules: &Stream, state: &State) -> Option<Id> {
    let delivered = state.group.delivered?;
    let Some(lowest) = state.group.pending.iter().min() else {
        return Some((delivered.0, delivered.1 + 1));
    };
    if rules.without == Without::HoleHoldsFloor {
        return Some(*lowest);
    }
    // What comes right before it may be missing.
    let entry = state.stored.entries.iter().find(|entry| entry.id == *lowest);
    let is_there = |id: Id| id < state.floor || state.stored.has(id);
    let lost = entry
        .map(|entry| entry.previous)
        .filter(|previous| !is_there(*previous));
    Some(lost.map_or(*lowest, |lost| lost.min(*lowest)))
}

/// What the group's member does.
pub(super) fn steps(rules: &Stream, state: &State, next: &mut Next<State>) {
    let who = Who::Member(0);
    let Some(delivered) = state.group.delivered else {
        if state.stored.top > MIN {
            let mut reached = state.clone();
            // Behind what its database knows as passed.
            reached.group.delivered = Some(state.group.passed);
            next.step(who, "make the group", 0, reached);
        }
        return;
    };
    if let Some(entry) = state.stored.entries.iter().find(|entry| entry.id > delivered) {
        let mut reached = state.clone();
        reached.group.delivered = Some(entry.id);
        if is_held(rules, &state.group, entry.id, entry.previous) {
            reached.group.pending.push(entry.id);
            next.step(who, "read and hold", entry.event, reached);
        } else {
            take(rules, &mut reached, entry.id, entry.event);
            next.step(who, "read and apply", entry.event, reached);
        }
    }
    for id in &state.group.pending {
        let mut reached = state.clone();
        match state.stored.entries.iter().find(|entry| entry.id == *id) {
            Some(entry) if !is_held(rules, &state.group, *id, entry.previous) => {
                take(rules, &mut reached, *id, entry.event);
                next.step(who, "apply what was held", entry.event, reached);
            }
            _ => {}
        }
    }
}
