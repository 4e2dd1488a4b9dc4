//! Reading a page of a difference.

use sqlx::PgConnection;

use super::super::Error;
use super::super::checkpoint::{Bounds, Checkpoint, Goal};
use super::super::look::Look;
use super::{Store, bounded};
use crate::event_store::pg::{get, stored_events};
use crate::event_store::{self, StoredEvent};

const READING: &str = "reading events for a subscription";

/// Events of a difference, each with the number of its stream, and how far was looked.
pub(in super::super) struct Page {
    pub(in super::super) events: Vec<(i64, StoredEvent)>,
    pub(in super::super) last_position: Option<i64>,
    pub(in super::super) is_all: bool,
}

impl Store {
    /// At most so many events of a difference, from where the checkpoint is in it.
    pub(in super::super) async fn read_page(
        &self,
        tx: &mut PgConnection,
        partition: i32,
        checkpoint: &Checkpoint,
        goal: &Goal,
        bounds: &Bounds,
        at_most: u32,
    ) -> Result<Page, Error> {
        let look = Look::of(&self.subscription, bounds, at_most);
        let query = sqlx::query(include_str!("../../../../queries/subscription/read_page.sql"))
            .bind(checkpoint.done.xmax().to_string())
            .bind(
                checkpoint
                    .done
                    .open()
                    .iter()
                    .map(u64::to_string)
                    .collect::<Vec<_>>(),
            )
            .bind(bounds.beyond)
            .bind(bounds.floor)
            .bind(goal.snapshot.to_string())
            .bind(bounds.after)
            .bind(bounds.through)
            .bind(&self.subscription.categories)
            .bind(&self.subscription.types)
            .bind(partition)
            .bind(i32::from(self.subscription.partitions))
            .bind(look.rows_max)
            .bind(look.events_max)
            .bind(i64::from(self.subscription.limits.bytes_max.max(1)))
            .bind(look.is_by_category);
        let rows = bounded(READING, query.fetch_all(tx)).await?;
        let Some(first) = rows.first() else {
            return Err(event_store::Error::shape(READING, "a page without its end").into());
        };
        // One row comes always; of a page without events it has none.
        let found = match get::<Option<i64>>(first, "position", READING)? {
            Some(_) => &rows[..],
            None => &[],
        };
        let streams = found.iter().map(|row| get(row, "stream_id", READING));
        let streams: Vec<i64> = streams.collect::<Result<_, _>>()?;
        Ok(Page {
            events: streams.into_iter().zip(stored_events(found, READING)?).collect(),
            last_position: get(first, "last_position", READING)?,
            is_all: get(first, "is_all", READING)?,
        })
    }
}
