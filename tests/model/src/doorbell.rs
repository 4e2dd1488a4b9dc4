//! The doorbell: who sleeps is woken by the commit that brings something, and no other commit pays for it.
//!
//! Two writers append and commit. The leader looks, takes the lock L while nobody is appending, looks once more and sleeps. It
//! may be stopped beyond its lease while it holds L; another one takes the lead and ends it. A notification may get lost on its
//! way, and then the slow poll is what is left.

use crate::explore::{Protocol, those};
use crate::step::{Next, Who};

/// What is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// Nothing.
    Nothing,
    /// It looks once more between taking the lock and sleeping.
    SecondLook,
    /// An appender that does not ring shares the lock until its transaction ends.
    Share,
    /// Only for a valid lease is rung.
    LeaseTest,
    /// Who sleeps looks now and then all the same.
    SlowPoll,
    /// The lock is held only while it sleeps.
    OnlyAsleep,
}

/// The model and its bounds.
#[derive(Clone, Copy, Debug)]
pub struct Doorbell {
    /// What is taken away.
    pub without: Without,
    /// Times that the leader is stopped.
    pub stops: u8,
    /// Notifications that get lost.
    pub losses: u8,
}

const WRITERS: usize = 2;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Writer {
    Idle,
    Appended { shares: bool, rings: bool },
    Committed,
    Gone,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Relay {
    Awake,
    /// It looked, and saw nothing.
    Drowsy,
    /// It has the lock, and has not looked since.
    Locked,
    Asleep,
}

/// A state.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    writers: [Writer; WRITERS],
    cut: [bool; WRITERS],
    relay: Relay,
    has_lock: bool,
    /// It does nothing, and does not renew its lease.
    is_stopped: bool,
    lease_is_valid: bool,
    is_ringing: bool,
    /// A ring was not asked for or got lost, for a reason that the slow poll is there for.
    is_excused: bool,
    /// A commit pays for a relay that does not lead, or is awake.
    pays: bool,
    stops: u8,
    losses: u8,
}

/// Asleep while something is there, and nobody rings.
pub const LOST_RING: &str = "G10 no wake-up is lost";
/// A producer rings for nobody.
pub const PAYS: &str = "G7 producers pay for no relay that does not sleep";

impl Doorbell {
    fn write(&self, state: &State, next: &mut Next<State>) {
        for (at, writer) in state.writers.iter().enumerate() {
            let who = Who::Writer(at as u8);
            let mut reached = state.clone();
            match *writer {
                Writer::Idle => {
                    let is_refused = state.has_lock;
                    let rings = is_refused && (state.lease_is_valid || self.without == Without::LeaseTest);
                    let shares = !is_refused && self.without != Without::Share;
                    reached.writers[at] = Writer::Appended { shares, rings };
                    reached.is_excused |= is_refused && !rings;
                    reached.pays |= rings && (!state.lease_is_valid || state.relay == Relay::Awake);
                    next.step(who, "append", at as u8, reached);
                }
                Writer::Appended { rings, .. } => {
                    let mut undone = state.clone();
                    undone.writers[at] = Writer::Gone;
                    next.step(who, "roll back", at as u8, undone);
                    reached.writers[at] = Writer::Committed;
                    reached.is_ringing |= rings;
                    next.step(who, "commit", at as u8, reached.clone());
                    if rings && state.losses > 0 {
                        reached.is_ringing = state.is_ringing;
                        reached.is_excused = true;
                        reached.losses -= 1;
                        next.fault(who, "commit, and the ring gets lost", at as u8, reached);
                    }
                }
                Writer::Committed | Writer::Gone => {}
            }
        }
    }

    fn is_new(state: &State, at: usize) -> bool {
        state.writers[at] == Writer::Committed && !state.cut[at]
    }

    fn look(&self, state: &State) -> (State, bool) {
        let mut reached = state.clone();
        let mut found = false;
        for at in 0..WRITERS {
            found |= Self::is_new(state, at);
            reached.cut[at] |= Self::is_new(state, at);
        }
        if found {
            reached.relay = Relay::Awake;
            reached.has_lock = self.without == Without::OnlyAsleep && state.has_lock;
        }
        (reached, found)
    }

    fn work(&self, state: &State, next: &mut Next<State>) {
        let who = Who::Relay(0);
        if state.is_stopped {
            let mut reached = state.clone();
            reached.is_stopped = false;
            reached.lease_is_valid = true;
            next.step(who, "go on", 0, reached);
            if !state.lease_is_valid {
                let mut other = state.clone();
                other.is_stopped = false;
                other.lease_is_valid = true;
                other.has_lock = false;
                other.is_ringing = false;
                other.relay = Relay::Awake;
                next.step(
                    Who::Relay(1),
                    "take the lead, and end who held the lock",
                    0,
                    other,
                );
            } else {
                let mut over = state.clone();
                over.lease_is_valid = false;
                next.step(Who::Postgres, "let the lease run out", 0, over);
            }
            return;
        }
        let (mut reached, found) = self.look(state);
        match state.relay {
            Relay::Awake => {
                if !found {
                    reached.relay = if state.has_lock {
                        Relay::Locked
                    } else {
                        Relay::Drowsy
                    };
                }
                next.step(who, "look", 0, reached);
            }
            Relay::Drowsy => {
                let is_shared = |writer: &Writer| matches!(writer, Writer::Appended { shares: true, .. });
                let mut tried = state.clone();
                if state.writers.iter().any(is_shared) {
                    tried.relay = Relay::Awake;
                    next.step(who, "be refused the lock", 0, tried);
                } else {
                    tried.has_lock = true;
                    tried.relay = if self.without == Without::SecondLook {
                        Relay::Asleep
                    } else {
                        Relay::Locked
                    };
                    next.step(who, "take the lock", 0, tried);
                }
            }
            Relay::Locked => {
                if !found {
                    reached.relay = Relay::Asleep;
                }
                next.step(who, "look once more", 0, reached);
            }
            Relay::Asleep => {
                if state.is_ringing {
                    let mut woken = state.clone();
                    woken.is_ringing = false;
                    woken.relay = Relay::Awake;
                    woken.has_lock = self.without == Without::OnlyAsleep;
                    next.step(who, "be woken", 0, woken);
                }
                if self.without != Without::SlowPoll && found {
                    next.step(who, "look after a long while", 0, reached);
                }
            }
        }
        if state.stops > 0 {
            let mut stopped = state.clone();
            stopped.stops -= 1;
            stopped.is_stopped = true;
            next.fault(who, "be stopped", 0, stopped);
        }
    }
}

impl Protocol for Doorbell {
    type State = State;

    fn start(&self) -> State {
        State {
            writers: [Writer::Idle; WRITERS],
            cut: [false; WRITERS],
            relay: Relay::Awake,
            has_lock: false,
            is_stopped: false,
            lease_is_valid: true,
            is_ringing: false,
            is_excused: false,
            pays: false,
            stops: self.stops,
            losses: self.losses,
        }
    }

    fn next(&self, state: &State, next: &mut Next<State>) {
        self.write(state, next);
        self.work(state, next);
    }

    fn broken(&self, state: &State) -> Vec<&'static str> {
        let waits = (0..WRITERS).any(|at| Self::is_new(state, at));
        let sleeps = state.relay == Relay::Asleep && !state.is_stopped;
        those(&[
            (
                sleeps && waits && !state.is_ringing && !state.is_excused,
                LOST_RING,
            ),
            (state.pays, PAYS),
        ])
    }

    fn is_done(&self, state: &State) -> bool {
        (0..WRITERS).all(|at| state.writers[at] == Writer::Gone || state.cut[at])
    }
}
