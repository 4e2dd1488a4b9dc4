//! The statements of leases.

use sqlx::postgres::PgQueryResult;

use super::Lease;
use crate::consume::Error;
use crate::consume::pg::{PgConnection, Store, bounded};

impl Store {
    pub(in crate::consume) async fn add_lease(&self, stream: &str) -> Result<(), Error> {
        let query = sqlx::query(include_str!("../../../queries/consume/add_lease.sql"))
            .bind(&self.consumer)
            .bind(stream);
        bounded("adding the lease of a stream", query.execute(&self.pool))
            .await
            .map(drop)
    }

    /// The lease if nobody holds it.
    pub(in crate::consume) async fn take_lease(
        &self,
        stream: &str,
        member: &str,
    ) -> Result<Option<Lease>, Error> {
        let query = sqlx::query_scalar(include_str!("../../../queries/consume/take_lease.sql"))
            .bind(&self.consumer)
            .bind(stream)
            .bind(member)
            .bind(self.lease_ms());
        let epoch: Option<i64> = bounded("taking the lease", query.fetch_optional(&self.pool)).await?;
        Ok(epoch.map(|epoch| Lease { epoch }))
    }

    /// False when another member took it.
    pub(in crate::consume) async fn renew_lease(&self, stream: &str, lease: Lease) -> Result<bool, Error> {
        let query = sqlx::query(include_str!("../../../queries/consume/renew_lease.sql"))
            .bind(&self.consumer)
            .bind(stream)
            .bind(lease.epoch)
            .bind(self.lease_ms());
        let done: PgQueryResult = bounded("renewing the lease", query.execute(&self.pool)).await?;
        Ok(done.rows_affected() == 1)
    }

    pub(in crate::consume) async fn release_lease(&self, stream: &str, lease: Lease) -> Result<(), Error> {
        let query = sqlx::query(include_str!("../../../queries/consume/release_lease.sql"))
            .bind(&self.consumer)
            .bind(stream)
            .bind(lease.epoch);
        bounded("giving the lease back", query.execute(&self.pool))
            .await
            .map(drop)
    }

    /// Whether this lease still holds. Keeps a takeover waiting until the transaction ends.
    pub(in crate::consume) async fn fence(
        &self,
        tx: &mut PgConnection,
        stream: &str,
        lease: Lease,
    ) -> Result<(), Error> {
        let query = sqlx::query_scalar(include_str!("../../../queries/consume/fence.sql"))
            .bind(&self.consumer)
            .bind(stream)
            .bind(lease.epoch);
        let held: Option<bool> = bounded("checking the lease", query.fetch_optional(tx)).await?;
        held.map(drop).ok_or(Error::Fenced)
    }

    fn lease_ms(&self) -> f64 {
        self.lease.as_secs_f64() * 1000.0
    }
}
