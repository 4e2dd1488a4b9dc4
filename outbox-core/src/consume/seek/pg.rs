//! The consumer's database in a seek: what is known of the group, its leases, what is forgotten, and the one step that counts.

use sqlx::{Connection as _, PgConnection, PgPool};

use crate::consume::Error;
use crate::consume::pg::{bounded, entry_id, refused};
use crate::event::EntryId;

/// What the group's database says before anything is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Known {
    /// Whether there is such a group.
    pub(super) is_known: bool,
    /// Seconds since 1970 up to which ids were forgotten.
    pub(super) forgotten_until: Option<f64>,
    /// Keys that wait.
    pub(super) parked_keys: u64,
    /// Milliseconds since 1970 on the clock of this database.
    pub(super) now_ms: u64,
}

/// A stream whose lease is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seized {
    pub(super) stream: String,
    pub(super) epoch: i64,
    /// How far the group had come; known once what was under way has ended.
    pub(super) passed: Option<EntryId>,
}

/// Where a seized stream goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) seized: Seized,
    pub(super) passed: EntryId,
    /// With the inbox forgotten: up to here effects happen again.
    pub(super) replayed: Option<EntryId>,
    /// Where the group finds what the stream no longer has.
    pub(super) prelude: Option<String>,
}

/// The group in its database.
#[derive(Clone)]
pub(super) struct Group {
    pub(super) pool: PgPool,
    pub(super) name: String,
}

impl Group {
    /// The streams that the group ever applied, with how far it came.
    pub(super) async fn streams(&self) -> Result<Vec<(String, Option<EntryId>)>, Error> {
        let query = sqlx::query_as(include_str!("../../../queries/consume/seek_streams.sql"))
            .persistent(false)
            .bind(&self.name);
        let rows: Vec<(String, Option<String>)> =
            bounded("reading the streams of the consumer", query.fetch_all(&self.pool)).await?;
        rows.into_iter()
            .map(|(stream, passed)| Ok((stream, passed.as_deref().map(entry_id).transpose()?)))
            .collect()
    }

    pub(super) async fn known(&self, streams: &[String]) -> Result<Known, Error> {
        let query = sqlx::query_as(include_str!("../../../queries/consume/preview_seek.sql"))
            .persistent(false)
            .bind(&self.name)
            .bind(streams);
        let (is_known, forgotten_until, parked_keys, now): (bool, Option<f64>, i64, f64) = bounded(
            "reading what is known of the consumer",
            query.fetch_one(&self.pool),
        )
        .await?;
        Ok(Known {
            is_known,
            forgotten_until,
            parked_keys: parked_keys.unsigned_abs(),
            now_ms: (now.max(0.0) * 1000.0) as u64,
        })
    }

    /// How many events behind an entry are finished.
    pub(super) async fn finished(&self, streams: &[String], behind: EntryId) -> Result<u64, Error> {
        let query = sqlx::query_scalar(include_str!("../../../queries/consume/count_finished.sql"))
            .persistent(false)
            .bind(&self.name)
            .bind(streams)
            .bind(behind.batch_id.to_string())
            .bind(behind.position.to_string());
        let count: i64 = bounded("counting what is finished", query.fetch_one(&self.pool)).await?;
        Ok(count.unsigned_abs())
    }

    /// The entry under which an event was finished first.
    pub(super) async fn find(&self, streams: &[String], event: &str) -> Result<Option<EntryId>, Error> {
        let query = sqlx::query_scalar(include_str!("../../../queries/consume/find_finished.sql"))
            .persistent(false)
            .bind(&self.name)
            .bind(streams)
            .bind(event);
        let entry: Option<String> = bounded("looking for the event", query.fetch_one(&self.pool)).await?;
        entry.as_deref().map(entry_id).transpose()
    }

    /// The tables of the inbox, with their pages.
    pub(super) async fn tables(&self) -> Result<Vec<(String, i64)>, Error> {
        let query =
            sqlx::query_as(include_str!("../../../queries/consume/inbox_tables.sql")).persistent(false);
        bounded("listing the tables of the inbox", query.fetch_all(&self.pool)).await
    }

    /// Takes the lease of a stream: nothing new is applied, what is under way goes on.
    pub(super) async fn seize(
        &self,
        stream: &str,
        holder: &str,
        lease_ms: f64,
        reason: &str,
    ) -> Result<Seized, Error> {
        let query = sqlx::query_scalar(include_str!("../../../queries/consume/seize_stream.sql"))
            .persistent(false)
            .bind(&self.name)
            .bind(stream)
            .bind(holder)
            .bind(lease_ms)
            .bind(reason);
        let epoch: i64 = bounded("taking the lease of a stream", query.fetch_one(&self.pool))
            .await
            .map_err(refused)?;
        Ok(Seized {
            stream: stream.to_owned(),
            epoch,
            passed: None,
        })
    }

