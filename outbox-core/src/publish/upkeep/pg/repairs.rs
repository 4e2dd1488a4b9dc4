//! What a repair goes by, and what groups are shown to miss.

use tokio_postgres::types::Type;

use crate::event::EntryId;
use crate::hole::Hole;
use crate::publish::pg::signed;
use crate::publish::repair::{Facts, Reissue, Repairs};
use crate::tail::pg::Session;
use crate::tail::pg::column::{above, get, small, snapshot, stream, unsigned};
use crate::tail::reissue::Behind;
use crate::tail::{Error, Kind, StreamId};

const READ_REPAIRS: &str = include_str!("../../../../queries/publish/read_repairs.sql");
const LOCATE_ENTRY: &str = include_str!("../../../../queries/publish/locate_entry.sql");
const LIST_LOST: &str = include_str!("../../../../queries/publish/list_lost.sql");
const SHOW_HOLE: &str = include_str!("../../../../queries/publish/show_hole.sql");
const CLOSE_HOLES: &str = include_str!("../../../../queries/publish/close_holes.sql");

/// How a stream stands, with what only the database needs.
#[derive(Debug)]
pub(in crate::publish::upkeep) struct Standing {
    pub(in crate::publish::upkeep) facts: Facts,
    /// Entries of an earlier layout have ids at or below this batch's.
    pub(in crate::publish::upkeep) layout_batch_id: u64,
    pub(in crate::publish::upkeep) partitions: u16,
    pub(in crate::publish::upkeep) seconds_since_last: f64,
    /// The next batch will have this id, or a higher one.
    pub(in crate::publish::upkeep) next_batch_id: u64,
}

/// How a stream stands.
pub(in crate::publish::upkeep) async fn standing(
    session: &Session,
    stream: &StreamId,
) -> Result<Standing, Error> {
    let rows = session
        .query(
            READ_REPAIRS,
            &[(&stream.topic, Type::TEXT), (&stream.slot(), Type::INT4)],
        )
        .await?;
    let row = rows
        .first()
        .ok_or_else(|| Error::new(Kind::Shape, "the ledger has no row at all"))?;
    let id = |batch: &str, position: &str| -> Result<EntryId, Error> {
        Ok(EntryId::new(
            unsigned(get(row, batch)?)?,
            unsigned(get(row, position)?)?,
        ))
    };
    Ok(Standing {
        facts: Facts {
            repairs: reissues(&get::<String>(row, "reissues")?)?,
            chain: id("chain_batch_id", "chain_position")?,
            floor: id("floor_batch_id", "floor_position")?,
            stopped: get(row, "stopped")?,
            lost: get(row, "lost")?,
        },
        layout_batch_id: unsigned(get(row, "layout_batch_id")?)?,
        partitions: small(get(row, "partitions")?)?,
        seconds_since_last: get(row, "seconds_since_last")?,
        next_batch_id: unsigned(get(row, "next_batch_id")?)?,
    })
}

/// Streams that lost their end, and those that are set aside.
pub(in crate::publish::upkeep) async fn lost(session: &Session) -> Result<Vec<StreamId>, Error> {
    let rows = session.query(LIST_LOST, &[]).await?;
    rows.iter().map(stream).collect()
}

fn reissues(text: &str) -> Result<Repairs, Error> {
    let told: Vec<(i64, u64, u64, u64, u64)> = serde_json::from_str(text).map_err(|error| {
        Error::with_source(Kind::Shape, "the re-issues of a stream cannot be read", error)
    })?;
    let reissues = told
        .into_iter()
        .map(|(number, batch_id, first, kept_batch, kept)| Reissue {
            number,
            batch_id,
            first: EntryId::new(batch_id, first),
            kept: EntryId::new(kept_batch, kept),
        });
    Ok(Repairs {
        reissues: reissues.collect(),
    })
}

/// Where an entry stands in the ledger.
#[derive(Debug)]
pub(in crate::publish::upkeep) enum Located {
    /// There.
    At(Behind),
    /// A recovery found it on the stream, left it there, and began this era behind it. The log does not have it.
    Accepted { era: i32, behind: Behind },
    /// The ledger has no such entry of this stream; it goes back to this batch, cut then.
    Nowhere { oldest: u64, since: String },
}

/// Looks an entry up.
pub(in crate::publish::upkeep) async fn locate(
    session: &Session,
    stream: &StreamId,
    id: EntryId,
) -> Result<Located, Error> {
    let (batch_id, position) = (signed(id.batch_id), signed(id.position));
    let rows = session
        .query(
            LOCATE_ENTRY,
            &[
                (&stream.topic, Type::TEXT),
                (&stream.slot(), Type::INT4),
                (&batch_id, Type::INT8),
                (&position, Type::INT8),
            ],
        )
        .await?;
    let row = rows
        .first()
        .ok_or_else(|| Error::new(Kind::Shape, "the ledger has no row at all"))?;
    let Some(number) = get::<Option<i64>>(row, "number")? else {
        return Ok(Located::Nowhere {
            oldest: unsigned(get(row, "oldest_batch_id")?)?,
            since: get(row, "oldest_cut_at")?,
        });
    };
    let behind = Behind {
        kept: id,
        number,
        base: snapshot(row, "base")?,
        base_number: get(row, "base_number")?,
        passed: above(row)?,
    };
    Ok(match get(row, "accepted_in")? {
        Some(era) => Located::Accepted { era, behind },
        None => Located::At(behind),
    })
}

/// What became of what a group asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::publish::upkeep) enum Fate {
    /// Looked at.
    Asked,
    /// Put on the stream again by this row of the ledger.
    Reissued(i64),
    /// It is on the stream.
    Closing,
    /// The relay cannot help.
    Refused(String),
}

/// Shows what a group asks for.
pub(in crate::publish::upkeep) async fn show(
    session: &Session,
    stream: &StreamId,
    hole: &Hole,
    fate: &Fate,
    epoch: i64,
) -> Result<(), Error> {
    let (state, reason, number) = match fate {
        Fate::Asked => ("asked", None, None),
        Fate::Reissued(number) => ("reissued", None, Some(*number)),
        Fate::Closing => ("closing", None, None),
        Fate::Refused(why) => ("refused", Some(why.as_str()), None),
    };
    let (missing, held) = (hole.missing.to_string(), hole.held.to_string());
    let passed = hole.passed.map(|id| id.to_string());
    let since = hole.since.unix_timestamp_nanos() as f64 / 1e9;
    session
        .query(
            SHOW_HOLE,
            &[
                (&stream.topic, Type::TEXT),
                (&stream.slot(), Type::INT4),
                (&hole.group, Type::TEXT),
                (&hole.stream, Type::TEXT),
                (&epoch, Type::INT8),
                (&missing, Type::TEXT),
                (&held, Type::TEXT),
                (&passed, Type::TEXT),
                (&since, Type::FLOAT8),
                (&state, Type::TEXT),
                (&reason, Type::TEXT),
                (&number, Type::INT8),
            ],
        )
        .await
        .map(drop)
}

/// Forgets holes that nobody asks for any more.
pub(in crate::publish::upkeep) async fn close(session: &Session, asked: &[Hole]) -> Result<(), Error> {
    let streams: Vec<&str> = asked.iter().map(|hole| hole.stream.as_str()).collect();
    let groups: Vec<&str> = asked.iter().map(|hole| hole.group.as_str()).collect();
    session
        .query(
            CLOSE_HOLES,
            &[(&streams, Type::TEXT_ARRAY), (&groups, Type::TEXT_ARRAY)],
        )
        .await
        .map(drop)
}
