//! A database that published, and went back behind its streams.

mod making;

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use uuid::Uuid;
use xtask::servers::{Postgres, PostgresOptions, Redis};

use crate::patience::until;
use crate::relay::RelayOptions;
use crate::stream::{self, Entry};
use crate::{Answer, Failure, Invocation, Relay, Result, World};

/// Nothing here takes this long on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(120);
/// The topic of which something happens.
pub const TOPIC: &str = "orders.placed";
/// Its stream.
pub const STREAM: &str = "outbox:orders.placed";
/// A topic of which nothing happens while the database goes back.
pub const QUIET: &str = "orders.seen";
const ROLES: &str = "create role outbox_producer; create role outbox_relay; create role outbox_maintainer; \
                     create role outbox_consumer; create role outbox_reader; create role outbox_subscriber; \
                     create role outbox_operator; create role outbox_observer; grant pg_read_all_stats to outbox_relay, outbox_maintainer";

/// How a database comes to be older than its streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// An older base backup is started in its place.
    BaseBackup,
    /// A base backup is recovered to a point in time.
    PointInTime,
    /// An asynchronous standby that lacks the end is promoted.
    StaleStandby,
    /// A dump is loaded into another cluster.
    Dump,
    /// The relay is pointed at a copy.
    Copy,
}

/// What is there after it.
#[derive(Debug)]
pub struct Scene {
    /// The two servers, as they were.
    pub world: World,
    /// Where the database is now, if not where it was.
    pub elsewhere: Option<Postgres>,
    /// The database as it is now.
    pub url: String,
    /// The sink.
    pub redis: MultiplexedConnection,
    /// How many partitions the topic has.
    pub partitions: u32,
    /// On the stream, and in the database.
    pub known: Vec<Uuid>,
    /// On the stream alone.
    pub unknown: Vec<Uuid>,
}

impl Scene {
    /// A world with servers of its own, nothing published yet.
    ///
    /// # Errors
    /// A server does not start.
    pub async fn new(postgres: PostgresOptions) -> Result<Self> {
        let world = World::with_own_servers(postgres, Redis::options()).await?;
        let (url, redis) = (world.database_url().to_owned(), world.redis().await?);
        Ok(Self {
            world,
            elsewhere: None,
            url,
            redis,
            partitions: 1,
            known: Vec::new(),
            unknown: Vec::new(),
        })
    }

    /// The server that it moved to.
    ///
    /// # Errors
    /// It did not move.
    pub fn elsewhere(&mut self) -> Result<&mut Postgres> {
        self.elsewhere
            .as_mut()
            .ok_or_else(|| Failure::new("the database is where it was"))
    }

    /// From here on the database is there.
    ///
    /// # Errors
    /// It did not move.
    pub fn go_elsewhere(&mut self) -> Result {
        let name = self.world.log().name().to_owned();
        self.url = self.elsewhere()?.url(&name);
        Ok(())
    }

