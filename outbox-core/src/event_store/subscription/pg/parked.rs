//! Streams that wait, for their next attempt or for a person.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::PgConnection;

use super::super::Error;
use super::super::checkpoint::Checkpoint;
use super::super::failure::Failure;
use super::{Store, bounded, still_own};
use crate::event_store::StoredEvent;
use crate::event_store::pg::{get, stored_event};

const DELAY_PARKED: &str = include_str!("../../../../queries/subscription/delay_parked.sql");
const COUNT_RETRYING: &str = include_str!("../../../../queries/subscription/count_retrying.sql");

const MOVING: &str = "recording what a stream waits at";
const READING: &str = "reading a stream that waits";

/// A stream whose next attempt is due.
pub(in super::super) struct Due {
    pub(in super::super) stream: i64,
    pub(in super::super) version: i64,
    pub(in super::super) attempts: u32,
}

impl Store {
    /// Which of these streams wait.
    pub(in super::super) async fn parked_among(
        &self,
        tx: &mut PgConnection,
        streams: &[i64],
    ) -> Result<HashSet<i64>, Error> {
        let query = sqlx::query_scalar(include_str!("../../../../queries/subscription/parked_among.sql"))
            .bind(self.name())
            .bind(self.generation())
            .bind(streams);
        let found: Vec<i64> = bounded("asking which streams wait", query.fetch_all(tx)).await?;
        Ok(found.into_iter().collect())
    }

    /// Whether so many streams wait for their next attempt that nothing more is begun.
    pub(in super::super) async fn is_full(
        &self,
        tx: &mut PgConnection,
        partition: i32,
    ) -> Result<bool, Error> {
        let most = i64::from(self.subscription.retrying_max.max(1));
        let query = sqlx::query_scalar(COUNT_RETRYING)
            .bind(self.name())
            .bind(self.generation())
            .bind(partition)
            .bind(most);
        let waiting: i64 = bounded("counting streams that wait", query.fetch_one(tx)).await?;
        Ok(waiting >= most)
    }

    /// A stream waits from this version on. `pause`: until the next attempt; none: for a person.
    pub(in super::super) async fn park(
        &self,
        tx: &mut PgConnection,
        partition: i32,
        (stream, version): (i64, i64),
        pause: Option<Duration>,
        failure: &Failure,
    ) -> Result<(), Error> {
        let (state, pause) = state(pause);
        let query = sqlx::query(include_str!("../../../../queries/subscription/park_stream.sql"))
            .bind(self.name())
            .bind(self.generation())
            .bind(partition)
            .bind(stream)
            .bind(version)
            .bind(state)
            .bind(pause)
            .bind(&failure.class)
            .bind(&failure.text);
        bounded("parking a stream", query.execute(tx)).await.map(drop)
    }

    /// The stream that has waited longest and may be tried.
    pub(in super::super) async fn due(
        &self,
        tx: &mut PgConnection,
        partition: i32,
    ) -> Result<Option<Due>, Error> {
        let query = sqlx::query(include_str!("../../../../queries/subscription/due_stream.sql"))
            .bind(self.name())
            .bind(self.generation())
            .bind(partition);
        let row = bounded(READING, query.fetch_optional(tx)).await?;
        row.map(|row| {
            Ok(Due {
                stream: get(&row, "stream", READING)?,
                version: get(&row, "version", READING)?,
                attempts: get::<i32>(&row, "attempts", READING)?.unsigned_abs(),
            })
        })
        .transpose()
    }

    /// The next event of a stream that waits, if the checkpoint has passed it.
    pub(in super::super) async fn waiting_event(
        &self,
        tx: &mut PgConnection,
        due: &Due,
        checkpoint: &Checkpoint,
    ) -> Result<Option<StoredEvent>, Error> {
        let goal = checkpoint.goal.as_ref();
        let query = sqlx::query(include_str!("../../../../queries/subscription/read_parked.sql"))
            .bind(due.stream)
            .bind(due.version)
            .bind(checkpoint.era_floor)
            .bind(checkpoint.done.to_string())
            .bind(checkpoint.done_through)
            .bind(goal.map(|goal| goal.snapshot.to_string()))
            .bind(checkpoint.after_position)
            .bind(&self.subscription.categories)
            .bind(&self.subscription.types);
        let row = bounded(READING, query.fetch_optional(tx)).await?;
        Ok(row.map(|row| stored_event(&row, READING)).transpose()?)
    }

    /// Everything of a stream before this version is done. Refused as 25P01 when this is not transaction `own` any more.
    pub(in super::super) async fn move_parked(
        &self,
        tx: &mut PgConnection,
        (stream, version): (i64, i64),
        own: u64,
    ) -> Result<(), Error> {
        let query = sqlx::query(include_str!("../../../../queries/subscription/move_parked.sql"))
            .bind(self.name())
            .bind(self.generation())
            .bind(stream)
            .bind(version)
            .bind(own.to_string());
        let moved = bounded(MOVING, query.execute(tx)).await?;
        still_own(MOVING, moved.rows_affected())
    }

    /// An event of a stream that waited failed again. Nothing, if a person had it pass over what it `waited_at` meanwhile.
    pub(in super::super) async fn fail_parked(
        &self,
        tx: &mut PgConnection,
        (stream, version): (i64, i64),
        waited_at: i64,
        attempts: u32,
        pause: Option<Duration>,
        failure: &Failure,
    ) -> Result<(), Error> {
        let (state, pause) = state(pause);
        let query = sqlx::query(include_str!("../../../../queries/subscription/fail_parked.sql"))
            .bind(self.name())
            .bind(self.generation())
            .bind(stream)
            .bind(version)
            .bind(i32::try_from(attempts).unwrap_or(i32::MAX))
            .bind(state)
            .bind(pause)
            .bind(&failure.class)
            .bind(&failure.text)
            .bind(waited_at);
        bounded("recording a failed attempt", query.execute(tx))
            .await
            .map(drop)
    }

    /// A stream is tried again after this pause, and others that are due before it.
    pub(in super::super) async fn delay_parked(
        &self,
        tx: &mut PgConnection,
        due: &Due,
        pause: Duration,
    ) -> Result<(), Error> {
        let query = sqlx::query(DELAY_PARKED)
            .bind(self.name())
            .bind(self.generation())
            .bind(due.stream)
            .bind(due.version)
            .bind(pause.as_secs_f64() * 1000.0);
        bounded("putting a stream off", query.execute(tx)).await.map(drop)
    }

    /// Nothing of a stream waits any more.
    pub(in super::super) async fn unpark(&self, tx: &mut PgConnection, stream: i64) -> Result<(), Error> {
        let query = sqlx::query(include_str!("../../../../queries/subscription/unpark.sql"))
            .bind(self.name())
            .bind(self.generation())
            .bind(stream);
        bounded("letting a stream go on", query.execute(tx))
            .await
            .map(drop)
    }
}

fn state(pause: Option<Duration>) -> (&'static str, f64) {
    match pause {
        Some(pause) => ("retrying", pause.as_secs_f64() * 1000.0),
        None => ("parked", 0.0),
    }
}
