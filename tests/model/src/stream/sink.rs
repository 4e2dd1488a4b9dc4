//! Redis: the stream, what arrives there, and what it loses.

use super::ledger::{Entry, Id, MIN};
use super::relay::{self, Answer};
use super::{State, Stream, Without};
use crate::step::{Next, Who};

/// What is on its way to the stream.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Parcel {
    pub(super) entries: Vec<Entry>,
    /// The entry that is looked for first; none where that is not asked.
    pub(super) predecessor: Option<Id>,
    /// Entries below may be gone.
    pub(super) floor: Id,
    /// Whether who sent it still waits for the answer.
    pub(super) is_awaited: bool,
}

/// The stream.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Stored {
    pub(super) entries: Vec<Entry>,
    pub(super) top: Id,
}

impl Stored {
    pub(super) fn has(&self, id: Id) -> bool {
        self.entries.iter().any(|entry| entry.id == id)
    }

    pub(super) fn is_in_order(&self) -> bool {
        self.entries.windows(2).all(|pair| pair[0].event < pair[1].event)
    }

    /// Whether what was confirmed is there, as far as it is asked.
    pub(super) fn shows(&self, rules: &Stream, id: Id) -> bool {
        match rules.without {
            Without::Predecessor | Without::TopUntouched => self.top >= id,
            _ => self.has(id),
        }
    }
}

impl State {
    fn add(&mut self, entry: Entry) -> bool {
        if entry.sent_as <= self.stored.top {
            return false;
        }
        self.stored.top = entry.sent_as;
        self.stored.entries.push(entry);
        let bit = 1 << entry.event;
        if !self.has_lost {
            self.doubled |= self.put & bit != 0;
            self.put |= bit;
        }
        true
    }
}

/// Parcels arrive; the answer comes back, or does not.
pub(super) fn arrivals(rules: &Stream, state: &State, at: u8, next: &mut Next<State>) {
    let who = Who::Relay(at);
    let Some(parcel) = state.wires[at as usize].first() else {
        return;
    };
    let first = parcel.entries[0].event;
    let mut reached = state.clone();
    let parcel = reached.wires[at as usize].remove(0);
    let answer = arrive(rules, &mut reached, &parcel);
    let mut heard = reached.clone();
    if parcel.is_awaited {
        relay::hear(rules, &mut heard, at, &answer);
    }
    next.step(who, "have a parcel arrive", first, heard);
    if parcel.is_awaited && state.left.answers > 0 {
        reached.left.answers -= 1;
        relay::reconnect(&mut reached, at);
        next.fault(
            who,
            "have a parcel arrive, and not hear the answer",
            first,
            reached,
        );
    }
    // A transaction is refused as a whole, and what comes behind waits for it.
    let is_pipeline = rules.without == Without::Transaction;
    if (parcel.is_awaited || is_pipeline) && state.left.answers > 0 {
        let mut reached = state.clone();
        reached.left.answers -= 1;
        reached.wires[at as usize].remove(0);
        relay::reconnect(&mut reached, at);
        next.fault(who, "have a parcel refused (out of memory)", first, reached);
    }
    if !parcel.is_awaited {
        let mut reached = state.clone();
        reached.wires[at as usize].remove(0);
        next.step(who, "have a parcel vanish", first, reached);
    }
}

fn arrive(rules: &Stream, state: &mut State, parcel: &Parcel) -> Answer {
    let is_found = parcel.predecessor.is_none_or(|id| state.stored.shows(rules, id));
    let mut confirmed = Vec::new();
    for entry in &parcel.entries {
        let added = state.add(*entry);
        let is_there = state
            .stored
            .entries
            .iter()
            .any(|stored| stored.sent_as == entry.sent_as && stored.event == entry.event);
        confirmed.push(added || is_there || entry.id < parcel.floor);
    }
    let predecessor = parcel.predecessor.unwrap_or(MIN);
    if !is_found && predecessor >= parcel.floor {
        return Answer {
            confirmed: 0,
            chain: MIN,
            missing: Some(predecessor),
        };
    }
    let count = confirmed.iter().take_while(|is| **is).count();
    Answer {
        confirmed: count,
        chain: count.checked_sub(1).map_or(MIN, |last| parcel.entries[last].id),
        missing: parcel.entries.get(count).map(|entry| entry.id),
    }
}

/// Redis loses the stream, or its end, with the groups' knowledge of it. Nobody is disconnected.
pub(super) fn losses(state: &State, next: &mut Next<State>) {
    let count = state.stored.entries.len();
    if state.left.losses == 0 || state.stored.top == MIN {
        return;
    }
    let mut gone = state.clone();
    gone.left.losses -= 1;
    gone.has_lost = true;
    gone.stored = Stored::default();
    gone.group.lose_all();
    next.fault(Who::Redis, "lose the stream", 0, gone);
    for kept in 1..count {
        let mut cut = state.clone();
        cut.left.losses -= 1;
        cut.has_lost = true;
        cut.stored.entries.truncate(kept);
        cut.stored.top = cut.stored.entries.last().map_or(MIN, |entry| entry.sent_as);
        cut.group.lose_behind(cut.stored.top);
        next.fault(Who::Redis, "lose the end of the stream", kept as u8, cut);
    }
}
