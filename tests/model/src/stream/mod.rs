//! One stream: publishing from the ledger, losing entries, putting them out again, trimming, and the group's gate.
//!
//! Events of one key follow one another. Two relays, of which one holds the lease and the other may not have noticed that it
//! lost it; what a relay sent may arrive at any later time, also after the relay died. Redis may lose the stream or its end
//! without disconnecting anyone; Postgres may crash and undo the progress that was not flushed. Cutting is one step here, and
//! the unique number of the ledger is taken for granted: [`crate::tail`] is about that. So is one member that applies and
//! acknowledges in one step: [`crate::consume`] is about that.

mod group;
mod ledger;
mod relay;
mod sink;

use crate::explore::{Protocol, those};
use crate::step::{Next, Who};

use group::Group;
use ledger::{Id, MIN, Progress, Row};
use relay::Lane;
use sink::{Parcel, Stored};

/// What is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// Nothing.
    Nothing,
    /// A parcel is one transaction, and the next one leaves after it is confirmed.
    Transaction,
    /// The second half of an entry's id is the event's position.
    Position,
    /// A re-issue has fresh ids.
    FreshIds,
    /// The gate of the group.
    Gate,
    /// What is at or below the gate has no effect.
    Superseded,
    /// It is asked for the predecessor of what comes next.
    Predecessor,
    /// It is asked for the predecessor, and the top is never raised by hand.
    TopUntouched,
    /// A re-issue has everything from the first missing entry on.
    WholeRest,
    /// The floor is recorded before anything is trimmed.
    Floor,
    /// The floor is below progress that is flushed, and itself flushed.
    FlushedFloor,
    /// A registered group that is not there has acknowledged nothing.
    MissingGroup,
    /// What a person skipped is left out of the chain.
    SkipLeavesChain,
    /// A skip commits synchronously.
    FlushedSkip,
    /// A stream of which nothing is confirmed has lost nothing.
    NothingConfirmed,
    /// Who sees a loss looks at its lease first.
    LeaseFirst,
    /// Before a loss counts, the floor is read again.
    FloorReadAgain,
    /// A group that holds an entry has not had the one before it.
    HoleHoldsFloor,
    /// A leader notices that the ledger went on without it, also when there is nothing to cut.
    LedgerWatched,
    /// A stream that was set aside and misses nothing goes on.
    WholeGoesOn,
    /// What the stream refuses and does not hold is missing, also when what was confirmed is there.
    RefusedIsMissing,
}

/// The model and its bounds.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    /// What is taken away.
    pub without: Without,
    /// Events.
    pub events: u8,
    /// Times that Redis loses something.
    pub losses: u8,
    /// Crashes of Postgres.
    pub crashes: u8,
    /// Relays that die, or are stopped beyond their lease.
    pub relays: u8,
    /// Answers of the sink that do not arrive.
    pub answers: u8,
    /// Times that it is trimmed.
    pub trims: u8,
    /// Whether the second event is too large for the sink, until a person raises the limit or skips it.
    pub too_large: bool,
    /// Whether pieces of the log are dropped that were passed.
    pub drops: bool,
}

/// A state.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    appended: u8,
    ledger: Vec<Row>,
    recorded: Progress,
    flushed: Progress,
    floor: Id,
    flushed_floor: Id,
    skipped: u8,
    flushed_skipped: u8,
    set_aside: Option<Why>,
    /// Events below are no longer in the log.
    dropped: u8,
    limit_raised: bool,
    leader: Option<u8>,
    lanes: [Option<Lane>; 2],
    wires: [Vec<Parcel>; 2],
    stored: Stored,
    group: Group,
    /// Entries were lost.
    has_lost: bool,
    /// Events that had an entry before anything was lost.
    put: u8,
    doubled: bool,
    false_alarm: bool,
    left: Left,
}

/// Why the stream was set aside.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Why {
    /// It lost something.
    Lost,
    /// The next event is too large for it.
    TooLarge,
}

/// What of the bounds is left.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Left {
    losses: u8,
    crashes: u8,
    relays: u8,
    answers: u8,
    trims: u8,
}

/// Trimmed, and never applied.
pub const LOST: &str = "G1 nothing is lost";
/// Applied against the order of the key.
pub const ORDER: &str = "G4 order per key";
/// Entries against the order of the key while the stream had all its data.
pub const ENTRIES: &str = "G4 order of entries";
/// Two entries while the stream had all its data.
pub const ONE_ENTRY: &str = "G5 one entry per event";
/// A loss is seen where there is none.
pub const FALSE_ALARM: &str = "G5 no loss is seen where there is none";