    /// Waits for what was under way when the lease was taken, and learns how far the group came with it.
    pub(super) async fn drain(&self, seized: &mut Seized) -> Result<(), Error> {
        let mut connection = bounded("taking a connection", self.pool.acquire()).await?;
        let mut transaction = bounded("beginning a transaction", connection.begin()).await?;
        let bound = sqlx::query(include_str!("../../../queries/consume/bound_drain.sql")).persistent(false);
        bounded("limiting a wait", bound.execute(&mut *transaction)).await?;
        let query = sqlx::query_as(include_str!("../../../queries/consume/drain_seized.sql"))
            .persistent(false)
            .bind(&self.name)
            .bind(&seized.stream)
            .bind(seized.epoch);
        let row: (Option<String>, Option<String>) = bounded(
            "waiting for what is being applied",
            query.fetch_one(&mut *transaction),
        )
        .await
        .map_err(refused)?;
        bounded("ending the wait", transaction.commit()).await?;
        seized.passed = match row {
            (Some(batch), Some(position)) => Some(entry_id(&format!("{batch}-{position}"))?),
            _ => None,
        };
        Ok(())
    }

    /// Renews the leases; a failure means that members may apply the streams again.
    pub(super) async fn keep(&self, seized: &[Seized], lease_ms: f64) -> Result<(), Error> {
        let (streams, epochs) = parts(seized);
        let query = sqlx::query(include_str!("../../../queries/consume/keep_seized.sql"))
            .persistent(false)
            .bind(&self.name)
            .bind(streams)
            .bind(epochs)
            .bind(lease_ms);
        bounded("renewing the leases of the streams", query.execute(&self.pool))
            .await
            .map(drop)
            .map_err(refused)
    }

    /// Gives the streams back as they were.
    pub(super) async fn release(&self, seized: &[Seized]) -> Result<(), Error> {
        let (streams, epochs) = parts(seized);
        let query = sqlx::query(include_str!("../../../queries/consume/release_seized.sql"))
            .persistent(false)
            .bind(&self.name)
            .bind(streams)
            .bind(epochs);
        bounded("giving the streams back", query.execute(&self.pool))
            .await
            .map(drop)
    }

    /// Forgets what is finished behind an entry, in one stretch of pages of a table. Returns how many ids.
    pub(super) async fn forget(
        &self,
        seized: &[Seized],
        behind: EntryId,
        table: &str,
        pages: (i64, i64),
    ) -> Result<u64, Error> {
        let (streams, epochs) = parts(seized);
        let query = sqlx::query_scalar(include_str!("../../../queries/consume/forget_events.sql"))
            .persistent(false)
            .bind(&self.name)
            .bind(streams)
            .bind(epochs)
            .bind(behind.batch_id.to_string())
            .bind(behind.position.to_string())
            .bind(table)
            .bind(pages.0)
            .bind(pages.1);
        let count: i64 = bounded("forgetting what is finished", query.fetch_one(&self.pool))
            .await
            .map_err(refused)?;
        Ok(count.unsigned_abs())
    }

    /// Sets all streams back at once: before this commit nothing has happened, after it all has. Gives them to the members,
    /// unless ids are to be forgotten before that.
    pub(super) async fn move_streams(&self, moves: &[Move], reason: &str) -> Result<(), Error> {
        let mut connection = bounded("taking a connection", self.pool.acquire()).await?;
        let mut transaction = bounded("beginning a transaction", connection.begin()).await?;
        for moved in moves {
            self.move_stream(&mut transaction, moved, reason).await?;
        }
        bounded("committing the seek", transaction.commit()).await
    }

    async fn move_stream(&self, tx: &mut PgConnection, moved: &Move, reason: &str) -> Result<(), Error> {
        let query = sqlx::query(include_str!("../../../queries/consume/seek_stream.sql"))
            .persistent(false)
            .bind(&self.name)
            .bind(&moved.seized.stream)
            .bind(moved.seized.epoch)
            .bind(moved.passed.batch_id.to_string())
            .bind(moved.passed.position.to_string())
            .bind(moved.replayed.map(|id| id.batch_id.to_string()))
            .bind(moved.replayed.map(|id| id.position.to_string()))
            .bind(&moved.prelude)
            .bind(reason);
        bounded("setting a stream back", query.execute(tx))
            .await
            .map(drop)
            .map_err(refused)
    }
}

fn parts(seized: &[Seized]) -> (Vec<&str>, Vec<i64>) {
    seized
        .iter()
        .map(|seized| (seized.stream.as_str(), seized.epoch))
        .unzip()
}
