//! Pure: one stream on its way through the ledger.
//!
//! A lane knows where the stream has come to (`progress`), the entry last put on it (`chain`), how far the ledger goes
//! for it (`target`), and holds a bounded stretch of rows in between. It is either *following* (each cut brings its rows
//! along) or *behind* (it reads its shares from the log, alone). At most one parcel is in flight.

use std::collections::VecDeque;
use std::time::Instant;

use super::chunk::Chunk;
use crate::event::EntryId;
use crate::tail::StreamId;
use crate::tail::batch::BoundShare;
use crate::tail::row::Row;

/// While a lane holds less than so many parts of a chunk it takes rows that are read for another stream of the topic.
const JOINS_BELOW: usize = 4;

/// Up to so many of them it is waited for until it does: it has no more than twice as many rows as the others then.
const WAITED_FOR_BELOW: usize = 6;

/// So many portions tell how large payloads are lately.
const LATELY: usize = 8;

/// A place in the order of one stream: a batch and a position in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Number of the batch.
    pub batch_number: i64,
    /// Position.
    pub position: i64,
}

/// Rows of one batch, contiguous in the order of the stream.
#[derive(Debug)]
pub struct Portion {
    /// Number of the batch.
    pub batch_number: i64,
    /// First half of the entry ids.
    pub batch_id: u64,
    /// The rows, rising.
    pub rows: VecDeque<Row>,
    /// It is of a re-issue.
    pub is_again: bool,
}

impl Portion {
    /// Payload bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.rows.iter().map(|row| row.bytes).sum()
    }
}

/// Why a lane does not move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It moves.
    Open,
    /// The stream refuses; tried again then.
    Blocked(Instant),
    /// A person must decide.
    SetAside,
}

/// One stream.
#[derive(Debug)]
pub struct Lane {
    /// The stream.
    pub stream: StreamId,
    /// Confirmed up to here.
    pub progress: Place,
    /// The entry last put on the stream.
    pub chain: EntryId,
    /// The ledger goes up to here.
    pub target: Place,
    /// Rows are held up to here.
    pub handed: Place,
    /// The share that is being read, while behind.
    pub reading_share: Option<BoundShare>,
    /// Everything up to here was looked at: of a share that is read together with others there may be no rows for long.
    pub seen: Place,
    /// A read is in flight.
    pub reading: bool,
    /// A parcel is in flight.
    pub publishing: bool,
    /// Payload bytes of that parcel.
    pub sending: usize,
    /// Whether the stream's mark was compared on this connection: another database may write to it.
    pub vetted: bool,
    /// The batch last seen in its mark and known to the ledger.
    pub marked: Option<u64>,
    /// Whether it may move.
    pub gate: Gate,
    /// Progress was made that is not yet recorded.
    pub dirty: bool,
    /// The entry that a re-issue kept of which nothing was put on the stream yet: it need not be there any more.
    pub kept: Option<EntryId>,
    /// Entries below may have been trimmed.
    pub floor: EntryId,
    /// The most that a row of the portion held last has, in bytes.
    pub widest: usize,
    /// When it was last asked for the entry at its end: that entry, how long the stream was, and in which round.
    pub compared: Option<(EntryId, u64, u64)>,
    /// The same of those held before it; what is not known is more than any.
    lately: [usize; LATELY],
    ready: VecDeque<Portion>,
    held_rows: usize,
    held_bytes: usize,
    stretch: u64,
}

impl Lane {
    /// A stream that has come to `progress`.
    #[must_use]
    pub fn new(stream: StreamId, progress: Place, chain: EntryId, target: Place) -> Self {
        Self {
            stream,
            progress,
            chain,
            target,
            handed: progress,
            reading_share: None,
            seen: Place::default(),
            reading: false,
            publishing: false,
            sending: 0,
            vetted: false,
            marked: None,
            gate: Gate::Open,
            dirty: false,
            kept: None,
            floor: EntryId::MIN,
            widest: 0,
            compared: None,
            lately: [usize::MAX; LATELY],
            ready: VecDeque::new(),
            held_rows: 0,
            held_bytes: 0,
            stretch: 0,
        }
    }

