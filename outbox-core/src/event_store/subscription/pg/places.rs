//! The checkpoint of a partition, and the lease beside it.

use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;

use super::super::Error;
use super::super::checkpoint::{Checkpoint, Goal, NextEra};
use super::{DRAWN, Store, bounded, still_own};
use crate::event_store;
use crate::event_store::pg::get;
use crate::tail::snapshot::Snapshot;

const FENCING: &str = "checking the lease of a partition";
const MOVING: &str = "moving a checkpoint";
const READING: &str = "reading what a partition is to come to";

/// A lease that holds until the transaction ends, and where the partition is.
pub(in super::super) struct Fenced {
    pub(in super::super) checkpoint: Checkpoint,
    pub(in super::super) next_era: Option<NextEra>,
    pub(in super::super) is_paused: bool,
    pub(in super::super) own: u64,
}

/// What there is to do for a partition.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct News {
    pub(in super::super) has_events: bool,
    pub(in super::super) has_due: bool,
}

impl Store {
    /// Looks whether there is anything to do, outside of a transaction.
    pub(in super::super) async fn news(&self, partition: i32) -> Result<News, Error> {
        let query = sqlx::query_as(include_str!("../../../../queries/subscription/has_news.sql"))
            .bind(self.name())
            .bind(self.generation())
            .bind(partition);
        let row: Option<(bool, bool)> = bounded("looking for news", query.fetch_optional(&self.pool)).await?;
        let (has_events, has_due) = row.ok_or_else(|| Error::Gone {
            name: self.name().to_owned(),
        })?;
        Ok(News { has_events, has_due })
    }

    /// The last position drawn. Before [`Store::fence`]: see `checkpoint.rs`.
    pub(in super::super) async fn drawn(tx: &mut PgConnection) -> Result<i64, Error> {
        let query = sqlx::query_scalar(DRAWN);
        bounded("reading the last position", query.fetch_one(tx)).await
    }

    /// Fails unless the lease holds. Keeps a takeover waiting until the transaction ends, and waits for one of this process that may
    /// be committing still.
    pub(in super::super) async fn fence(
        &self,
        tx: &mut PgConnection,
        partition: i32,
        epoch: i64,
    ) -> Result<Fenced, Error> {
        let query = sqlx::query(include_str!("../../../../queries/subscription/hold.sql"))
            .bind(self.name())
            .bind(self.generation())
            .bind(partition)
            .bind(epoch);
        bounded(FENCING, query.fetch_optional(&mut *tx))
            .await?
            .ok_or(Error::Fenced)?;
        let query = sqlx::query(include_str!("../../../../queries/subscription/fence.sql"))
            .bind(self.name())
            .bind(self.generation())
            .bind(partition)
            .bind(epoch);
        let row = bounded(FENCING, query.fetch_optional(tx)).await?;
        let row = row.ok_or(Error::Fenced)?;
        let own: String = get(&row, "own_transaction", FENCING)?;
        let next_era: Option<i32> = get(&row, "next_era", FENCING)?;
        let next_floor: Option<i64> = get(&row, "next_floor", FENCING)?;
        Ok(Fenced {
            checkpoint: checkpoint(&row)?,
            next_era: next_era
                .zip(next_floor)
                .map(|(era, floor)| NextEra { era, floor }),
            is_paused: get(&row, "is_paused", FENCING)?,
            own: own
                .parse()
                .map_err(|error| event_store::Error::shape(FENCING, error))?,
        })
    }

    /// What the server shows now, and the last position drawn.
    pub(in super::super) async fn take_goal(tx: &mut PgConnection) -> Result<(Snapshot, i64), Error> {
        let query = sqlx::query_as(include_str!("../../../../queries/subscription/take_goal.sql"));
        let (goal, through): (String, i64) = bounded(READING, query.fetch_one(tx)).await?;
        Ok((snapshot(&goal, READING)?, through))
    }

    /// Stores where the partition is. Refused as 25P01 when this is not transaction `own` any more.
    pub(in super::super) async fn advance(
        &self,
        tx: &mut PgConnection,
        (partition, own): (i32, u64),
        checkpoint: &Checkpoint,
        events: usize,
        newest: Option<OffsetDateTime>,
    ) -> Result<(), Error> {
        let goal = checkpoint.goal.as_ref();
        let query = sqlx::query(include_str!("../../../../queries/subscription/advance.sql"))
            .bind(self.name())
            .bind(self.generation())
            .bind(partition)
            .bind(checkpoint.era)
            .bind(checkpoint.done.to_string())
            .bind(checkpoint.done_floor)
            .bind(checkpoint.done_through)
            .bind(goal.map(|goal| goal.snapshot.to_string()))
            .bind(goal.map(|goal| goal.floor))
            .bind(goal.map(|goal| goal.through))
            .bind(checkpoint.after_position)
            .bind(checkpoint.drawn)
            .bind(i64::try_from(events).unwrap_or(i64::MAX))
            .bind(newest)
            .bind(own.to_string());
        let moved = bounded(MOVING, query.execute(tx)).await?;
        still_own(MOVING, moved.rows_affected())
    }
}

fn checkpoint(row: &PgRow) -> Result<Checkpoint, Error> {
    let done: String = get(row, "done", FENCING)?;
    let goal: Option<String> = get(row, "goal", FENCING)?;
    let goal = match goal {
        Some(text) => Some(Goal {
            snapshot: snapshot(&text, FENCING)?,
            floor: get(row, "goal_floor", FENCING)?,
            through: get(row, "goal_through", FENCING)?,
        }),
        None => None,
    };
    Ok(Checkpoint {
        era: get(row, "era", FENCING)?,
        era_floor: get::<Option<i64>>(row, "era_floor", FENCING)?.unwrap_or(0),
        done: snapshot(&done, FENCING)?,
        done_floor: get(row, "done_floor", FENCING)?,
        done_through: get(row, "done_through", FENCING)?,
        goal,
        after_position: get(row, "after_position", FENCING)?,
        drawn: get(row, "drawn", FENCING)?,
    })
}

fn snapshot(text: &str, doing: &'static str) -> Result<Snapshot, Error> {
    Ok(text
        .parse()
        .map_err(|error| event_store::Error::shape(doing, error))?)
}
