//! The servers of a measure: a Postgres that writes to disk, a Redis that keeps nothing, and one with an append-only file.
//!
//! A database that was filled once is copied file by file for each run, so that each begins with the same pages, all of them on disk
//! and none in the server's memory: what a relay finds that was away.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use system_tests::login::equipped;
use system_tests::patience::until;
use system_tests::relay::RelayOptions;
use system_tests::{Failure, Invocation, Result, World};
use xtask::servers::Redis;

use super::servers::{self, Processes};
use super::usage::Usage;
use crate::report::Facts;

const LIMIT: Duration = Duration::from_secs(300);

/// Which Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    /// Keeps nothing on disk.
    Memory,
    /// `appendonly yes`, `appendfsync everysec`.
    Everysec,
}

impl Sink {
    pub(crate) const ALL: [Self; 2] = [Self::Memory, Self::Everysec];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Memory => "Redis without AOF",
            Self::Everysec => "Redis with AOF everysec",
        }
    }
}

/// What the servers used so far.
#[derive(Clone, Debug)]
pub(crate) struct Used {
    pub(crate) postgres: Usage,
    pub(crate) redis: Usage,
}

/// The servers. Dropped: stopped and removed.
pub(crate) struct Ground {
    world: World,
    everysec: Redis,
    processes: Processes,
}

impl Ground {
    pub(crate) async fn prepare() -> Result<Self> {
        let mut world = servers::start(&[]).await?;
        let processes = servers::processes(&mut world)?;
        // When the file is written anew is decided between runs, not in the middle of one.
        let everysec = equipped(Redis::options())
            .set("appendonly", "yes")
            .set("appendfsync", "everysec")
            .set("auto-aof-rewrite-percentage", 0)
            .start()?;
        Ok(Self {
            world,
            everysec,
            processes,
        })
    }

    /// The machine and the servers. Takes the load of this moment.
    pub(crate) async fn facts(&self) -> Result<Facts> {
        let mut facts = servers::tell(Facts::of_machine(), &self.world).await?;
        facts.add(
            "Redis with AOF",
            "the same with appendonly yes, appendfsync everysec",
        );
        Ok(facts)
    }

    /// The address of the log's database, as superuser.
    pub(crate) fn log_url(&self) -> &str {
        self.world.database_url()
    }

    /// The log's database, as superuser.
    pub(crate) async fn connect(&self) -> Result<PgConnection> {
        self.world.connect().await
    }

    /// A database of the same server that nobody copies, as superuser.
    pub(crate) async fn server(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.in_database("postgres")).await?)
    }

    pub(crate) fn redis_url(&self, sink: Sink) -> String {
        match sink {
            Sink::Memory => self.world.redis_url().to_owned(),
            Sink::Everysec => self.everysec.url(0),
        }
    }

    pub(crate) async fn redis(&self, sink: Sink) -> Result<MultiplexedConnection> {
        let config = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(LIMIT))
            .set_response_timeout(Some(LIMIT));
        Ok(redis::Client::open(self.redis_url(sink))?
            .get_multiplexed_async_connection_with_config(&config)
            .await?)
    }

    /// Nothing is in it, nor in its file, and it is at rest.
    pub(crate) async fn empty(&self, sink: Sink) -> Result {
        let mut redis = self.redis(sink).await?;
        redis::cmd("FLUSHALL")
            .arg("SYNC")
            .query_async::<()>(&mut redis)
            .await?;
        if sink == Sink::Everysec {
            redis::cmd("BGREWRITEAOF").query_async::<()>(&mut redis).await?;
            until("the file is written anew", LIMIT, async || {
                let info: String = redis::cmd("INFO")
                    .arg("persistence")
                    .query_async(&mut redis)
                    .await?;
                let is_done = ["aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0"]
                    .iter()
                    .all(|line| info.contains(line));
                Ok(is_done.then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Of the servers, so far.
    pub(crate) fn usage(&self, sink: Sink) -> Result<Used> {
        Ok(Used {
            postgres: Usage::of_family(self.processes.postgres)?,
            redis: Usage::of(self.redis_process(sink)?)?,
        })
    }

    /// The process of a Redis.
    fn redis_process(&self, sink: Sink) -> Result<u32> {
        match sink {
            Sink::Memory => Ok(self.processes.redis),
            Sink::Everysec => self
                .everysec
                .process_id()
                .ok_or_else(|| Failure::new("the Redis with a file does not run")),
        }
    }

    /// A relay as people run it, with the settings that it has by itself, between a database and a Redis.
    pub(crate) fn relay(&self, database_url: &str, sink: Sink) -> RelayOptions {
        servers::relay(database_url, &self.redis_url(sink))
    }

    /// Gives a topic of the log's database so many partitions.
    pub(crate) fn partitions(&self, topic: &str, partitions: u32) -> Result {
        let number = partitions.to_string();
        let answer = Invocation::of(&self.world, &["topic", "set", topic, "--partitions", &number])?.ask()?;
        match answer.code {
            0 => Ok(()),
            _ => Err(Failure::new(format!("topic set: {answer:?}"))),
        }
    }

    /// Copies the log's database, which nobody may be connected to. The copy of that name is made anew.
    pub(crate) async fn copy(&self, name: &str) -> Result<Copy> {
        let mut server = self.server().await?;
        let from = self.world.log().name();
        server
            .execute(AssertSqlSafe(format!(
                "drop database if exists {name} with (force)"
            )))
            .await?;
        until("nobody is in the database to copy", LIMIT, async || {
            let others: i64 = sqlx::query_scalar("select count(*) from pg_stat_activity where datname = $1")
                .bind(from)
                .fetch_one(&mut server)
                .await?;
            Ok((others == 0).then_some(()))
        })
        .await?;
        server
            .execute(AssertSqlSafe(format!(
                "create database {name} template {from} strategy file_copy"
            )))
            .await?;
        server.close().await?;
        Ok(Copy {
            url: self.in_database(name),
            name: name.to_owned(),
        })
    }

    /// Drops a copy.
    pub(crate) async fn drop_copy(&self, copy: Copy) -> Result {
        let mut server = self.server().await?;
        let name = copy.name;
        server
            .execute(AssertSqlSafe(format!("drop database {name} with (force)")))
            .await?;
        Ok(server.close().await?)
    }

    fn in_database(&self, name: &str) -> String {
        let url = self.world.database_url();
        url.replacen(self.world.log().name(), name, 1)
    }
}

/// A copy of the log's database.
#[derive(Clone, Debug)]
pub(crate) struct Copy {
    url: String,
    name: String,
}

impl Copy {
    /// As superuser.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn connect(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.url).await?)
    }
}
