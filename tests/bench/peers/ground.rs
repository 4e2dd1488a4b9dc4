//! The servers, the same for all; and the room of one run: a database with a peer's own schema, and a stream.
//!
//! Postgres writes to disk and logs what a CDC relay needs (`wal_level = logical`), for all of them alike. Rooms come one after the
//! other: when one is left its database is dropped, with its slot, and Redis is emptied.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::try_join_all;
use redis::aio::MultiplexedConnection;
use redis::streams::{StreamId, StreamRangeReply, StreamReadReply};
use system_tests::{Failure, Result, Schema, World};
use tokio_postgres::{Client, NoTls, Statement};
use xtask::servers::{Kind as Server, Permission, Postgres, Redis, ensure};

use super::mark::{Mark, PROBE, Verdict, found};
use super::peer::Peer;
use crate::report::Facts;

/// Keys of the events.
pub(crate) const KEYS: u64 = 1_000;
/// Rows that a transaction of the backlog has.
const TOGETHER: usize = 1_000;
const PAGE: usize = 5_000;
/// Counts events per key in the transactions that insert them: what was committed, whatever a peer says.
const COUNTERS: &str = "create schema bench;
    create table bench.counter (key text primary key, number bigint not null);
    create table bench.work (id bigint generated always as identity primary key, worker text not null);
    create table bench.bare (id bigint generated always as identity primary key, key text not null, data text not null)";

/// The servers. Dropped: stopped and removed.
pub(crate) struct Ground {
    world: World,
}

/// Where a peer is measured.
pub(crate) struct Room {
    peer: Peer,
    database_url: String,
    redis_url: String,
    redis: MultiplexedConnection,
}

/// A reader that is blocked until its stream has more.
pub(crate) struct More {
    redis: MultiplexedConnection,
    stream: String,
    after: String,
}

impl More {
    /// Whether entries came since it was asked last, or come within this time. Takes those that are there at once.
    pub(crate) async fn comes(&mut self, within: Duration) -> Result<bool> {
        let reply: Option<StreamReadReply> = redis::cmd("XREAD")
            .arg("COUNT")
            .arg(PAGE)
            .arg("BLOCK")
            .arg(u64::try_from(within.as_millis())?)
            .arg("STREAMS")
            .arg(&self.stream)
            .arg(&self.after)
            .query_async(&mut self.redis)
            .await?;
        let keys = reply.into_iter().flat_map(|reply| reply.keys);
        let last = keys.flat_map(|key| key.ids).last();
        let has_more = last.is_some();
        if let Some(entry) = last {
            self.after = entry.id;
        }
        Ok(has_more)
    }
}

/// A connection of a producer.
pub(crate) struct Producer {
    pub(crate) client: Client,
    insert: Statement,
    peer: Peer,
}

impl Ground {
    pub(crate) async fn prepare() -> Result<Self> {
        ensure(&[Server::Postgres, Server::Redis], Permission::Install)?;
        let postgres = Postgres::options()
            .fsync(true)
            .set("wal_level", "logical")
            .set("shared_buffers", "256MB")
            .set("max_wal_size", "4GB");
        let world = World::with_own_servers(postgres, Redis::options()).await?;
        // Peers say nothing of roles in their documentation; all of them, and ours beside them, are the superuser.
        Ok(Self {
            world: world.superusers_are_meant(),
        })
    }

    pub(crate) async fn facts(&self) -> Result<Facts> {
        let mut facts = Facts::of_machine();
        let client = connect(self.world.database_url()).await?;
        for (what, setting) in [
            ("PostgreSQL", "server_version"),
            ("fsync", "fsync"),
            ("synchronous_commit", "synchronous_commit"),
            ("wal_level", "wal_level"),
            ("shared_buffers", "shared_buffers"),
            ("max_wal_size", "max_wal_size"),
        ] {
            let row = client.query_one(&format!("show {setting}"), &[]).await?;
            facts.add(what, row.get::<_, String>(0));
        }
        let info: String = redis::cmd("INFO")
            .arg("server")
            .query_async(&mut self.world.redis().await?)
            .await?;
        let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
        facts.add("Redis", version.unwrap_or("not known"));
        facts.add("appendonly", "no");
        Ok(facts)
    }