    /// A batch was cut that holds events of this stream up to `target`. Takes its rows if nothing is missing before them
    /// and `room` allows; otherwise they will be read from the log. A batch that the lane knew of already, since it was
    /// cut before the streams were loaded and told only now, is being read from the log, or was.
    pub fn follow(&mut self, target: Place, share: BoundShare, portion: Portion, room: usize) {
        if target <= self.target {
            return;
        }
        let follows = self.handed >= self.target && !self.reading;
        self.target = target;
        let bytes = portion.bytes();
        if follows && self.gate == Gate::Open && bytes <= room && !portion.rows.is_empty() {
            self.hold(portion);
            self.reading_share = Some(share);
        }
    }

    /// Takes rows that come next in the order of the stream. Those of one batch are one portion, however they were read, so that
    /// parcels are as full as can be.
    ///
    /// # Panics
    /// If they do not: order would be lost.
    pub fn hold(&mut self, portion: Portion) {
        let (Some(first), Some(last)) = (portion.rows.front(), portion.rows.back()) else {
            return;
        };
        let place = |position| Place {
            batch_number: portion.batch_number,
            position,
        };
        assert!(
            place(first.position) > self.handed,
            "rows must follow what is held"
        );
        self.handed = place(last.position);
        self.widest = portion.rows.iter().map(|row| row.bytes).max().unwrap_or(0);
        self.lately.rotate_right(1);
        self.lately[0] = self.widest;
        self.held_rows += portion.rows.len();
        self.held_bytes += portion.bytes();
        match self.ready.back_mut() {
            Some(back) if back.batch_number == portion.batch_number && back.is_again == portion.is_again => {
                back.rows.extend(portion.rows);
            }
            _ => self.ready.push_back(portion),
        }
    }

    /// The most that a row had of the last portions, in bytes; of a lane that held few yet it is not known, and more than any.
    #[must_use]
    pub fn widest_lately(&self) -> usize {
        self.lately.iter().copied().max().unwrap_or(usize::MAX)
    }

    /// Whether rows should be read from the log now.
    #[must_use]
    pub fn wants_rows(&self, chunk: Chunk) -> bool {
        self.may_read() && self.holds_less_than(1, chunk)
    }

    /// Whether rows may be taken that are read for another stream of the topic.
    #[must_use]
    pub fn may_join(&self, chunk: Chunk) -> bool {
        self.may_read() && self.holds_less_than(JOINS_BELOW, chunk)
    }

    /// Whether it takes rows that are read for another stream as soon as the parcels that are on their way are confirmed.
    #[must_use]
    pub fn joins_soon(&self, chunk: Chunk) -> bool {
        self.may_read()
            && self.publishing
            && !self.may_join(chunk)
            && self.holds_less_than(WAITED_FOR_BELOW, chunk)
    }

    /// Than so many times what a read brings it.
    fn holds_less_than(&self, times: usize, chunk: Chunk) -> bool {
        let partitions = self
            .reading_share
            .as_ref()
            .map_or(1, |bound| bound.share.partitions);
        let part = chunk.part(partitions);
        // Of many partitions a part has room for one large payload or none: then it is two of them, and never more than a stream by itself.
        let bytes = part.bytes.max((2 * self.widest).min(chunk.bytes));
        self.held_rows < times * part.rows && self.held_bytes < times * bytes
    }

    fn may_read(&self) -> bool {
        self.gate == Gate::Open && !self.reading && self.handed < self.target
    }

    /// The share that it is in the middle of.
    #[must_use]
    pub fn unread_share(&self) -> Option<&BoundShare> {
        self.reading_share.as_ref().filter(|bound| {
            let end = Place {
                batch_number: bound.batch_number,
                position: bound.share.last_position,
            };
            self.handed < end
        })
    }

    /// The batch of that share, and the position in it up to which everything was looked at.
    #[must_use]
    pub fn standing(&self) -> Option<(i64, i64)> {
        let number = self.unread_share()?.batch_number;
        let within = |place: Place| {
            if place.batch_number == number {
                place.position
            } else {
                0
            }
        };
        Some((number, within(self.handed).max(within(self.seen))))
    }

    /// Whether a parcel could leave now.
    #[must_use]
    pub fn wants_to_publish(&self) -> bool {
        self.gate == Gate::Open && !self.publishing && !self.ready.is_empty()
    }

    /// Whether anything is on the stream.
    #[must_use]
    pub fn has_entries(&self) -> bool {
        self.chain > EntryId::MIN
    }

    /// The batch of the next entry that is held.
    #[must_use]
    pub fn next_batch_id(&self) -> Option<u64> {
        self.ready.front().map(|portion| portion.batch_id)
    }

