//! The statements of one lease: checking it inside an applying transaction, and giving it back.

use super::Lease;
use crate::consume::Error;
use crate::consume::pg::{PgConnection, Store, bounded};
use crate::event::{EntryId, Event};

impl Store {
    pub(in crate::consume) async fn release_lease(&self, stream: &str, lease: Lease) -> Result<(), Error> {
        let query = sqlx::query(include_str!("../../../queries/consume/release_lease.sql"))
            .bind(&self.consumer)
            .bind(stream)
            .bind(lease.epoch);
        bounded("giving the lease back", query.execute(&self.pool))
            .await
            .map(drop)
    }

    /// Whether this lease holds at this moment.
    pub(in crate::consume) async fn holds_lease(&self, stream: &str, lease: Lease) -> Result<bool, Error> {
        let query = sqlx::query_scalar(include_str!("../../../queries/consume/holds_lease.sql"))
            .bind(self.consumer())
            .bind(stream)
            .bind(lease.epoch);
        bounded("looking at the lease", query.fetch_one(&self.pool)).await
    }

    /// Fails unless this lease still holds. Keeps a takeover waiting until the transaction ends, and whoever has one of these
    /// events in hand, on whatever stream. Answers who serves the transaction.
    pub(in crate::consume) async fn fence(
        &self,
        tx: &mut PgConnection,
        stream: &str,
        lease: Lease,
        events: &[(EntryId, &Event)],
    ) -> Result<i32, Error> {
        let (sources, ids): (Vec<&str>, Vec<&str>) = events
            .iter()
            .map(|(_, event)| (event.source.as_str(), event.id.as_str()))
            .unzip();
        let query = sqlx::query_as(include_str!("../../../queries/consume/fence.sql"))
            .bind(&self.consumer)
            .bind(stream)
            .bind(lease.epoch)
            .bind(sources)
            .bind(ids);
        let doing = "checking the lease and claiming events";
        let backend: Option<(i32, i64)> = self.in_turn(doing, query.fetch_optional(tx)).await?;
        backend.map(|(backend, _)| backend).ok_or(Error::Fenced)
    }

    pub(in crate::consume) fn lease_ms(&self) -> f64 {
        self.lease.as_secs_f64() * 1000.0
    }
}
