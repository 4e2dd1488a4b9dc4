//! A topic of stored events, a relay, and what is done to both.

use std::time::Duration;

use outbox_core::append::NewEvent;
use outbox_core::event_store::{self, Error, Expected, Outcome, StreamName, keep};
use redis::aio::MultiplexedConnection;
use sqlx::{Connection as _, Executor as _, PgConnection};
use system_tests::patience::until;
use system_tests::stream::{Entry, EntryId, entries};
use system_tests::{Failure, Relay, Result, Schema, World};
use uuid::Uuid;

pub(super) const LIMIT: Duration = Duration::from_secs(120);
pub(super) const REASON: &str = "closed long ago";
pub(super) const TOPIC: &str = "points";
pub(super) const KEY: &str = "outbox:points";

pub(super) struct Bench {
    pub(super) world: World,
    pub(super) postgres: PgConnection,
    pub(super) redis: MultiplexedConnection,
    pub(super) relay: Relay,
}

impl Bench {
    pub(super) async fn new() -> Result<Self> {
        let world = World::with_schema(Schema::Both).await?;
        let mut relay = Relay::of(&world)
            .set("OUTBOX_PUBLISH_LOOK_EVERY", "100ms")
            .start()?;
        relay.leads().await?;
        Ok(Self {
            postgres: world.connect().await?,
            redis: world.redis().await?,
            relay,
            world,
        })
    }

    /// Stores events for the topic in one transaction, and returns their ids.
    pub(super) async fn store(&mut self, stream: &str, events: usize) -> Result<Vec<Uuid>> {
        let event = |n| {
            NewEvent::stored("points.earned")
                .json(&serde_json::json!({ "points": n }))
                .publish_to(TOPIC)
        };
        let events: Vec<NewEvent> = (0..events).map(event).collect();
        let mut transaction = self.postgres.begin().await?;
        let outcome = event_store::append(&mut transaction, &name(stream), Expected::Any, events).await?;
        let Outcome::Appended { positions, .. } = outcome else {
            return Err(Failure::new(format!("{outcome:?}")));
        };
        transaction.commit().await?;
        let ids = "select id from outbox.stored_event where position = any($1) order by position";
        Ok(sqlx::query_scalar(ids)
            .bind(positions)
            .fetch_all(&mut self.postgres)
            .await?)
    }

    /// Truncates a stream, or buries it, once all of it is published.
    pub(super) async fn remove(&mut self, stream: &str, before: Option<u64>) -> Result<u64> {
        let (postgres, name) = (&mut self.postgres, name(stream));
        until("it may go", LIMIT, async || {
            let done = match before {
                Some(before) => keep::truncate_stream(postgres, &name, before, REASON, 100).await,
                None => keep::tombstone_stream(postgres, &name, REASON, 100).await,
            };
            match done {
                Ok(chunk) => {
                    assert!(chunk.is_finished);
                    Ok(Some(chunk.events))
                }
                Err(Error::Database { code, .. }) if code == "55000" => Ok(None),
                Err(other) => Err(other.into()),
            }
        })
        .await
    }

    pub(super) async fn entries(&mut self) -> Result<Vec<Entry>> {
        entries(&mut self.redis, KEY).await
    }

    /// The last entries of the stream, once they are these events.
    pub(super) async fn holds(&mut self, events: &[Uuid]) -> Result<Vec<Entry>> {
        let redis = &mut self.redis;
        let mut seen = Vec::new();
        let found = until("the stream has what is left", LIMIT, async || {
            let mut found = entries(redis, KEY).await?;
            let last = found.split_off(found.len().saturating_sub(events.len()));
            seen = last.iter().map(|entry| entry.event_id).collect();
            Ok((seen == events).then_some(last))
        })
        .await;
        found.map_err(|failure| {
            Failure::new(format!(
                "{failure}: {seen:?} and not {events:?}; {}",
                self.relay.log_tail()
            ))
        })
    }

    /// Loses entries, or all of the stream, while no relay runs: nothing is put on it before that is noticed.
    pub(super) async fn lose(&mut self, ids: &[EntryId]) -> Result {
        assert!(self.relay.terminate().await?.success());
        self.delete(ids).await?;
        self.lead().await
    }

    /// Deletes entries, or all of the stream.
    pub(super) async fn delete(&mut self, ids: &[EntryId]) -> Result {
        let mut command = redis::cmd(if ids.is_empty() { "DEL" } else { "XDEL" });
        command.arg(KEY);
        for id in ids {
            command.arg(id.to_string());
        }
        let gone: usize = command.query_async(&mut self.redis).await?;
        assert_eq!(gone, ids.len().max(1));
        Ok(())
    }

    /// Another relay leads.
    pub(super) async fn lead(&mut self) -> Result {
        self.relay = Relay::of(&self.world).start()?;
        self.relay.leads().await
    }

    /// Takes a row out of the log as no function does.
    pub(super) async fn lose_row(&mut self, id: Uuid) -> Result {
        self.postgres
            .execute("set session_replication_role = replica")
            .await?;
        let gone = sqlx::query("delete from outbox.log where id = $1")
            .bind(id)
            .execute(&mut self.postgres)
            .await?;
        assert_eq!(gone.rows_affected(), 1);
        self.postgres
            .execute("set session_replication_role = origin")
            .await?;
        Ok(())
    }

    /// The events and the removed ones of each re-issue, in their order.
    pub(super) async fn reissues(&mut self) -> Result<Vec<(i64, i64)>> {
        let told = "select events, removed from outbox_ops.reissues order by cut_at";
        Ok(sqlx::query_as(told).fetch_all(&mut self.postgres).await?)
    }

    pub(super) async fn losses(&mut self) -> Result<Vec<(String, i64)>> {
        let told = "select why, events from outbox.loss order by number";
        Ok(sqlx::query_as(told).fetch_all(&mut self.postgres).await?)
    }

    pub(super) async fn until(&mut self, condition: &'static str) -> Result {
        let postgres = &mut self.postgres;
        until(condition, LIMIT, async || {
            let is_so: bool = sqlx::query_scalar(condition).fetch_one(&mut *postgres).await?;
            Ok(is_so.then_some(()))
        })
        .await
    }

    /// A stream is put out again every ten seconds at most: what is lost from here on is looked at at once.
    pub(super) async fn rests(&mut self) -> Result {
        self.until(
            "select not exists (select from outbox.reissue where cut_at > clock_timestamp() - interval '11 seconds')",
        )
        .await
    }
}

pub(super) fn name(stream: &str) -> StreamName {
    stream.parse().expect("a good name")
}

/// Each entry names the one before it.
pub(super) fn is_chain(found: &[Entry], before: Option<EntryId>) {
    let named: Vec<Option<EntryId>> = found.iter().map(|entry| entry.previous_id).collect();
    let wanted: Vec<Option<EntryId>> = std::iter::once(before)
        .chain(found.iter().map(|entry| Some(entry.id)))
        .take(found.len())
        .collect();
    assert_eq!(named, wanted);
}
