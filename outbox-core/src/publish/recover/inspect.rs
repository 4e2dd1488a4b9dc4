//! Looks at both ends and changes nothing.
//!
//! Each stream is read from its end, until so many entries in a row are known that what is before them is taken for known, or an
//! entry is older than the present era. A page is bounded in bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::finding::{
    Found, GroupFinding, Identity, MarkFinding, StreamFinding, UnknownEntries, UnknownEntry,
};
use super::pg;
use crate::event::EntryId;
use crate::publish::owner::{Owner, owner, told_streams};
use crate::publish::pg::{Stored, load_layouts, load_streams, unknown_batches};
use crate::publish::redis::{RedisSink, Streams, Whole};
use crate::publish::sink::is_elsewhere;
use crate::publish::{Error, Marked, StreamName};
use crate::tail::layout::Layout;
use crate::tail::ledger::{self, Head};
use crate::tail::pg::cut::read_head;
use crate::tail::pg::{Dial, Session};
use crate::tail::{StreamId, ledger::Unknown};

/// So many known entries in a row end the look at a stream.
pub(super) const KNOWN_IN_A_ROW: u64 = 2_000;

/// Marks of streams that are looked for at the sink, and for how long.
const MARKS_AT_MOST: usize = 100_000;
const SEARCH: Duration = Duration::from_secs(30);

/// Where to look.
pub struct Ends {
    /// How to connect to the database.
    pub dial: Dial,
    /// Whether a transaction pooler may be in between.
    pub pooled: bool,
    /// The longest that a statement may take.
    pub statement_limit: std::time::Duration,
    /// Where the streams are.
    pub sink: RedisSink,
    /// Prefix of keys at the sink.
    pub prefix: String,
}

/// Connected to both ends.
pub(super) struct Connected {
    pub(super) session: Session,
    pub(super) streams: Streams,
    pub(super) names: StreamName,
    pub(super) head: Head,
}

impl Ends {
    /// A connection to the database, which ends with this process what it is asked.
    pub(super) async fn session(&self, limit: std::time::Duration) -> Result<Session, Error> {
        let session = Session::open(&self.dial, "recover", self.pooled, limit).await?;
        Ok(session.bind().await?)
    }

    pub(super) async fn connect(&self) -> Result<Connected, Error> {
        let session = self.session(self.statement_limit).await?;
        let head = read_head(&session).await?;
        Ok(Connected {
            session,
            streams: self.sink.streams().await?,
            names: StreamName::new(&self.prefix, head.writer.clone()),
            head,
        })
    }
}

/// Looks at both ends; of each stream `listed` unknown entries at most are told one by one.
///
/// # Errors
/// One of them cannot be read.
pub async fn inspect(ends: &Ends, listed: usize) -> Result<Found, Error> {
    look(&ends.connect().await?, listed).await
}

pub(super) async fn look(ends: &Connected, listed: usize) -> Result<Found, Error> {
    let head = &ends.head;
    let facts = pg::facts(&ends.session).await?;
    let stored = load_streams(&ends.session, None).await?;
    let laid = load_layouts(&ends.session).await?;
    let mut found = Found {
        identity: Identity {
            era: head.era,
            system_then: head.system_identifier,
            system_now: head.system_identifier_now,
            timeline_then: facts.timeline_then,
            timeline_now: facts.timeline_now,
            next_transaction_then: head.batch.snapshot.xmax(),
            next_transaction_now: head.snapshot_now.xmax(),
            database_id: head.database_id.clone(),
            in_recovery: head.in_recovery,
        },
        server_refusal: ledger::verify_server(head)
            .err()
            .map(|refusal| refusal.to_string()),
        refused: (head.refused.clone()).map(|refused| ledger::Refusal::Kept(refused).to_string()),
        ledger_batch: head.batch.number,
        ledger_batch_id: head.batch.batch_id,
        sequence: facts.sequence,
        highest_position_seen: 0,
        highest_batch_id_seen: head.batch.batch_id,
        events_in_no_batch: facts.uncut,
        streams: Vec::new(),
        layouts_ahead: layouts_ahead(ends, &stored, &laid).await?,
        unknown_streams: Vec::new(),
        searched: false,
        prepared: pg::prepared(&ends.session).await?,
        clock_ms: facts.clock_ms,
        unfinished: pg::unfinished(&ends.session).await?,
    };
    let owing = pg::owing(&ends.session).await?;
    let strays = strays(ends, &stored, &mut found).await?;
    for stored in stored.into_iter().chain(strays) {
        let (mut stream, highest) = look_at(ends, &stored, listed).await?;
        stream.owes = owing.contains(&stored.stream);
        place(ends, &mut stream, laid.get(&stored.stream.topic)).await?;
        if stream.is_ours() {
            found.highest_position_seen = found.highest_position_seen.max(highest.position);
            found.highest_batch_id_seen = found.highest_batch_id_seen.max(stream.highest_batch_id());
        }
        found.streams.push(stream);
    }
    Ok(found)
}

