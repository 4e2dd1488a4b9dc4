//! A ledger that has seen more transactions than its server gave, a server that comes to it, and which refusals a recovery closes.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use system_tests::patience::until;
use system_tests::{Invocation, Relay, Result, World};

use crate::arrivals::arrived;
use crate::publish::append;

const BEGIN: &str = include_str!("../../outbox-core/queries/recover/begin.sql");
const FINISH: &str = include_str!("../../outbox-core/queries/recover/finish.sql");
/// Transactions that the server has yet to give.
const AHEAD: i64 = 20_000;

/// Three events are published, and then the ledger ends with a snapshot from the future of this server. Returns its end.
async fn published_and_went_back(world: &World, connection: &mut PgConnection) -> Result<i64> {
    let mut relay = Relay::of(world).start()?;
    relay.leads().await?;
    for n in 0..3 {
        append(connection, "t", n).await?;
    }
    arrived(&mut world.redis().await?, "outbox:t", 3).await?;
    relay.terminate().await?;
    Ok(sqlx::query_scalar(
        "insert into outbox.batch (number, batch_id, era, epoch, snapshot, event_count, first_position, last_position)
         select b.number + 1, b.batch_id + 1, b.era, b.epoch, format('%s:%s:', later.xmax, later.xmax)::pg_snapshot, 1, b.last_position, b.last_position
         from (select * from outbox.batch order by number desc limit 1) b,
              (select pg_snapshot_xmax(pg_current_snapshot())::text::bigint + $1 as xmax) later
         returning pg_snapshot_xmax(snapshot)::text::bigint",
    )
    .bind(AHEAD)
    .fetch_one(connection)
    .await?)
}

/// The server's transactions come to where the ledger is, while no relay looks.
async fn catch_up(connection: &mut PgConnection, end: i64) -> Result {
    connection
        .execute("create table if not exists public.spent (n integer)")
        .await?;
    until("the server has come to the ledger", Duration::from_secs(120), async || {
        connection
            .execute(AssertSqlSafe(format!(
                "do $$ begin for n in 1..{AHEAD} loop begin insert into public.spent values (n); exception when others then null; end; end loop; end $$"
            )))
            .await?;
        let is_there: bool = sqlx::query_scalar("select pg_snapshot_xmin(pg_current_snapshot())::text::bigint > $1")
            .bind(end)
            .fetch_one(&mut *connection)
            .await?;
        Ok(is_there.then_some(()))
    })
    .await
}

fn recover(world: &World) -> Result {
    let arguments = [
        "recover",
        "apply",
        "--strategy",
        "continue",
        "--reason",
        "a test",
        "--yes",
    ];
    let answer = Invocation::of(world, &arguments)?.ask()?;
    assert_eq!(answer.code, 0, "{}{}", answer.output, answer.errors);
    Ok(())
}