    /// Whether what comes next is put out again.
    #[must_use]
    pub fn is_again(&self) -> bool {
        self.ready.front().is_some_and(|portion| portion.is_again)
    }

    /// The rows at the head, as many as fit one parcel, with their batch id. At least one.
    #[must_use]
    pub fn head(&self, max_rows: usize, max_bytes: usize) -> Option<(u64, impl Iterator<Item = &Row>)> {
        let portion = self.ready.front()?;
        let mut bytes = 0;
        let rows = portion
            .rows
            .iter()
            .enumerate()
            .take(max_rows)
            .take_while(move |(n, row)| {
                bytes += row.bytes;
                *n == 0 || bytes <= max_bytes
            });
        Some((portion.batch_id, rows.map(|(_, row)| row)))
    }

    /// Payload bytes of the rows at the head that fit one parcel.
    #[must_use]
    pub fn head_bytes(&self, max_rows: usize, max_bytes: usize) -> usize {
        self.head(max_rows, max_bytes)
            .map_or(0, |(_, rows)| rows.map(|row| row.bytes).sum())
    }

    /// The first `count` rows at the head are on the stream. Returns them.
    ///
    /// # Panics
    /// If fewer are held: they were not sent from here.
    pub fn confirm(&mut self, count: usize) -> Vec<Row> {
        if count == 0 {
            return Vec::new();
        }
        let portion = self
            .ready
            .front_mut()
            .expect("what was sent is held until it is confirmed");
        assert!(count <= portion.rows.len(), "more confirmed than sent");
        let confirmed: Vec<Row> = portion.rows.drain(..count).collect();
        let position = confirmed.last().map_or(0, |row| row.position);
        self.progress = Place {
            batch_number: portion.batch_number,
            position,
        };
        self.chain = EntryId {
            batch_id: portion.batch_id,
            position: position.unsigned_abs(),
        };
        self.held_rows -= confirmed.len();
        self.held_bytes -= confirmed.iter().map(|row| row.bytes).sum::<usize>();
        if portion.rows.is_empty() {
            self.ready.pop_front();
        }
        self.dirty = true;
        confirmed
    }

    /// The event at the head and its place.
    #[must_use]
    pub fn next_event(&self) -> Option<(Place, &Row)> {
        let portion = self.ready.front()?;
        let row = portion.rows.front()?;
        Some((
            Place {
                batch_number: portion.batch_number,
                position: row.position,
            },
            row,
        ))
    }

    /// Stops: what is held is let go, to be read again from the log.
    pub fn halt(&mut self, gate: Gate) {
        self.gate = gate;
        self.stretch += 1;
        self.ready.clear();
        self.held_rows = 0;
        self.held_bytes = 0;
        self.handed = self.progress;
        self.reading_share = None;
        self.seen = Place::default();
    }

    /// Goes on from `progress`, as the database has it. That may be further than this leader was ever told to go: another one led
    /// meanwhile, and what it published is not to be sent when word of it comes.
    pub fn reopen(&mut self, progress: Place, chain: EntryId, kept: Option<EntryId>) {
        self.halt(Gate::Open);
        if progress > self.progress {
            self.progress = progress;
            self.chain = chain;
            self.kept = kept;
        }
        self.handed = self.progress;
        self.target = self.target.max(self.progress);
    }

    /// Goes on behind the entry that a re-issue kept: what was cut before and not sent is part of it. Answers to what is on its
    /// way are void.
    pub fn jump(&mut self, progress: Place, kept: EntryId, target: Place) {
        self.halt(Gate::Open);
        self.progress = progress;
        self.handed = progress;
        self.chain = kept;
        self.kept = Some(kept);
        self.target = self.target.max(target);
    }

    /// The entry that must be on the stream before what is sent next; none where that is not asked.
    #[must_use]
    pub fn predecessor(&self) -> EntryId {
        if self.kept == Some(self.chain) {
            EntryId::MIN
        } else {
            self.chain
        }
    }

    /// Rises whenever what was held is let go: answers to what was begun before are void.
    #[must_use]
    pub fn stretch(&self) -> u64 {
        self.stretch
    }

    /// Payload bytes held in memory.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Whether everything that the ledger has for this stream is on it.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.progress >= self.target
    }
}

#[cfg(test)]
mod tests;