/// More rows than any bounded run needs.
const ROWS_AT_MOST: usize = 9;

impl Stream {
    fn postgres(&self, state: &State, next: &mut Next<State>) {
        if state.appended < self.events {
            let mut reached = state.clone();
            reached.appended += 1;
            next.step(Who::Writer(0), "append", state.appended, reached);
        }
        let passed = ledger::event_of(state, self, state.recorded.chain);
        if self.drops && state.dropped == 0 && passed.is_some() {
            let mut reached = state.clone();
            reached.dropped = 1;
            reached.flush();
            next.step(Who::Postgres, "drop a piece", 0, reached);
        }
        if state.left.crashes > 0 {
            let mut reached = state.clone();
            reached.left.crashes -= 1;
            reached.recorded = reached.flushed;
            reached.floor = reached.flushed_floor;
            reached.skipped = reached.flushed_skipped;
            for at in 0..2 {
                relay::step_down(&mut reached, at);
            }
            reached.leader = None;
            next.fault(Who::Postgres, "crash", 0, reached);
        }
    }

    fn person(&self, state: &State, next: &mut Next<State>) {
        if state.set_aside != Some(Why::TooLarge) {
            return;
        }
        let is_next = ledger::next_event(state, self) == Some(1);
        if is_next && !state.limit_raised {
            let mut resumed = state.clone();
            resumed.limit_raised = true;
            resumed.resume(false);
            next.step(Who::Person, "resume", 1, resumed);
            let mut skipped = state.clone();
            skipped.skipped |= 1 << 1;
            skipped.resume(self.without != Without::FlushedSkip);
            next.step(Who::Person, "skip", 1, skipped);
        }
    }
}

impl State {
    /// Lets the stream go on.
    fn resume(&mut self, flushes: bool) {
        self.set_aside = None;
        if flushes {
            self.flush();
        }
        for lane in self.lanes.iter_mut().flatten() {
            lane.is_compared = false;
        }
    }

    /// A synchronous commit flushes everything before it.
    fn flush(&mut self) {
        self.flushed = self.recorded;
        self.flushed_floor = self.floor;
        self.flushed_skipped = self.skipped;
    }

    fn is_skipped(&self, event: u8) -> bool {
        self.skipped & (1 << event) != 0
    }
}

impl Protocol for Stream {
    type State = State;

    fn start(&self) -> State {
        State {
            appended: 0,
            ledger: Vec::new(),
            recorded: Progress::default(),
            flushed: Progress::default(),
            floor: MIN,
            flushed_floor: MIN,
            skipped: 0,
            flushed_skipped: 0,
            set_aside: None,
            dropped: 0,
            limit_raised: false,
            leader: None,
            lanes: [None, None],
            wires: [Vec::new(), Vec::new()],
            stored: Stored::default(),
            group: Group::default(),
            has_lost: false,
            put: 0,
            doubled: false,
            false_alarm: false,
            left: Left {
                losses: self.losses,
                crashes: self.crashes,
                relays: self.relays,
                answers: self.answers,
                trims: self.trims,
            },
        }
    }

    fn next(&self, state: &State, next: &mut Next<State>) {
        self.postgres(state, next);
        self.person(state, next);
        for at in 0..2 {
            relay::steps(self, state, at, next);
            sink::arrivals(self, state, at, next);
        }
        sink::losses(state, next);
        group::steps(self, state, next);
    }

    fn broken(&self, state: &State) -> Vec<&'static str> {
        let effects = &state.group.effects;
        let is_lost = state.floor > MIN
            && ledger::order(state, self, state.ledger.len())
                .iter()
                .any(|entry| entry.id < state.floor && !effects.contains(&entry.event));
        those(&[
            (state.doubled, ONE_ENTRY),
            (!state.has_lost && !state.stored.is_in_order(), ENTRIES),
            (state.false_alarm, FALSE_ALARM),
            (effects.windows(2).any(|pair| pair[0] >= pair[1]), ORDER),
            (is_lost, LOST),
        ])
    }

    fn is_done(&self, state: &State) -> bool {
        state.appended == self.events
            && (0..self.events).all(|event| state.is_skipped(event) || state.group.effects.contains(&event))
    }
}
