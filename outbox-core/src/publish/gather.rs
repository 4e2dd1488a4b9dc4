//! Pure: which streams of a topic are read together, and what of the rows that came is whose.
//!
//! The rows of a topic lie in the log in one order, those of its partitions between each other. So partitions that stand at
//! the same place of a batch read together: each row is read once, and not once per partition. One that lags, since it was set
//! aside or takes longer, reads alone until it comes to where another stands, and goes on with it from there. It does not set
//! out alone from where others are being read just now: it would be as far as they when it is back, but never where they are.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::chunk::Chunk;
use super::lane::{Lane, Place};
use crate::tail::StreamId;
use crate::tail::batch::{BoundShare, Section};
use crate::tail::row::Row;

/// A lane that takes part in a read.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) stream: StreamId,
    pub(super) stretch: u64,
    pub(super) handed: Place,
    /// The share that it is in the middle of; none if it must be found.
    pub(super) share: Option<BoundShare>,
    /// What it has seen of that share.
    after: i64,
    /// The most that a row had of those that it was brought last.
    widest: usize,
    /// The most that one had of those that it was brought lately.
    widest_lately: usize,
}

/// What is to be read at once for some streams of one topic.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) readers: Vec<Reader>,
    /// Another one of the topic stands here, in the same batch.
    meet: Option<i64>,
    rows: i64,
    bytes: i64,
}

/// What a read brought one stream.
#[derive(Debug)]
pub(super) struct Brought {
    pub(super) stream: StreamId,
    pub(super) stretch: u64,
    /// The share that it reads. None: the ledger has nothing more for it.
    pub(super) share: Option<BoundShare>,
    /// Its rows, rising.
    pub(super) rows: VecDeque<Row>,
    /// Everything up to this position of the share was seen.
    pub(super) seen: i64,
}

impl Brought {
    /// Whether the ledger has events for it that the log does not have.
    pub(super) fn lacks_rows(&self) -> bool {
        let end = self.share.as_ref().map(|share| share.share.last_position);
        self.rows.is_empty() && end.is_none_or(|end| self.seen >= end)
    }
}

/// The streams of a topic.
fn of_topic<'a>(
    lanes: &'a BTreeMap<StreamId, Lane>,
    topic: &'a str,
) -> impl Iterator<Item = (&'a StreamId, &'a Lane)> {
    lanes
        .range(StreamId::whole(topic)..)
        .take_while(move |(stream, _)| stream.topic == topic)
}

/// Whether both can read at once. What those will read who have no share yet is not known.
fn reads_alike(lead: &Lane, lane: &Lane) -> bool {
    match (lead.unread_share(), lane.unread_share()) {
        (Some(ours), Some(theirs)) => ours.reads_like(theirs),
        _ => true,
    }
}

/// Where somebody is waited for: topics, and places of batches. Of a thousand partitions each asks, and most stand at none of these.
pub(super) type WaitedFor<'a> = BTreeSet<(&'a str, (i64, i64))>;

/// They are being read, and will be at another place soon; or they have no room and will have some soon.
fn is_waited_for(lane: &Lane, chunk: Chunk) -> bool {
    lane.reading || lane.joins_soon(chunk)
}

/// Where others may wait for one of these.
pub(super) fn waited_for(lanes: &BTreeMap<StreamId, Lane>, chunk: Chunk) -> WaitedFor<'_> {
    lanes
        .values()
        .filter(|lane| is_waited_for(lane, chunk))
        .filter_map(|lane| Some((lane.stream.topic.as_str(), lane.standing()?)))
        .collect()
}

/// Whether this one waits for others of its topic that stand where it stands, to come up with them at the next place.
pub(super) fn waits(
    lanes: &BTreeMap<StreamId, Lane>,
    waited_for: &WaitedFor<'_>,
    lane: &Lane,
    chunk: Chunk,
) -> bool {
    let Some(standing) = lane.standing() else {
        return false;
    };
    let topic = lane.stream.topic.as_str();
    waited_for.contains(&(topic, standing))
        && of_topic(lanes, topic).any(|(stream, other)| {
            *stream != lane.stream
                && other.standing() == Some(standing)
                && is_waited_for(other, chunk)
                && reads_alike(lane, other)
        })
}

