//! Progress of streams, and decisions about them, in Postgres.

use std::collections::BTreeMap;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::lane::{Lane, Place};
use super::retention::Retentions;
use super::sink::Top;
use crate::event::EntryId;
use crate::tail::layout::{Generation, Layout};
use crate::tail::ledger::{Refused, Unknown};
use crate::tail::pg::Session;
use crate::tail::pg::column::{get, small, stream, unsigned};
use crate::tail::{Error, StreamId};

const LOAD_RETENTIONS: &str = include_str!("../../queries/publish/load_retentions.sql");
const LOAD_STREAMS: &str = include_str!("../../queries/publish/load_streams.sql");
const LOAD_LAYOUTS: &str = include_str!("../../queries/publish/load_layouts.sql");
const RECORD_PROGRESS: &str = include_str!("../../queries/publish/record_progress.sql");
const SET_ASIDE: &str = include_str!("../../queries/publish/set_aside.sql");
const BLOCK: &str = include_str!("../../queries/publish/block.sql");
const LATEST_ACTIONS: &str = include_str!("../../queries/publish/latest_actions.sql");
const NOTE_TIMELINE: &str = include_str!("../../queries/tail/note_timeline.sql");
pub(crate) const OPEN_REFUSAL: &str = include_str!("../../queries/publish/open_refusal.sql");
pub(crate) const UNKNOWN_ENTRIES: &str = include_str!("../../queries/publish/unknown_entries.sql");
pub(crate) const UNKNOWN_BATCHES: &str = include_str!("../../queries/publish/unknown_batches.sql");

/// A stream as the database has it.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) stream: StreamId,
    pub(super) progress: Place,
    pub(super) chain: EntryId,
    /// If the re-issue that it has come to is not begun: the entry that was kept.
    pub(super) kept: Option<EntryId>,
    pub(super) floor: EntryId,
    pub(super) target: Place,
    pub(super) latest_action: String,
}

impl Stored {
    /// A stream of which the database has nothing.
    pub(super) fn of(stream: StreamId) -> Self {
        Self {
            stream,
            progress: Place::default(),
            chain: EntryId::MIN,
            kept: None,
            floor: EntryId::MIN,
            target: Place::default(),
            latest_action: String::new(),
        }
    }
}

/// All streams, or one.
pub(super) async fn load_streams(session: &Session, only: Option<&StreamId>) -> Result<Vec<Stored>, Error> {
    let (topic, slot) = (only.map(|stream| &stream.topic), only.map(StreamId::slot));
    let rows = session
        .query(LOAD_STREAMS, &[(&topic, Type::TEXT), (&slot, Type::INT4)])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Stored {
                stream: stream(row)?,
                progress: Place {
                    batch_number: get(row, "batch_number")?,
                    position: get(row, "position")?,
                },
                chain: entry_id(row, "chain_batch_id", "chain_position")?.unwrap_or(EntryId::MIN),
                kept: entry_id(row, "kept_batch_id", "kept_position")?,
                floor: entry_id(row, "floor_batch_id", "floor_position")?.unwrap_or(EntryId::MIN),
                target: Place {
                    batch_number: get(row, "target_batch_number")?,
                    position: get(row, "target_position")?,
                },
                latest_action: get(row, "latest_action")?,
            })
        })
        .collect()
}

/// The layouts of all topics that have partitions.
pub(super) async fn load_layouts(session: &Session) -> Result<BTreeMap<String, Layout>, Error> {
    let mut layouts: BTreeMap<String, Layout> = BTreeMap::new();
    for row in session.query(LOAD_LAYOUTS, &[]).await? {
        let layout = layouts.entry(get(&row, "topic")?).or_default();
        layout.grow(Generation {
            number: get(&row, "generation")?,
            partitions: small(get(&row, "partitions")?)?,
            batch_id: unsigned(get(&row, "batch_id")?)?,
            moved: get(&row, "moved")?,
        });
    }
    Ok(layouts)
}

/// How long entries stay.
pub(super) async fn load_retentions(session: &Session) -> Result<Retentions, Error> {
    let rows = session.query(LOAD_RETENTIONS, &[]).await?;
    let seconds = rows.iter().map(|row| {
        let seconds: Option<i64> = get(row, "seconds")?;
        Ok((get(row, "topic")?, seconds.map(unsigned).transpose()?))
    });
    Ok(Retentions::new(seconds.collect::<Result<_, Error>>()?))
}

fn entry_id(row: &Row, batch_id: &str, position: &str) -> Result<Option<EntryId>, Error> {
    let halves: (Option<i64>, Option<i64>) = (get(row, batch_id)?, get(row, position)?);
    Ok(match halves {
        (Some(batch_id), Some(position)) => Some(EntryId::new(unsigned(batch_id)?, unsigned(position)?)),
        _ => None,
    })
}

/// Records how far these lanes have come.
pub(super) async fn record_progress(session: &Session, lanes: &[Come], epoch: i64) -> Result<(), Error> {
    let topics: Vec<&str> = lanes.iter().map(|come| come.stream.topic.as_str()).collect();
    let slots: Vec<i32> = lanes.iter().map(|come| come.stream.slot()).collect();
    let numbers: Vec<i64> = lanes.iter().map(|come| come.progress.batch_number).collect();
    let positions: Vec<i64> = lanes.iter().map(|come| come.progress.position).collect();
    let chain_batches: Vec<i64> = lanes.iter().map(|come| signed(come.chain.batch_id)).collect();
    let chain_positions: Vec<i64> = lanes.iter().map(|come| signed(come.chain.position)).collect();
    session
        .query(
            RECORD_PROGRESS,
            &[
                (&topics, Type::TEXT_ARRAY),
                (&slots, Type::INT4_ARRAY),
                (&numbers, Type::INT8_ARRAY),
                (&positions, Type::INT8_ARRAY),
                (&chain_batches, Type::INT8_ARRAY),
                (&chain_positions, Type::INT8_ARRAY),
                (&epoch, Type::INT8),
            ],
        )
        .await
        .map(drop)
}

