//! The database goes back in time, or is copied, behind a sink that does not: who publishes then, and what is cut.
//!
//! A copy of the database is taken, more is appended and published, and the copy is started: instead of the database, or
//! beside it. Or a dump is loaded into a new cluster, whose transaction ids begin again below those of the ledger. What the
//! sink knows of is the mark: the batch that was published last. A relay that meets a mark that its ledger never cut publishes
//! nothing until a person opens a new era, and says what is true from then on. Ids of batches come from the clock, which goes on.
//! A group reads meanwhile: when the era begins it may have had nothing, some or all of what the database does not know.

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
    /// The first entry of an era names the last one that stays.
    NamesWhatStays,
    /// A group knows what it applied by the ids of the events.
    Inbox,
}

/// What is true in a new era.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// What the database does not know did not happen.
    TrustDatabase,
    /// What is on the stream happened.
    TrustStream,
    /// As the first, and everything that the log has is put out again.
    Republish,
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
    /// What a person chooses.
    pub strategy: Strategy,
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

/// Batch and place in it; none is (0, 0).
type Id = (u8, u8);

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Entry {
    id: Id,
    event: u8,
    previous: Id,
}

/// A group, and what it applied.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Group {
    passed: Id,
    effects: Vec<u8>,
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
    /// The entry that it put on the stream last.
    chain: Id,
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
    stream: Vec<Entry>,
    group: Group,
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
/// Applied twice.
pub const ONE_EFFECT: &str = "G3 one effect";

impl State {
    /// Puts a batch on the stream, behind what the database put there last.
    fn put(&mut self, at: usize, batch: &Batch) {
        let mut previous = self.databases[at].chain;
        for (place, event) in (1..).zip(&batch.events) {
            let id = (batch.id, place);
            self.stream.push(Entry {
                id,
                event: *event,
                previous,
            });
            previous = id;
        }
        self.databases[at].chain = previous;
    }
}

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
                    next.step(Who::Person, "open a new era", at as u8, self.new_era(state, at));
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
        if is_behind {
            // It is there already, of the other one that had it.
            let there = state.stream.iter().rfind(|entry| entry.id.0 == batch.id);
            let chain = &mut reached.databases[at].chain;
            *chain = there.map_or(*chain, |entry| entry.id);
        } else {
            reached.mark = batch.id;
            reached.put(at, batch);
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

    /// A person says what is true, and another database is not used any more.
    fn new_era(&self, state: &State, at: usize) -> State {
        let mut reached = state.clone();
        let database = &reached.databases[at];
        let knows = |id: u8| database.ledger.iter().any(|batch| batch.id == id);
        let end = reached.stream.last().map_or((0, 0), |entry| entry.id);
        if self.strategy != Strategy::TrustStream {
            reached.stream.retain(|entry| knows(entry.id.0));
        }
        let stays = reached.stream.last().map_or((0, 0), |entry| entry.id);
        let is_wanted = |event: &u8| {
            self.strategy == Strategy::Republish || !reached.stream.iter().any(|entry| entry.event == *event)
        };
        let events = database
            .log
            .iter()
            .map(|row| row.event)
            .filter(is_wanted)
            .collect();
        reached.clock += 1;
        // The era's first batch: everything that has no entry, or everything, in order.
        let first = Batch {
            id: reached.clock,
            events,
        };
        let database = &mut reached.databases[at];
        database.ledger.push(first.clone());
        database.published = database.ledger.len() as u8;
        database.xmax = database.next_xid;
        database.floor = database.log.len() as u8;
        database.is_elsewhere = false;
        database.chain = match self.without {
            Without::NamesWhatStays => end,
            _ => stays,
        };
        reached.mark = first.id;
        // Its entries leave with the mark.
        reached.put(at, &first);
        reached.relays = [Relay::Off, Relay::Off];
        reached.is_fenced = true;
        let kept = reached.databases.swap_remove(at);
        reached.databases = vec![kept];
        reached
    }

    /// The group takes the next entry whose predecessor it has passed, or anything above that.
    fn read(&self, state: &State, next: &mut Next<State>) {
        let passed = state.group.passed;
        let is_next = |entry: &&Entry| entry.id > passed && entry.previous <= passed;
        let Some(entry) = state.stream.iter().find(is_next) else {
            return;
        };
        let mut reached = state.clone();
        reached.group.passed = entry.id;
        if self.without == Without::Inbox || !state.group.effects.contains(&entry.event) {
            reached.group.effects.push(entry.event);
        }
        next.step(Who::Member(0), "read and apply", entry.event, reached);
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
                chain: (0, 0),
                is_elsewhere: false,
            }],
            copy: None,
            relays: [Relay::Off, Relay::Off],
            stream: Vec::new(),
            group: Group::default(),
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
        self.read(state, next);
    }

    fn broken(&self, state: &State) -> Vec<&'static str> {
        let is_lost = state.databases.iter().any(|database| {
            let has = |event: u8| {
                let is_there = state.stream.iter().any(|entry| entry.event == event);
                is_there || database.ledger.iter().any(|batch| batch.events.contains(&event))
            };
            let leads = state.relays[0] == Relay::Leading && state.databases.len() == 1;
            leads
                && database
                    .log
                    .iter()
                    .any(|row| !has(row.event) && row.xid < database.xmax)
        });
        let times = |event: u8| state.stream.iter().filter(|entry| entry.event == event).count();
        let effects = &state.group.effects;
        let applied = |event: u8| effects.iter().filter(|effect| **effect == event).count();
        those(&[
            ((0..self.events).any(|event| applied(event) > 1), ONE_EFFECT),
            (state.blind, BLIND),
            (is_lost, LOST),
            // Of two that are used at once, each has its own; and a person may want everything again.
            (
                self.past != Past::Beside
                    && self.strategy != Strategy::Republish
                    && (0..self.events).any(|event| times(event) > 1),
                ONE_ENTRY,
            ),
        ])
    }

    fn is_done(&self, state: &State) -> bool {
        let has_entry = |row: &Row| state.stream.iter().any(|entry| entry.event == row.event);
        let has_effect = |entry: &Entry| state.group.effects.contains(&entry.event);
        let last = state.databases.last();
        state.events == 0
            && last.is_some_and(|database| database.log.iter().all(has_entry))
            && state.stream.iter().all(has_effect)
    }
}
