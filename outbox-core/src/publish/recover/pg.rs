//! What a recovery asks the database, and writes there.

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
const BEGIN: &str = include_str!("../../../queries/recover/begin.sql");
const KEEP_ENTRY: &str = include_str!("../../../queries/recover/keep_entry.sql");
const OPEN_ERA: &str = include_str!("../../../queries/recover/open_era.sql");
const KNOW_TOPICS: &str = include_str!("../../../queries/recover/know_topics.sql");
const FINISH: &str = include_str!("../../../queries/recover/finish.sql");
const FIND_HOLDERS: &str = include_str!("../../../queries/recover/find_holders.sql");
const FIND_APPENDERS: &str = include_str!("../../../queries/recover/find_appenders.sql");

/// What the database says besides the end of its ledger.
pub(super) struct Facts {
    pub(super) sequence: i64,
    pub(super) uncut: i64,
    pub(super) timeline_then: i32,
    pub(super) timeline_now: Option<i32>,
    pub(super) unfinished: Option<Unfinished>,
}

pub(super) async fn facts(session: &Session) -> Result<Facts, Error> {
    let rows = session.query(READ_FACTS, &[]).await?;
    let row = rows.first().ok_or_else(|| {
        Error::new(
            Kind::Refused,
            "the ledger has no row at all: run `outbox-relay migrate`",
        )
    })?;
    let unfinished = match get::<Option<i64>>(row, "recovery")? {
        Some(number) => Some(Unfinished {
            number,
            strategy: get(row, "strategy")?,
            batch_id: get(row, "opened_batch_id")?,
        }),
        None => None,
    };
    Ok(Facts {
        sequence: get(row, "sequence")?,
        uncut: get(row, "uncut")?,
        timeline_then: get(row, "timeline_then")?,
        timeline_now: get(row, "timeline_now")?,
        unfinished,
    })
}

/// Which of a stream's entries are not of this ledger, by their place in the list.
pub(super) async fn unknown(
    session: &Session,
    stream: &StreamId,
    entries: &[&Whole],
) -> Result<Vec<(usize, Unknown)>, Error> {
    let topics = vec![stream.topic.as_str(); entries.len()];
    let slots = vec![stream.slot(); entries.len()];
    let batches: Vec<i64> = entries.iter().map(|entry| signed(entry.id.batch_id)).collect();
    let positions: Vec<i64> = entries.iter().map(|entry| signed(entry.id.position)).collect();
    let events: Vec<&str> = entries
        .iter()
        .map(|entry| entry.event_id.as_deref().unwrap_or_default())
        .collect();
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
            let place = usize::try_from(unsigned(get(row, "n")?)?).unwrap_or(usize::MAX);
            Ok((place.saturating_sub(1), Unknown::read(get(row, "why")?)))
        })
        .collect()
}

/// Records that a recovery begins. Returns its number.
pub(super) async fn begin(
    session: &Session,
    strategy: Strategy,
    reason: &str,
    found: &str,
) -> Result<i64, Error> {
    let word = strategy.word();
    let rows = session
        .query(
            BEGIN,
            &[(&word, Type::TEXT), (&reason, Type::TEXT), (&found, Type::TEXT)],
        )
        .await?;
    let row = rows.first().ok_or_else(|| shape("beginning a recovery"))?;
    Ok(get(row, "number")?)
}

/// Keeps an entry whole, once.
pub(super) async fn keep(
    session: &Session,
    recovery: i64,
    (key, stream): (&str, &StreamId),
    entry: &Whole,
    fate: &str,
) -> Result<(), Error> {
    let names: Vec<String> = entry
        .fields
        .iter()
        .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
        .collect();
    let contents: Vec<&[u8]> = entry.fields.iter().map(|(_, value)| value.as_slice()).collect();
    session
        .query(
            KEEP_ENTRY,
            &[
                (&recovery, Type::INT8),
                (&key, Type::TEXT),
                (&stream.topic, Type::TEXT),
                (&stream.slot(), Type::INT4),
                (&signed(entry.id.batch_id), Type::INT8),
                (&signed(entry.id.position), Type::INT8),
                (&entry.event_id, Type::TEXT),
                (&names, Type::TEXT_ARRAY),
                (&contents, Type::BYTEA_ARRAY),
                (&fate, Type::TEXT),
            ],
        )
        .await?;
    Ok(())
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
    words(session, FIND_HOLDERS, "holder").await
}

/// Who appended and has not ended.
pub(super) async fn appenders(session: &Session) -> Result<String, Error> {
    words(session, FIND_APPENDERS, "who").await
}

async fn words(session: &Session, sql: &'static str, column: &str) -> Result<String, Error> {
    let rows = session.query(sql, &[]).await?;
    let words: Result<Vec<String>, tail::Error> = rows.iter().map(|row| get(row, column)).collect();
    Ok(words?.join(", "))
}

fn shape(doing: &str) -> Error {
    Error::new(Kind::Tail(tail::Kind::Shape), format!("{doing} gave no row"))
}