/// How far one lane has come.
#[derive(Clone, Debug)]
pub(super) struct Come {
    pub(super) stream: StreamId,
    pub(super) progress: Place,
    pub(super) chain: EntryId,
}

impl From<&Lane> for Come {
    fn from(lane: &Lane) -> Self {
        Self {
            stream: lane.stream.clone(),
            progress: lane.progress,
            chain: lane.chain,
        }
    }
}

/// Sets a stream aside at one event, or says that it lost its end, with its progress up to there.
pub(super) async fn set_aside(
    session: &Session,
    come: &Come,
    epoch: i64,
    at: Place,
    event_id: Option<&str>,
    action: &str,
    reason: &str,
) -> Result<(), Error> {
    let (chain_batch, chain_position) = (signed(come.chain.batch_id), signed(come.chain.position));
    session
        .query(
            SET_ASIDE,
            &[
                (&come.stream.topic, Type::TEXT),
                (&come.stream.slot(), Type::INT4),
                (&come.progress.batch_number, Type::INT8),
                (&come.progress.position, Type::INT8),
                (&chain_batch, Type::INT8),
                (&chain_position, Type::INT8),
                (&epoch, Type::INT8),
                (&at.batch_number, Type::INT8),
                (&at.position, Type::INT8),
                (&event_id, Type::TEXT),
                (&reason, Type::TEXT),
                (&action, Type::TEXT),
            ],
        )
        .await
        .map(drop)
}

/// Says that a stream is blocked, or no longer.
pub(super) async fn block(
    session: &Session,
    stream: &StreamId,
    action: &str,
    reason: &str,
) -> Result<(), Error> {
    session
        .query(
            BLOCK,
            &[
                (&stream.topic, Type::TEXT),
                (&stream.slot(), Type::INT4),
                (&action, Type::TEXT),
                (&reason, Type::TEXT),
            ],
        )
        .await
        .map(drop)
}

/// The latest action about each of these streams.
pub(super) async fn latest_actions(
    session: &Session,
    streams: &[StreamId],
) -> Result<Vec<(StreamId, String)>, Error> {
    let topics: Vec<&str> = streams.iter().map(|stream| stream.topic.as_str()).collect();
    let slots: Vec<i32> = streams.iter().map(StreamId::slot).collect();
    let rows = session
        .query(
            LATEST_ACTIONS,
            &[(&topics, Type::TEXT_ARRAY), (&slots, Type::INT4_ARRAY)],
        )
        .await?;
    rows.iter()
        .map(|row| Ok((stream(row)?, get(row, "action")?)))
        .collect()
}

/// Which of these batch ids the ledger never cut.
pub(super) async fn unknown_batches(session: &Session, ids: &[u64]) -> Result<Vec<u64>, Error> {
    let ids: Vec<i64> = ids.iter().copied().map(signed).collect();
    let rows = session
        .query(UNKNOWN_BATCHES, &[(&ids, Type::INT8_ARRAY)])
        .await?;
    rows.iter().map(|row| unsigned(get(row, "batch_id")?)).collect()
}

/// Which of these entries, each the last of its stream, are not of this ledger: their places in the list.
pub(super) async fn unknown_entries(
    session: &Session,
    tops: &[(&StreamId, &Top)],
) -> Result<Vec<(usize, Unknown)>, Error> {
    let topics: Vec<&str> = tops.iter().map(|(stream, _)| stream.topic.as_str()).collect();
    let slots: Vec<i32> = tops.iter().map(|(stream, _)| stream.slot()).collect();
    let batches: Vec<i64> = tops.iter().map(|(_, top)| signed(top.id.batch_id)).collect();
    let positions: Vec<i64> = tops.iter().map(|(_, top)| signed(top.id.position)).collect();
    let events: Vec<&str> = tops.iter().map(|(_, top)| top.event_id.as_str()).collect();
    let rows = session
        .query(
            UNKNOWN_ENTRIES,
            &[
                (&topics, Type::TEXT_ARRAY),
                (&slots, Type::INT4_ARRAY),
                (&batches, Type::INT8_ARRAY),
                (&positions, Type::INT8_ARRAY),
                (&events, Type::TEXT_ARRAY),
            ],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let n = unsigned(get(row, "n")?)?;
            let place = usize::try_from(n).unwrap_or(usize::MAX).saturating_sub(1);
            Ok((place, Unknown::read(get(row, "why")?)))
        })
        .collect()
}

/// The first refusal that is open.
pub(super) async fn open_refusal(session: &Session) -> Result<Option<Refused>, Error> {
    let rows = session.query(OPEN_REFUSAL, &[]).await?;
    rows.first()
        .map(|row| {
            Ok(Refused {
                number: get(row, "number")?,
                code: get(row, "code")?,
                said: get(row, "said")?,
                at: get(row, "refused_at")?,
            })
        })
        .transpose()
}

/// Records the timeline that this server is on. The number of those before, if it is a new one.
pub(super) async fn note_timeline(session: &Session) -> Result<Option<(i32, i64)>, Error> {
    let rows = session.query(NOTE_TIMELINE, &[]).await?;
    rows.first()
        .map(|row| Ok((get(row, "timeline")?, get(row, "earlier")?)))
        .transpose()
}

pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
