//! Applying: two members of a group, one stream, the lease, the pending list, the gate, the inbox.
//!
//! A member that was stopped beyond its lease goes on at any later step with what it remembers. A member dies between its
//! commit and its acknowledgement. A person sets the group back to the beginning, so that everything is applied again. Two
//! entries of one key follow one another, and one of another key comes between. What can happen to the stream itself is in
//! [`crate::stream`], what handlers do in [`crate::park`].

use crate::explore::{Protocol, those};
use crate::step::{Next, Who};

/// What is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// Nothing.
    Nothing,
    /// An entry is acknowledged after the commit of its effect, and nothing looks for what was delivered and not applied.
    AckAfterCommit,
    /// What was delivered and not applied by anyone is delivered again.
    DeliveredAgain,
    /// What lies behind the gate is acknowledged by who holds the lease.
    AckUnderLease,
    /// The applying transaction looks at the lease.
    Lease,
    /// It holds the lease's row until it ends.
    LeaseLock,
    /// The gate.
    Gate,
    /// The inbox.
    Inbox,
    /// A key is in one transaction at a time.
    OnePerKey,
}

/// The model and its bounds.
#[derive(Clone, Copy, Debug)]
pub struct Consume {
    /// What is taken away.
    pub without: Without,
    /// Members that die.
    pub deaths: u8,
    /// Leases that run out under a member that was stopped.
    pub stops: u8,
    /// Attempts that fail.
    pub failures: u8,
    /// Times that the group is set back.
    pub seeks: u8,
}

const ENTRIES: usize = 3;
/// The key of each entry.
const KEYS: [u8; ENTRIES] = [0, 1, 0];

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Slot {
    Absent,
    Open,
    Flying,
    Finished,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Member {
    epoch: u8,
    /// Entries below passed its gate.
    gate: u8,
    /// Entries below are passed by a commit that it knows of.
    committed: u8,
    slots: [Slot; ENTRIES],
    /// What was pending when it began was claimed.
    has_swept: bool,
}

/// A state.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    /// Entries below were delivered.
    delivered: u8,
    pending: [bool; ENTRIES],
    acknowledged: [bool; ENTRIES],
    holder: Option<u8>,
    epoch: u8,
    inbox: [bool; ENTRIES],
    /// Entries below are passed.
    passed: u8,
    effects: Vec<u8>,
    members: [Option<Member>; 2],
    left: (u8, u8, u8, u8),
}

/// Passed without effect.
pub const LOST: &str = "G1 nothing is lost";
/// Applied twice.
pub const ONE_EFFECT: &str = "G3 one effect";
/// Applied against the order of the key.
pub const ORDER: &str = "G4 order per key";

impl Consume {
    /// Who looks at the lease in a transaction keeps its row until that ends.
    fn is_held(&self, state: &State) -> bool {
        let locks = !matches!(self.without, Without::Lease | Without::LeaseLock);
        let flies = |member: &Member| member.epoch == state.epoch && member.slots.contains(&Slot::Flying);
        locks && state.members.iter().flatten().any(flies)
    }

    fn take_lease(&self, state: &State, at: u8, next: &mut Next<State>) {
        let is_mine = state.members[at as usize]
            .as_ref()
            .is_some_and(|member| member.epoch == state.epoch);
        if is_mine || self.is_held(state) {
            return;
        }
        let mut reached = state.clone();
        reached.epoch += 1;
        reached.holder = Some(at);
        reached.members[at as usize] = Some(Member {
            epoch: reached.epoch,
            gate: state.passed,
            committed: state.passed,
            slots: [Slot::Absent; ENTRIES],
            has_swept: false,
        });
        let lives = |holder: u8| {
            let member = state.members[holder as usize].as_ref();
            member.is_some_and(|member| member.epoch == state.epoch)
        };
        if !state.holder.is_some_and(lives) {
            next.step(Who::Member(at), "take the lease", 0, reached);
        } else if state.left.1 > 0 {
            reached.left.1 -= 1;
            next.fault(
                Who::Member(at),
                "take the lease from one that is stopped",
                0,
                reached,
            );
        }
    }