/// The lane of `chosen`, with every other one of its topic that stands where it stands, has room, and may send what it holds.
pub(super) fn gather(
    lanes: &BTreeMap<StreamId, Lane>,
    chosen: &StreamId,
    chunk: Chunk,
    may_send: impl Fn(&Lane) -> bool,
) -> Option<Reading> {
    let lead = lanes.get(chosen)?;
    let standing = lead.standing();
    let mut reading = Reading {
        readers: Vec::new(),
        meet: None,
        rows: 0,
        bytes: 0,
    };
    for (stream, lane) in of_topic(lanes, &chosen.topic) {
        let reads_alike = reads_alike(lead, lane);
        let joins = lane.may_join(chunk) && lane.standing() == standing && reads_alike && may_send(lane);
        if stream == chosen || joins {
            reading.readers.push(Reader::of(lane));
        } else if !reads_alike {
            // They never read together, so nothing is gained by stopping where it stands.
        } else if let (Some((batch, after)), Some((there, ahead))) = (standing, lane.standing())
            && batch == there
            && ahead > after
        {
            reading.meet = Some(reading.meet.map_or(ahead, |meet| meet.min(ahead)));
        }
    }
    let widest = reading.readers.iter().map(|reader| reader.widest_lately).max();
    let most = chunk
        .fitting(widest.unwrap_or(usize::MAX))
        .together(reading.readers.len());
    reading.rows = i64::try_from(most.rows).unwrap_or(i64::MAX);
    reading.bytes = i64::try_from(most.bytes).unwrap_or(i64::MAX);
    Some(reading)
}

impl Reader {
    fn of(lane: &Lane) -> Self {
        Self {
            stream: lane.stream.clone(),
            stretch: lane.stretch(),
            handed: lane.handed,
            share: lane.unread_share().cloned(),
            after: lane.standing().map_or(0, |(_, after)| after),
            widest: lane.widest,
            widest_lately: lane.widest_lately(),
        }
    }

    /// It reads this share; what it has of it already is not read again.
    fn begin(&mut self, share: BoundShare) {
        // Positions are compared within one batch only: a later batch may hold a lower position.
        if self.handed.batch_number == share.batch_number {
            self.after = self.after.max(self.handed.position);
        }
        self.share = Some(share);
    }

    fn bring(self, rows: VecDeque<Row>, seen: i64) -> Brought {
        Brought {
            stream: self.stream,
            stretch: self.stretch,
            share: self.share,
            rows,
            seen,
        }
    }
}

impl Reading {
    /// How many bytes it may bring.
    pub(super) fn expected_bytes(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }

    pub(super) fn limits(&self) -> (i64, i64) {
        (self.rows, self.bytes)
    }

    /// The shares that were found for those who had none.
    pub(super) fn begin(&mut self, shares: Vec<BoundShare>) {
        let mut by_stream: BTreeMap<StreamId, BoundShare> = shares
            .into_iter()
            .map(|share| (share.share.stream.clone(), share))
            .collect();
        for reader in &mut self.readers {
            if let Some(share) = by_stream.remove(&reader.stream) {
                reader.begin(share);
            }
        }
    }

    /// Takes out what needs no rows of the log: the entry that says that a topic moved on, and streams without a share.
    pub(super) fn take_ready(&mut self, database_id: &str) -> Vec<Brought> {
        let is_ready = |reader: &Reader| reader.share.as_ref().is_none_or(|share| share.laid.is_some());
        let (ready, rest) = std::mem::take(&mut self.readers).into_iter().partition(is_ready);
        self.readers = rest;
        let ready: Vec<Reader> = ready;
        ready
            .into_iter()
            .map(|reader| {
                let laid = reader.share.as_ref().and_then(|share| share.laid.as_ref());
                let rows = laid
                    .map(|laid| laid.row(&reader.stream, database_id))
                    .into_iter()
                    .collect();
                reader.bring(rows, 0)
            })
            .collect()
    }

