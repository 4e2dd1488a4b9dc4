//! Looking for next to nothing, and cutting what was seen: two statements, the first of which only reads.
//!
//! What decides which rows are in a batch is the snapshot that they were read in. The first statement says it, with the rows; the second stores it.
//! Nothing can come in between that matters: what commits meanwhile is not in that snapshot, and so in the next batch; and another leader, an era
//! or a layout takes the next number of the ledger, with which the second one is refused.
//!
//! **How it fails.** Either statement alone changes nothing by halves. Behind a pooler the two may meet different servers: it is not tried there,
//! and where nobody told us of a pooler the second one cuts nothing unless it meets the very process of the first.

use tokio_postgres::Row as PgRow;
use tokio_postgres::types::Type;

use super::column::{get, snapshot, unsigned};
use super::cut::{CutBounds, unseen};
use super::event::event_rows;
use super::session::{LONGEST_CUT, Session};
use crate::tail::batch::{Batch, Cut};
use crate::tail::row::Row;
use crate::tail::snapshot::Snapshot;
use crate::tail::tally::{Glimpse, Tally};
use crate::tail::{Error, Kind};

const LOOK: &str = include_str!("../../../queries/tail/look.sql");
const CUT_LOOKED: &str = include_str!("../../../queries/tail/cut_looked.sql");

/// Up to so many rows come along with a look. Most looks find none or a few; where there are more they are read again.
const ROWS: i64 = 64;

/// What was there to cut, in pieces of the log that begin up to where it was looked.
pub(crate) struct Looked {
    /// The highest position that was drawn.
    drawn: i64,
    snapshot: Snapshot,
    /// The process of the server, and when the server was started.
    server: (i32, i64),
    has_subscribers: bool,
    /// Some topic has several partitions.
    pub(crate) has_partitions: bool,
    /// Nothing about these rows needs the database to decide: they are all here, of known topics without partitions.
    is_plain: bool,
    /// By position.
    rows: Vec<PgRow>,
}

impl Looked {
    /// Whether there is nothing: nor anything above `through`, where it was not looked.
    pub(crate) fn is_empty(&self, through: i64) -> bool {
        self.rows.is_empty() && self.drawn <= through
    }

    /// Whether it can be cut as it is.
    pub(crate) fn is_plain(&self, through: i64) -> bool {
        self.is_plain && self.drawn <= through
    }

    fn tally(&self) -> Result<Option<Tally>, Error> {
        let glimpses = self.rows.iter().map(|row| {
            Ok(Glimpse {
                position: get(row, "position")?,
                topic: get(row, "topic")?,
                is_new: get(row, "is_new")?,
            })
        });
        let glimpses: Vec<Glimpse<'_>> = glimpses.collect::<Result<_, Error>>()?;
        Ok(Tally::of(glimpses))
    }

    /// The rows that go to streams.
    fn events(&self) -> Result<Vec<Row>, Error> {
        event_rows(
            self.rows
                .iter()
                .filter(|row| get::<Option<&str>>(row, "topic").is_ok_and(|topic| topic.is_some())),
            |_| 1,
        )
    }
}

/// How much comes along with a look.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Along {
    /// What a batch of a few has, so that it can be cut as it is.
    Few,
    /// Nothing: it is only asked whether there is anything.
    Nothing,
}

/// Looks for what is to be cut after `head` in pieces of the log that begin up to `through`.
pub(crate) async fn look(
    session: &Session,
    head: &Batch,
    bounds: CutBounds,
    through: i64,
    along: Along,
) -> Result<Looked, Error> {
    let (xmax, open) = unseen(head);
    let (most, widest) = match along {
        Along::Few => {
            let most = ROWS.min(bounds.rows);
            (
                most,
                i32::try_from(bounds.bytes / most.max(1)).unwrap_or(i32::MAX),
            )
        }
        Along::Nothing => (0, 0),
    };
    let found = session
        .query_within(
            LOOK,
            &[
                (&xmax, Type::TEXT),
                (&open, Type::TEXT_ARRAY),
                (&bounds.floor, Type::INT8),
                (&through, Type::INT8),
                (&most, Type::INT8),
                (&widest, Type::INT4),
            ],
            LONGEST_CUT,
        )
        .await?;
    read(found, most)
}

