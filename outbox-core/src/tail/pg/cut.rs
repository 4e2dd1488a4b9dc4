//! Cutting a batch, and reading the end of the ledger.

use std::collections::HashMap;

use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::column::{get, snapshot, stream_of, unsigned};
use super::event::event_rows;
use super::one_snapshot::OneSnapshot;
use super::session::{LONGEST_CUT, Session};
use crate::tail::batch::{Batch, Cut, Share};
use crate::tail::ledger::{Begun, Head, Refusal, Refused};
use crate::tail::{Error, Kind};

const CUT_BATCH: &str = include_str!("../../../queries/tail/cut_batch.sql");
const CUT_FEW: &str = include_str!("../../../queries/tail/cut_few.sql");
const READ_END: &str = include_str!("../../../queries/tail/read_end.sql");
const READ_HEAD: &str = include_str!("../../../queries/tail/read_head.sql");
const FIND_PASSED_OVER: &str = include_str!("../../../queries/tail/find_passed_over.sql");
const RECORD_REFUSAL: &str = include_str!("../../../queries/tail/record_refusal.sql");
const TRY_SLEEP: &str = include_str!("../../../queries/tail/try_sleep.sql");
const WAKE_UP: &str = include_str!("../../../queries/tail/wake_up.sql");
const END_OLD_SLEEPER: &str = include_str!("../../../queries/tail/end_old_sleeper.sql");

/// Who cuts, and how much comes back at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CutBounds {
    pub(crate) era: i32,
    /// What is not above this position was appended before the era.
    pub(crate) floor: i64,
    pub(crate) epoch: i64,
    pub(crate) rows: i64,
    pub(crate) bytes: i64,
}

/// The number of the last batch.
pub(crate) async fn read_end(session: &Session) -> Result<i64, Error> {
    let rows = session.query(READ_END, &[]).await?;
    let row = rows
        .first()
        .ok_or_else(|| Error::new(Kind::Shape, "the ledger cannot be read"))?;
    get(row, "number")
}

/// Reads the end of the ledger with what must agree with it.
pub(crate) async fn read_head(session: &Session) -> Result<Head, Error> {
    let rows = session.query(READ_HEAD, &[]).await?;
    let row = rows.first().ok_or_else(|| {
        Error::new(
            Kind::Refused,
            "the ledger has no row at all: run `outbox-relay migrate`",
        )
    })?;
    if !get::<bool>(row, "is_current")? {
        return Err(Error::new(
            Kind::Refused,
            "the log of this database is older than this relay, which needs its step 0044: run `outbox-relay migrate`",
        ));
    }
    Ok(Head {
        batch: Batch {
            number: get(row, "number")?,
            batch_id: unsigned(get(row, "batch_id")?)?,
            snapshot: snapshot(row, "snapshot")?,
            event_count: 0,
        },
        era: get(row, "era")?,
        position_floor: get(row, "position_floor")?,
        system_identifier: get(row, "system_identifier")?,
        system_identifier_now: get(row, "system_identifier_now")?,
        in_recovery: get(row, "in_recovery")?,
        snapshot_now: snapshot(row, "snapshot_now")?,
        database_id: get(row, "database_id")?,
        writer: get(row, "writer")?,
        oldest_batch_id: unsigned(get(row, "oldest_batch_id")?)?,
        refused: match get::<Option<i64>>(row, "refusal")? {
            Some(number) => Some(Refused {
                number,
                code: get(row, "refusal_code")?,
                said: get(row, "refusal_said")?,
                at: get(row, "refused_at")?,
            }),
            None => None,
        },
        begun: match get::<Option<i64>>(row, "recovery")? {
            Some(number) => Some(Begun {
                number,
                strategy: get(row, "recovery_strategy")?,
            }),
            None => None,
        },
    })
}

/// An event that no batch has and none will have.
pub(crate) async fn find_passed_over(session: &Session) -> Result<Option<Refusal>, Error> {
    let rows = session.query(FIND_PASSED_OVER, &[]).await?;
    rows.first()
        .map(|row| {
            Ok(Refusal::PassedOver {
                position: get(row, "position")?,
                transaction: get(row, "transaction_id")?,
            })
        })
        .transpose()
}

