//! Reading a page of a difference.

use sqlx::PgConnection;

use super::super::Error;
use super::super::checkpoint::{Bounds, Checkpoint, Goal};
use super::{Store, bounded};
use crate::event_store::StoredEvent;
use crate::event_store::pg::{get, stored_event};

const READING: &str = "reading events for a subscription";
/// Rows looked at for a page, where most are of other types or partitions.
const SCANNED_PER_EVENT: i64 = 10;

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
        let limits = self.subscription.limits;
        let rows_max = i64::from(at_most.min(limits.events_max).max(1));
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
            .bind(i64::from(limits.events_max.max(1)) * SCANNED_PER_EVENT)
            .bind(rows_max)
            .bind(i64::from(limits.bytes_max.max(1)));
        let rows = bounded(READING, query.fetch_all(tx)).await?;
        let mut page = Page {
            events: Vec::with_capacity(rows.len()),
            last_position: None,
            is_all: false,
        };
        for row in &rows {
            page.last_position = get(row, "last_position", READING)?;
            page.is_all = get(row, "is_all", READING)?;
            if get::<Option<i64>>(row, "position", READING)?.is_some() {
                page.events
                    .push((get(row, "stream_id", READING)?, stored_event(row, READING)?));
            }
        }
        Ok(page)
    }
}