    /// A room for a peer, with its schema.
    pub(crate) async fn room(&self, peer: Peer) -> Result<Room> {
        let mut redis = self.world.redis().await?;
        redis::cmd("FLUSHALL").query_async::<()>(&mut redis).await?;
        let schema = peer.schema()?;
        let kind = match schema {
            Some(_) => Schema::Empty,
            None => Schema::Log,
        };
        let database = self.world.another_database(kind).await?;
        let room = Room {
            peer,
            database_url: database.url().to_owned(),
            redis_url: self.world.redis_url().to_owned(),
            redis,
        };
        let client = connect(&room.database_url).await?;
        client
            .batch_execute(&format!("{COUNTERS}; {}", schema.unwrap_or_default()))
            .await?;
        Ok(room)
    }

    /// Drops what a room had. Whoever was connected is gone.
    pub(crate) async fn leave(&self, room: Room) -> Result {
        let server = connect(self.world.database_url()).await?;
        let name = room.database_name();
        server
            .execute(
                "select pg_terminate_backend(active_pid) from pg_replication_slots where database = $1 and active_pid is not null",
                &[&name],
            )
            .await?;
        system_tests::patience::until("nobody reads the slot", super::running::LIMIT, async || {
            let row = server
                .query_one(
                    "select count(*) from pg_replication_slots where database = $1 and active_pid is not null",
                    &[&name],
                )
                .await?;
            Ok((row.get::<_, i64>(0) == 0).then_some(()))
        })
        .await?;
        server
            .execute(
                "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = $1",
                &[&name],
            )
            .await?;
        Ok(server
            .batch_execute(&format!("drop database {name} with (force)"))
            .await?)
    }
}

impl Room {
    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    pub(crate) fn database_url(&self) -> &str {
        &self.database_url
    }

    pub(crate) fn database_name(&self) -> &str {
        self.database_url.rsplit('/').next().unwrap_or_default()
    }

    pub(crate) fn postgres_port(&self) -> Result<u16> {
        let url = self
            .database_url
            .split(':')
            .nth(2)
            .and_then(|rest| rest.split('/').next());
        Ok(url.unwrap_or_default().parse()?)
    }

    pub(crate) fn redis_url(&self) -> &str {
        &self.redis_url
    }

    /// Host and port.
    pub(crate) fn redis_address(&self) -> &str {
        let address = self.redis_url.trim_start_matches("redis://");
        address.split('/').next().unwrap_or_default()
    }

    /// A connection to its Redis for a reader that blocks.
    pub(crate) async fn redis(&self) -> Result<MultiplexedConnection> {
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
        Ok(redis::Client::open(self.redis_url.as_str())?
            .get_multiplexed_async_connection_with_config(&config)
            .await?)
    }

    /// Who waits for what comes behind its last entry.
    pub(crate) async fn more(&self) -> Result<More> {
        let mut redis = self.redis().await?;
        let stream = self.peer.stream().to_owned();
        let last: StreamRangeReply = redis::cmd("XREVRANGE")
            .arg(&stream)
            .arg(&["+", "-", "COUNT", "1"])
            .query_async(&mut redis)
            .await?;
        let after = last
            .ids
            .first()
            .map_or_else(|| "0".to_owned(), |entry| entry.id.clone());
        Ok(More { redis, stream, after })
    }

    pub(crate) async fn connect(&self) -> Result<Client> {
        connect(&self.database_url).await
    }

    pub(crate) async fn producer(&self) -> Result<Producer> {
        let client = self.connect().await?;
        let insert = client.prepare(&self.peer.insert()?).await?;
        Ok(Producer {
            client,
            insert,
            peer: self.peer,
        })
    }

