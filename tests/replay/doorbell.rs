//! The doorbell: traces on which a wake-up would be lost, or a producer would pay, on the trigger and the lock.

use protocol_model::doorbell::{Doorbell, LOST_RING, PAYS, Without};
use protocol_model::explore::{Finding, look_for};
use protocol_model::step::{Step, to_json};
use sqlx::postgres::PgListener;
use sqlx::{Executor, PgConnection};
use system_tests::{Failure, Result, World};

use crate::log::{Came, Log, Way};

const TRY_SLEEP: &str = include_str!("../../outbox-core/queries/tail/try_sleep.sql");
const WAKE_UP: &str = include_str!("../../outbox-core/queries/tail/wake_up.sql");
const LEAD: &str = "update outbox.lease set epoch = epoch + 1, holder = 'r', expires_at = clock_timestamp() + interval '1 hour'
    where name = 'tail'";
const LEASE_OVER: &str = "update outbox.lease set expires_at = clock_timestamp() where name = 'tail'";

/// The shortest trace by which the property breaks without the mechanism.
fn trace(without: Without, property: &'static str) -> Result<Vec<Step>> {
    let model = Doorbell {
        without,
        stops: 1,
        losses: 0,
    };
    match look_for(&model, 100_000, Some(property)).finding {
        Finding::Broken { trace, .. } => Ok(trace),
        finding => Err(Failure::new(format!("without {without:?}: {finding:?}"))),
    }
}

/// A relay that goes to sleep as a trace says, and looks once more when it has the lock: that is what it does whatever is said.
struct Sleeper {
    connection: PgConnection,
    has_lock: bool,
}

impl Sleeper {
    async fn follow(&mut self, step: &Step, log: &mut Log) -> Result {
        match step.does {
            "take the lock" => {
                self.has_lock = sqlx::query_scalar(TRY_SLEEP)
                    .fetch_one(&mut self.connection)
                    .await?;
                if self.has_lock && matches!(log.cut(0).await?, Came::Batch(_)) {
                    self.connection.execute(WAKE_UP).await?;
                    self.has_lock = false;
                }
            }
            "let the lease run out" => {
                self.connection.execute(LEASE_OVER).await?;
            }
            _ => drop(log.follow(step).await?),
        }
        Ok(())
    }
}

/// Follows a trace. Returns how often it rang, and whether what was committed was cut without a ring.
async fn replay(trace: &[Step]) -> Result<(usize, bool)> {
    let world = World::new().await?;
    let mut log = Log::new(&world, 2, Way::Looked).await?;
    let mut listener = PgListener::connect(world.database_url()).await?;
    listener.listen("outbox").await?;
    let mut sleeper = Sleeper {
        connection: world.connect().await?,
        has_lock: false,
    };
    sleeper.connection.execute(LEAD).await?;
    for step in trace {
        sleeper.follow(step, &mut log).await?;
    }
    // Who was refused the lock, or has it no more, is awake, and looks.
    if !sleeper.has_lock {
        log.cut(0).await?;
    }
    let mut cut = log.batches.concat();
    cut.sort_unstable();
    let mut committed = log.committed.clone();
    committed.sort_unstable();
    world
        .connect()
        .await?
        .execute("select pg_notify('outbox', 'mark')")
        .await?;
    let mut rings = 0;
    while listener.recv().await?.payload() != "mark" {
        rings += 1;
    }
    Ok((rings, cut == committed))
}

#[tokio::test]
async fn what_would_be_lost_on_the_way_to_sleep_is_seen_or_rung() -> Result {
    for without in [Without::SecondLook, Without::Share] {
        // GIVEN a trace on which somebody sleeps beside something that was committed
        let trace = trace(without, LOST_RING)?;
        assert!(trace.iter().any(|step| step.does == "commit"));
        // WHEN trigger and lock go the same way
        let (rings, is_seen) = replay(&trace).await?;
        // THEN it is seen, or it rang
        assert!(is_seen || rings > 0, "without {without:?}: {}", to_json(&trace));
    }
    Ok(())
}

#[tokio::test]
async fn nobody_pays_for_a_relay_that_was_stopped_in_its_sleep() -> Result {
    // GIVEN a trace on which a producer rings for a relay whose lease is over
    let mut trace = trace(Without::LeaseTest, PAYS)?;
    let Some(append) = trace.last().copied() else {
        return Err(Failure::new("a trace has no steps"));
    };
    assert_eq!(append.does, "append");
    trace.push(Step {
        does: "commit",
        ..append
    });
    // WHEN trigger and lock go the same way, THEN nothing rings
    let (rings, _) = replay(&trace).await?;
    assert_eq!(rings, 0, "{}", to_json(&trace));
    Ok(())
}