/// Keeps a refusal; durable when this returns.
pub(crate) async fn record_refusal(session: &Session, refusal: &Refusal, epoch: i64) -> Result<(), Error> {
    let (code, said) = (refusal.code(), refusal.said());
    session
        .query_durably(
            RECORD_REFUSAL,
            &[(&code, Type::TEXT), (&said, Type::TEXT), (&epoch, Type::INT8)],
            session.limit(),
        )
        .await
        .map(drop)
}

/// What came of cutting a batch of few events.
pub(crate) struct Few {
    /// None: there are more than few, or some may be in pieces that were not looked at.
    pub(crate) cut: Option<Cut>,
    /// The highest position that was drawn.
    pub(crate) drawn: i64,
}

/// Cuts the batch after `head` if it has few events, in pieces of the log that begin up to `through`. None where there is nothing to
/// cut. The batch is durable when this returns.
///
/// [`Kind::LayoutDue`] if a topic should have more partitions than it has.
pub(crate) async fn cut_few(
    session: &Session,
    head: &Batch,
    bounds: CutBounds,
    through: i64,
) -> Result<Option<Few>, Error> {
    crash_point!(BATCH_BEFORE_CUT);
    let (xmax, open) = unseen(head);
    let rows = session
        .query_durably(
            CUT_FEW,
            &[
                (&head.number, Type::INT8),
                (&xmax, Type::TEXT),
                (&open, Type::TEXT_ARRAY),
                (&bounds.era, Type::INT4),
                (&bounds.epoch, Type::INT8),
                (&bounds.rows, Type::INT8),
                (&bounds.bytes, Type::INT8),
                (&bounds.floor, Type::INT8),
                (&through, Type::INT8),
            ],
            LONGEST_CUT,
        )
        .await?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let drawn = get(first, "drawn")?;
    let cut = match get::<Option<i64>>(first, "number")? {
        Some(_) => {
            crash_point!(BATCH_COMMITTED);
            Some(told(&rows, first, head)?)
        }
        None => None,
    };
    Ok(Some(Few { cut, drawn }))
}

/// Cuts the batch after `head`, if there is anything to cut, however much. The batch is durable when this returns.
///
/// [`Kind::LayoutDue`] if a topic should have more partitions than it has.
pub(crate) async fn cut_batch(
    session: &Session,
    head: &Batch,
    bounds: CutBounds,
) -> Result<Option<Cut>, Error> {
    crash_point!(BATCH_BEFORE_CUT);
    let asked = Asked::of(head, bounds, None);
    let rows = session
        .query_durably(CUT_BATCH, &asked.parameters(), LONGEST_CUT)
        .await?;
    committed(&rows, head).await
}

/// What was counted before, in the snapshot that the batch is cut in.
pub(super) struct Counted {
    /// Above this position.
    pub(super) above: i64,
    /// By topic, and perhaps by partition, as count_far.sql says it.
    pub(super) shares: String,
}

/// Cuts the batch after `head`, of which most is counted, in the transaction that counted it, and commits that.
pub(super) async fn cut_rest(
    work: OneSnapshot<'_>,
    head: &Batch,
    bounds: CutBounds,
    counted: Counted,
) -> Result<Vec<Row>, Error> {
    let asked = Asked::of(head, bounds, Some(counted));
    work.query_and_commit(CUT_BATCH, &asked.parameters(), LONGEST_CUT)
        .await
}

/// What cut_batch.sql is asked.
struct Asked {
    number: i64,
    xmax: String,
    open: Vec<String>,
    bounds: CutBounds,
    above: Option<i64>,
    counted: String,
}

impl Asked {
    fn of(head: &Batch, bounds: CutBounds, counted: Option<Counted>) -> Self {
        let (xmax, open) = unseen(head);
        let (above, counted) = match counted {
            Some(Counted { above, shares }) => (Some(above), shares),
            None => (None, "[]".to_owned()),
        };
        Self {
            number: head.number,
            xmax,
            open,
            bounds,
            above,
            counted,
        }
    }

