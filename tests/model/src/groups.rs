//! A new group on a stream that was trimmed: it begins with the first entry that it finds, and misses nothing from there on.
//!
//! The relay publishes three entries and trims behind the group that is registered. A new group is made, from the beginning
//! of the stream. Its first entry names a predecessor that it has not passed. Was that trimmed, the group begins here; was it
//! lost, it comes again, and the group waits for it.

use crate::explore::{Protocol, those};
use crate::step::{Next, Who};

/// What is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// Nothing.
    Nothing,
    /// A new group begins with the first entry that it finds.
    BeginsHere,
    /// It begins there only if what precedes was trimmed.
    TrimmedOnly,
    /// A group that is seen on the stream is registered before anything is trimmed.
    Registered,
    /// What a group misses because it was trimmed is said, and a person passes it.
    Told,
}

/// The model and its bounds.
#[derive(Clone, Copy, Debug)]
pub struct Groups {
    /// What is taken away.
    pub without: Without,
    /// Times that Redis loses the first entries, while later ones are on their way.
    pub losses: u8,
    /// Times that it is trimmed.
    pub trims: u8,
}

const ENTRIES: u8 = 3;

/// A state.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    published: u8,
    /// On the stream.
    stored: [bool; ENTRIES as usize],
    floor: u8,
    is_made: bool,
    is_registered: bool,
    /// Upkeep looked at the groups, and may trim to here.
    may_trim: Option<u8>,
    /// Entries below were delivered to the new group.
    delivered: u8,
    held: Vec<u8>,
    /// Entries up to and with this one are passed; none: it begins.
    passed: Option<u8>,
    effects: Vec<u8>,
    /// Something was trimmed that a group needs which was seen.
    took_needed: bool,
    losses: u8,
    trims: u8,
}

/// Applied against the order of the key.
pub const ORDER: &str = "G4 order per key";
/// Trimmed, though a group that was seen on the stream needs it.
pub const NEEDED: &str = "G8 what a group needs is not trimmed";
/// Something between two effects was left out, and nobody was told.
pub const GAP: &str = "G1 nothing is lost";

impl Groups {
    fn relay(&self, state: &State, next: &mut Next<State>) {
        let who = Who::Relay(0);
        if state.published < ENTRIES {
            let mut reached = state.clone();
            reached.stored[state.published as usize] = true;
            reached.published += 1;
            next.step(who, "publish", state.published, reached);
        }
        let lost = (state.floor..state.published).find(|at| !state.stored[*at as usize]);
        if let Some(lost) = lost {
            let mut reached = state.clone();
            for at in lost..state.published {
                reached.stored[at as usize] = true;
            }
            // Put out again, everything from there on: delivered once more.
            reached.delivered = reached.delivered.min(lost);
            reached.held.clear();
            next.step(who, "put out again", lost, reached);
        }
        match state.may_trim {
            None if state.trims > 0 && state.published > 1 => {
                let mut reached = state.clone();
                reached.is_registered |= state.is_made && self.without != Without::Registered;
                let bound = match state.held.first() {
                    Some(held) => *held,
                    None => state.delivered,
                };
                let limit = if reached.is_registered {
                    bound
                } else {
                    state.published - 1
                };
                if limit > state.floor {
                    reached.trims -= 1;
                    reached.took_needed |= state.is_made && limit > bound;
                    reached.may_trim = Some(limit.min(state.published - 1));
                    next.step(who, "look at the groups", limit, reached);
                }
            }
            Some(floor) => {
                let mut reached = state.clone();
                reached.may_trim = None;
                reached.floor = state.floor.max(floor);
                for at in 0..reached.floor {
                    reached.stored[at as usize] = false;
                }
                next.step(who, "trim", floor, reached);
            }
            None => {}
        }
    }

    fn group(&self, state: &State, next: &mut Next<State>) {
        let who = Who::Member(0);
        if !state.is_made {
            if state.published > 0 {
                let mut reached = state.clone();
                reached.is_made = true;
                next.step(who, "make the group", 0, reached);
            }
            return;
        }
        let entry = (state.delivered..ENTRIES).find(|at| state.stored[*at as usize]);
        if let Some(entry) = entry {
            let mut reached = state.clone();
            reached.delivered = entry + 1;
            let is_next = entry == state.passed.map_or(0, |passed| passed + 1);
            if state.passed.is_some_and(|passed| entry <= passed) {
                next.step(who, "read and pass over", entry, reached);
            } else if is_next {
                reached.passed = Some(entry);
                reached.effects.push(entry);
                next.step(who, "read and apply", entry, reached);
            } else {
                reached.held.push(entry);
                next.step(who, "read and hold", entry, reached);
            }
        }
        let Some(held) = state.held.first().copied() else {
            return;
        };
        let mut reached = state.clone();
        reached.held.remove(0);
        reached.passed = Some(held);
        reached.effects.push(held);
        let is_next = state.passed == Some(held - 1);
        let was_trimmed = held <= state.floor;
        if is_next {
            next.step(who, "apply what was held", held, reached);
        } else if state.passed.is_none() {
            let may = was_trimmed || self.without == Without::TrimmedOnly;
            if may && self.without != Without::BeginsHere {
                next.step(who, "begin here", held, reached);
            }
        } else if was_trimmed && self.without != Without::Told {
            next.step(Who::Person, "pass a hole that was said", held, reached);
        }
    }
}

impl Protocol for Groups {
    type State = State;

    fn start(&self) -> State {
        State {
            published: 0,
            stored: [false; ENTRIES as usize],
            floor: 0,
            is_made: false,
            is_registered: false,
            may_trim: None,
            delivered: 0,
            held: Vec::new(),
            passed: None,
            effects: Vec::new(),
            took_needed: false,
            losses: self.losses,
            trims: self.trims,
        }
    }

    fn next(&self, state: &State, next: &mut Next<State>) {
        self.relay(state, next);
        self.group(state, next);
        if state.losses > 0 && state.stored[0] {
            let mut reached = state.clone();
            reached.losses -= 1;
            reached.stored[0] = false;
            next.fault(Who::Redis, "lose the first entry", 0, reached);
        }
    }

    fn broken(&self, state: &State) -> Vec<&'static str> {
        let effects = &state.effects;
        let is_turned = effects.windows(2).any(|pair| pair[0] >= pair[1]);
        // What was lost, and not trimmed, before the first effect: it will be there again, and be passed over.
        let is_gap = effects.first().is_some_and(|first| *first > state.floor);
        those(&[(is_turned, ORDER), (is_gap, GAP), (state.took_needed, NEEDED)])
    }

    fn is_done(&self, state: &State) -> bool {
        state.effects.last() == Some(&(ENTRIES - 1))
    }
}
