//! What streams lost for good, in Postgres.

use tokio_postgres::types::Type;

use crate::event::EntryId;
use crate::publish::pg::signed;
use crate::tail::pg::Session;
use crate::tail::pg::column::get;
use crate::tail::{Error, Kind, StreamId};

const RECORD_LOSS: &str = include_str!("../../../../queries/publish/record_loss.sql");
const RECORD_ACCEPTED: &str = include_str!("../../../../queries/publish/record_accepted.sql");
const RESUME_STREAM: &str = include_str!("../../../../queries/publish/resume_stream.sql");
const TELL_REFUSAL: &str = include_str!("../../../../queries/publish/tell_refusal.sql");
const READ_FLOOR: &str = include_str!("../../../../queries/publish/read_floor.sql");

/// How long a statement may take that must be durable.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(60);

/// A range of a stream that nobody can put out again.
#[derive(Debug)]
pub(in crate::publish::upkeep) struct Loss<'a> {
    pub(in crate::publish::upkeep) stream: &'a StreamId,
    pub(in crate::publish::upkeep) key: &'a str,
    /// It begins behind this entry.
    pub(in crate::publish::upkeep) after: EntryId,
    /// Its last entry.
    pub(in crate::publish::upkeep) through: EntryId,
    /// `log` or `generation`.
    pub(in crate::publish::upkeep) why: &'static str,
    /// Whether the stream goes on with that: nothing behind it is to be put out again.
    pub(in crate::publish::upkeep) goes_on: bool,
}

/// Records a loss and the floor that it makes. Returns how many events it has, and which groups may miss them.
pub(in crate::publish::upkeep) async fn record(
    session: &Session,
    loss: &Loss<'_>,
    epoch: i64,
) -> Result<(i64, Vec<String>), Error> {
    let halves = |id: EntryId| (signed(id.batch_id), signed(id.position));
    let (after, through) = (halves(loss.after), halves(loss.through));
    let rows = session
        .query_durably(
            RECORD_LOSS,
            &[
                (&loss.stream.topic, Type::TEXT),
                (&loss.stream.slot(), Type::INT4),
                (&loss.key, Type::TEXT),
                (&after.0, Type::INT8),
                (&after.1, Type::INT8),
                (&through.0, Type::INT8),
                (&through.1, Type::INT8),
                (&loss.why, Type::TEXT),
                (&epoch, Type::INT8),
                (&loss.goes_on, Type::BOOL),
            ],
            LONGEST,
        )
        .await?;
    let row = rows
        .first()
        .ok_or_else(|| Error::new(Kind::Shape, "a loss was not recorded"))?;
    Ok((get(row, "events")?, get(row, "missed_by")?))
}

/// What was lost of what a recovery had left on a stream.
#[derive(Debug)]
pub(in crate::publish::upkeep) struct Accepted {
    pub(in crate::publish::upkeep) after: String,
    pub(in crate::publish::upkeep) through: String,
    pub(in crate::publish::upkeep) events: i64,
    pub(in crate::publish::upkeep) missed_by: Vec<String>,
}

/// Records what a stream lost behind `kept`, up to and with `end`, that a recovery had left there and the log does not have.
pub(in crate::publish::upkeep) async fn record_accepted(
    session: &Session,
    stream: &StreamId,
    key: &str,
    (kept, end): (EntryId, EntryId),
    epoch: i64,
) -> Result<Vec<Accepted>, Error> {
    let halves = |id: EntryId| (signed(id.batch_id), signed(id.position));
    let (kept, end) = (halves(kept), halves(end));
    let rows = session
        .query_durably(
            RECORD_ACCEPTED,
            &[
                (&stream.topic, Type::TEXT),
                (&stream.slot(), Type::INT4),
                (&key, Type::TEXT),
                (&kept.0, Type::INT8),
                (&kept.1, Type::INT8),
                (&end.0, Type::INT8),
                (&end.1, Type::INT8),
                (&epoch, Type::INT8),
            ],
            LONGEST,
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Accepted {
                after: get(row, "after_entry")?,
                through: get(row, "through_entry")?,
                events: get(row, "events")?,
                missed_by: get(row, "missed_by")?,
            })
        })
        .collect()
}

/// Lets a stream go on that has its end after all.
pub(in crate::publish::upkeep) async fn resume(session: &Session, stream: &StreamId) -> Result<(), Error> {
    session
        .query_durably(
            RESUME_STREAM,
            &[(&stream.topic, Type::TEXT), (&stream.slot(), Type::INT4)],
            LONGEST,
        )
        .await
        .map(drop)
}

/// Says why a stream that lost its end is not put out again.
pub(in crate::publish::upkeep) async fn tell_refusal(
    session: &Session,
    stream: &StreamId,
    why: &str,
) -> Result<(), Error> {
    session
        .query(
            TELL_REFUSAL,
            &[
                (&stream.topic, Type::TEXT),
                (&stream.slot(), Type::INT4),
                (&why, Type::TEXT),
            ],
        )
        .await
        .map(drop)
}

/// What took an entry off a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::publish::upkeep) enum TakenBy {
    /// Trimming: every registered group had acknowledged it.
    Retention,
    /// The hard cap.
    Cap,
    /// The sink lost it, and it cannot be put out again; whether the group that asks was known to wait for it then.
    Loss { was_missed: bool },
}

/// What took an entry below a floor, as a group is concerned.
pub(in crate::publish::upkeep) async fn taken_by(
    session: &Session,
    stream: &StreamId,
    id: EntryId,
    group: &str,
) -> Result<TakenBy, Error> {
    let (batch_id, position) = (signed(id.batch_id), signed(id.position));
    let rows = session
        .query(
            READ_FLOOR,
            &[
                (&stream.topic, Type::TEXT),
                (&stream.slot(), Type::INT4),
                (&batch_id, Type::INT8),
                (&position, Type::INT8),
                (&group, Type::TEXT),
            ],
        )
        .await?;
    let cause: Option<&str> = rows.first().map(|row| get(row, "cause")).transpose()?;
    Ok(match cause {
        Some("cap") => TakenBy::Cap,
        Some("lost") => TakenBy::Loss {
            was_missed: rows.first().map_or(Ok(true), |row| get(row, "was_missed"))?,
        },
        _ => TakenBy::Retention,
    })
}
