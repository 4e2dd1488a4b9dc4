//! A topic grows from one partition to two: the events of a key move to another stream, and keep their order.
//!
//! Two events of a key are on the old stream, which ends with a control entry, and one on a new stream. The streams are
//! published apart from each other, and read by two members that know of each other's progress through the database alone.
//! Redis may lose the old stream; it is put out again ([`crate::stream`] is about how).

use crate::explore::{Protocol, those};
use crate::step::{Next, Who};

/// What is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// Nothing.
    Nothing,
    /// Entries of a newer generation wait until nothing is left of the older ones.
    Wait,
    /// The layout is at the sink before anything of a new generation.
    Announce,
    /// Each old stream has an entry before anything of a new generation leaves.
    Opening,
    /// An old stream that a group was reading and does not find holds the newer ones.
    LostHolds,
    /// So does one that a group has not begun to read: its mark says that something was published.
    MarkOfOld,
    /// The old stream ends with a control entry.
    End,
}

/// The model and its bounds.
#[derive(Clone, Copy, Debug)]
pub struct Partitions {
    /// What is taken away.
    pub without: Without,
    /// Times that Redis loses the old stream.
    pub losses: u8,
    /// Attempts that fail, or are ended by a takeover.
    pub failures: u8,
}

/// Events of the key on the old stream.
const OLD: u8 = 2;

/// A state.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    /// Entries of the old stream that were published, its end included.
    old: u8,
    /// The first of them that is on the stream: behind all of them when it is lost.
    is_lost: bool,
    new: bool,
    is_announced: bool,
    /// Members know the layout.
    is_known: bool,
    passed: u8,
    new_passed: bool,
    /// In a transaction: of the old stream, of the new one.
    flying: (bool, bool),
    effects: Vec<u8>,
    losses: u8,
    failures: u8,
}

/// Applied against the order of the key.
pub const ORDER: &str = "G4 order per key";

impl Partitions {
    /// The old stream's entries, its end included.
    fn length(&self) -> u8 {
        OLD + u8::from(self.without != Without::End)
    }

    fn publish(&self, state: &State, next: &mut Next<State>) {
        let who = Who::Relay(0);
        let mut reached = state.clone();
        if state.is_lost {
            reached.is_lost = false;
            next.step(who, "put the old stream out again", 0, reached.clone());
            reached = state.clone();
        } else if state.old < self.length() {
            reached.old += 1;
            next.step(who, "publish on the old stream", state.old, reached.clone());
            reached = state.clone();
        }
        if !state.is_announced {
            reached.is_announced = true;
            next.step(who, "announce the layout", 0, reached.clone());
            reached = state.clone();
        }
        let may = state.is_announced || self.without == Without::Announce;
        let has_entry = state.old > 0 || self.without == Without::Opening;
        if !state.new && may && has_entry {
            reached.new = true;
            next.step(who, "publish on the new stream", OLD, reached);
        }
    }

    /// Whether nothing is left of the old generation, as far as members can tell.
    fn is_over(&self, state: &State) -> bool {
        if self.without == Without::Wait {
            return true;
        }
        // Without its layout an entry is of the first generation: nothing comes before it.
        if !state.is_known {
            return self.without == Without::Announce;
        }
        let is_there = state.old > 0 && !state.is_lost;
        let is_marked = state.old > 0 && self.without != Without::MarkOfOld;
        let was_reading = (state.passed > 0 || is_marked) && self.without != Without::LostHolds;
        match self.without {
            Without::End => state.passed >= state.old,
            _ => state.passed >= self.length() || !is_there && !was_reading,
        }
    }

    fn read(&self, state: &State, next: &mut Next<State>) {
        if state.is_announced && !state.is_known {
            let mut reached = state.clone();
            reached.is_known = true;
            next.step(Who::Member(0), "learn the layout", 0, reached);
        }
        let mut reached = state.clone();
        if state.flying.0 {
            reached.flying.0 = false;
            let mut failed = reached.clone();
            if state.passed < OLD {
                reached.effects.push(state.passed);
            }
            reached.passed += 1;
            next.step(
                Who::Member(0),
                "commit on the old stream",
                state.passed,
                reached.clone(),
            );
            if state.failures > 0 {
                failed.failures -= 1;
                next.fault(Who::Member(0), "fail on the old stream", state.passed, failed);
            }
        } else if !state.is_lost && state.passed < state.old {
            reached.flying.0 = true;
            next.step(Who::Member(0), "begin on the old stream", state.passed, reached);
        }
        let mut reached = state.clone();
        if state.flying.1 {
            reached.flying.1 = false;
            reached.new_passed = true;
            reached.effects.push(OLD);
            next.step(Who::Member(1), "commit on the new stream", OLD, reached);
        } else if state.new && !state.new_passed && self.is_over(state) {
            reached.flying.1 = true;
            next.step(Who::Member(1), "begin on the new stream", OLD, reached);
        }
    }
}

impl Protocol for Partitions {
    type State = State;

    fn start(&self) -> State {
        State {
            old: 0,
            is_lost: false,
            new: false,
            is_announced: false,
            is_known: false,
            passed: 0,
            new_passed: false,
            flying: (false, false),
            effects: Vec::new(),
            losses: self.losses,
            failures: self.failures,
        }
    }

    fn next(&self, state: &State, next: &mut Next<State>) {
        self.publish(state, next);
        self.read(state, next);
        if state.losses > 0 && !state.is_lost && state.old > 0 {
            let mut reached = state.clone();
            reached.losses -= 1;
            reached.is_lost = true;
            next.fault(Who::Redis, "lose the old stream", 0, reached);
        }
    }

    fn broken(&self, state: &State) -> Vec<&'static str> {
        let is_turned = state
            .effects
            .iter()
            .enumerate()
            .any(|(at, event)| at != *event as usize);
        those(&[(is_turned, ORDER)])
    }

    fn is_done(&self, state: &State) -> bool {
        state.effects.len() == OLD as usize + 1
    }
}
