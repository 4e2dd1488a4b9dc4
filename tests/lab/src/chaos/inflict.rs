//! Doing what the schedule says, undoing it, and knowing whether it met anything.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use system_tests::{Result, World};
use xtask::servers::Stop;

use super::fault::{Kind, Party};
use super::ground::{Ground, LISTS};
use super::processes::Processes;
use super::schedule::Injection;

const LIMIT: Duration = Duration::from_secs(5);

/// A fault under way.
pub(super) struct Standing {
    pub(super) injection: Injection,
    /// A stranger's session, for as long as it lasts.
    stranger: Option<PgConnection>,
    /// What was counted when it began.
    before: u64,
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
        stranger: None,
        before: 0,
        has_met: true,
    };
    let victim = injection.victim;
    match injection.kind {
        Kind::Kill(party) => processes.kill(party, victim)?,
        Kind::Terminate(party) => processes.terminate(party, victim)?,
        Kind::Pause(party) => processes.pause(party, victim)?,
        Kind::EndBackend(party) => standing.has_met = end_backend(&ground.world, party, victim).await?,
        Kind::PostgresCrash => ground.world.postgres()?.stop(Stop::Immediate)?,
        Kind::PostgresPause => ground.world.postgres()?.pause()?,
        Kind::RedisKill => ground.world.redis_server()?.kill()?,
        Kind::RedisPause => ground.world.redis_server()?.pause()?,
        Kind::RedisFull => {
            standing.has_met = false;
            standing.before = refusals(ground, "OOM").await?;
            ground.world.redis_server()?.command("CONFIG SET maxmemory 1")?;
        }
        Kind::RedisReadOnly => {
            standing.has_met = false;
            standing.before = refusals(ground, "READONLY").await?;
            ground.world.redis_server()?.command("REPLICAOF 127.0.0.1 1")?;
        }
        Kind::RedisFlush => drop(ground.world.redis_server()?.command("FLUSHALL")?),
        Kind::RedisDelete => {
            let gone = format!("DEL outbox:{LISTS}:{}", victim % 2);
            standing.has_met = ground.world.redis_server()?.command(&gone)? == ":1";
        }
        Kind::Stranger => {
            standing.stranger = Some(
                stranger(
                    &ground.world,
                    "select pg_current_xact_id(); create temp table held (n int)",
                )
                .await?,
            );
        }
        Kind::LockedLeases => {
            standing.stranger = Some(stranger(&ground.world, "select * from outbox.lease for update").await?);
        }
        wire => {
            standing.has_met = false;
            if let Some((link, fault)) = wire.on_the_wire() {
                ground.wire(link)?.inflict(fault);
            }
        }
    }
    Ok(standing)
}

impl Standing {
    /// Whether it met anything by now.
    pub(super) async fn has_met(&mut self, ground: &mut Ground) -> Result<bool> {
        if self.has_met {
            return Ok(true);
        }
        self.has_met = match self.injection.kind {
            Kind::RedisFull => refusals(ground, "OOM").await? > self.before,
            Kind::RedisReadOnly => refusals(ground, "READONLY").await? > self.before,
            // There was no session, or the server was not there yet: it is tried again.
            Kind::EndBackend(party) => end_backend(&ground.world, party, self.injection.victim).await?,
            kind => match kind.on_the_wire() {
                Some((link, _)) => ground.wire(link)?.toll() > 0,
                None => false,
            },
        };
        Ok(self.has_met)
    }

    /// Takes it back.
    pub(super) async fn end(self, ground: &mut Ground, processes: &mut Processes) -> Result {
        match self.injection.kind {
            Kind::Pause(party) => processes.resume(party)?,
            Kind::PostgresCrash => ground.world.postgres()?.start_again()?,
            Kind::PostgresPause => ground.world.postgres()?.resume()?,
            Kind::RedisKill => ground.world.redis_server()?.start_again()?,
            Kind::RedisPause => ground.world.redis_server()?.resume()?,
            Kind::RedisFull => drop(ground.world.redis_server()?.command("CONFIG SET maxmemory 0")?),
            Kind::RedisReadOnly => ground.world.redis_server()?.promote()?,
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
            "begin; set local lock_timeout = '3s'; {takes}"
        )))
        .await?;
    Ok(connection)
}

/// Ends one session of a party; false when it has none.
async fn end_backend(world: &World, party: Party, victim: usize) -> Result<bool> {
    let pattern = match party {
        Party::Relay => "outbox-relay/(tail|lease|maintain)%",
        Party::Member => "outbox-relay/consume%",
    };
    let mut connection = world.connect().await?;
    let ended: Option<bool> = sqlx::query_scalar(
        "select pg_terminate_backend(pid) from (select pid, row_number() over (order by pid) - 1 as at, count(*) over () as all_of_them
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
