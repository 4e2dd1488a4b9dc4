//! Doing what the schedule says, undoing it, and knowing that it met something: a process is gone and another one there, a lease
//! changed hands, somebody knocked at a server that did not answer, the ledger went on. What is only asked for has met nothing.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use system_tests::{Result, World};
use xtask::servers::{Stop, is_stopped};

use super::fault::{Kind, Link, Party};
use super::ground::{Ground, LISTS};
use super::leader::Seen;
use super::processes::{Processes, Victim};
use super::schedule::Injection;

const LIMIT: Duration = Duration::from_secs(5);
/// A stranger that does not get its locks by then tries again: nothing else is done meanwhile.
const LOCKS_WITHIN_MS: u64 = 150;

/// A key that is gone when Redis forgot everything.
const FORGOTTEN: &str = "chaos:to-be-forgotten";

/// A fault under way.
pub(super) struct Standing {
    pub(super) injection: Injection,
    /// What it is for was there.
    is_begun: bool,
    /// The process that it is for.
    victim: Option<Victim>,
    /// A stranger's session, for as long as it lasts.
    stranger: Option<PgConnection>,
    /// What was counted when it began: knocks, refusals.
    before: u64,
    /// What the database said when it began.
    seen: Seen,
    /// It did what it is there for.
    has_met: bool,
}

/// Begins it.
pub(super) async fn begin(
    injection: Injection,
    ground: &mut Ground,
    processes: &mut Processes,
) -> Result<Standing> {
    let mut standing = Standing {
        injection,
        is_begun: false,
        victim: None,
        stranger: None,
        before: 0,
        seen: ground.watch.seen(),
        has_met: false,
    };
    standing.is_begun = standing.try_to_begin(ground, processes).await?;
    Ok(standing)
}

impl Standing {
    /// False when what it is for is not there at this moment.
    async fn try_to_begin(&mut self, ground: &mut Ground, processes: &mut Processes) -> Result<bool> {
        let (kind, number) = (self.injection.kind, self.injection.victim);
        self.seen = ground.watch.seen();
        match kind {
            Kind::Kill(party) | Kind::Terminate(party) | Kind::Pause(party) => {
                let Some(victim) = processes.victim(party, number, self.seen.leader) else {
                    return Ok(false);
                };
                match kind {
                    Kind::Kill(_) => processes.kill(victim)?,
                    Kind::Terminate(_) => processes.terminate(victim)?,
                    _ => processes.pause(victim)?,
                }
                self.victim = Some(victim);
            }
            Kind::EndBackend(party) => return end_backend(&ground.world, party, number).await,
            Kind::PostgresCrash | Kind::PostgresPause | Kind::RedisKill | Kind::RedisPause => {
                self.before = ground.knocks(kind.is_at_redis());
                match kind {
                    Kind::PostgresCrash => ground.world.postgres()?.stop(Stop::Immediate)?,
                    Kind::PostgresPause => ground.world.postgres()?.pause()?,
                    Kind::RedisKill => ground.world.redis_server()?.kill()?,
                    _ => ground.world.redis_server()?.pause()?,
                }
            }
            Kind::PostgresFailover => {
                if !ground.fail_over_postgres().await? {
                    return Ok(false);
                }
                self.seen.batch = last_batch(&mut ground.world.connect().await?).await?;
            }
            Kind::RedisFailover => return ground.fail_over_redis().await,
            Kind::RedisFull => {
                self.before = refusals(ground, "OOM").await?;
                ground.world.redis_server()?.command("CONFIG SET maxmemory 1")?;
            }
            Kind::RedisReadOnly => {
                self.before = refusals(ground, "READONLY").await?;
                ground.world.redis_server()?.command("REPLICAOF 127.0.0.1 1")?;
            }
            Kind::RedisFlush => {
                let redis = ground.world.redis_server()?;
                if redis.command("DBSIZE")? == ":0" || redis.command(&format!("SET {FORGOTTEN} x"))? != "+OK"
                {
                    return Ok(false);
                }
                redis.command("FLUSHALL")?;
            }
            Kind::RedisDelete => {
                let gone = format!("DEL outbox:{LISTS}:{}", number % 2);
                return Ok(ground.world.redis_server()?.command(&gone)? == ":1");
            }
            Kind::RedisStaleFailover => {
                if !ground.replica_follows().await? {
                    return Ok(false);
                }
                ground
                    .wire(Link::ReplicaRedis)?
                    .inflict(system_tests::Fault::Hold);
            }
            Kind::Stranger => {
                let writes = "select pg_current_xact_id(); create temp table held (n int)";
                let Ok(mut stranger) = stranger(&ground.world, writes).await else {
                    return Ok(false);
                };
                self.seen.batch = last_batch(&mut stranger).await?;
                self.stranger = Some(stranger);
            }
            Kind::LockedLeases => {
                // Somebody may hold them for longer than it is waited for here, while another fault holds that one.
                let locks = "select * from outbox.lease for update";
                self.stranger = stranger(&ground.world, locks).await.ok();
                return Ok(self.stranger.is_some());
            }
            wire => {
                if let Some((link, fault)) = wire.on_the_wire() {
                    ground.wire(link)?.inflict(fault);
                    ground.wire(link)?.end_open(wire.ends_at_first());
                }
            }
        }
        Ok(true)
    }

