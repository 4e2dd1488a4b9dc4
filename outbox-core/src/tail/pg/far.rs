//! Cutting what has gathered while no relay was there: most of it is counted apart.
//!
//! The statement that cuts goes by index and stores rows, so the server runs it in one process. Of a backlog nearly every row is wanted:
//! pieces that are read as they lie, by several processes, are counted in a quarter of the time. So a statement that only reads counts what
//! is above a position, and the one that cuts counts the rest and stores the sum, in one snapshot ([`super::one_snapshot`]).
//!
//! **Invariants.** Which position that is never matters to what is counted: a row is above it or not. A transaction that commits
//! between the two statements is seen by neither, and not by the snapshot that is stored: it is in the next batch. A leader that ends
//! between them has stored nothing; one that another has followed meanwhile finds its place in the ledger taken.

use tokio_postgres::types::Type;

use super::column::get;
use super::cut::{Counted, CutBounds, committed, cut_rest, unseen};
use super::one_snapshot::OneSnapshot;
use super::session::{LONGEST_CUT, Session};
use crate::tail::batch::{Batch, Cut};
use crate::tail::{Error, Kind};

const FIND_FAR: &str = include_str!("../../../queries/tail/find_far.sql");
const WEIGH_KEYS: &str = include_str!("../../../queries/tail/weigh_keys.sql");
const COUNT_FAR: &str = include_str!("../../../queries/tail/count_far.sql");

/// Bytes that the table of keys may take at the server while partitions are counted: what does not fit into its `work_mem` goes to its disk.
/// The keys of two million events that all have one of their own.
const KEY_TABLE: f64 = 512.0 * 1024.0 * 1024.0;

/// What is counted apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Far {
    /// Above this position.
    pub(super) above: i64,
    /// So many positions were drawn above it.
    pub(super) positions: i64,
}

/// What of the batch after `head` is worth to be counted apart: what is above a position, if more than `worth` positions were drawn above
/// it. None too where the server does not say: it only saves time.
pub(crate) async fn find_far(
    session: &Session,
    head: &Batch,
    bounds: CutBounds,
    worth: i64,
) -> Result<Option<Far>, Error> {
    let (xmax, _) = unseen(head);
    let found = session
        .query(FIND_FAR, &[(&xmax, Type::TEXT), (&bounds.floor, Type::INT8)])
        .await;
    let rows = match found {
        Err(error) if matches!(error.kind(), Kind::Statement | Kind::Resources) => return Ok(None),
        found => found?,
    };
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let (above, drawn): (Option<i64>, i64) = (get(row, "position")?, get(row, "drawn")?);
    Ok(above
        .map(|above| Far {
            above,
            positions: drawn.saturating_sub(above),
        })
        .filter(|far| far.positions > worth))
}

/// Cuts the batch after `head`, if there is anything to cut. `far` is counted apart, which is not below the floor of the era.
/// The batch is durable when this returns.
///
/// [`Kind::LayoutDue`] if a topic should have more partitions than it has. [`Kind::Statement`] or [`Kind::Resources`]: nothing was
/// stored, and one statement may do it ([`super::cut::cut_batch`]).
pub(crate) async fn cut_far(
    session: &Session,
    head: &Batch,
    bounds: CutBounds,
    far: Far,
) -> Result<Option<Cut>, Error> {
    crash_point!(BATCH_BEFORE_CUT);
    let work = OneSnapshot::begin(session).await?;
    let shares = match count_far(&work, head, far).await {
        Ok(shares) => shares,
        Err(error) => return Err(work.undo(error).await),
    };
    crash_point!(BATCH_COUNTED);
    let counted = Counted {
        above: far.above,
        shares,
    };
    let rows = cut_rest(work, head, bounds, counted).await?;
    committed(&rows, head).await
}

async fn count_far(work: &OneSnapshot<'_>, head: &Batch, far: Far) -> Result<String, Error> {
    let (xmax, open) = unseen(head);
    work.read_as_it_lies().await?;
    let layouts = layouts_to_count(work, far).await?;
    let rows = work
        .query(
            COUNT_FAR,
            &[
                (&xmax, Type::TEXT),
                (&open, Type::TEXT_ARRAY),
                (&far.above, Type::INT8),
                (&layouts, Type::TEXT),
            ],
            LONGEST_CUT,
        )
        .await?;
    work.read_by_index().await?;
    let row = rows
        .first()
        .ok_or_else(|| Error::new(Kind::Shape, "what is new cannot be counted"))?;
    get(row, "counted")
}

/// The partitions of topics that have several, if they are worth to be counted with the topics. By a statement of its own: what calls a
/// function of ours is not shared among processes. Where nearly each event has a key of its own, the table of them would be large, and nothing
/// would be saved.
async fn layouts_to_count(work: &OneSnapshot<'_>, far: Far) -> Result<Option<String>, Error> {
    let rows = work
        .query(WEIGH_KEYS, &[(&far.above, Type::INT8)], LONGEST_CUT)
        .await?;
    let row = rows
        .first()
        .ok_or_else(|| Error::new(Kind::Shape, "the keys of what is new cannot be weighed"))?;
    let key_bytes: Option<f64> = get(row, "key_bytes")?;
    let layouts: Option<String> = get(row, "layouts")?;
    Ok(layouts.filter(|_| key_bytes.is_none_or(|bytes| bytes * far.positions as f64 <= KEY_TABLE)))
}