    /// A connection to the database as it is now.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn connect(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.url).await?)
    }

    /// One statement there.
    ///
    /// # Errors
    /// It is refused.
    pub async fn execute(&self, sql: &'static str) -> Result {
        self.connect().await?.execute(sql).await?;
        Ok(())
    }

    /// The server gives so many transaction ids away.
    ///
    /// # Errors
    /// It is refused.
    pub async fn spend_transactions(&self, count: u32) -> Result {
        let mut connection = self.connect().await?;
        connection
            .execute(AssertSqlSafe(format!(
                "create table if not exists public.spent (n integer); \
                 do $$ begin for n in 1..{count} loop begin insert into public.spent values (n); \
                 exception when others then null; end; end loop; end $$"
            )))
            .await?;
        Ok(())
    }

    /// Appends events, a transaction each, over five keys.
    ///
    /// # Errors
    /// It is refused.
    pub async fn append(&self, count: usize) -> Result<Vec<Uuid>> {
        self.append_to(TOPIC, count).await
    }

    /// The same to another topic.
    ///
    /// # Errors
    /// It is refused.
    pub async fn append_to(&self, topic: &str, count: usize) -> Result<Vec<Uuid>> {
        let mut connection = self.connect().await?;
        // A server that replays its log to a point in time lets readers in before it takes writes.
        until("the server takes writes", LIMIT, async || {
            let replays: bool = sqlx::query_scalar("select pg_is_in_recovery()")
                .fetch_one(&mut connection)
                .await?;
            Ok((!replays).then_some(()))
        })
        .await?;
        let mut ids = Vec::new();
        for n in 0..count {
            let id: Uuid = sqlx::query_scalar("select outbox.append($1, '{}', $2)")
                .bind(topic)
                .bind(format!("key-{}", n % 5))
                .fetch_one(&mut connection)
                .await?;
            ids.push(id);
        }
        connection.close().await?;
        Ok(ids)
    }

    /// Appends events and has them published, by a relay that is gone afterwards.
    ///
    /// # Errors
    /// Nothing arrives.
    pub async fn publish(&mut self, count: usize) -> Result<Vec<Uuid>> {
        let before = self.entries().await?.len();
        let mut relay = self.relay().start()?;
        relay.leads().await?;
        let ids = self.append(count).await?;
        self.arrived(before + count).await?;
        relay.terminate().await?;
        Ok(ids)
    }

    /// Appends events that a relay cuts and cannot publish.
    ///
    /// # Errors
    /// Nothing is cut.
    pub async fn cut_while_the_sink_is_away(&mut self, count: usize) -> Result {
        let before = clients(&mut self.redis).await?;
        let mut relay = self.relay().start()?;
        relay.leads().await?;
        // Held up, and not stopped: a server that was stopped reads what a relay sent it before it was killed.
        redis::cmd("CLIENT")
            .arg(&["PAUSE", "600000", "WRITE"])
            .query_async::<()>(&mut self.redis)
            .await?;
        self.append(count).await?;
        let mut connection = self.connect().await?;
        until("they are cut", LIMIT, async || {
            let all: bool = sqlx::query_scalar(
                "select max(s.last_position) = (select max(position) from outbox.log where topic = $1) from outbox.share s where s.topic = $1",
            )
            .bind(TOPIC)
            .fetch_one(&mut connection)
            .await?;
            Ok(all.then_some(()))
        })
        .await?;
        relay.kill()?;
        let redis = &mut self.redis;
        until("its connections are gone", LIMIT, async || {
            Ok((clients(redis).await? <= before).then_some(()))
        })
        .await?;
        redis::cmd("CLIENT")
            .arg("UNPAUSE")
            .query_async::<()>(&mut self.redis)
            .await?;
        Ok(())
    }

    /// A relay of the database as it is now.
    pub fn relay(&self) -> RelayOptions {
        Relay::of(&self.world).set("DATABASE_URL", &self.url)
    }

    /// The binary, asked about the database as it is now.
    ///
    /// # Errors
    /// The binary does not start.
    pub fn ask(&self, arguments: &[&str]) -> Result<Answer> {
        Invocation::of(&self.world, arguments)?
            .set("DATABASE_URL", &self.url)
            .ask()
    }

    /// `recover apply --yes`, whatever comes of it.
    ///
    /// # Errors
    /// The binary does not start.
    pub fn try_apply(&self, strategy: &str) -> Result<Answer> {
        self.ask(&[
            "--output",
            "json",
            "recover",
            "apply",
            "--strategy",
            strategy,
            "--reason",
            "a test",
            "--yes",
        ])
    }

    /// `recover apply --yes`, which must do it.
    ///
    /// # Errors
    /// The binary does not start.
    ///
    /// # Panics
    /// It does not do it.
    pub fn apply(&self, strategy: &str) -> Result<Value> {
        let answer = self.try_apply(strategy)?;
        assert_eq!(answer.code, 0, "{strategy}: {}", answer.errors);
        answer.json()
    }

    /// What is on the streams of the topic, one after the other.
    ///
    /// # Errors
    /// The sink does not answer.
    pub async fn entries(&mut self) -> Result<Vec<Entry>> {
        entries(&mut self.redis, self.partitions).await
    }

    /// The events on the stream, in order, once there are so many entries.
    ///
    /// # Errors
    /// Fewer come.
    pub async fn arrived(&mut self, count: usize) -> Result<Vec<Uuid>> {
        let (redis, partitions) = (&mut self.redis, self.partitions);
        let mut seen = 0;
        until("entries", LIMIT, async || {
            let entries = entries(redis, partitions).await?;
            seen = entries.len();
            Ok((entries.len() >= count).then(|| entries.iter().map(|entry| entry.event_id).collect()))
        })
        .await
        .map_err(|failure| Failure::new(format!("{failure}: {seen} of {count}")))
    }

    /// What the database has, in order of position.
    ///
    /// # Errors
    /// It is refused.
    pub async fn in_the_log(&self) -> Result<Vec<Uuid>> {
        let mut connection = self.connect().await?;
        Ok(
            sqlx::query_scalar("select id from outbox.log where topic = $1 order by position")
                .bind(TOPIC)
                .fetch_all(&mut connection)
                .await?,
        )
    }
}

async fn entries(redis: &mut MultiplexedConnection, partitions: u32) -> Result<Vec<Entry>> {
    if partitions == 1 {
        return stream::entries(redis, STREAM).await;
    }
    let mut all = Vec::new();
    for partition in 0..partitions {
        all.extend(stream::entries(redis, &format!("{STREAM}:{partition}")).await?);
    }
    Ok(all)
}

/// How many connections the sink has.
async fn clients(redis: &mut MultiplexedConnection) -> Result<usize> {
    let list: String = redis::cmd("CLIENT").arg("LIST").query_async(redis).await?;
    Ok(list.lines().count())
}
