//! Cutting: which rows of the log are in which batch, and that a batch is a fact before anything of it is published.
//!
//! Three transactions append one event each: two of them to one key, one after the other under that key's lock, and a
//! stranger. Each may take its transaction id before it appends. They commit asynchronously, so a crash of Postgres undoes
//! what was not flushed, and the ids of what it undid are given out again. Two relays cut and publish without asking for a
//! lease: whoever believes that it leads, does. Publishing is one step for a batch: what can happen inside it is told in
//! [`crate::stream`].

mod cut;
mod relay;
mod write;

use crate::explore::{Protocol, those};
use crate::step::{Next, Who};

use cut::Snapshot;

/// What is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// Nothing.
    Nothing,
    /// The batch is committed before anything of it is published.
    CommitFirst,
    /// That commit is synchronous.
    Flush,
    /// Each number of the ledger is there once.
    UniqueNumber,
    /// Snapshots: what is above the highest position seen comes next.
    Snapshots,
    /// The order of positions: what is below the horizon of transaction ids comes next, in the order of those.
    PositionOrder,
    /// Rows of transactions that were open in the snapshot before.
    OpenArm,
    /// Rows may have lower positions than the batch before.
    NoLowerBound,
    /// What was seen is cut by the process of the server that saw it.
    SameServer,
}

/// The model and its bounds.
#[derive(Clone, Copy, Debug)]
pub struct Tail {
    /// What is taken away.
    pub without: Without,
    /// A relay looks, and cuts later what it saw.
    pub looks: bool,
    /// Crashes of Postgres.
    pub crashes: u8,
    /// Cuts whose answer is lost, and relays that die.
    pub troubles: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
enum Phase {
    Idle,
    Begun,
    Appended,
    Committed,
    Gone,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Transaction {
    phase: Phase,
    xid: u8,
    position: u8,
    is_flushed: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Batch {
    /// Of the clock: a batch that is cut again after its transaction was rolled back has another one.
    id: u8,
    /// Who holds its transaction open.
    open_by: Option<u8>,
    is_flushed: bool,
    from: Snapshot,
    to: Snapshot,
    /// Its events, named by their writers.
    rows: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Relay {
    /// The end of the ledger as it knows it; none until it was read.
    head: Option<u8>,
    /// What it saw behind it, and has not cut.
    seen: Option<Seen>,
    published: u8,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Seen {
    snapshot: Snapshot,
    rows: Vec<u8>,
}

/// A state.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    next_xid: u8,
    flushed_xid: u8,
    next_position: u8,
    writers: [Transaction; WRITERS],
    /// The order in which the key's transactions committed.
    commits: Vec<u8>,
    ledger: Vec<Batch>,
    relays: [Relay; 2],
    /// Batch and event of each entry.
    stream: Vec<(u8, u8)>,
    /// Something committed was left out of a cut.
    left_out: bool,
    clock: u8,
    crashes: u8,
    troubles: u8,
}

impl State {
    /// The events of each batch, named by their writers.
    #[must_use]
    pub fn batches(&self) -> Vec<Vec<u8>> {
        self.ledger.iter().map(|batch| batch.rows.clone()).collect()
    }
}

const WRITERS: usize = 3;
/// These two write to one key.
const KEY: [usize; 2] = [0, 1];

/// Committed, in no batch, and no batch to come will have it.
pub const LOST: &str = "G1 nothing is lost";
/// On the stream and not committed.
pub const PHANTOM: &str = "G2 no phantom";
/// Two of a key on the stream against their order.
pub const ORDER: &str = "G4 order per key";
/// Twice on the stream.
pub const ONE_ENTRY: &str = "G5 one entry per event";
/// Committed, and left out of a cut for somebody else's open transaction.
pub const STRANGER: &str = "G6 no stranger delays others";
/// A batch is the same rows whenever it is read.
pub const FIXED: &str = "G2 a batch never changes";

impl Protocol for Tail {
    type State = State;

    fn start(&self) -> State {
        let idle = Transaction {
            phase: Phase::Idle,
            xid: 0,
            position: 0,
            is_flushed: false,
        };
        State {
            next_xid: 1,
            flushed_xid: 1,
            next_position: 1,
            writers: [idle.clone(), idle.clone(), idle],
            commits: Vec::new(),
            ledger: Vec::new(),
            relays: [Relay::default(), Relay::default()],
            stream: Vec::new(),
            left_out: false,
            clock: 0,
            crashes: self.crashes,
            troubles: self.troubles,
        }
    }

    fn next(&self, state: &State, next: &mut Next<State>) {
        write::steps(state, next);
        for at in 0..2 {
            self.relay(state, at, next);
        }
        if state.crashes > 0 {
            let mut reached = write::crash(state);
            if self.without == Without::SameServer {
                // Something in between connects again, and says nothing.
                reached.relays = state.relays.clone();
                for relay in &mut reached.relays {
                    relay.head = relay
                        .head
                        .filter(|head| usize::from(*head) <= reached.ledger.len());
                }
            }
            next.fault(Who::Postgres, "crash", 0, reached);
        }
    }

    fn broken(&self, state: &State) -> Vec<&'static str> {
        let is_cut = |writer: u8| state.ledger.iter().any(|batch| batch.rows.contains(&writer));
        let is_committed = |writer: u8| state.writers[writer as usize].phase == Phase::Committed;
        let times = |event: u8| state.stream.iter().filter(|entry| entry.1 == event).count();
        let all = 0..WRITERS as u8;
        let is_lost =
            |writer: u8| is_committed(writer) && !is_cut(writer) && !self.can_come(state, writer.into());
        let of_key = state
            .stream
            .iter()
            .filter(|entry| KEY.contains(&(entry.1 as usize)));
        let order: Vec<u8> = of_key.map(|entry| entry.1).collect();
        those(&[
            (all.clone().any(is_lost), LOST),
            (
                state.stream.iter().any(|(_, event)| !is_committed(*event)),
                PHANTOM,
            ),
            (all.clone().any(|event| times(event) > 1), ONE_ENTRY),
            (!state.commits.starts_with(&order), ORDER),
            (state.left_out, STRANGER),
            (
                self.without == Without::Nothing && Self::has_changed(state),
                FIXED,
            ),
        ])
    }

    fn is_done(&self, state: &State) -> bool {
        state
            .writers
            .iter()
            .enumerate()
            .all(|(at, writer)| match writer.phase {
                Phase::Committed => state.stream.iter().any(|entry| entry.1 as usize == at),
                Phase::Gone => true,
                _ => false,
            })
    }
}