    /// Whether it met anything by now.
    pub(super) async fn has_met(&mut self, ground: &mut Ground, processes: &mut Processes) -> Result<bool> {
        if !self.is_begun {
            self.is_begun = self.try_to_begin(ground, processes).await?;
        }
        if self.is_begun && !self.has_met {
            self.has_met = self.look(ground, processes).await?;
        }
        Ok(self.has_met)
    }

    async fn look(&mut self, ground: &mut Ground, processes: &mut Processes) -> Result<bool> {
        let seen = ground.watch.seen();
        let kind = self.injection.kind;
        Ok(match (kind, self.victim) {
            // Another one leads, which may be the one that was started in its place.
            (Kind::Kill(Party::Leader) | Kind::Terminate(Party::Leader), Some(victim)) => {
                processes.is_replaced(victim) && seen.epoch > self.seen.epoch && seen.leader.is_some()
            }
            (Kind::Pause(Party::Leader), Some(victim)) => {
                processes.is_stopped(victim) && seen.epoch > self.seen.epoch
            }
            (Kind::Kill(_), Some(victim)) => processes.is_back(victim).await,
            (Kind::Terminate(_), Some(victim)) => processes.is_replaced(victim),
            (Kind::Pause(_), Some(victim)) => processes.is_stopped(victim),
            (Kind::PostgresCrash, _) => ground.world.postgres()?.has_ended()? && self.is_missed(ground),
            (Kind::PostgresPause, _) => {
                let process = ground.world.postgres()?.process_id();
                process.is_some_and(is_stopped) && self.is_missed(ground)
            }
            (Kind::RedisKill, _) => {
                ground.world.redis_server()?.process_id().is_none() && self.is_missed(ground)
            }
            (Kind::RedisPause, _) => {
                let process = ground.world.redis_server()?.process_id();
                process.is_some_and(is_stopped) && self.is_missed(ground)
            }
            // A batch was cut on the server that took over, or while the stranger was there.
            (Kind::PostgresFailover | Kind::Stranger, _) => seen.batch > self.seen.batch,
            (Kind::RedisFull, _) => refusals(ground, "OOM").await? > self.before,
            (Kind::RedisReadOnly, _) => refusals(ground, "READONLY").await? > self.before,
            (Kind::RedisFlush, _) => {
                let redis = ground.world.redis_server()?;
                redis.command(&format!("EXISTS {FORGOTTEN}"))? == ":0"
            }
            (Kind::RedisStaleFailover, _) => ground.replica_lacks().await? > 0,
            (Kind::LockedLeases, _) => match &mut self.stranger {
                // Or it was free: then nobody can take it.
                Some(stranger) => seen.leader.is_none() || holds_up(stranger).await,
                None => false,
            },
            (kind, _) => match kind.on_the_wire() {
                Some((link, _)) => ground.wire(link)?.toll() > 0,
                // It was done when it began.
                None => true,
            },
        })
    }