    /// How many entries its stream has.
    pub(crate) async fn length(&mut self) -> Result<u64> {
        Ok(redis::cmd("XLEN")
            .arg(self.peer.stream())
            .query_async(&mut self.redis)
            .await?)
    }

    /// Commits so many events, numbered within their keys, before anything reads them. Keys begin with a word of which nothing was
    /// filled before.
    pub(crate) async fn fill(&self, word: &str, events: u64) -> Result {
        let producer = self.producer().await?;
        let marks: Vec<Mark> = (0..events)
            .map(|event| Mark {
                key: format!("{word}-{}", event % KEYS),
                number: event / KEYS + 1,
            })
            .collect();
        for part in marks.chunks(TOGETHER) {
            producer.client.batch_execute("begin").await?;
            // Sent without waiting for one another, in this order.
            try_join_all(part.iter().map(|mark| producer.insert(mark))).await?;
            producer.client.batch_execute("commit").await?;
        }
        producer
            .client
            .execute(
                "insert into bench.counter select $3::text || '-' || k, ($1::bigint - 1 - k) / $2::bigint + 1
                 from generate_series(0::bigint, least($1::bigint, $2::bigint) - 1) k",
                &[&i64::try_from(events)?, &i64::try_from(KEYS)?, &word],
            )
            .await?;
        // As after a while: what was inserted is on disk, and the planner knows of it.
        Ok(producer.client.batch_execute("analyze; checkpoint").await?)
    }

    /// How many events of each key were committed.
    pub(crate) async fn committed(&self) -> Result<HashMap<String, u64>> {
        let client = self.connect().await?;
        let rows = client.query("select key, number from bench.counter", &[]).await?;
        rows.iter()
            .map(|row| Ok((row.get(0), u64::try_from(row.get::<_, i64>(1))?)))
            .collect()
    }

    /// What a reader finds on its stream, from the beginning; what is none of ours is told as a probe.
    pub(crate) async fn entries(&mut self) -> Result<Vec<Mark>> {
        let mut marks = Vec::new();
        let mut after = "-".to_owned();
        loop {
            let page: StreamRangeReply = redis::cmd("XRANGE")
                .arg(self.peer.stream())
                .arg(&after)
                .arg("+")
                .arg("COUNT")
                .arg(PAGE)
                .query_async(&mut self.redis)
                .await?;
            let Some(last) = page.ids.last() else {
                return Ok(marks);
            };
            after = format!("({}", last.id);
            let nothing = || Mark {
                key: PROBE.to_owned(),
                number: 0,
            };
            let mark = |entry: &StreamId| found(entry.map.values()).unwrap_or_else(nothing);
            marks.extend(page.ids.iter().map(mark));
        }
    }

    pub(crate) async fn verdict(&mut self) -> Result<Verdict> {
        Ok(Verdict::of(&self.committed().await?, &self.entries().await?))
    }
}

impl Producer {
    /// One event, in a transaction of its own if none is open.
    pub(crate) async fn insert(&self, mark: &Mark) -> Result {
        self.put(&self.row(mark)).await
    }

    /// Key and data of an event, as they are sent.
    pub(crate) fn row(&self, mark: &Mark) -> (String, String) {
        (mark.key.clone(), self.peer.payload(&mark.key, mark.data()))
    }

    /// The same with what was made ready before.
    pub(crate) async fn put(&self, (key, payload): &(String, String)) -> Result {
        self.client.query(&self.insert, &[key, payload]).await?;
        Ok(())
    }
}

async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // Ends with the client; errors come back from the client's own calls.
    tokio::spawn(connection);
    Ok(client)
}

/// A failure that names the peer.
pub(crate) fn failed(peer: &Peer, what: impl std::fmt::Display) -> Failure {
    Failure::new(format!("{}: {what}", peer.name))
}