#[tokio::test]
async fn what_was_appended_while_transactions_were_behind_is_refused_and_comes_with_a_recovery() -> Result {
    // GIVEN a server behind its ledger, at which events are appended, and which comes to it while no relay runs
    let world = World::new().await?;
    let (mut connection, mut redis) = (world.connect().await?, world.redis().await?);
    let end = published_and_went_back(&world, &mut connection).await?;
    for n in 3..8 {
        append(&mut connection, "t", n).await?;
    }
    catch_up(&mut connection, end).await?;
    for n in 8..10 {
        append(&mut connection, "t", n).await?;
    }
    // WHEN a relay takes the lead, THEN it refuses: no batch would ever have them
    let mut relay = Relay::of(&world).start()?;
    let said = relay.not_ready_because("POSTGRES-WENT-BACK").await?;
    assert!(said.contains("no batch has it"), "{said}");
    relay.terminate().await?;
    assert_eq!(arrived(&mut redis, "outbox:t", 3).await?.len(), 3);
    // AND a recovery brings all of them
    recover(&world)?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let entries = arrived(&mut redis, "outbox:t", 10).await?;
    let positions: Vec<u64> = entries.iter().map(|entry| entry.id.1).collect();
    assert!(positions.is_sorted(), "{positions:?}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_was_behind_its_ledger_stays_refused_when_it_has_come_to_it() -> Result {
    // GIVEN a relay that saw it behind
    let world = World::new().await?;
    let (mut connection, mut redis) = (world.connect().await?, world.redis().await?);
    let end = published_and_went_back(&world, &mut connection).await?;
    let mut relay = Relay::of(&world).start()?;
    relay.not_ready_because("POSTGRES-WENT-BACK").await?;
    let kept = "select count(*) from outbox.refusal";
    let is_kept = async |connection: &mut PgConnection| -> Result<i64> {
        Ok(sqlx::query_scalar(kept).fetch_one(connection).await?)
    };
    assert_eq!(is_kept(&mut connection).await?, 1);
    // WHEN its transactions come to the ledger, THEN it is refused as before, and kept once
    catch_up(&mut connection, end).await?;
    relay
        .not_ready_because("until `outbox-relay recover apply`")
        .await?;
    relay.terminate().await?;
    assert_eq!(is_kept(&mut connection).await?, 1);
    // AND a recovery closes it
    recover(&world)?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    append(&mut connection, "t", 3).await?;
    arrived(&mut redis, "outbox:t", 4).await?;
    Ok(())
}

#[tokio::test]
async fn transactions_left_open_and_rolled_back_are_no_reason_to_refuse() -> Result {
    // GIVEN transactions that appended before what is published, and do so after it
    let world = World::with_own_servers(Default::default(), Default::default()).await?;
    let (mut connection, mut redis) = (world.connect().await?, world.redis().await?);
    let (mut one, mut other) = (world.connect().await?, world.connect().await?);
    let (mut late, mut undone) = (one.begin().await?, other.begin().await?);
    append(&mut late, "t", 1).await?;
    append(&mut undone, "t", 1).await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    append(&mut connection, "t", 2).await?;
    arrived(&mut redis, "outbox:t", 1).await?;
    append(&mut late, "t", 3).await?;
    append(&mut undone, "t", 3).await?;
    relay.terminate().await?;
    // WHEN the next leader comes, THEN it leads, and so does the one after them
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    append(&mut connection, "t", 4).await?;
    arrived(&mut redis, "outbox:t", 2).await?;
    relay.terminate().await?;
    late.commit().await?;
    undone.rollback().await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    arrived(&mut redis, "outbox:t", 4).await?;
    relay.terminate().await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    append(&mut connection, "t", 5).await?;
    arrived(&mut redis, "outbox:t", 5).await?;
    Ok(())
}

#[tokio::test]
async fn a_recovery_closes_what_was_refused_when_it_began_whatever_the_clock_says() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let refuse = async |connection: &mut PgConnection, ago: &str| -> Result<i64> {
        Ok(sqlx::query_scalar(
            "insert into outbox.refusal (code, said, epoch, refused_at) values ('STREAM-IS-AHEAD', $1, 1, clock_timestamp() - $1::interval) returning number",
        )
        .bind(ago)
        .fetch_one(connection)
        .await?)
    };
    // GIVEN a refusal that is said to be of the future, since the clock was set back, and a recovery that is begun
    refuse(&mut connection, "-2 hours").await?;
    let recovery: i64 = sqlx::query_scalar(BEGIN)
        .bind("continue")
        .bind("a test")
        .bind(r#"{"streams": []}"#)
        .bind(None::<i64>)
        .fetch_one(&mut connection)
        .await?;
    // AND one that came after that, and is said to be older
    let later = refuse(&mut connection, "2 hours").await?;
    sqlx::query("update outbox.recovery set state = 'opened', era = 1, opened_at = clock_timestamp() where number = $1")
        .bind(recovery)
        .execute(&mut connection)
        .await?;
    // WHEN it is finished, THEN the first is closed and the second stays
    sqlx::query(FINISH)
        .bind(recovery)
        .execute(&mut connection)
        .await?;
    let open: Vec<i64> = sqlx::query_scalar("select number from outbox.refusal where closed_at is null")
        .fetch_all(&mut connection)
        .await?;
    assert_eq!(open, [later]);
    Ok(())
}