    /// An entry came to a member: to be tried, to be acknowledged, or to be left pending.
    fn take(&self, state: &mut State, at: u8, entry: usize) {
        let Some(member) = &mut state.members[at as usize] else {
            return;
        };
        let has_gate = self.without != Without::Gate;
        if member.slots[entry] != Slot::Absent {
            // It has it already, and the other one read it again.
        } else if has_gate && entry < member.gate as usize {
            if member.epoch == state.epoch || self.without == Without::AckUnderLease {
                state.pending[entry] = false;
                state.acknowledged[entry] = true;
            } else {
                state.members[at as usize] = None;
            }
        } else if !has_gate || entry == member.gate as usize {
            member.slots[entry] = Slot::Open;
            member.gate = member.gate.max(entry as u8 + 1);
        }
    }

    fn read(&self, state: &State, at: u8, member: &Member, next: &mut Next<State>) {
        let who = Who::Member(at);
        let is_out = |entry: &usize| state.pending[*entry] && member.slots[*entry] == Slot::Absent;
        let is_held = |entry: usize| self.without != Without::Gate && entry > member.gate as usize;
        match (0..ENTRIES).find(is_out) {
            Some(entry) if !is_held(entry) => {
                let mut reached = state.clone();
                self.take(&mut reached, at, entry);
                next.step(who, "claim", entry as u8, reached);
            }
            _ if !member.has_swept => {
                let mut reached = state.clone();
                if let Some(member) = &mut reached.members[at as usize] {
                    member.has_swept = true;
                }
                next.step(who, "have claimed all", 0, reached);
            }
            _ => {}
        }
        let entry = state.delivered as usize;
        if member.has_swept && entry < ENTRIES {
            let mut reached = state.clone();
            reached.delivered += 1;
            reached.pending[entry] = true;
            self.take(&mut reached, at, entry);
            next.step(who, "read", entry as u8, reached);
        }
    }

    fn begin(&self, state: &State, at: u8, member: &Member, entry: usize, next: &mut Next<State>) {
        let who = Who::Member(at);
        let is_busy = |other: usize| {
            let is_flying = member.slots[other] == Slot::Flying;
            let is_before = other < entry && member.slots[other] == Slot::Open;
            KEYS[other] == KEYS[entry] && (is_flying || is_before)
        };
        if self.without != Without::OnePerKey && (0..ENTRIES).any(is_busy) {
            return;
        }
        let mut reached = state.clone();
        if self.without != Without::Lease && member.epoch != state.epoch {
            reached.members[at as usize] = None;
            next.step(who, "find its lease gone", entry as u8, reached);
            return;
        }
        // Somebody else's transaction has entered it and is not over: this one waits.
        let other = state.members[1 - at as usize].as_ref();
        let is_claimed = other.is_some_and(|other| other.slots[entry] == Slot::Flying);
        if is_claimed && self.without != Without::Inbox {
            return;
        }
        if let Some(member) = &mut reached.members[at as usize] {
            member.slots[entry] = Slot::Flying;
        }
        if self.without == Without::AckAfterCommit {
            reached.pending[entry] = false;
            reached.acknowledged[entry] = true;
        }
        next.step(who, "begin to apply", entry as u8, reached);
    }

    fn commit(&self, state: &State, at: u8, entry: usize, next: &mut Next<State>) {
        let mut reached = state.clone();
        let is_known = state.inbox[entry] && self.without != Without::Inbox;
        if !is_known {
            reached.effects.push(entry as u8);
            reached.inbox[entry] = true;
        }
        let Some(member) = &mut reached.members[at as usize] else {
            return;
        };
        member.slots[entry] = Slot::Finished;
        let from = state.passed as usize;
        let is_finished = |entry: &usize| *entry < from || member.slots[*entry] == Slot::Finished;
        let passed = (0..ENTRIES).take_while(is_finished).count() as u8;
        member.committed = member.committed.max(passed);
        reached.passed = reached.passed.max(passed);
        next.step(Who::Member(at), "commit", entry as u8, reached);
        if state.left.2 > 0 {
            let mut failed = state.clone();
            failed.left.2 -= 1;
            if let Some(member) = &mut failed.members[at as usize] {
                member.slots[entry] = Slot::Open;
            }
            next.fault(Who::Member(at), "fail", entry as u8, failed);
        }
    }