/// Which topics of ours have more partitions at the sink than in this ledger; most have none of either. What another database laid
/// is none of ours, and no reason to refuse a recovery.
async fn layouts_ahead(
    ends: &Connected,
    stored: &[Stored],
    laid: &BTreeMap<String, Layout>,
) -> Result<Vec<String>, Error> {
    let topics: BTreeSet<&String> = stored
        .iter()
        .map(|stored| &stored.stream.topic)
        .chain(laid.keys())
        .collect();
    let layouts: Vec<(String, Option<String>)> = topics
        .iter()
        .map(|topic| {
            (
                ends.names.layout(topic),
                laid.get(*topic).map(ToString::to_string),
            )
        })
        .collect();
    let keys: BTreeMap<String, &String> = topics
        .into_iter()
        .map(|topic| (ends.names.layout(topic), topic))
        .collect();
    let mut ahead = Vec::new();
    for (key, found) in ends.streams.layouts_ahead(&layouts).await? {
        let Some(topic) = keys.get(&key) else { continue };
        let marks: Vec<String> = told_streams(topic, &found)
            .iter()
            .map(|stream| ends.names.mark(stream))
            .collect();
        if owner(&ends.streams.marks(&marks).await?, &ends.head.database_id) != Owner::NotOurs {
            ahead.push(key);
        }
    }
    Ok(ahead)
}

/// Streams that this database published and does not know: their topics were new in a time that it has lost. A partition cannot be
/// gone on with, since the ledger lacks its layout.
async fn strays(ends: &Connected, stored: &[Stored], found: &mut Found) -> Result<Vec<Stored>, Error> {
    let (keys, searched) = ends
        .streams
        .search(&ends.names.any_mark(), MARKS_AT_MOST, SEARCH)
        .await?;
    found.searched = searched;
    let known: BTreeSet<&StreamId> = stored.iter().map(|stored| &stored.stream).collect();
    let mut strays = Vec::new();
    for key in keys {
        let Some(stream) = ends.names.marked(&key).filter(|stream| !known.contains(stream)) else {
            continue;
        };
        let outside = ends.streams.outside(&ends.names.key(&stream), &key).await?;
        match judge_mark(ends, outside.marked).await? {
            MarkFinding::Unknown { .. } | MarkFinding::Moved { .. } => {}
            _ => continue,
        }
        found.unknown_streams.push(stream.to_string());
        match stream.partition {
            Some(_) => found.layouts_ahead.push(key),
            None => strays.push(Stored::of(stream)),
        }
    }
    Ok(strays)
}

/// Of which layout of its topic a stream is.
async fn place(ends: &Connected, stream: &mut StreamFinding, layout: Option<&Layout>) -> Result<(), Error> {
    let Some(layout) = layout else {
        stream.is_current = stream.stream.partition.is_none();
        return Ok(());
    };
    let of_now = |partition| partition < layout.partitions();
    stream.is_current = stream.stream.partition.is_some_and(of_now);
    stream.layout_end = layout
        .moves(&stream.topic)
        .filter(|(_, before)| before.contains(&stream.stream))
        .last()
        .map(|(batch_id, _)| EntryId::new(batch_id, 0));
    if let Some(id) = stream.layout_end {
        stream.layout_end_there = ends.streams.has(&stream.key, id).await?;
    }
    Ok(())
}

