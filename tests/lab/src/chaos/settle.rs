//! Quiet: nobody appends any more, and everything must arrive; what stands still is shown with what every view and process says.

use std::fmt::Write as _;
use std::time::Duration;

use system_tests::arrival::entries_of;
use system_tests::journal::{Journal, Outcome as Fate};
use system_tests::{Failure, Result};
use tokio::time::Instant;

use super::ground::{AUDITED, Ground, POISONED};
use super::processes::Processes;

/// Everything must have arrived within this long after the producers ended; and something must move within that.
const QUIET_AT_MOST: Duration = Duration::from_secs(90);
const STANDS_STILL: Duration = Duration::from_secs(25);

/// Waits until everything arrived everywhere, as long as something moves.
pub(super) async fn settle(ground: &Ground, processes: &mut Processes, journal: &Journal) -> Result {
    let began = Instant::now();
    let mut topics: Vec<String> = AUDITED.iter().map(|topic| (*topic).to_owned()).collect();
    topics.push(POISONED.to_owned());
    let mut last = (Vec::new(), Instant::now());
    loop {
        processes.look()?;
        let seen = count(ground, &topics).await?;
        let [logged, on_streams, poisonable, shop, busy, auditable, audit] = seen;
        if on_streams >= logged && shop >= poisonable && busy == 0 && audit >= auditable {
            return Ok(());
        }
        if seen.to_vec() != last.0 {
            last = (seen.to_vec(), Instant::now());
        }
        if last.1.elapsed() > STANDS_STILL || began.elapsed() > QUIET_AT_MOST {
            return Err(Failure::new(format!(
                "it stands still: {} events committed, {logged} in the log, {on_streams} on the streams; of {poisonable} the shop \
                 has {shop} ({busy} keys under way), of {auditable} the audit has {audit}\n{}\n{}",
                journal.count(Fate::Committed),
                views(ground).await.unwrap_or_else(|failure| failure.to_string()),
                processes.testimony().await
            )));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// In the log, on the streams; of the shop's topic in the log, at the shop, under way there; of the audit's, at the audit.
async fn count(ground: &Ground, topics: &[String]) -> Result<[i64; 7]> {
    let mut connection = ground.world.connect().await?;
    let (logged, poisonable): (i64, i64) =
        sqlx::query_as("select count(*), count(*) filter (where topic = $1) from outbox.log")
            .bind(POISONED)
            .fetch_one(&mut connection)
            .await?;
    let shop = ground.shop.seen().await?;
    let audit: i64 = sqlx::query_scalar("select count(*) from public.effect")
        .fetch_one(&ground.audit_pool)
        .await?;
    Ok([
        logged,
        i64::try_from(entries_of(&ground.world, topics).await?)?,
        poisonable,
        shop.applied + shop.dead + shop.parked,
        shop.busy,
        logged - poisonable,
        audit,
    ])
}

/// What the operators' views say.
async fn views(ground: &Ground) -> Result<String> {
    let mut said = String::new();
    let mut connection = ground.world.connect().await?;
    for view in [
        "summary",
        "relays",
        "topics",
        "backlog",
        "streams",
        "holes",
        "waiting_transactions",
    ] {
        let statement = format!("select coalesce(json_agg(row)::text, '') from outbox_ops.{view} row");
        let rows: String = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .fetch_one(&mut connection)
            .await?;
        writeln!(said, "{view}: {rows}")?;
    }
    for view in ["consumers", "consumer_partitions", "retries"] {
        let statement = format!("select coalesce(json_agg(row)::text, '') from outbox_ops.{view} row");
        let rows: String = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .fetch_one(&ground.audit_pool)
            .await?;
        writeln!(said, "{view} (audit): {rows}")?;
    }
    Ok(said)
}
