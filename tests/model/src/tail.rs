//! Cutting: which rows of the log are in which batch, and that a batch is a fact before anything of it is published.
//!
//! Three transactions append one event each: two of them to one key, one after the other under that key's lock, and a
//! stranger. Each may take its transaction id before it appends. They commit asynchronously, so a crash of Postgres undoes
//! what was not flushed, and the ids of what it undid are given out again. Two relays cut and publish without asking for a
//! lease: whoever believes that it leads, does. Publishing is one step for a batch: what can happen inside it is told in
//! [`crate::stream`].

use crate::explore::{Protocol, those};
use crate::step::{Next, Who};

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
}

/// The model and its bounds.
#[derive(Clone, Copy, Debug)]
pub struct Tail {
    /// What is taken away.
    pub without: Without,
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
struct Snapshot {
    xmax: u8,
    /// Bits of the transaction ids that were open.
    open: u32,
}

impl Snapshot {
    fn excludes(&self, xid: u8) -> bool {
        xid >= self.xmax || self.open & (1 << xid) != 0
    }
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
    published: u8,
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

impl Tail {
    fn snapshot(state: &State) -> Snapshot {
        let is_open = |writer: &&Transaction| matches!(writer.phase, Phase::Begun | Phase::Appended);
        let open = state.writers.iter().filter(is_open);
        Snapshot {
            xmax: state.next_xid,
            open: open.fold(0, |bits, writer| bits | 1 << writer.xid),
        }
    }

    /// The rows of the next batch behind `before`, and their order.
    fn select(&self, state: &State, before: &[Batch], now: &Snapshot) -> Vec<u8> {
        let cut = |writer: usize| before.iter().any(|batch| batch.rows.contains(&(writer as u8)));
        let last_position = before
            .iter()
            .flat_map(|batch| &batch.rows)
            .map(|row| state.writers[*row as usize].position)
            .max()
            .unwrap_or(0);
        let from = before.last().map(|batch| &batch.to);
        let horizon = (1..now.xmax)
            .find(|xid| now.open & (1 << xid) != 0)
            .unwrap_or(now.xmax);
        let mut rows: Vec<u8> = (0..WRITERS)
            .filter(|at| {
                let writer = &state.writers[*at];
                let is_new = from.is_none_or(|from| from.excludes(writer.xid));
                writer.phase == Phase::Committed
                    && match self.without {
                        Without::Snapshots => writer.position > last_position,
                        Without::PositionOrder => !cut(*at) && writer.xid < horizon,
                        Without::OpenArm => from.is_none_or(|from| writer.xid >= from.xmax),
                        Without::NoLowerBound => is_new && writer.position > last_position,
                        _ => is_new,
                    }
            })
            .map(|at| at as u8)
            .collect();
        rows.sort_by_key(|row| {
            let writer = &state.writers[*row as usize];
            match self.without {
                Without::PositionOrder => (writer.xid, writer.position),
                _ => (0, writer.position),
            }
        });
        rows
    }

    /// The commit of a batch flushes everything before it.
    fn flush(state: &mut State) {
        for writer in &mut state.writers {
            writer.is_flushed |= writer.phase == Phase::Committed;
        }
        for batch in &mut state.ledger {
            batch.is_flushed |= batch.open_by.is_none();
        }
        state.flushed_xid = state.next_xid;
    }

    fn write(&self, state: &State, next: &mut Next<State>) {
        for (at, writer) in state.writers.iter().enumerate() {
            let who = Who::Writer(at as u8);
            let mut reached = state.clone();
            match writer.phase {
                Phase::Idle | Phase::Begun => {
                    if writer.phase == Phase::Idle {
                        let mut begun = state.clone();
                        begun.writers[at].phase = Phase::Begun;
                        begun.writers[at].xid = state.next_xid;
                        begun.next_xid += 1;
                        next.step(who, "take an id", at as u8, begun);
                    }
                    // The key's lock, which a transaction takes before it appends.
                    let is_locked = KEY.contains(&at)
                        && KEY
                            .iter()
                            .any(|other| *other != at && state.writers[*other].phase == Phase::Appended);
                    if !is_locked {
                        let ours = &mut reached.writers[at];
                        if writer.phase == Phase::Idle {
                            ours.xid = state.next_xid;
                            reached.next_xid += 1;
                        }
                        ours.phase = Phase::Appended;
                        ours.position = state.next_position;
                        reached.next_position += 1;
                        next.step(who, "append", at as u8, reached);
                    }
                }
                Phase::Appended => {
                    let mut undone = state.clone();
                    undone.writers[at].phase = Phase::Gone;
                    next.step(who, "roll back", at as u8, undone);
                    reached.writers[at].phase = Phase::Committed;
                    if KEY.contains(&at) {
                        reached.commits.push(at as u8);
                    }
                    next.step(who, "commit", at as u8, reached);
                }
                Phase::Committed | Phase::Gone => {}
            }
        }
    }

