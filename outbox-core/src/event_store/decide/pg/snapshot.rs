//! Snapshots: where a load begins, and what is left for the next one.

use sqlx::PgConnection;
use uuid::Uuid;

use super::super::decider::Decider;
use super::super::folded::Folded;
use super::super::repository::Repository;
use super::super::snapshot::Kept;
use crate::event_store::pg::{failed, get};
use crate::event_store::typed::TypedEvent;
use crate::event_store::{Error, StreamName};

const READ: &str = include_str!("../../../../queries/event_store/read_snapshot.sql");
const KEEP: &str = include_str!("../../../../queries/event_store/keep_snapshot.sql");

const READING: &str = "reading a snapshot";
const KEEPING: &str = "keeping a snapshot";

impl<D: Decider<Event: TypedEvent>> Repository<D> {
    /// What a load begins with: the snapshot, if there is one of use, or nothing.
    pub(super) async fn begun(
        &self,
        connection: &mut PgConnection,
        stream: &StreamName,
    ) -> Result<Folded<D::State>, Error> {
        let Some(snapshots) = &self.snapshots else {
            return Ok(Folded::nothing::<D>());
        };
        let row = sqlx::query(READ)
            .bind(stream.as_str())
            .bind(snapshots.shape())
            .bind(snapshots.shape_version())
            .fetch_optional(connection)
            .await
            .map_err(failed(READING))?;
        let Some(row) = row else {
            return Ok(Folded::nothing::<D>());
        };
        let kept = Kept {
            begins: get(&row, "begins", READING)?,
            version: get(&row, "version", READING)?,
            event: get(&row, "event", READING)?,
            state: get(&row, "state", READING)?,
            digest: get(&row, "digest", READING)?,
        };
        Ok(snapshots.begin(&kept).unwrap_or_else(Folded::nothing::<D>))
    }

    /// Keeps the state after an append, if it is time: in the append's transaction, which has the stream locked.
    pub(super) async fn leave_snapshot(
        &self,
        connection: &mut PgConnection,
        stream: &StreamName,
        folded: &Folded<D::State>,
        last_event: Uuid,
    ) -> Result<(), Error> {
        let Some(snapshots) = &self.snapshots else {
            return Ok(());
        };
        let Some(kept) = snapshots.keep(folded, last_event) else {
            return Ok(());
        };
        sqlx::query(KEEP)
            .bind(stream.as_str())
            .bind(snapshots.shape())
            .bind(snapshots.shape_version())
            .bind(kept.begins)
            .bind(kept.version)
            .bind(kept.event)
            .bind(kept.state)
            .bind(kept.digest)
            .execute(connection)
            .await
            .map_err(failed(KEEPING))?;
        Ok(())
    }
}
