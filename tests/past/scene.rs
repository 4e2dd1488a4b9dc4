//! A database that published, and went back behind its streams.

use std::process::Command;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use system_tests::patience::until;
use system_tests::relay::RelayOptions;
use system_tests::stream::{self, Entry};
use system_tests::{Answer, Failure, Invocation, Relay, Result, World};
use uuid::Uuid;
use xtask::servers::{Postgres, PostgresOptions, Redis, Stop};

/// Nothing here takes this long on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(40);
pub(crate) const TOPIC: &str = "orders.placed";
pub(crate) const STREAM: &str = "outbox:orders.placed";
/// A topic of which nothing happens while the database goes back.
pub(crate) const QUIET: &str = "orders.seen";
const ROLES: &str = "create role outbox_producer; create role outbox_relay; create role outbox_maintainer; \
                     create role outbox_consumer; create role outbox_observer; grant pg_read_all_stats to outbox_relay, outbox_maintainer";

/// How a database comes to be older than its streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Past {
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
pub(crate) struct Scene {
    pub(crate) world: World,
    /// Where the database is now, if not where it was.
    pub(crate) elsewhere: Option<Postgres>,
    /// The database as it is now.
    pub(crate) url: String,
    pub(crate) redis: MultiplexedConnection,
    /// On the stream, and in the database.
    pub(crate) known: Vec<Uuid>,
    /// On the stream alone.
    pub(crate) unknown: Vec<Uuid>,
}

impl Scene {
    /// A world with servers of its own, nothing published yet.
    pub(crate) async fn new(postgres: PostgresOptions) -> Result<Self> {
        let world = World::with_own_servers(postgres, Redis::options()).await?;
        let (url, redis) = (world.database_url().to_owned(), world.redis().await?);
        Ok(Self {
            world,
            elsewhere: None,
            url,
            redis,
            known: Vec::new(),
            unknown: Vec::new(),
        })
    }

    /// Twenty events are published and kept, ten more are published and lost.
    pub(crate) async fn after(past: Past) -> Result<Self> {
        let options = match past {
            Past::PointInTime => Postgres::options()
                .set("archive_mode", "on")
                .set("archive_command", "cp %p ../%f"),
            _ => Postgres::options(),
        };
        let mut scene = Self::new(options).await?;
        if past == Past::Dump {
            scene.spend_transactions(3_000).await?;
        }
        let first = match past {
            Past::PointInTime => Some(scene.world.postgres()?.back_up()?),
            _ => None,
        };
        scene.append_to(QUIET, 2).await?;
        scene.known = scene.publish(20).await?;
        match past {
            Past::BaseBackup => {
                let backup = scene.world.postgres()?.back_up()?;
                scene.unknown = scene.publish(10).await?;
                scene.world.postgres()?.restore(&backup)?;
            }
            Past::PointInTime => {
                scene.execute("select pg_create_restore_point('past')").await?;
                scene.unknown = scene.publish(10).await?;
                scene.archive_everything().await?;
                let backup = first.ok_or_else(|| Failure::new("no backup"))?;
                scene.world.postgres()?.recover_to(
                    &backup,
                    &[
                        ("restore_command", "cp ../%f %p"),
                        ("recovery_target_name", "past"),
                        ("recovery_target_action", "promote"),
                    ],
                )?;
            }
            Past::StaleStandby => {
                let primary = scene.world.postgres()?;
                let standby = primary.standby(primary.port(), Postgres::options())?;
                scene.forget_the_primary(standby).await?;
                scene.unknown = scene.publish(10).await?;
                scene.world.postgres()?.stop(Stop::Immediate)?;
                scene.elsewhere()?.promote()?;
                scene.go_elsewhere()?;
            }
            Past::Dump => scene.dump_and_load().await?,
            Past::Copy => {
                let copy = scene.world.postgres()?.copy_beside(Postgres::options())?;
                scene.unknown = scene.publish(10).await?;
                scene.elsewhere = Some(copy);
                scene.go_elsewhere()?;
            }
        }
        Ok(scene)
    }

    async fn dump_and_load(&mut self) -> Result {
        let file = tempfile::NamedTempFile::new()?;
        self.dump(file.path())?;
        self.unknown = self.publish(10).await?;
        self.load(file.path()).await
    }

    /// Dumps the database to a file.
    pub(crate) fn dump(&self, file: &std::path::Path) -> Result {
        tool(
            "pg_dump",
            &["-Fc", "-f", &file.to_string_lossy(), "-d", &self.url],
        )
    }

    /// Loads a dump into a new cluster and goes there.
    pub(crate) async fn load(&mut self, file: &std::path::Path) -> Result {
        let server = Postgres::options().start()?;
        let mut connection = PgConnection::connect(&server.url("postgres")).await?;
        connection.execute(ROLES).await?;
        let name = self.world.log().name().to_owned();
        connection
            .execute(AssertSqlSafe(format!("create database {name}")))
            .await?;
        connection.close().await?;
        tool("pg_restore", &["-d", &server.url(&name), &file.to_string_lossy()])?;
        self.elsewhere = Some(server);
        self.go_elsewhere()
    }

    /// Cuts a standby off its primary once it has everything.
    async fn forget_the_primary(&mut self, mut standby: Postgres) -> Result {
        self.caught_up(&standby).await?;
        standby.configure("primary_conninfo", "host=127.0.0.1 port=1 user=postgres")?;
        standby.reload()?;
        let mut there = PgConnection::connect(&standby.url("postgres")).await?;
        until("the standby lets go", LIMIT, async || {
            let receiving: bool = sqlx::query_scalar("select exists (select from pg_stat_wal_receiver)")
                .fetch_one(&mut there)
                .await?;
            Ok((!receiving).then_some(()))
        })
        .await?;
        self.elsewhere = Some(standby);
        Ok(())
    }

