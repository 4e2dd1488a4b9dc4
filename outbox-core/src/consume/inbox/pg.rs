//! The statements of the inbox.

use time::OffsetDateTime;

use super::recorded_at;
use crate::consume::Error;
use crate::consume::pg::{PgConnection, Store, bounded, entry_id};
use crate::event::{EntryId, Event};

impl Store {
    /// Makes the day that `moment` lies in. Not inside an applying transaction: it would hold its lock until the commit.
    pub(in crate::consume) async fn add_inbox_day(&self, moment: OffsetDateTime) -> Result<(), Error> {
        let query = sqlx::query(include_str!("../../../queries/consume/add_inbox_day.sql")).bind(moment);
        bounded("making a day of the inbox", query.execute(&self.pool))
            .await
            .map(drop)
    }

    /// Drops days of the inbox that are older than it keeps. Returns how many.
    pub(in crate::consume) async fn forget_inbox(&self) -> Result<i32, Error> {
        let query = sqlx::query_scalar(include_str!("../../../queries/consume/forget_inbox.sql"));
        bounded("dropping old days of the inbox", query.fetch_one(&self.pool)).await
    }

    /// Records events as finished. Returns the entries whose event was not finished before.
    pub(in crate::consume) async fn enter_inbox(
        &self,
        tx: &mut PgConnection,
        stream: &str,
        outcome: &str,
        events: &[(EntryId, &Event)],
    ) -> Result<Vec<EntryId>, Error> {
        let (mut ids, mut sources, mut times, mut entries) = (vec![], vec![], vec![], vec![]);
        let (mut foreign_ids, mut foreign_sources, mut foreign_entries) = (vec![], vec![], vec![]);
        for (entry, event) in events {
            if let Some(recorded_at) = recorded_at(event) {
                ids.push(event.id.as_str());
                sources.push(event.source.as_str());
                times.push(recorded_at);
                entries.push(entry.to_string());
            } else {
                foreign_ids.push(event.id.as_str());
                foreign_sources.push(event.source.as_str());
                foreign_entries.push(entry.to_string());
            }
        }
        let doing = "recording events in the inbox";
        let mut fresh: Vec<String> = Vec::new();
        if !ids.is_empty() {
            let claim = sqlx::query(include_str!("../../../queries/consume/claim_events.sql"))
                .bind(&self.consumer)
                .bind(&sources)
                .bind(&ids);
            bounded("claiming events", claim.execute(&mut *tx)).await?;
            let query = sqlx::query_scalar(include_str!("../../../queries/consume/enter_inbox.sql"))
                .bind(&self.consumer)
                .bind(outcome)
                .bind(stream)
                .bind(sources)
                .bind(ids)
                .bind(times)
                .bind(entries);
            fresh = bounded(doing, query.fetch_all(&mut *tx)).await?;
        }
        if !foreign_ids.is_empty() {
            let query = sqlx::query_scalar(include_str!("../../../queries/consume/enter_inbox_foreign.sql"))
                .bind(&self.consumer)
                .bind(outcome)
                .bind(stream)
                .bind(foreign_sources)
                .bind(foreign_ids)
                .bind(foreign_entries);
            fresh.extend(bounded(doing, query.fetch_all(&mut *tx)).await?);
        }
        fresh.iter().map(|id| entry_id(id)).collect()
    }
}
