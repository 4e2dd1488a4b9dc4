//! What a recovery asks the database, and writes there.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::finding::Unfinished;
use super::plan::{Plan, Strategy};
use crate::publish::pg::signed;
use crate::publish::redis::Whole;
use crate::publish::{Error, Kind, UNKNOWN_ENTRIES};
use crate::tail::ledger::Unknown;
use crate::tail::pg::Session;
use crate::tail::pg::column::{get, unsigned};
use crate::tail::{self, StreamId};

const READ_FACTS: &str = include_str!("../../../queries/recover/read_facts.sql");
const READ_UNFINISHED: &str = include_str!("../../../queries/recover/read_unfinished.sql");
const FIND_OWING: &str = include_str!("../../../queries/recover/find_owing.sql");
const FIND_PREPARED: &str = include_str!("../../../queries/recover/find_prepared.sql");
const FIND_LATE: &str = include_str!("../../../queries/recover/find_late.sql");
const BEGIN: &str = include_str!("../../../queries/recover/begin.sql");
const KEEP_ENTRIES: &str = include_str!("../../../queries/recover/keep_entries.sql");
const NOTE_REMOVING: &str = include_str!("../../../queries/recover/note_removing.sql");
const OPEN_ERA: &str = include_str!("../../../queries/recover/open_era.sql");
const KNOW_TOPICS: &str = include_str!("../../../queries/recover/know_topics.sql");
const FINISH: &str = include_str!("../../../queries/recover/finish.sql");
const ABANDON: &str = include_str!("../../../queries/recover/abandon.sql");
const FIND_HOLDERS: &str = include_str!("../../../queries/recover/find_holders.sql");
const FIND_APPENDERS: &str = include_str!("../../../queries/recover/find_appenders.sql");

/// What the database says besides the end of its ledger.
pub(super) struct Facts {
    pub(super) sequence: i64,
    pub(super) uncut: i64,
    pub(super) timeline_then: i32,
    pub(super) timeline_now: Option<i32>,
    pub(super) clock_ms: u64,
}

pub(super) async fn facts(session: &Session) -> Result<Facts, Error> {
    let rows = session.query(READ_FACTS, &[]).await?;
    let row = rows.first().ok_or_else(|| {
        Error::new(
            Kind::Refused,
            "the ledger has no row at all: run `outbox-relay migrate`",
        )
    })?;
    Ok(Facts {
        sequence: get(row, "sequence")?,
        uncut: get(row, "uncut")?,
        timeline_then: get(row, "timeline_then")?,
        timeline_now: get(row, "timeline_now")?,
        clock_ms: unsigned(get(row, "clock_ms")?)?,
    })
}

/// The recovery that was begun and not finished.
pub(super) async fn unfinished(session: &Session) -> Result<Option<Unfinished>, Error> {
    let rows = session.query(READ_UNFINISHED, &[]).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(Unfinished {
        number: get(row, "number")?,
        strategy: get(row, "strategy")?,
        batch_id: get(row, "opened_batch_id")?,
        removing: get(row, "removing")?,
        removed: get(row, "removed")?,
    }))
}

/// Streams that have not had all of an earlier layout.
pub(super) async fn owing(session: &Session) -> Result<Vec<StreamId>, Error> {
    let rows = session.query(FIND_OWING, &[]).await?;
    let mut owing = Vec::new();
    for row in &rows {
        let topic: String = get(row, "topic")?;
        owing.extend(StreamId::from_slot(topic, get(row, "partition")?));
    }
    Ok(owing)
}

/// Prepared transactions that appended.
pub(super) async fn prepared(session: &Session) -> Result<Vec<String>, Error> {
    words(session, FIND_PREPARED, "who").await
}