    /// Waits until a standby has what the primary has now.
    pub(crate) async fn caught_up(&self, standby: &Postgres) -> Result {
        let mut here = PgConnection::connect(&self.url).await?;
        let position: String = sqlx::query_scalar("select pg_current_wal_lsn()::text")
            .fetch_one(&mut here)
            .await?;
        let mut there = PgConnection::connect(&standby.url("postgres")).await?;
        until("the standby catches up", LIMIT, async || {
            let has: bool = sqlx::query_scalar("select pg_last_wal_replay_lsn() >= $1::text::pg_lsn")
                .bind(&position)
                .fetch_one(&mut there)
                .await?;
            Ok(has.then_some(()))
        })
        .await
    }

    async fn archive_everything(&mut self) -> Result {
        let mut connection = PgConnection::connect(&self.url).await?;
        let last: String = sqlx::query_scalar("select pg_walfile_name(pg_switch_wal())")
            .fetch_one(&mut connection)
            .await?;
        until("the archive has it", LIMIT, async || {
            let has: Option<bool> =
                sqlx::query_scalar("select last_archived_wal >= $1 from pg_stat_archiver")
                    .bind(&last)
                    .fetch_one(&mut connection)
                    .await?;
            Ok((has == Some(true)).then_some(()))
        })
        .await
    }

    pub(crate) fn elsewhere(&mut self) -> Result<&mut Postgres> {
        self.elsewhere
            .as_mut()
            .ok_or_else(|| Failure::new("the database is where it was"))
    }

    /// From here on the database is there.
    pub(crate) fn go_elsewhere(&mut self) -> Result {
        let name = self.world.log().name().to_owned();
        self.url = self.elsewhere()?.url(&name);
        Ok(())
    }

    /// A connection to the database as it is now.
    pub(crate) async fn connect(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.url).await?)
    }

    pub(crate) async fn execute(&self, sql: &'static str) -> Result {
        self.connect().await?.execute(sql).await?;
        Ok(())
    }

    /// The server gives so many transaction ids away.
    pub(crate) async fn spend_transactions(&self, count: u32) -> Result {
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
    pub(crate) async fn append(&self, count: usize) -> Result<Vec<Uuid>> {
        self.append_to(TOPIC, count).await
    }

    pub(crate) async fn append_to(&self, topic: &str, count: usize) -> Result<Vec<Uuid>> {
        let mut connection = self.connect().await?;
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
    pub(crate) async fn publish(&mut self, count: usize) -> Result<Vec<Uuid>> {
        let before = self.entries().await?.len();
        let mut relay = self.relay().start()?;
        relay.leads().await?;
        let ids = self.append(count).await?;
        self.arrived(before + count).await?;
        relay.terminate().await?;
        Ok(ids)
    }

    /// Appends events that a relay cuts and cannot publish.
    pub(crate) async fn cut_while_the_sink_is_away(&mut self, count: usize) -> Result {
        let mut relay = self.relay().start()?;
        relay.leads().await?;
        self.world.redis_server()?.pause()?;
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
        self.world.redis_server()?.resume()?;
        Ok(())
    }

    /// A relay of the database as it is now.
    pub(crate) fn relay(&self) -> RelayOptions {
        Relay::of(&self.world).set("DATABASE_URL", &self.url)
    }

    /// The binary, asked about the database as it is now.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Result<Answer> {
        Invocation::of(&self.world, arguments)?
            .set("DATABASE_URL", &self.url)
            .ask()
    }

    /// `recover apply --yes`, which must do it.
    pub(crate) fn apply(&self, strategy: &str) -> Result<Value> {
        let answer = self.ask(&[
            "--output",
            "json",
            "recover",
            "apply",
            "--strategy",
            strategy,
            "--reason",
            "a test",
            "--yes",
        ])?;
        assert_eq!(answer.code, 0, "{strategy}: {}", answer.errors);
        answer.json()
    }

    pub(crate) async fn entries(&mut self) -> Result<Vec<Entry>> {
        stream::entries(&mut self.redis, STREAM).await
    }

    /// The events on the stream, in order, once there are so many entries.
    pub(crate) async fn arrived(&mut self, count: usize) -> Result<Vec<Uuid>> {
        let redis = &mut self.redis;
        let mut seen = 0;
        until("entries", LIMIT, async || {
            let entries = stream::entries(redis, STREAM).await?;
            seen = entries.len();
            Ok((entries.len() >= count).then(|| entries.iter().map(|entry| entry.event_id).collect()))
        })
        .await
        .map_err(|failure| Failure::new(format!("{failure}: {seen} of {count}")))
    }

    /// What the database has, in order of position.
    pub(crate) async fn in_the_log(&self) -> Result<Vec<Uuid>> {
        let mut connection = self.connect().await?;
        Ok(
            sqlx::query_scalar("select id from outbox.log where topic = $1 order by position")
                .bind(TOPIC)
                .fetch_all(&mut connection)
                .await?,
        )
    }
}

fn tool(name: &str, arguments: &[&str]) -> Result {
    let ended = Command::new(name).args(arguments).output()?;
    if ended.status.success() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{name}: {}",
        String::from_utf8_lossy(&ended.stderr)
    )))
}
