//! Whoever follows a server takes its place, and something new follows it.
//!
//! The standby of Postgres is synchronous, so what was answered is there; whether it also has what became visible without an
//! answer is looked at first, as whoever promotes in earnest must. While there is none, commits wait for nobody. Redis hands over by its own command, which waits until the
//! replica has everything; or it is killed while its replica lacks the end, which loses data.
//!
//! Deliberately absent: the promotion of a Postgres that lacks commits. That is not healed without a person
//! (`docs/recovering.md`), and has its tests in `tests/past`.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use system_tests::Result;
use tokio::task::JoinHandle;
use xtask::servers::{Postgres, PostgresOptions, Redis, Stop};

use super::fault::Link;
use super::ground::{CONNECTIONS, Ground};

/// The name under which the standby asks, and commits wait for it.
const STANDBY: &str = "standby";
/// No answer of a server that is well takes this long.
const LIMIT: Duration = Duration::from_secs(2);
/// Redis gives a handover up after so long, and takes writes again; it is tried again then.
const HANDOVER_MS: u32 = 1_000;
const TRIES: usize = 20;
/// How long a new setting may take until every session knows it.
const SETTLES: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The standby, or the one that is being made.
pub(super) enum Standby {
    Follows(Box<Postgres>),
    IsMade(JoinHandle<Result<Postgres>>),
}

/// How a standby is to be.
pub(super) fn standby_options() -> PostgresOptions {
    PostgresOptions::default()
        .set("max_connections", CONNECTIONS)
        .set("wal_keep_size", "256MB")
        .set("wal_receiver_timeout", "3s")
        .set("wal_retrieve_retry_interval", "100ms")
}

impl Ground {
    /// The standby takes the place of a primary that crashes. False when it is not there, or has not everything.
    pub(super) async fn fail_over_postgres(&mut self) -> Result<bool> {
        self.adopt_standby().await?;
        let direct = self.world.postgres()?.url("postgres");
        let Some(Standby::Follows(standby)) = &mut self.standby else {
            return Ok(false);
        };
        if !matches!(
            tokio::time::timeout(LIMIT, has_everything(&direct)).await,
            Ok(Ok(true))
        ) {
            return Ok(false);
        }
        let primary = self.world.postgres()?;
        primary.stop(Stop::Immediate)?;
        standby.promote()?;
        std::mem::swap(primary, &mut **standby);
        let port = primary.port();
        let direct = primary.url("postgres");
        waits_for(&direct, "").await?;
        self.lead_postgres_to(port);
        let through = self.wire(Link::StandbyPostgres)?.port();
        // What it was is gone with its data, as after the loss of a machine.
        self.standby = Some(Standby::IsMade(tokio::spawn(async move {
            let standby = tokio::task::spawn_blocking(move || make_standby(port, through)).await??;
            holds_commits_up(&direct).await?;
            Ok(standby)
        })));
        Ok(true)
    }

    /// Takes over the standby that was made, if it is done.
    async fn adopt_standby(&mut self) -> Result {
        if let Some(Standby::IsMade(made)) = &mut self.standby
            && made.is_finished()
        {
            let standby = made.await??;
            self.standby = Some(Standby::Follows(Box::new(standby)));
        }
        Ok(())
    }

    /// Waits until there is a standby again: commits wait for it.
    pub(super) async fn is_followed(&mut self) -> Result {
        if let Some(Standby::IsMade(made)) = &mut self.standby {
            let standby = made.await??;
            self.standby = Some(Standby::Follows(Box::new(standby)));
        }
        Ok(())
    }

    /// Redis and its replica change places, with everything. False while that has not happened.
    pub(super) async fn fail_over_redis(&mut self) -> Result<bool> {
        let primary = self.world.redis_server()?;
        let said = replication(&primary.url(0)).await?;
        // It calls itself a replica before the other one has said that it took over.
        if field(&said, "master_failover_state") != Some("no-failover") {
            return Ok(false);
        }
        if field(&said, "role") == Some("slave") {
            self.exchange_redis()?;
            return Ok(true);
        }
        let to = format!(
            "FAILOVER TO 127.0.0.1 {} TIMEOUT {HANDOVER_MS}",
            self.replica.port()
        );
        // It may not be there at this moment, and is asked again then.
        primary.command(&to).ok();
        Ok(false)
    }

    /// Gives up a handover that is under way; there may be none.
    pub(super) fn stay_with_redis(&mut self) -> Result {
        self.world.redis_server()?.command("FAILOVER ABORT").ok();
        Ok(())
    }

    /// Whether the replica has all of what Redis had a moment ago, and is being told more. One that has not found it again since it
    /// was killed has a place in the copy of another one, and would lack nothing for as long as it is cut off.
    pub(super) async fn replica_follows(&mut self) -> Result<bool> {
        let replica = replication(&self.replica.url(0)).await?;
        Ok(field(&replica, "master_link_status") == Some("up")
            && field(&replica, "master_sync_in_progress") == Some("0"))
    }