    fn cut(&self, state: &State, at: u8, head: u8, next: &mut Next<State>) {
        let who = Who::Relay(at);
        let is_taken = state.ledger.len() > head as usize;
        let is_waited_for = state
            .ledger
            .get(head as usize)
            .is_some_and(|batch| batch.open_by.is_some());
        if is_taken && is_waited_for {
            return;
        }
        if is_taken && self.without != Without::UniqueNumber {
            let mut reached = state.clone();
            reached.relays[at as usize] = Relay::default();
            next.step(who, "be refused", head, reached);
            return;
        }
        let now = Self::snapshot(state);
        let before = &state.ledger[..head as usize];
        let rows = self.select(state, before, &now);
        let is_in = |writer: usize| rows.contains(&(writer as u8));
        let is_behind = |writer: usize| before.iter().any(|batch| batch.rows.contains(&(writer as u8)));
        let left_out = (0..WRITERS).any(|writer| {
            state.writers[writer].phase == Phase::Committed && !is_in(writer) && !is_behind(writer)
        });
        let mut reached = state.clone();
        reached.left_out |= left_out;
        if rows.is_empty() {
            if left_out && !state.left_out {
                next.step(who, "cut nothing", head, reached);
            }
            return;
        }
        let from = before
            .last()
            .map_or(Snapshot { xmax: 1, open: 0 }, |batch| batch.to.clone());
        reached.next_xid += 1;
        reached.clock += 1;
        reached.ledger.push(Batch {
            id: reached.clock,
            open_by: (self.without == Without::CommitFirst).then_some(at),
            is_flushed: false,
            from,
            to: now,
            rows,
        });
        reached.relays[at as usize].head = Some(reached.ledger.len() as u8);
        if !matches!(self.without, Without::CommitFirst | Without::Flush) {
            Self::flush(&mut reached);
        }
        next.step(who, "cut", head, reached.clone());
        if state.troubles > 0 {
            reached.relays[at as usize] = Relay::default();
            reached.troubles -= 1;
            // A transaction whose client is gone is rolled back.
            reached.ledger.retain(|batch| batch.open_by != Some(at));
            next.fault(who, "cut, and not hear the answer", head, reached);
        }
    }

    fn relay(&self, state: &State, at: u8, next: &mut Next<State>) {
        let who = Who::Relay(at);
        let relay = &state.relays[at as usize];
        let Some(head) = relay.head else {
            let mut reached = state.clone();
            let seen = state.ledger.iter().take_while(|batch| batch.open_by.is_none());
            reached.relays[at as usize].head = Some(seen.count() as u8);
            next.step(who, "read the ledger", 0, reached);
            return;
        };
        let published = relay.published;
        let ours = |batch: &Batch| batch.open_by.is_none() || batch.open_by == Some(at);
        if published < head
            && let Some(batch) = state.ledger.get(published as usize).filter(|batch| ours(batch))
        {
            let mut reached = state.clone();
            let top = state.stream.last().map_or(0, |entry| entry.0);
            if batch.id > top {
                reached
                    .stream
                    .extend(batch.rows.iter().map(|row| (batch.id, *row)));
            }
            reached.relays[at as usize].published += 1;
            next.step(who, "publish", published, reached);
        }
        // The channel between cutting and publishing holds one.
        if published + 1 >= head {
            self.cut(state, at, head, next);
        }
        if let Some(open) = state.ledger.iter().position(|batch| batch.open_by == Some(at))
            && published as usize > open
        {
            let mut reached = state.clone();
            reached.ledger[open].open_by = None;
            Self::flush(&mut reached);
            next.step(who, "commit the batch", open as u8, reached);
        }
        if state.troubles > 0 {
            let mut dead = state.clone();
            dead.relays[at as usize] = Relay::default();
            dead.ledger.retain(|batch| batch.open_by != Some(at));
            dead.troubles -= 1;
            next.fault(who, "die", 0, dead);
        }
    }

    fn crash(state: &State) -> State {
        let mut reached = state.clone();
        for writer in &mut reached.writers {
            let is_undone = writer.phase == Phase::Committed && !writer.is_flushed
                || matches!(writer.phase, Phase::Begun | Phase::Appended);
            if is_undone {
                writer.phase = Phase::Gone;
            }
        }
        let writers = &reached.writers;
        reached
            .commits
            .retain(|writer| writers[*writer as usize].phase == Phase::Committed);
        reached.ledger.retain(|batch| batch.is_flushed);
        reached.relays = [Relay::default(), Relay::default()];
        reached.next_xid = state.flushed_xid;
        reached.crashes -= 1;
        reached
    }

    /// Whether a batch, read again, has other rows than when it was cut.
    fn has_changed(state: &State) -> bool {
        state.ledger.iter().any(|batch| {
            let again = state.writers.iter().filter(|writer| {
                writer.phase == Phase::Committed
                    && batch.from.excludes(writer.xid)
                    && !batch.to.excludes(writer.xid)
            });
            again.count() != batch.rows.len()
        })
    }

    /// Whether a committed event that is in no batch can still come into one.
    fn can_come(&self, state: &State, writer: usize) -> bool {
        let transaction = &state.writers[writer];
        let Some(last) = state.ledger.last() else {
            return true;
        };
        let last_position = state
            .ledger
            .iter()
            .flat_map(|batch| &batch.rows)
            .map(|row| state.writers[*row as usize].position)
            .max()
            .unwrap_or(0);
        match self.without {
            Without::Snapshots => transaction.position > last_position,
            Without::OpenArm => transaction.xid >= last.to.xmax,
            Without::NoLowerBound => {
                last.to.excludes(transaction.xid) && transaction.position > last_position
            }
            Without::PositionOrder => true,
            _ => last.to.excludes(transaction.xid),
        }
    }
}

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
        self.write(state, next);
        for at in 0..2 {
            self.relay(state, at, next);
        }
        if state.crashes > 0 {
            next.fault(Who::Postgres, "crash", 0, Self::crash(state));
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
