//! Parking: what cannot be applied waits in the database, in its order, with everything that comes behind it on its key.
//!
//! Three events of one key arrive one after the other. The handler refuses the first one for some attempts. A member applies
//! what arrives, and drains what is parked beside it; another may take over while that is going on, which ends what it had
//! begun. After the last attempt the event is a dead letter, its key waits for a person, and a redrive puts it back in its place.

use crate::explore::{Protocol, those};
use crate::step::{Next, Who};

/// What is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// Nothing.
    Nothing,
    /// Who joins a lane, and who closes it, locks its row.
    LaneLock,
    /// What arrives asks whether its key is parked.
    IsAsked,
    /// A parked event is applied only if its outcome changes from parked.
    OutcomeChanges,
    /// A dead letter goes back to its old place.
    OldPlace,
}

/// The model and its bounds.
#[derive(Clone, Copy, Debug)]
pub struct Park {
    /// What is taken away.
    pub without: Without,
    /// Events of the key.
    pub events: u8,
    /// Attempts that fail.
    pub failures: u8,
    /// Attempts after which an event is given up.
    pub attempts: u8,
    /// Takeovers in the middle of something.
    pub takeovers: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Lane {
    Open,
    Retrying,
    Dead,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Outcome {
    None,
    Applied,
    Parked,
    Dead,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Arrival {
    None,
    /// In a transaction that found no lane.
    Applying(u8),
    /// In a transaction that found one, and joins it.
    Joining(u8),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Drain {
    None,
    /// The first event of the lane is with its handler.
    Applying(u8),
    /// It was applied; was anything behind it when it was looked?
    Closing {
        event: u8,
        saw_more: bool,
    },
}

/// A state.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    /// Events below arrived and are finished, one way or another.
    arrived: u8,
    lane: Lane,
    /// Parked events, by their places.
    parked: Vec<u8>,
    outcomes: Vec<Outcome>,
    effects: Vec<u8>,
    arrival: Arrival,
    drain: Drain,
    attempts: u8,
    failures: u8,
    takeovers: u8,
    /// A redrive was asked for, and not carried out yet.
    is_ordered: bool,
}

/// Applied twice.
pub const ONE_EFFECT: &str = "G3 one effect";
/// Applied against the order of the key.
pub const ORDER: &str = "G4 order per key";

impl Park {
    fn arrive(&self, state: &State, next: &mut Next<State>) {
        let who = Who::Member(0);
        let event = state.arrived;
        let mut reached = state.clone();
        match state.arrival {
            Arrival::None if event < self.events => {
                let joins = state.lane != Lane::Open && self.without != Without::IsAsked;
                reached.arrival = if joins {
                    Arrival::Joining(event)
                } else {
                    Arrival::Applying(event)
                };
                next.step(who, "begin what arrived", event, reached);
            }
            Arrival::Applying(event) => {
                reached.arrival = Arrival::None;
                reached.arrived += 1;
                if event == 0 && state.failures > 0 {
                    reached.failures -= 1;
                    reached.attempts = 1;
                    self.fail(&mut reached, event);
                    if !reached.parked.contains(&event) && reached.lane == Lane::Retrying {
                        reached.parked.push(event);
                    }
                    next.step(who, "park it", event, reached);
                } else {
                    reached.effects.push(event);
                    reached.outcomes[event as usize] = Outcome::Applied;
                    next.step(who, "apply it", event, reached);
                }
            }
            Arrival::Joining(event) => {
                reached.arrival = Arrival::None;
                reached.arrived += 1;
                reached.parked.push(event);
                reached.outcomes[event as usize] = Outcome::Parked;
                next.step(who, "park it behind", event, reached);
            }
            Arrival::None => {}
        }
    }

    fn fail(&self, state: &mut State, event: u8) {
        if state.attempts >= self.attempts {
            state.lane = Lane::Dead;
            state.outcomes[event as usize] = Outcome::Dead;
            state.parked.retain(|parked| *parked != event);
        } else {
            state.lane = Lane::Retrying;
            state.outcomes[event as usize] = Outcome::Parked;
        }
    }

    fn drain(&self, state: &State, next: &mut Next<State>) {
        let who = Who::Member(0);
        let mut reached = state.clone();
        match state.drain {
            Drain::None if state.lane == Lane::Retrying => {
                let Some(first) = state.parked.first() else { return };
                reached.drain = Drain::Applying(*first);
                next.step(who, "begin to drain", *first, reached);
            }
            Drain::Applying(event) if event == 0 && state.failures > 0 => {
                reached.failures -= 1;
                reached.attempts += 1;
                reached.drain = Drain::None;
                self.fail(&mut reached, event);
                next.step(who, "fail again", event, reached);
            }
            Drain::Applying(event) => {
                let saw_more = state.parked.iter().any(|parked| *parked != event);
                reached.drain = Drain::Closing { event, saw_more };
                next.step(who, "apply what was parked", event, reached);
            }
            Drain::Closing { event, saw_more } => self.close(state, event, saw_more, next),
            Drain::None => {}
        }
    }

    /// The transaction that drained commits; an empty lane goes.
    fn close(&self, state: &State, event: u8, saw_more: bool, next: &mut Next<State>) {
        let locks = self.without != Without::LaneLock;
        // To close it is to lock it against those who join, and then to look again.
        if locks && !saw_more && matches!(state.arrival, Arrival::Joining(_)) {
            return;
        }
        let mut reached = state.clone();
        reached.drain = Drain::None;
        reached.parked.retain(|parked| *parked != event);
        let is_parked = state.outcomes[event as usize] == Outcome::Parked;
        if is_parked || self.without == Without::OutcomeChanges {
            reached.effects.push(event);
            reached.outcomes[event as usize] = Outcome::Applied;
        }
        let is_empty = if locks {
            reached.parked.is_empty()
        } else {
            !saw_more
        };
        if is_empty {
            reached.lane = Lane::Open;
        }
        next.step(Who::Member(0), "commit what was drained", event, reached);
    }

    fn redrive(&self, state: &State, next: &mut Next<State>) {
        if state.lane != Lane::Dead {
            return;
        }
        let mut reached = state.clone();
        if !state.is_ordered {
            reached.is_ordered = true;
            next.step(Who::Person, "redrive", 0, reached);
            return;
        }
        // Under the lane's lock: nobody is joining.
        if self.without != Without::LaneLock && matches!(state.arrival, Arrival::Joining(_)) {
            return;
        }
        reached.is_ordered = false;
        reached.lane = Lane::Retrying;
        reached.attempts = 0;
        reached.outcomes[0] = Outcome::Parked;
        match self.without {
            Without::OldPlace => reached.parked.push(0),
            _ => reached.parked.insert(0, 0),
        }
        next.step(Who::Member(0), "put the letter back", 0, reached);
    }
}

impl Protocol for Park {
    type State = State;

    fn start(&self) -> State {
        State {
            arrived: 0,
            lane: Lane::Open,
            parked: Vec::new(),
            outcomes: vec![Outcome::None; self.events as usize],
            effects: Vec::new(),
            arrival: Arrival::None,
            drain: Drain::None,
            attempts: 0,
            failures: self.failures,
            takeovers: self.takeovers,
            is_ordered: false,
        }
    }

    fn next(&self, state: &State, next: &mut Next<State>) {
        self.arrive(state, next);
        self.drain(state, next);
        self.redrive(state, next);
        if state.takeovers > 0 {
            let mut reached = state.clone();
            reached.takeovers -= 1;
            reached.arrival = Arrival::None;
            reached.drain = Drain::None;
            next.fault(Who::Member(1), "take over", 0, reached);
        }
        // Two members drain the same lane: the lease of one is gone, and its transaction is not over.
        if self.without == Without::OutcomeChanges
            && state.takeovers > 0
            && let Drain::Closing { event, .. } = state.drain
        {
            let mut reached = state.clone();
            reached.takeovers -= 1;
            reached.effects.push(event);
            next.fault(Who::Member(1), "drain it as well", event, reached);
        }
    }

    fn broken(&self, state: &State) -> Vec<&'static str> {
        let times = |event: u8| state.effects.iter().filter(|effect| **effect == event).count();
        those(&[
            ((0..self.events).any(|event| times(event) > 1), ONE_EFFECT),
            (
                state
                    .effects
                    .iter()
                    .enumerate()
                    .any(|(at, event)| at != *event as usize),
                ORDER,
            ),
        ])
    }

    fn is_done(&self, state: &State) -> bool {
        state.effects.len() == self.events as usize && state.lane == Lane::Open
    }
}
