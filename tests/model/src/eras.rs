//! The database goes back in time, or is copied, behind a sink that does not: who publishes then, and what is cut.
//!
//! A copy of the database is taken, more is appended and published, and the copy is started: instead of the database, or
//! beside it. Or a dump is loaded into a new cluster, whose transaction ids begin again below those of the ledger. What the
//! sink knows of is the mark: the batch that was published last. A relay that meets a mark that its ledger never cut publishes
//! nothing until a person opens a new era. Ids of batches come from the clock, which goes on.

use crate::explore::{Protocol, those};
use crate::step::{Next, Who};

/// What is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// Nothing.
    Nothing,
    /// The mark is compared when a relay connects.
    Mark,
    /// The mark is compared with every parcel as well.
    MarkInParcel,
    /// The identity of the server is compared with that of the ledger.
    Identity,
    /// Its transaction ids are compared with those of the ledger.
    Counter,
    /// In a new era rows at or below its floor are not cut.
    PositionFloor,
}

/// What becomes of the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Past {
    /// It is started instead of the database.
    Restored,
    /// It is started beside it: a clone, or a standby that was promoted while the old primary goes on.
    Beside,
    /// It is loaded into a new cluster.
    Loaded,
}

/// The model and its bounds.
#[derive(Clone, Copy, Debug)]
pub struct Eras {
    /// What is taken away.
    pub without: Without,
    /// What becomes of the copy.
    pub past: Past,
    /// Events.
    pub events: u8,
    /// Relays that lose their connection.
    pub reconnects: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Row {
    event: u8,
    xid: u8,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Batch {
    id: u8,
    events: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Database {
    log: Vec<Row>,
    next_xid: u8,
    ledger: Vec<Batch>,
    /// xmax of the last snapshot.
    xmax: u8,
    /// Rows below are not cut in this era.
    floor: u8,
    published: u8,
    /// Another cluster than the one that the era was opened on.
    is_elsewhere: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Relay {
    Off,
    Leading,
    Refused,
}

/// A state.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    databases: Vec<Database>,
    copy: Option<Database>,
    relays: [Relay; 2],
    /// Batch and event.
    stream: Vec<(u8, u8)>,
    mark: u8,
    clock: u8,
    events: u8,
    reconnects: u8,
    /// Something was published on what the database does not know.
    blind: bool,
    /// A person decided that the other one is not used any more.
    is_fenced: bool,
    went_back: bool,
}

/// Published on a history that the database does not know.
pub const BLIND: &str = "G9 nothing is published on an unknown history";
/// Committed, and no batch to come will have it.
pub const LOST: &str = "G1 nothing is lost";
/// Cut twice.
pub const ONE_ENTRY: &str = "G5 one entry per event";

impl Eras {
    fn knows(database: &Database, batch: u8) -> bool {
        batch == 0 || database.ledger.iter().any(|known| known.id == batch)
    }

    fn write(&self, state: &State, at: usize, next: &mut Next<State>) {
        if state.events == 0 {
            return;
        }
        let mut reached = state.clone();
        reached.events -= 1;
        let event = self.events - state.events;
        let database = &mut reached.databases[at];
        let xid = database.next_xid;
        database.log.push(Row { event, xid });
        database.next_xid += 1;
        next.step(Who::Writer(at as u8), "append and commit", event, reached);
    }

    fn lead(&self, state: &State, at: usize, next: &mut Next<State>) {
        let who = Who::Relay(at as u8);
        let database = &state.databases[at];
        let mut reached = state.clone();
        match state.relays[at] {
            Relay::Off => {
                let is_known = Self::knows(database, state.mark) || self.without == Without::Mark;
                let is_ahead = database.next_xid >= database.xmax || self.without == Without::Counter;
                let is_here = !database.is_elsewhere || self.without == Without::Identity;
                let is_ahead = is_ahead && is_here;
                reached.relays[at] = if is_known && is_ahead {
                    Relay::Leading
                } else {
                    Relay::Refused
                };
                let does = if is_known && is_ahead {
                    "compare, and lead"
                } else {
                    "compare, and refuse"
                };
                next.step(who, does, state.mark, reached);
            }
            Relay::Leading => {
                self.cut(state, at, next);
                self.publish(state, at, next);
                if state.reconnects > 0 {
                    reached.reconnects -= 1;
                    reached.relays[at] = Relay::Off;
                    next.fault(who, "lose its connection", 0, reached);
                }
            }
            Relay::Refused => {
                if !state.is_fenced || at == state.databases.len() - 1 {
                    next.step(Who::Person, "open a new era", at as u8, Self::new_era(state, at));
                }
            }
        }
    }

    fn cut(&self, state: &State, at: usize, next: &mut Next<State>) {
        let database = &state.databases[at];
        let has_floor = self.without != Without::PositionFloor;
        let rows = database.log.iter().enumerate().filter(|(position, row)| {
            let is_above = *position >= database.floor as usize || !has_floor;
            is_above && row.xid >= database.xmax && row.xid < database.next_xid
        });
        let events: Vec<u8> = rows.map(|(_, row)| row.event).collect();
        if events.is_empty() {
            return;
        }
        let mut reached = state.clone();
        reached.clock += 1;
        let id = reached.clock;
        let database = &mut reached.databases[at];
        database.ledger.push(Batch { id, events });
        database.xmax = database.next_xid;
        next.step(Who::Relay(at as u8), "cut", id, reached);
    }

    fn publish(&self, state: &State, at: usize, next: &mut Next<State>) {
        let who = Who::Relay(at as u8);
        let database = &state.databases[at];
        let Some(batch) = database.ledger.get(database.published as usize) else {
            return;
        };
        let mut reached = state.clone();
        let is_known = Self::knows(database, state.mark);
        let is_behind = batch.id <= state.mark;
        if !is_behind {
            reached.mark = batch.id;
            reached
                .stream
                .extend(batch.events.iter().map(|event| (batch.id, *event)));
        }
        // Also when it was noticed by the parcel itself: that is taken off again by whoever decides.
        if is_known || self.without == Without::MarkInParcel || self.without == Without::Mark {
            reached.blind |= !is_known;
            reached.databases[at].published += 1;
            next.step(who, "publish", batch.id, reached);
        } else {
            reached.relays[at] = Relay::Refused;
            next.step(who, "publish, and see an unknown mark", batch.id, reached);
        }
    }

    /// What the database does not know did not happen, and another database is not used any more.
    fn new_era(state: &State, at: usize) -> State {
        let mut reached = state.clone();
        let database = &reached.databases[at];
        let knows = |id: u8| database.ledger.iter().any(|batch| batch.id == id);
        reached.stream.retain(|(id, _)| knows(*id));
        let has_entry = |event: u8| reached.stream.iter().any(|(_, known)| *known == event);
        let events: Vec<u8> = database
            .log
            .iter()
            .map(|row| row.event)
            .filter(|event| !has_entry(*event))
            .collect();
        reached.clock += 1;
        let id = reached.clock;
        let database = &mut reached.databases[at];
        // The era's first batch: everything that has no entry, in order.
        database.ledger.push(Batch { id, events });
        database.published = database.ledger.len() as u8 - 1;
        database.xmax = database.next_xid;
        database.floor = database.log.len() as u8;
        database.is_elsewhere = false;
        reached.mark = id;
        // Its entries leave with the mark.
        let events = reached.databases[at]
            .ledger
            .last()
            .map(|batch| batch.events.clone())
            .unwrap_or_default();
        reached.stream.extend(events.iter().map(|event| (id, *event)));
        reached.databases[at].published += 1;
        reached.relays = [Relay::Off, Relay::Off];
        reached.is_fenced = true;
        let kept = reached.databases.swap_remove(at);
        reached.databases = vec![kept];
        reached
    }

    fn go_back(&self, state: &State, next: &mut Next<State>) {
        let who = Who::Postgres;
        let mut reached = state.clone();
        let Some(copy) = &state.copy else {
            if !state.went_back {
                reached.copy = Some(state.databases[0].clone());
                next.step(who, "be copied", 0, reached);
            }
            return;
        };
        if state.went_back {
            return;
        }
        let mut past = copy.clone();
        reached.copy = None;
        reached.went_back = true;
        match self.past {
            Past::Restored => {
                reached.databases = vec![past];
                reached.relays = [Relay::Off, Relay::Off];
            }
            Past::Beside => reached.databases.push(past),
            Past::Loaded => {
                past.next_xid = 1;
                past.is_elsewhere = true;
                reached.databases = vec![past];
                reached.relays = [Relay::Off, Relay::Off];
            }
        }
        next.fault(who, "go on from the copy", 0, reached);
    }
}

impl Protocol for Eras {
    type State = State;

    fn start(&self) -> State {
        State {
            databases: vec![Database {
                log: Vec::new(),
                next_xid: 1,
                ledger: Vec::new(),
                xmax: 1,
                floor: 0,
                published: 0,
                is_elsewhere: false,
            }],
            copy: None,
            relays: [Relay::Off, Relay::Off],
            stream: Vec::new(),
            mark: 0,
            clock: 0,
            events: self.events,
            reconnects: self.reconnects,
            blind: false,
            is_fenced: false,
            went_back: false,
        }
    }

    fn next(&self, state: &State, next: &mut Next<State>) {
        for at in 0..state.databases.len() {
            self.write(state, at, next);
            self.lead(state, at, next);
        }
        self.go_back(state, next);
    }

    fn broken(&self, state: &State) -> Vec<&'static str> {
        let is_lost = state.databases.iter().any(|database| {
            let has = |event: u8| database.ledger.iter().any(|batch| batch.events.contains(&event));
            let leads = state.relays[0] == Relay::Leading && state.databases.len() == 1;
            leads
                && database
                    .log
                    .iter()
                    .any(|row| !has(row.event) && row.xid < database.xmax)
        });
        let times = |event: u8| state.stream.iter().filter(|entry| entry.1 == event).count();
        those(&[
            (state.blind, BLIND),
            (is_lost, LOST),
            // Of two that are used at once, each has its own.
            (
                self.past != Past::Beside && (0..self.events).any(|event| times(event) > 1),
                ONE_ENTRY,
            ),
        ])
    }

    fn is_done(&self, state: &State) -> bool {
        let has_entry = |row: &Row| state.stream.iter().any(|entry| entry.1 == row.event);
        let last = state.databases.last();
        state.events == 0 && last.is_some_and(|database| database.log.iter().all(has_entry))
    }
}