    /// How many bytes of what Redis wrote its replica does not have.
    pub(super) async fn replica_lacks(&mut self) -> Result<u64> {
        let primary = replication(&self.world.redis_server()?.url(0)).await?;
        let replica = replication(&self.replica.url(0)).await?;
        let number = |said: &str, name: &str| field(said, name).and_then(|text| text.parse::<u64>().ok());
        let written = number(&primary, "master_repl_offset").unwrap_or_default();
        // One that copies everything anew has nothing yet, and is nobody's successor.
        let is_whole = number(&replica, "master_sync_in_progress") == Some(0);
        let copied = number(&replica, "slave_repl_offset").filter(|_| is_whole);
        Ok(copied.map_or(0, |copied| written.saturating_sub(copied)))
    }

    /// Redis is killed, and its replica takes its place with what it has.
    pub(super) fn promote_replica(&mut self) -> Result {
        self.world.redis_server()?.kill()?;
        self.replica.promote()?;
        let killed = self.exchange_redis();
        self.wire(Link::ReplicaRedis)?.heal();
        killed
    }

    /// What was the replica is the primary; the other one follows it, through the wire.
    fn exchange_redis(&mut self) -> Result {
        let through = self.wire(Link::ReplicaRedis)?.port();
        std::mem::swap(self.world.redis_server()?, &mut self.replica);
        let port = self.world.redis_server()?.port();
        self.lead_redis_to(port);
        if self.replica.process_id().is_none() {
            self.replica.start_again()?;
        }
        self.replica.command(&format!("REPLICAOF 127.0.0.1 {through}"))?;
        Ok(())
    }
}

/// From now on the primary's commits wait for the standby of this name, or for none.
async fn waits_for(primary: &str, standby: &str) -> Result {
    let mut connection = tokio::time::timeout(LIMIT, PgConnection::connect(primary)).await??;
    connection
        .execute(AssertSqlSafe(format!(
            "alter system set synchronous_standby_names = '{standby}'"
        )))
        .await?;
    connection.execute("select pg_reload_conf()").await?;
    Ok(connection.close().await?)
}

/// Waits until the standby follows, and lets commits wait for it from then on. Faults come meanwhile, and it is tried again.
pub(super) async fn holds_commits_up(primary: &str) -> Result {
    while !matches!(
        tokio::time::timeout(LIMIT, follows(primary, "async")).await,
        Ok(Ok(true))
    ) {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    while waits_for(primary, STANDBY).await.is_err() {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    tokio::time::sleep(SETTLES).await;
    Ok(())
}

/// Whether the standby has caught up, and is one of this kind.
async fn follows(primary: &str, kind: &str) -> Result<bool> {
    let mut connection = PgConnection::connect(primary).await?;
    let follows = sqlx::query_scalar(
        "select exists (select from pg_stat_replication where application_name = $1 and state = 'streaming' and sync_state = $2)",
    );
    let follows = follows
        .bind(STANDBY)
        .bind(kind)
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    Ok(follows)
}

/// Whether the standby holds commits up, and has all that is written at this moment.
async fn has_everything(primary: &str) -> Result<bool> {
    let mut connection = PgConnection::connect(primary).await?;
    let written: String = sqlx::query_scalar("select pg_current_wal_flush_lsn()::text")
        .fetch_one(&mut connection)
        .await?;
    for _ in 0..TRIES {
        let has: bool = sqlx::query_scalar(
            "select exists (select from pg_stat_replication where application_name = $1 and state = 'streaming'
                 and sync_state = 'sync' and flush_lsn >= $2::pg_lsn)",
        )
        .bind(STANDBY)
        .bind(&written)
        .fetch_one(&mut connection)
        .await?;
        if has {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(false)
}

/// A standby of the server on this port; other faults may be in the way of the copy.
fn make_standby(primary: u16, through: u16) -> Result<Postgres> {
    let mut tried = 0;
    loop {
        match Postgres::standby_of(primary, through, standby_options()) {
            Err(error) if tried >= TRIES => return Err(error.into()),
            Err(_) => std::thread::sleep(Duration::from_millis(500)),
            Ok(standby) => return Ok(standby),
        }
        tried += 1;
    }
}

async fn replication(url: &str) -> Result<String> {
    let client = redis::Client::open(url)?;
    let mut connection = tokio::time::timeout(LIMIT, client.get_multiplexed_async_connection()).await??;
    Ok(redis::cmd("INFO")
        .arg("replication")
        .query_async(&mut connection)
        .await?)
}

fn field<'a>(said: &'a str, name: &str) -> Option<&'a str> {
    let of = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':');
    said.lines().find_map(of).map(str::trim)
}

/// How Redis and its replica are to be: each may be the primary.
pub(super) fn redis_options() -> xtask::servers::RedisOptions {
    Redis::options()
        .durable()
        .set("repl-diskless-sync-delay", 0)
        // Something is on the wire to the replica also when nothing is written.
        .set("repl-ping-replica-period", 1)
        .set("repl-timeout", 5)
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn what_redis_says_of_itself_is_read_by_name() {
        let said = "# Replication\r\nrole:master\r\nmaster_repl_offset:14\r\nsecond_repl_offset:-1\r\n";
        assert_eq!(field(said, "role"), Some("master"));
        assert_eq!(field(said, "repl_offset"), None);
        assert_eq!(field(said, "master_repl_offset"), Some("14"));
    }
}
