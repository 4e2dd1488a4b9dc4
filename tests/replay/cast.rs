//! Who plays in a trace of the model `stream`: relays with a proxy of their own before Redis, and a group that notes what it applied.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use sqlx::{AssertSqlSafe, PgConnection};
use system_tests::patience::until;
use system_tests::proxy::port_of;
use system_tests::relay::RelayOptions;
use system_tests::stream::{Entry, EntryId};
use system_tests::{Failure, Fault, Proxy, Readers, Relay, Result, Schema, World, stream};
use uuid::Uuid;

pub(crate) const LIMIT: Duration = Duration::from_secs(120);
pub(crate) const STREAM: &str = "outbox:t";
/// How a parcel for the stream begins to say what it brings.
const PARCEL: &str = "XADD\r\n$8\r\noutbox:t\r\n";

/// A relay whose words to Redis can be kept back.
pub(crate) struct Actor {
    pub(crate) relay: Relay,
    pub(crate) redis: Proxy,
}

impl Actor {
    /// One more event is appended, and its parcel kept back, with everything after it.
    pub(crate) async fn with_a_parcel_in_flight(&self, cast: &mut Cast) -> Result {
        self.hold_the_next_parcel();
        cast.append().await?;
        self.is_held().await
    }

    /// Waits until something is kept back.
    pub(crate) async fn is_held(&self) -> Result {
        Ok(tokio::time::timeout(LIMIT, self.redis.is_inflicted()).await?)
    }

    /// Keeps back the parcel that brings this event, and everything after it.
    pub(crate) fn hold_the_parcel_with(&self, event: Uuid) {
        self.redis.inflict_at(&event.to_string(), Fault::HoldRequests);
    }

    /// Keeps back the next parcel, when it comes, and everything after it.
    pub(crate) fn hold_the_next_parcel(&self) {
        self.redis.inflict_at(PARCEL, Fault::HoldRequests);
    }
}

/// A stream of one key, and what was appended to it.
pub(crate) struct Cast {
    pub(crate) world: World,
    pub(crate) postgres: PgConnection,
    redis: MultiplexedConnection,
    readers: Readers,
    pub(crate) events: Vec<Uuid>,
}

impl Cast {
    pub(crate) async fn new() -> Result<Self> {
        let world = World::with_schema(Schema::Both).await?;
        Ok(Self {
            postgres: world.connect().await?,
            readers: Readers::new(world.log(), "t").await?,
            redis: world.redis().await?,
            world,
            events: Vec::new(),
        })
    }

    /// A relay that stands by, or leads if nobody does.
    pub(crate) async fn actor(&self) -> Result<Actor> {
        self.actor_with(Relay::of(&self.world)).await
    }

    pub(crate) async fn actor_with(&self, options: RelayOptions) -> Result<Actor> {
        let port = port_of(self.world.redis_url())?;
        let redis = Proxy::before(port).await?;
        let relay = options
            .set("REDIS_URL", redis.url(self.world.redis_url(), port))
            .start()?;
        Ok(Actor { relay, redis })
    }

    /// A member of the group.
    pub(crate) async fn member(&mut self) -> Result<Relay> {
        self.readers.join("g", self.world.redis_url()).await
    }

    /// One more event of the key.
    pub(crate) async fn append(&mut self) -> Result {
        self.append_as(Uuid::now_v7()).await
    }

    pub(crate) async fn append_as(&mut self, id: Uuid) -> Result {
        sqlx::query("select outbox.append('t', '{}', key => 'k', id => $1)")
            .bind(id)
            .execute(&mut self.postgres)
            .await?;
        self.events.push(id);
        Ok(())
    }

    /// The entries of the stream, once there are so many.
    pub(crate) async fn entries(&mut self, count: usize) -> Result<Vec<Entry>> {
        let (redis, mut seen) = (&mut self.redis, Vec::new());
        let came = until("entries", LIMIT, async || {
            seen = stream::entries(redis, STREAM).await?;
            Ok((seen.len() >= count).then_some(()))
        })
        .await;
        match came {
            Ok(()) => Ok(seen),
            Err(failure) => {
                let said = self.said().await?;
                Err(Failure::new(format!("{failure}: {count} of {seen:?}\n{said}")))
            }
        }
    }

    /// What the group applied, in order, once it is so much.
    pub(crate) async fn applied(&mut self, count: usize) -> Result<Vec<Uuid>> {
        match self.readers.effects("g", count, LIMIT).await {
            Ok(ids) => Ok(ids),
            Err(failure) => Err(Failure::new(format!("{failure}\n{}", self.said().await?))),
        }
    }

    /// Waits until it is recorded that this entry was put on the stream.
    pub(crate) async fn is_recorded(&mut self, id: EntryId) -> Result {
        let postgres = &mut self.postgres;
        until("progress", LIMIT, async || {
            let is_so: bool = sqlx::query_scalar(
                "select exists (select from outbox.progress where chain_batch_id = $1 and chain_position = $2)",
            )
            .bind(i64::try_from(id.0)?)
            .bind(i64::try_from(id.1)?)
            .fetch_one(&mut *postgres)
            .await?;
            Ok(is_so.then_some(()))
        })
        .await
    }

    /// How often a stream was said to be lost, and how many re-issues there were.
    pub(crate) async fn losses(&mut self) -> Result<(i64, i64)> {
        let count = "select (select count(*) from outbox.stream_action where action = 'lost'), (select count(*) from outbox.reissue)";
        Ok(sqlx::query_as(count).fetch_one(&mut self.postgres).await?)
    }

    /// Asks Redis one command.
    pub(crate) async fn ask<T: redis::FromRedisValue>(&mut self, words: &[&str]) -> Result<T> {
        let (name, arguments) = words
            .split_first()
            .ok_or_else(|| Failure::new("a command has a name"))?;
        Ok(redis::cmd(name)
            .arg(arguments)
            .query_async(&mut self.redis)
            .await?)
    }

    /// Puts a copy of the stream in its place.
    pub(crate) async fn restore(&mut self, copy: &[u8]) -> Result {
        redis::cmd("RESTORE")
            .arg(STREAM)
            .arg(0)
            .arg(copy)
            .arg("REPLACE")
            .query_async::<()>(&mut self.redis)
            .await?;
        Ok(())
    }

    /// From here on the stream is one chain behind `kept` that brings these events; none: the stream begins here.
    pub(crate) fn is_chain(entries: &[Entry], kept: Option<EntryId>, events: &[Uuid]) {
        let brought: Vec<Uuid> = entries.iter().map(|entry| entry.event_id).collect();
        assert_eq!(brought, events, "{entries:?}");
        let mut before = kept;
        for entry in entries {
            assert_eq!(entry.previous_id, before, "{entries:?}");
            before = Some(entry.id);
        }
    }

    async fn said(&mut self) -> Result<String> {
        let mut said = String::new();
        for view in ["holes", "reissues", "losses", "topics", "inbox"] {
            let question = format!("select row_to_json(v)::text from outbox_ops.{view} v");
            let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(question))
                .fetch_all(&mut self.postgres)
                .await?;
            said.push_str(&format!("{view}: {}\n", rows.join(" ")));
        }
        Ok(said)
    }
}