/// Which of a stream's entries are not of this ledger, by their place in the list.
pub(super) async fn unknown(
    session: &Session,
    stream: &StreamId,
    entries: &[Whole],
) -> Result<Vec<(usize, Unknown)>, Error> {
    let topics = vec![stream.topic.as_str(); entries.len()];
    let slots = vec![stream.slot(); entries.len()];
    let Ids {
        batches,
        positions,
        events,
    } = Ids::of(entries);
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
    places(&rows)
}

/// The same of entries that landed while an era was being opened.
pub(super) async fn late(
    session: &Session,
    (key, stream): (&str, &StreamId),
    entries: &[Whole],
) -> Result<Vec<(usize, Unknown)>, Error> {
    let Ids {
        batches,
        positions,
        events,
    } = Ids::of(entries);
    let rows = session
        .query(
            FIND_LATE,
            &[
                (&key, Type::TEXT),
                (&stream.topic, Type::TEXT),
                (&stream.slot(), Type::INT4),
                (&batches, Type::INT8_ARRAY),
                (&positions, Type::INT8_ARRAY),
                (&events, Type::TEXT_ARRAY),
            ],
        )
        .await?;
    places(&rows)
}

/// Entries as the database is asked about them.
pub(super) struct Ids<'a> {
    pub(super) batches: Vec<i64>,
    pub(super) positions: Vec<i64>,
    pub(super) events: Vec<&'a str>,
}

impl<'a> Ids<'a> {
    pub(super) fn of(entries: impl IntoIterator<Item = &'a Whole>) -> Self {
        let mut ids = Self {
            batches: Vec::new(),
            positions: Vec::new(),
            events: Vec::new(),
        };
        for entry in entries {
            ids.batches.push(signed(entry.id.batch_id));
            ids.positions.push(signed(entry.id.position));
            ids.events.push(entry.event_id.as_deref().unwrap_or_default());
        }
        ids
    }
}

fn places(rows: &[Row]) -> Result<Vec<(usize, Unknown)>, Error> {
    rows.iter()
        .map(|row| {
            let place = usize::try_from(unsigned(get(row, "n")?)?).unwrap_or(usize::MAX);
            Ok((place.saturating_sub(1), Unknown::read(get(row, "why")?)))
        })
        .collect()
}

/// Records that a recovery begins, in the place of one that is given up. Returns its number.
pub(super) async fn begin(
    session: &Session,
    strategy: Strategy,
    reason: &str,
    found: &str,
    replaced: Option<i64>,
) -> Result<i64, Error> {
    let word = strategy.word();
    let rows = session
        .query(
            BEGIN,
            &[
                (&word, Type::TEXT),
                (&reason, Type::TEXT),
                (&found, Type::TEXT),
                (&replaced, Type::INT8),
            ],
        )
        .await?;
    let row = rows.first().ok_or_else(|| shape("beginning a recovery"))?;
    Ok(get(row, "number")?)
}

/// Keeps entries whole, once, in one commit.
pub(super) async fn keep(
    session: &Session,
    recovery: i64,
    (key, stream): (&str, &StreamId),
    entries: &[Whole],
    fate: &str,
) -> Result<(), Error> {
    let Ids {
        batches, positions, ..
    } = Ids::of(entries);
    let events: Vec<Option<&str>> = entries.iter().map(|entry| entry.event_id.as_deref()).collect();
    let (mut of, mut names, mut contents): (Vec<i64>, Vec<String>, Vec<&[u8]>) = Default::default();
    for (place, entry) in (1_i64..).zip(entries) {
        for (name, content) in &entry.fields {
            of.push(place);
            names.push(String::from_utf8_lossy(name).into_owned());
            contents.push(content);
        }
    }
    let rows = session
        .query(
            KEEP_ENTRIES,
            &[
                (&recovery, Type::INT8),
                (&key, Type::TEXT),
                (&stream.topic, Type::TEXT),
                (&stream.slot(), Type::INT4),
                (&fate, Type::TEXT),
                (&batches, Type::INT8_ARRAY),
                (&positions, Type::INT8_ARRAY),
                (&events, Type::TEXT_ARRAY),
                (&of, Type::INT8_ARRAY),
                (&names, Type::TEXT_ARRAY),
                (&contents, Type::BYTEA_ARRAY),
            ],
        )
        .await?;
    rows.first().map(|_| ()).ok_or_else(|| given_up(recovery))
}