fn read(mut found: Vec<PgRow>, most: i64) -> Result<Looked, Error> {
    let first = found
        .first()
        .ok_or_else(|| Error::new(Kind::Shape, "a look brought no row"))?;
    let has_partitions = get(first, "has_partitions")?;
    let mut looked = Looked {
        drawn: get(first, "drawn")?,
        snapshot: snapshot(first, "snapshot")?,
        server: (get(first, "backend")?, get(first, "started")?),
        has_subscribers: get(first, "has_subscribers")?,
        has_partitions,
        is_plain: !has_partitions,
        rows: Vec::new(),
    };
    if get::<Option<i64>>(first, "position")?.is_none() {
        return Ok(looked);
    }
    looked.is_plain &= i64::try_from(found.len()).is_ok_and(|count| count <= most);
    for row in &found {
        looked.is_plain &= get::<bool>(row, "is_known")? && !get::<bool>(row, "is_wide")?;
    }
    found.sort_by_cached_key(|row| get::<i64>(row, "position").unwrap_or_default());
    looked.rows = found;
    Ok(looked)
}

/// Cuts the batch after `head` of what was seen, if it can be cut as it is. It is durable when this returns.
pub(crate) async fn cut_looked(
    session: &Session,
    head: &Batch,
    bounds: CutBounds,
    looked: &Looked,
) -> Result<Option<Cut>, Error> {
    let Some(tally) = looked.tally()? else {
        return Ok(None);
    };
    let rows = looked.events()?;
    crash_point!(BATCH_BEFORE_CUT);
    let Some((number, batch_id)) = store(session, head, bounds, looked, &tally).await? else {
        return Ok(None);
    };
    crash_point!(BATCH_COMMITTED);
    Ok(Some(Cut {
        batch: Batch {
            number,
            batch_id,
            snapshot: looked.snapshot.clone(),
            event_count: tally.event_count,
        },
        before: head.snapshot.clone(),
        shares: tally.shares,
        rows,
        laid: None,
        behind: None,
    }))
}

/// Number and id of the batch; none if it is not this process of the server that looked.
async fn store(
    session: &Session,
    head: &Batch,
    bounds: CutBounds,
    looked: &Looked,
    tally: &Tally,
) -> Result<Option<(i64, u64)>, Error> {
    let id = i64::try_from(head.batch_id).unwrap_or(i64::MAX);
    let snapshot_text = looked.snapshot.to_string();
    let (backend, started) = looked.server;
    let shares = &tally.shares;
    let topics: Vec<&str> = shares.iter().map(|share| share.stream.topic.as_str()).collect();
    let counts: Vec<i64> = shares.iter().map(|share| share.event_count).collect();
    let firsts: Vec<i64> = shares.iter().map(|share| share.first_position).collect();
    let lasts: Vec<i64> = shares.iter().map(|share| share.last_position).collect();
    let news: Vec<Option<i64>> = shares.iter().map(|share| share.first_new_position).collect();
    let rows = session
        .query_durably(
            CUT_LOOKED,
            &[
                (&head.number, Type::INT8),
                (&id, Type::INT8),
                (&bounds.era, Type::INT4),
                (&bounds.epoch, Type::INT8),
                (&snapshot_text, Type::TEXT),
                (&tally.event_count, Type::INT8),
                (&tally.first_position, Type::INT8),
                (&tally.last_position, Type::INT8),
                (&backend, Type::INT4),
                (&started, Type::INT8),
                (&topics, Type::TEXT_ARRAY),
                (&counts, Type::INT8_ARRAY),
                (&firsts, Type::INT8_ARRAY),
                (&lasts, Type::INT8_ARRAY),
                (&news, Type::INT8_ARRAY),
                (&looked.has_subscribers, Type::BOOL),
            ],
            LONGEST_CUT,
        )
        .await?;
    rows.first()
        .map(|row| Ok((get(row, "number")?, unsigned(get(row, "batch_id")?)?)))
        .transpose()
}
