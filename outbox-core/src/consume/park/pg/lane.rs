//! The statements about parked lanes.

use std::time::Duration;

use super::{milliseconds, position};
use crate::consume::Error;
use crate::consume::park::Lane;
use crate::consume::pg::{PgConnection, Store, bounded};

impl Store {
    /// Which of these lanes are parked.
    pub(in crate::consume) async fn lock_lanes(
        &self,
        tx: &mut PgConnection,
        flow: &str,
        lanes: &[&str],
    ) -> Result<Vec<String>, Error> {
        let query = sqlx::query_scalar(include_str!("../../../../queries/consume/lock_lanes.sql"))
            .bind(&self.consumer)
            .bind(flow)
            .bind(lanes);
        self.in_turn("looking for parked keys", query.fetch_all(tx)).await
    }

    /// Events of these lanes came from another stream than before.
    pub(in crate::consume) async fn move_lanes(
        &self,
        tx: &mut PgConnection,
        flow: &str,
        stream: &str,
        lanes: &[&str],
    ) -> Result<(), Error> {
        let query = sqlx::query(include_str!("../../../../queries/consume/move_lanes.sql"))
            .bind(&self.consumer)
            .bind(flow)
            .bind(stream)
            .bind(lanes);
        self.in_turn("moving parked keys to another stream", query.execute(tx))
            .await
            .map(drop)
    }

    /// Keys of a stream that are tried again, and how long until then; the next one that is not due included.
    pub(in crate::consume) async fn due_lanes(
        &self,
        stream: &str,
        most: usize,
    ) -> Result<Vec<(Lane, Duration)>, Error> {
        let query = sqlx::query_as(include_str!("../../../../queries/consume/due_lanes.sql"))
            .bind(&self.consumer)
            .bind(stream)
            .bind(position(most));
        let rows: Vec<(String, i64)> =
            bounded("looking for keys that are due", query.fetch_all(&self.pool)).await?;
        let row =
            |(lane, pause): (String, i64)| (Lane::stored(&lane), Duration::from_millis(pause.unsigned_abs()));
        Ok(rows.into_iter().map(row).collect())
    }

    /// Keys that wait for a version, with the type and version of their first event: so many, behind `after`.
    pub(in crate::consume) async fn waiting_lanes(
        &self,
        stream: &str,
        flow: &str,
        after: &str,
        most: usize,
    ) -> Result<Vec<(String, String, Option<String>)>, Error> {
        let query = sqlx::query_as(include_str!("../../../../queries/consume/waiting_lanes.sql"))
            .bind(&self.consumer)
            .bind(stream)
            .bind(flow)
            .bind(after)
            .bind(position(most));
        bounded(
            "looking for keys that wait for a version",
            query.fetch_all(&self.pool),
        )
        .await
    }

    /// These keys need not wait for a version any longer.
    pub(in crate::consume) async fn wake_lanes(&self, flow: &str, lanes: &[&str]) -> Result<(), Error> {
        let query = sqlx::query(include_str!("../../../../queries/consume/wake_lanes.sql"))
            .bind(&self.consumer)
            .bind(flow)
            .bind(lanes);
        bounded("waking keys that waited for a version", query.execute(&self.pool))
            .await
            .map(drop)
    }

    /// Whether the lane is one that goes back as a whole; none if it is not to be applied by this stream now.
    pub(in crate::consume) async fn lock_lane(
        &self,
        tx: &mut PgConnection,
        flow: &str,
        lane: &Lane,
        stream: &str,
    ) -> Result<Option<bool>, Error> {
        let query = sqlx::query_scalar(include_str!("../../../../queries/consume/lock_lane.sql"))
            .bind(&self.consumer)
            .bind(flow)
            .bind(lane.as_str())
            .bind(stream);
        self.in_turn("locking a parked key", query.fetch_optional(tx))
            .await
    }

    /// The lane is in this state from now on.
    pub(in crate::consume) async fn turn_lane(
        &self,
        tx: &mut PgConnection,
        flow: &str,
        lane: &Lane,
        state: &str,
        pause: Duration,
    ) -> Result<(), Error> {
        let query = sqlx::query(include_str!("../../../../queries/consume/turn_lane.sql"))
            .bind(&self.consumer)
            .bind(flow)
            .bind(lane.as_str())
            .bind(state)
            .bind(milliseconds(pause));
        bounded("changing a parked key", query.execute(tx))
            .await
            .map(drop)
    }

    /// Takes the lane away if nothing waits in it. Returns whether it did.
    pub(in crate::consume) async fn close_lane(
        &self,
        tx: &mut PgConnection,
        flow: &str,
        lane: &Lane,
    ) -> Result<bool, Error> {
        let hold = sqlx::query(include_str!("../../../../queries/consume/hold_lane.sql"))
            .bind(&self.consumer)
            .bind(flow)
            .bind(lane.as_str());
        bounded("holding a parked key", hold.execute(&mut *tx)).await?;
        let query = sqlx::query(include_str!("../../../../queries/consume/close_lane.sql"))
            .bind(&self.consumer)
            .bind(flow)
            .bind(lane.as_str());
        let done = bounded("taking a parked key away", query.execute(tx)).await?;
        Ok(done.rows_affected() == 1)
    }
}