/// Records that entries are about to be taken off.
pub(super) async fn note_removing(session: &Session, recovery: i64) -> Result<(), Error> {
    let rows = session.query(NOTE_REMOVING, &[(&recovery, Type::INT8)]).await?;
    rows.first().map(|_| ()).ok_or_else(|| given_up(recovery))
}

/// The recovery is not at work any more: somebody gave it up, or finished it.
pub(super) fn given_up(recovery: i64) -> Error {
    Error::new(
        Kind::Tail(tail::Kind::Superseded),
        format!(
            "recovery {recovery} was given up or finished by somebody else: look again with `recover inspect`"
        ),
    )
}

/// Gives a recovery up; false: it is at work, or further.
pub(super) async fn abandon(session: &Session, recovery: i64, reason: &str) -> Result<bool, Error> {
    let rows = session
        .query(ABANDON, &[(&recovery, Type::INT8), (&reason, Type::TEXT)])
        .await?;
    Ok(!rows.is_empty())
}

/// From here on these topics are known: their streams are loaded with what the era says of them.
pub(super) async fn know_topics(session: &Session, topics: &[&str]) -> Result<(), Error> {
    if !topics.is_empty() {
        session.query(KNOW_TOPICS, &[(&topics, Type::TEXT_ARRAY)]).await?;
    }
    Ok(())
}

/// What was opened.
pub(super) struct Opened {
    pub(super) era: i32,
    pub(super) batch_id: u64,
    pub(super) events: i64,
}

/// Opens the era. [`tail::Kind::Timeout`] if somebody who appended has not ended.
pub(super) async fn open_era(
    session: &Session,
    recovery: i64,
    epoch: i64,
    plan: &Plan,
) -> Result<Opened, tail::Error> {
    let streams = serde_json::to_string(&plan.streams)
        .map_err(|error| tail::Error::with_source(tail::Kind::Shape, "the plan cannot be written", error))?;
    let (batch_id, position) = (signed(plan.above_batch_id), signed(plan.above_position));
    let rows = session
        .query_durably(
            OPEN_ERA,
            &[
                (&recovery, Type::INT8),
                (&epoch, Type::INT8),
                (&batch_id, Type::INT8),
                (&position, Type::INT8),
                (&streams, Type::TEXT),
            ],
            session.limit(),
        )
        .await?;
    let row = rows
        .first()
        .ok_or_else(|| tail::Error::new(tail::Kind::Shape, "opening an era gave no row"))?;
    Ok(Opened {
        era: get(row, "era")?,
        batch_id: unsigned(get(row, "batch_id")?)?,
        events: get(row, "events")?,
    })
}

pub(super) async fn finish(session: &Session, recovery: i64) -> Result<(), Error> {
    session.query(FINISH, &[(&recovery, Type::INT8)]).await?;
    Ok(())
}

/// Who holds the leases.
pub(super) async fn holders(session: &Session) -> Result<String, Error> {
    Ok(words(session, FIND_HOLDERS, "holder").await?.join(", "))
}

/// Who appended and has not ended.
pub(super) async fn appenders(session: &Session) -> Result<String, Error> {
    Ok(words(session, FIND_APPENDERS, "who").await?.join(", "))
}

async fn words(session: &Session, sql: &'static str, column: &str) -> Result<Vec<String>, Error> {
    let rows = session.query(sql, &[]).await?;
    let words: Result<Vec<String>, tail::Error> = rows.iter().map(|row| get(row, column)).collect();
    Ok(words?)
}

fn shape(doing: &str) -> Error {
    Error::new(Kind::Tail(tail::Kind::Shape), format!("{doing} gave no row"))
}
