//! The faults: when they come, and what came of them.

use std::fmt;
use std::time::Duration;

use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep, sleep_until};

use super::board::Board;
use super::crew::Crew;
use super::ground::Ground;
use super::pg::{self, Leader};
use crate::Result;

const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Several leases: whoever has not taken over by then will not.
const LIMIT: Duration = Duration::from_secs(20);

/// When things happen, counted from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) kills: [Duration; 2],
    pub(super) redis: Duration,
    /// When the shop closes; what is on its way then is waited for.
    pub(super) closing: Duration,
}

impl Plan {
    pub(super) fn of(total: Duration) -> Self {
        Self {
            kills: [total.mul_f64(0.2), total.mul_f64(0.6)],
            redis: total.mul_f64(0.42),
            closing: total
                .mul_f64(0.92)
                .max(total.saturating_sub(Duration::from_secs(5))),
        }
    }
}

/// A fault and how it was overcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// SIGKILL to the leading relay.
    Kill {
        victim: String,
        heir: String,
        taken_over: Duration,
        first_event: Duration,
    },
    /// SIGKILL to Redis and a start from its append-only file.
    Redis { away: Duration, first_event: Duration },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill {
                victim,
                heir,
                taken_over,
                first_event,
            } => write!(
                f,
                "SIGKILL of {victim}, which led: {heir} led after {:.2} s, its first event was on the stream after {:.2} s",
                taken_over.as_secs_f64(),
                first_event.as_secs_f64()
            ),
            Self::Redis { away, first_event } => write!(
                f,
                "SIGKILL of Redis, away for {:.2} s: the next event was on the stream {:.2} s after it was back",
                away.as_secs_f64(),
                first_event.as_secs_f64()
            ),
        }
    }
}

/// Brings the faults about, each when its time has come.
pub(super) async fn bring_about(
    plan: Plan,
    begun: Instant,
    ground: &mut Ground,
    crew: &mut Crew,
    shop: &PgPool,
    board: &Board,
) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    sleep_until(begun + plan.kills[0]).await;
    faults.push(kill_leader(crew, shop, board).await?);
    sleep_until(begun + plan.redis).await;
    if let Some(fault) = restart_redis(ground, shop, board).await? {
        faults.push(fault);
    }
    sleep_until(begun + plan.kills[1]).await;
    faults.push(kill_leader(crew, shop, board).await?);
    Ok(faults)
}

async fn kill_leader(crew: &mut Crew, shop: &PgPool, board: &Board) -> Result<Fault> {
    let before = wait(shop, |_| true, "no relay leads, so there is none to kill").await?;
    let victim = crew.name_of(before.process);
    let killed_at = pg::now(shop).await?;
    crew.kill(before.process).await?;
    board.say(&format!("SIGKILL of {victim}, which leads"));
    let after = wait(shop, |leader| leader.epoch > before.epoch, "nobody took over").await?;
    let heir = crew.name_of(after.process);
    let taken_over = between(killed_at, after.since);
    board.say(&format!(
        "{heir} leads, {:.2} s after the kill",
        taken_over.as_secs_f64()
    ));
    let first_event = between(killed_at, first_event(shop, after.since).await?);
    crew.replace(before.process)?;
    Ok(Fault::Kill {
        victim,
        heir,
        taken_over,
        first_event,
    })
}

async fn restart_redis(ground: &mut Ground, shop: &PgPool, board: &Board) -> Result<Option<Fault>> {
    if !ground.has_own_redis() {
        return Ok(None);
    }
    board.say("SIGKILL of Redis");
    let Some(away) = ground.restart_redis().await? else {
        return Ok(None);
    };
    let back_at = pg::now(shop).await?;
    board.say(&format!(
        "Redis is back after {:.2} s, with what its append-only file holds",
        away.as_secs_f64()
    ));
    let first_event = between(back_at, first_event(shop, back_at).await?);
    Ok(Some(Fault::Redis { away, first_event }))
}

/// Waits for a leader of this kind.
async fn wait(shop: &PgPool, wanted: impl Fn(&Leader) -> bool, otherwise: &str) -> Result<Leader> {
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        if let Some(leader) = pg::leader(shop).await?.filter(&wanted) {
            return Ok(leader);
        }
        sleep(LOOK_AGAIN).await;
    }
    Err(format!("{otherwise} within {} s", LIMIT.as_secs()).into())
}

async fn first_event(shop: &PgPool, after: OffsetDateTime) -> Result<OffsetDateTime> {
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        if let Some(moment) = pg::first_published_after(shop, after).await? {
            return Ok(moment);
        }
        sleep(LOOK_AGAIN).await;
    }
    Err(format!("nothing was published within {} s", LIMIT.as_secs()).into())
}

fn between(from: OffsetDateTime, to: OffsetDateTime) -> Duration {
    (to - from).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_in_order_and_the_last_one_has_the_time_of_a_takeover_before_the_shop_closes() {
        for seconds in [20, 60, 600] {
            let plan = Plan::of(Duration::from_secs(seconds));
            assert!(
                plan.kills[0] < plan.redis && plan.redis < plan.kills[1],
                "{plan:?}"
            );
            assert!(plan.kills[1] + Duration::from_secs(5) < plan.closing, "{plan:?}");
        }
    }
}