    /// Takes out those who wait: their share is in a later batch, or has its rows told in another way, or they have seen more
    /// of it already.
    pub(super) fn take_waiting(&mut self) -> Vec<Brought> {
        let place = |reader: &Reader| {
            let batch = reader.share.as_ref().map_or(i64::MAX, |share| share.batch_number);
            (batch, reader.after)
        };
        let Some(first) = self.readers.iter().map(place).min() else {
            return Vec::new();
        };
        let lead = self.readers.iter().find(|reader| place(reader) == first);
        let lead = lead.and_then(|reader| reader.share.clone());
        let reads_alike = |reader: &Reader| match (&lead, &reader.share) {
            (Some(ours), Some(theirs)) => ours.reads_like(theirs),
            _ => true,
        };
        let (now, waiting): (Vec<Reader>, Vec<Reader>) = std::mem::take(&mut self.readers)
            .into_iter()
            .partition(|reader| place(reader) == first && reads_alike(reader));
        self.readers = now;
        waiting
            .into_iter()
            .map(|reader| {
                let (batch, after) = place(&reader);
                if batch == first.0 && reads_alike(&reader) {
                    self.meet = Some(self.meet.map_or(after, |meet| meet.min(after)));
                }
                reader.bring(VecDeque::new(), after)
            })
            .collect()
    }

    /// What to read for those who are left: all of them stand at the same place.
    pub(super) fn section(&self) -> Option<Section> {
        let shares = || self.readers.iter().filter_map(|reader| reader.share.as_ref());
        let first = shares().next()?;
        let end = shares().map(|share| share.share.last_position).max()?;
        let begin = shares().map(|share| share.share.first_position).min()?;
        let partitions = first.share.partitions;
        // Asking each row for its partition costs about as much as reading it.
        let only = if self.readers.len() * 2 < usize::from(partitions) {
            let wanted = self.readers.iter().filter_map(|reader| reader.stream.partition);
            Some(wanted.map(i32::from).collect())
        } else {
            None
        };
        Some(Section {
            topic: first.share.stream.topic.clone(),
            snapshot: first.snapshot.clone(),
            before: first.before.clone(),
            after: self.readers.first()?.after.max(begin - 1),
            last_position: self.meet.map_or(end, |meet| meet.min(end)),
            first_new_position: shares().filter_map(|share| share.share.first_new_position).min(),
            partitions,
            only,
            passed: first.passed.clone(),
            era_floor: first.era_floor,
            is_wide: self.is_wide(),
        })
    }

    /// Whether one of them was brought a row just now of which a whole chunk would be too much.
    fn is_wide(&self) -> bool {
        let mean = usize::try_from(self.bytes / self.rows.max(1)).unwrap_or(usize::MAX);
        self.readers.iter().any(|reader| reader.widest > mean)
    }

    /// The rows that came of a section, to each its own.
    pub(super) fn split(self, section: &Section, rows: Vec<Row>) -> Vec<Brought> {
        let bytes: usize = rows.iter().map(|row| row.bytes).sum();
        let is_cut_short = i64::try_from(rows.len()).is_ok_and(|count| count >= self.rows)
            || i64::try_from(bytes).is_ok_and(|bytes| bytes >= self.bytes);
        let seen = match rows.last() {
            Some(last) if is_cut_short => last.position,
            _ => section.last_position,
        };
        let mut by_stream: BTreeMap<Arc<StreamId>, VecDeque<Row>> = BTreeMap::new();
        for row in rows {
            by_stream.entry(row.stream.clone()).or_default().push_back(row);
        }
        self.readers
            .into_iter()
            .map(|reader| {
                let rows = by_stream.remove(&reader.stream).unwrap_or_default();
                reader.bring(rows, seen)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