/// One stream, and the highest position and batch id of its entries of ours.
async fn look_at(
    ends: &Connected,
    stored: &Stored,
    listed: usize,
) -> Result<(StreamFinding, EntryId), Error> {
    let (key, mark) = (ends.names.key(&stored.stream), ends.names.mark(&stored.stream));
    let outside = ends.streams.outside(&key, &mark).await?;
    let mut finding = StreamFinding {
        mark: judge_mark(ends, outside.marked).await?,
        key,
        stream: stored.stream.clone(),
        topic: stored.stream.topic.clone(),
        slot: stored.stream.slot(),
        is_current: true,
        owes: false,
        layout_end: None,
        layout_end_there: false,
        top: outside.top,
        generated: outside.generated,
        known: None,
        recorded: (stored.chain > EntryId::MIN).then_some(stored.chain),
        last: None,
        unknown: UnknownEntries::default(),
        groups: Vec::new(),
    };
    let (mut highest, mut in_a_row, mut read) = (EntryId::MIN, 0, Vec::new());
    if finding.is_ours() {
        let mut walk = Walk::new(&finding.key, &finding.stream, Judge::Ledger, outside.page);
        while in_a_row < KNOWN_IN_A_ROW {
            let page = walk.next(ends).await?;
            if page.is_empty() {
                break;
            }
            for (entry, why) in page {
                finding.last = finding.last.or(Some(entry.id));
                highest.position = highest.position.max(entry.id.position);
                let Some(why) = why else {
                    finding.known = finding.known.or(Some(entry.id));
                    in_a_row += 1;
                    continue;
                };
                in_a_row = 0;
                note(&mut finding.unknown, &entry, why, listed);
                read.push(entry.id);
            }
        }
    }
    finding.groups = outside
        .readers
        .into_iter()
        .map(|reader| GroupFinding {
            unknown_read: read.iter().filter(|id| **id <= reader.delivered).count() as u64,
            name: reader.name,
            delivered: reader.delivered,
            pending: reader.pending,
        })
        .collect();
    Ok((finding, highest))
}

fn note(unknown: &mut UnknownEntries, entry: &Whole, why: Unknown, listed: usize) {
    unknown.count += 1;
    unknown.last = unknown.last.or(Some(entry.id));
    unknown.first = Some(entry.id);
    if unknown.entries.len() < listed {
        unknown.entries.push(UnknownEntry {
            id: entry.id,
            event_id: entry.event_id.clone().unwrap_or_default(),
            why,
        });
    }
}

async fn judge_mark(ends: &Connected, marked: Marked) -> Result<MarkFinding, Error> {
    Ok(match marked {
        Marked::Never => MarkFinding::Absent,
        Marked::Unreadable(why) => MarkFinding::Unreadable { why },
        Marked::By(mark) if mark.database_id == ends.head.database_id => {
            let batch_id = mark.batch_id;
            match unknown_batches(&ends.session, &[batch_id]).await?.is_empty() {
                true => MarkFinding::Known { batch_id },
                false => MarkFinding::Unknown { batch_id },
            }
        }
        Marked::By(mark) if is_elsewhere(&mark.database_id, &ends.head.database_id) => MarkFinding::Moved {
            batch_id: mark.batch_id,
            database_id: mark.database_id,
        },
        Marked::By(mark) => MarkFinding::Foreign {
            database_id: mark.database_id,
        },
    })
}

/// By what entries are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judge {
    /// The ledger, from the present era on.
    Ledger,
    /// The same from the era before on, and what a recovery kept: the present era was opened a moment ago.
    Late,
}

/// On the way down one stream, from its end.
pub(super) struct Walk<'a> {
    key: &'a str,
    stream: &'a StreamId,
    judge: Judge,
    page: u64,
    below: Option<EntryId>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(key: &'a str, stream: &'a StreamId, judge: Judge, page: u64) -> Self {
        Self {
            key,
            stream,
            judge,
            page,
            below: None,
        }
    }

    /// The next entries of a relay, highest first, each with why it is not of this ledger; none at the beginning of the stream.
    /// Entries of strangers are nobody's to judge.
    pub(super) async fn next(&mut self, ends: &Connected) -> Result<Vec<(Whole, Option<Unknown>)>, Error> {
        loop {
            let page = ends.streams.below(self.key, self.below, self.page).await?;
            let Some(lowest) = page.last() else {
                return Ok(Vec::new());
            };
            self.below = Some(lowest.id);
            let ours: Vec<Whole> = page.into_iter().filter(|entry| entry.is_chained).collect();
            if ours.is_empty() {
                continue;
            }
            let unknown = match self.judge {
                Judge::Ledger => pg::unknown(&ends.session, self.stream, &ours).await?,
                Judge::Late => pg::late(&ends.session, (self.key, self.stream), &ours).await?,
            };
            let mut judged: Vec<(Whole, Option<Unknown>)> =
                ours.into_iter().map(|entry| (entry, None)).collect();
            for (place, why) in unknown {
                if let Some(entry) = judged.get_mut(place) {
                    entry.1 = Some(why);
                }
            }
            return Ok(judged);
        }
    }
}