    fn parameters(&self) -> [(&(dyn ToSql + Sync), Type); 10] {
        [
            (&self.number, Type::INT8),
            (&self.xmax, Type::TEXT),
            (&self.open, Type::TEXT_ARRAY),
            (&self.bounds.era, Type::INT4),
            (&self.bounds.epoch, Type::INT8),
            (&self.bounds.rows, Type::INT8),
            (&self.bounds.bytes, Type::INT8),
            (&self.bounds.floor, Type::INT8),
            (&self.above, Type::INT8),
            (&self.counted, Type::TEXT),
        ]
    }
}

/// The batch that cut_batch.sql told of, if there was anything to cut. It is durable.
pub(super) async fn committed(rows: &[Row], head: &Batch) -> Result<Option<Cut>, Error> {
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    crash_point!(BATCH_COMMITTED);
    if let Some(misnamed) = get::<Option<String>>(first, "misnamed")? {
        tell_misnamed(&misnamed);
    }
    told(rows, first, head).map(Some)
}

/// The transactions that the batch before has not seen: from which on, and which below.
pub(super) fn unseen(head: &Batch) -> (String, Vec<String>) {
    let open = head.snapshot.open().iter().map(u64::to_string).collect();
    (head.snapshot.xmax().to_string(), open)
}

/// A batch as its statement tells it.
fn told(rows: &[Row], first: &Row, head: &Batch) -> Result<Cut, Error> {
    let batch = Batch {
        number: get(first, "number")?,
        batch_id: unsigned(get(first, "batch_id")?)?,
        snapshot: snapshot(first, "snapshot")?,
        event_count: get(first, "event_count")?,
    };
    let shares = read_shares(&get::<String>(first, "shares")?)?;
    let has_rows = get::<Option<i64>>(first, "position")?.is_some();
    let partitions: HashMap<&str, u16> = shares
        .iter()
        .map(|share| (share.stream.topic.as_str(), share.partitions))
        .collect();
    let rows = if has_rows {
        event_rows(rows, |topic| partitions.get(topic).copied().unwrap_or(1))?
    } else {
        Vec::new()
    };
    Ok(Cut {
        batch,
        before: head.snapshot.clone(),
        shares,
        rows,
        laid: None,
        behind: None,
    })
}

/// Rows that somebody inserted by hand: they are published nowhere, and everything else goes on.
fn tell_misnamed(found: &str) {
    // Whoever inserted it chose the text and its length.
    let found: String = found.chars().take(1000).collect();
    tracing::error!(
        found,
        "EVENTS-WITHOUT-A-TOPIC: rows of outbox.log have a topic that is no name (1 to 200 of A-Z a-z 0-9 . _ -): [topic, events, first position, \
         last position]; no function of the outbox inserts such rows, and they are published nowhere; outbox.misnamed_topic keeps them, and \
         docs/recovering.md says how to append them again"
    );
}

/// A share as the statement tells it: topic, slot, partitions, events, first and last position, first new position.
type Told = (String, i32, u16, i64, i64, i64, Option<i64>);

fn read_shares(text: &str) -> Result<Vec<Share>, Error> {
    let told: Vec<Told> = serde_json::from_str(text)
        .map_err(|error| Error::with_source(Kind::Shape, "the shares of a batch cannot be read", error))?;
    let share =
        |(topic, slot, partitions, event_count, first_position, last_position, first_new_position)| {
            Ok(Share {
                stream: stream_of(topic, slot)?,
                partitions,
                event_count,
                first_position,
                last_position,
                first_new_position,
            })
        };
    told.into_iter().map(share).collect()
}

/// Tries to take the doorbell's lock.
pub(crate) async fn try_sleep(session: &Session) -> Result<bool, Error> {
    let is_locked = flag(session, TRY_SLEEP, "asleep").await?;
    crash_point!(SLEEP_LOCKED, if is_locked);
    Ok(is_locked)
}

/// Gives the doorbell's lock back.
pub(crate) async fn wake_up(session: &Session) -> Result<bool, Error> {
    flag(session, WAKE_UP, "was_asleep").await
}

/// Ends the session of a former leader that still sleeps on the doorbell's lock.
pub(crate) async fn end_old_sleeper(session: &Session) -> Result<(), Error> {
    session.query(END_OLD_SLEEPER, &[]).await.map(drop)
}

async fn flag(session: &Session, sql: &'static str, column: &str) -> Result<bool, Error> {
    let rows = session.query(sql, &[]).await?;
    rows.first().map_or(Ok(false), |row| get(row, column))
}