    fn work(&self, state: &State, at: u8, next: &mut Next<State>) {
        let Some(member) = &state.members[at as usize] else {
            return;
        };
        self.read(state, at, member, next);
        for entry in 0..ENTRIES {
            match member.slots[entry] {
                Slot::Open => self.begin(state, at, member, entry, next),
                Slot::Flying => self.commit(state, at, entry, next),
                Slot::Finished if entry < member.committed as usize && state.pending[entry] => {
                    let mut reached = state.clone();
                    reached.pending[entry] = false;
                    reached.acknowledged[entry] = true;
                    next.step(Who::Member(at), "acknowledge", entry as u8, reached);
                }
                Slot::Finished | Slot::Absent => {}
            }
        }
        self.look_for_missed(state, at, member, next);
        if state.left.0 > 0 {
            let mut dead = state.clone();
            dead.left.0 -= 1;
            dead.members[at as usize] = None;
            next.fault(Who::Member(at), "die", 0, dead);
        }
    }

    /// What comes next was delivered, is pending nowhere and not in hand: the group is set back to what it passed.
    fn look_for_missed(&self, state: &State, at: u8, member: &Member, next: &mut Next<State>) {
        let may = !matches!(self.without, Without::DeliveredAgain | Without::AckAfterCommit);
        let entry = member.gate as usize;
        let is_missing =
            entry < state.delivered as usize && !state.pending[entry] && member.slots[entry] == Slot::Absent;
        if may && is_missing && member.epoch == state.epoch {
            let mut reached = state.clone();
            reached.delivered = state.passed;
            next.step(Who::Member(at), "have it delivered again", state.passed, reached);
        }
    }

    /// Sets the group back to the beginning, and has its effects forgotten.
    fn seek(state: &State) -> State {
        State {
            delivered: 0,
            pending: [false; ENTRIES],
            acknowledged: [false; ENTRIES],
            holder: None,
            epoch: state.epoch + 1,
            inbox: [false; ENTRIES],
            passed: 0,
            effects: Vec::new(),
            members: state.members.clone(),
            left: (state.left.0, state.left.1, state.left.2, state.left.3 - 1),
        }
    }
}

impl Protocol for Consume {
    type State = State;

    fn start(&self) -> State {
        State {
            delivered: 0,
            pending: [false; ENTRIES],
            acknowledged: [false; ENTRIES],
            holder: None,
            epoch: 0,
            inbox: [false; ENTRIES],
            passed: 0,
            effects: Vec::new(),
            members: [None, None],
            left: (self.deaths, self.stops, self.failures, self.seeks),
        }
    }

    fn next(&self, state: &State, next: &mut Next<State>) {
        for at in 0..2 {
            self.take_lease(state, at, next);
            self.work(state, at, next);
        }
        if state.left.3 > 0 && state.epoch > 0 && !self.is_held(state) {
            next.fault(Who::Person, "set the group back", 0, Self::seek(state));
        }
    }

    fn broken(&self, state: &State) -> Vec<&'static str> {
        let has_effect = |entry: usize| state.effects.contains(&(entry as u8));
        let is_lost = (0..state.passed as usize).any(|entry| !has_effect(entry));
        let times = |entry: usize| {
            state
                .effects
                .iter()
                .filter(|effect| **effect as usize == entry)
                .count()
        };
        let is_turned = |key: u8| {
            let of_key = |effect: &&u8| KEYS[**effect as usize] == key;
            let order: Vec<&u8> = state.effects.iter().filter(of_key).collect();
            order.windows(2).any(|pair| pair[0] > pair[1])
                || order
                    .first()
                    .is_some_and(|first| KEYS.iter().position(|of| *of == key) != Some(**first as usize))
        };
        those(&[
            (is_lost, LOST),
            ((0..ENTRIES).any(|entry| times(entry) > 1), ONE_EFFECT),
            ((0..2).any(is_turned), ORDER),
        ])
    }

    fn is_done(&self, state: &State) -> bool {
        state.effects.len() >= ENTRIES && !state.pending.contains(&true)
    }
}