    /// Whether somebody wanted something of the server since it began.
    fn is_missed(&self, ground: &Ground) -> bool {
        ground.knocks(self.injection.kind.is_at_redis()) > self.before
    }

    /// Takes it back.
    pub(super) async fn end(self, ground: &mut Ground, processes: &mut Processes) -> Result {
        match self.injection.kind {
            Kind::RedisFailover if !self.is_begun => ground.stay_with_redis()?,
            _ if !self.is_begun => {}
            Kind::Pause(party) => processes.resume(party == Party::Member)?,
            Kind::PostgresCrash => ground.world.postgres()?.start_again()?,
            Kind::PostgresPause => ground.world.postgres()?.resume()?,
            Kind::RedisKill => ground.world.redis_server()?.start_again()?,
            Kind::RedisPause => ground.world.redis_server()?.resume()?,
            Kind::RedisFull => drop(ground.world.redis_server()?.command("CONFIG SET maxmemory 0")?),
            Kind::RedisReadOnly => ground.world.redis_server()?.promote()?,
            Kind::RedisStaleFailover => ground.promote_replica()?,
            Kind::Stranger | Kind::LockedLeases => {
                if let Some(stranger) = self.stranger {
                    // It may have ended with the server.
                    drop(tokio::time::timeout(LIMIT, stranger.close()).await);
                }
            }
            kind => {
                if let Some((link, _)) = kind.on_the_wire() {
                    ground.wire(link)?.heal();
                }
            }
        }
        Ok(())
    }
}

/// A session that holds what it takes, in an open transaction.
async fn stranger(world: &World, takes: &str) -> Result<PgConnection> {
    let mut connection = world.connect().await?;
    connection
        .execute(AssertSqlSafe(format!(
            "begin; set local lock_timeout = '{LOCKS_WITHIN_MS}ms'; {takes}"
        )))
        .await?;
    Ok(connection)
}

/// How far the ledger is at this moment.
async fn last_batch(connection: &mut PgConnection) -> Result<i64> {
    Ok(sqlx::query_scalar("select max(number) from outbox.batch")
        .fetch_one(connection)
        .await?)
}

/// Whether another session waits for a lock of this one.
async fn holds_up(stranger: &mut PgConnection) -> bool {
    let question = sqlx::query_scalar(
        "select exists (select from pg_stat_activity where wait_event_type = 'Lock'
             and pg_backend_pid() = any (pg_blocking_pids(pid)))",
    );
    let answer = tokio::time::timeout(LIMIT, question.fetch_one(stranger)).await;
    matches!(answer, Ok(Ok(true)))
}

/// Ends one session of a party and sees it gone; false when it has none.
async fn end_backend(world: &World, party: Party, victim: usize) -> Result<bool> {
    let pattern = match party {
        Party::Leader | Party::Relay => "outbox-relay/(tail|lease|maintain)%",
        Party::Member => "outbox-relay/consume%",
    };
    let mut connection = world.connect().await?;
    let ended: Option<bool> = sqlx::query_scalar(
        "select pg_terminate_backend(pid, 2000) from (select pid, row_number() over (order by pid) - 1 as at, count(*) over () as all_of_them
             from pg_stat_activity where application_name similar to $1) session where at = $2 % all_of_them",
    )
    .bind(pattern)
    .bind(i64::try_from(victim)?)
    .fetch_optional(&mut connection)
    .await?;
    connection.close().await?;
    Ok(ended == Some(true))
}

/// How many commands Redis refused for this.
async fn refusals(ground: &mut Ground, code: &str) -> Result<u64> {
    let mut redis: MultiplexedConnection = ground.world.redis().await?;
    let info: String = redis::cmd("INFO")
        .arg("errorstats")
        .query_async(&mut redis)
        .await?;
    let prefix = format!("errorstat_{code}:count=");
    let count = info.lines().find_map(|line| line.strip_prefix(&prefix));
    Ok(count.map_or(Ok(0), |count| count.trim().parse())?)
}
