//! Re-issues that people ask for, and how far those are that are running, in Postgres.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::event::EntryId;
use crate::tail::pg::Session;
use crate::tail::pg::column::{get, stream, unsigned};
use crate::tail::{Error, StreamId};

const LIST_ORDERS: &str = include_str!("../../../../queries/publish/list_orders.sql");
const FIND_REISSUE: &str = include_str!("../../../../queries/publish/find_reissue.sql");
const ANSWER_ORDER: &str = include_str!("../../../../queries/publish/answer_order.sql");
const RUNNING_REISSUES: &str = include_str!("../../../../queries/publish/running_reissues.sql");

/// What a person asks for.
#[derive(Debug)]
pub(in crate::publish::upkeep) struct Asked {
    pub(in crate::publish::upkeep) number: i64,
    pub(in crate::publish::upkeep) stream: StreamId,
    pub(in crate::publish::upkeep) from: EntryId,
    /// Events between the two ends.
    pub(in crate::publish::upkeep) wanted: i64,
    pub(in crate::publish::upkeep) is_preview: bool,
    pub(in crate::publish::upkeep) actor: String,
}

/// What waits for an answer, by number. One that cannot be read concerns none of the others.
pub(in crate::publish::upkeep) async fn waiting(
    session: &Session,
) -> Result<Vec<(i64, Result<Asked, Error>)>, Error> {
    let rows = session.query(LIST_ORDERS, &[]).await?;
    rows.iter()
        .map(|row| Ok((get(row, "number")?, asked(row))))
        .collect()
}

fn asked(row: &Row) -> Result<Asked, Error> {
    Ok(Asked {
        number: get(row, "number")?,
        stream: stream(row)?,
        from: EntryId::new(
            unsigned(get(row, "from_batch_id")?)?,
            unsigned(get(row, "from_position")?)?,
        ),
        wanted: get(row, "wanted")?,
        is_preview: get(row, "is_preview")?,
        actor: get(row, "actor")?,
    })
}

/// What was cut for whoever asked, by a leader that did not live to say so.
pub(in crate::publish::upkeep) async fn done_before(
    session: &Session,
    stream: &StreamId,
    asked_by: &str,
) -> Result<Option<Answer>, Error> {
    let rows = session
        .query(
            FIND_REISSUE,
            &[
                (&stream.topic, Type::TEXT),
                (&stream.slot(), Type::INT4),
                (&asked_by, Type::TEXT),
            ],
        )
        .await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(Answer::Done {
        put: Put {
            kept: EntryId::new(
                unsigned(get(row, "kept_batch_id")?)?,
                unsigned(get(row, "kept_position")?)?,
            ),
            events: get(row, "event_count")?,
            removed: get(row, "removed")?,
        },
        batch: get(row, "batch_number")?,
    }))
}

/// What is put out again: everything behind the entry that is kept, but for what was removed on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::publish::upkeep) struct Put {
    pub(in crate::publish::upkeep) kept: EntryId,
    pub(in crate::publish::upkeep) events: i64,
    pub(in crate::publish::upkeep) removed: i64,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::publish::upkeep) enum Answer {
    /// A preview: what would be kept, and how many events would be put out again.
    Possible(Put),
    /// Cut as this row of the ledger.
    Done { put: Put, batch: i64 },
    /// The relay cannot, and why.
    Refused(String),
}

/// Answers.
pub(in crate::publish::upkeep) async fn answer(
    session: &Session,
    number: i64,
    wanted: Option<i64>,
    answer: &Answer,
) -> Result<(), Error> {
    let (state, why, put, batch) = match answer {
        Answer::Possible(put) => ("possible", None, Some(put), None),
        Answer::Done { put, batch } => ("done", None, Some(put), Some(*batch)),
        Answer::Refused(why) => ("refused", Some(why.as_str()), None, None),
    };
    let kept = put.map(|put| put.kept.to_string());
    let (events, removed) = (put.map(|put| put.events), put.map(|put| put.removed));
    session
        .query(
            ANSWER_ORDER,
            &[
                (&number, Type::INT8),
                (&state, Type::TEXT),
                (&why, Type::TEXT),
                (&kept, Type::TEXT),
                (&wanted, Type::INT8),
                (&events, Type::INT8),
                (&batch, Type::INT8),
                (&removed, Type::INT8),
            ],
        )
        .await
        .map(drop)
}

/// A stream that is being put out again.
#[derive(Debug)]
pub(in crate::publish::upkeep) struct Running {
    pub(in crate::publish::upkeep) topic: String,
    pub(in crate::publish::upkeep) stream: String,
    pub(in crate::publish::upkeep) events: i64,
    pub(in crate::publish::upkeep) published: i64,
    pub(in crate::publish::upkeep) remaining_seconds: Option<f64>,
}

/// All of them.
pub(in crate::publish::upkeep) async fn running(session: &Session) -> Result<Vec<Running>, Error> {
    let rows = session.query(RUNNING_REISSUES, &[]).await?;
    rows.iter()
        .map(|row| {
            Ok(Running {
                topic: get(row, "topic")?,
                stream: get(row, "stream")?,
                events: get(row, "events")?,
                published: get(row, "published")?,
                remaining_seconds: get(row, "remaining")?,
            })
        })
        .collect()
}
