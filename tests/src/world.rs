//! One test's world: a database with the log, a Redis database, and servers of its own where it needs them.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use sqlx::{PgConnection, PgPool};
use xtask::servers::{Postgres, PostgresOptions, Redis, RedisOptions};

use crate::database::{Database, finish};
use crate::login::{Login, equipped};
use crate::servers::SharedServers;
use crate::template::Schema;
use crate::{Failure, Result};

/// No answer of a loopback Redis takes this long, except of one that was stopped.
pub(crate) const REDIS_LIMIT: Duration = Duration::from_secs(60);
/// Tests of a run take numbers from this counter in database 0, which no test uses.
const NEXT_DATABASE: &str = "next_database";
const DATABASES: u32 = 8191;

/// What a test lives in. Dropped: its database and its keys are gone; and the test fails if something of what it ran was refused by
/// Redis, or was a superuser of Postgres ([`World::rights_were_kept`]).
#[derive(Debug)]
pub struct World {
    log: Database,
    pub(crate) redis_url: String,
    /// Of its Redis, where it shares one.
    pub(crate) redis_database: Option<u32>,
    pub(crate) superusers_are_meant: bool,
    // Last, so that they end after what lives on them.
    pub(crate) own: Option<OwnServers>,
}

#[derive(Debug)]
pub(crate) struct OwnServers {
    pub(crate) postgres: Postgres,
    redis: Redis,
    /// The port at which Postgres is looked for.
    front: u16,
}

impl World {
    /// On the servers that the tests of a run share. Not for tests that hold transactions open (the snapshot's horizon
    /// is the cluster's), kill servers or configure them.
    ///
    /// # Errors
    /// When the servers are not there.
    pub async fn new() -> Result<Self> {
        Self::with_schema(Schema::Log).await
    }

    /// The same with something else in the database.
    ///
    /// # Errors
    /// When the servers are not there.
    pub async fn with_schema(schema: Schema) -> Result<Self> {
        let servers = SharedServers::get().await?;
        let log = Database::clone_of(schema, &servers.postgres_url()).await?;
        let mut counter = connect(&servers.redis_url(0)).await?;
        let drawn: u32 = redis::cmd("INCR")
            .arg(NEXT_DATABASE)
            .query_async(&mut counter)
            .await?;
        let redis_database = 1 + (drawn - 1) % DATABASES;
        let redis_url = servers.redis_url(redis_database);
        redis::cmd("FLUSHDB")
            .query_async::<()>(&mut connect(&redis_url).await?)
            .await?;
        Ok(Self {
            log,
            redis_url,
            redis_database: Some(redis_database),
            superusers_are_meant: false,
            own: None,
        })
    }

    /// On servers of its own, as it wants them.
    ///
    /// # Errors
    /// When they do not start.
    pub async fn with_own_servers(postgres: PostgresOptions, redis: RedisOptions) -> Result<Self> {
        // The log then names who connects, and for what.
        let postgres = postgres.set("log_connections", "on").start()?;
        let own = OwnServers {
            front: postgres.port(),
            postgres,
            redis: equipped(redis).start()?,
        };
        let log = Database::on_own_server(Schema::Log, &own.postgres.url("postgres")).await?;
        let redis_url = own.redis.url(0);
        Ok(Self {
            log,
            redis_url,
            redis_database: None,
            superusers_are_meant: false,
            own: Some(own),
        })
    }

    /// For what is under test as superuser, and why is said where this is called.
    #[must_use]
    pub fn superusers_are_meant(mut self) -> Self {
        self.superusers_are_meant = true;
        self
    }

    /// The database with the log.
    #[must_use]
    pub fn log(&self) -> &Database {
        &self.log
    }

    /// URL of the database with the log, as superuser.
    #[must_use]
    pub fn database_url(&self) -> &str {
        self.log.url()
    }

    /// URL of its Redis database, as a login of the tests.
    #[must_use]
    pub fn redis_url_of(&self, login: Login) -> String {
        login.redis_url(&self.redis_url)
    }

    /// URL of its Redis database, as superuser.
    #[must_use]
    pub fn redis_url(&self) -> &str {
        &self.redis_url
    }

    /// A connection to the log's database.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn connect(&self) -> Result<PgConnection> {
        self.log.connect().await
    }

    /// A pool on the log's database.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn pool(&self) -> Result<PgPool> {
        self.log.pool().await
    }

    /// A connection to its Redis database.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn redis(&self) -> Result<MultiplexedConnection> {
        connect(&self.redis_url).await
    }

    /// One more database on the same server.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn another_database(&self, schema: Schema) -> Result<Database> {
        match &self.own {
            Some(own) => {
                let direct = own.postgres.url("postgres");
                Database::on_own_server(schema, &moved(&direct, own.postgres.port(), own.front)).await
            }
            None => Database::clone_of(schema, &SharedServers::get().await?.postgres_url()).await,
        }
    }

    /// From now on its own servers are looked for at these ports, where something stands in front of them that can lead elsewhere.
    ///
    /// # Errors
    /// When the world shares its servers.
    pub fn look_through(&mut self, postgres: u16, redis: u16) -> Result {
        let own = self.own_servers()?;
        let (before, redis_before) = (own.front, own.redis.port());
        own.front = postgres;
        self.log.look_through(before, postgres);
        self.redis_url = moved(&self.redis_url, redis_before, redis);
        Ok(())
    }

    /// Its own Postgres server.
    ///
    /// # Errors
    /// When the world shares its servers.
    pub fn postgres(&mut self) -> Result<&mut Postgres> {
        Ok(&mut self.own_servers()?.postgres)
    }

    /// Its own Redis server.
    ///
    /// # Errors
    /// When the world shares its servers.
    pub fn redis_server(&mut self) -> Result<&mut Redis> {
        Ok(&mut self.own_servers()?.redis)
    }

    fn own_servers(&mut self) -> Result<&mut OwnServers> {
        self.own
            .as_mut()
            .ok_or_else(|| Failure::new("this world shares its servers: use World::with_own_servers"))
    }

    fn clear(&self) {
        let url = self.redis_url.clone();
        let outcome = finish(REDIS_LIMIT, async move {
            Ok(redis::cmd("FLUSHDB")
                .query_async::<()>(&mut connect(&url).await?)
                .await?)
        });
        if let Err(failure) = outcome {
            eprintln!(
                "the test's keys in {} stay until the run's server ends: {failure}",
                self.redis_url
            );
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let kept = self.rights_were_kept();
        if self.own.is_none() {
            self.clear();
        }
        if let Err(failure) = kept
            && !std::thread::panicking()
        {
            panic!("{failure}");
        }
    }
}

/// A URL with another port.
pub(crate) fn moved(url: &str, from: u16, to: u16) -> String {
    url.replacen(&format!(":{from}/"), &format!(":{to}/"), 1)
}

pub(crate) async fn connect(url: &str) -> Result<MultiplexedConnection> {
    let config = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(REDIS_LIMIT))
        .set_response_timeout(Some(REDIS_LIMIT));
    Ok(redis::Client::open(url)?
        .get_multiplexed_async_connection_with_config(&config)
        .await?)
}
