//! The days of the inbox: made beside open transactions, dropped when nothing can come again.

use std::time::Duration;

use futures_util::future::try_join_all;
use sqlx::{Executor, PgConnection};
use system_tests::patience::until;
use system_tests::{Result, Schema, World};

async fn days(connection: &mut PgConnection) -> Result<i64> {
    Ok(sqlx::query_scalar("select count(*) from outbox_ops.inbox_days")
        .fetch_one(connection)
        .await?)
}

#[tokio::test]
async fn a_day_is_made_by_many_at_once_beside_an_open_transaction() -> Result {
    // GIVEN a transaction that applied an event and is still open
    let world = World::with_schema(Schema::Inbox).await?;
    let mut open = world.connect().await?;
    open.execute("select outbox.add_inbox_day('2026-11-20 12:00Z')")
        .await?;
    open.execute(
        "begin;
         insert into outbox.inbox values ('c', 's', '1', '2026-11-20 12:00Z', 'applied', 'x', '1-1')",
    )
    .await?;
    // WHEN eight members need the next day
    try_join_all((0..8).map(|_| async {
        let mut connection = world.connect().await?;
        connection
            .execute(
                "set statement_timeout = '10s'; select outbox.add_inbox_day('2026-11-21 23:59:59.999999Z')",
            )
            .await?;
        Ok::<_, system_tests::Failure>(())
    }))
    .await?;
    // THEN it is there once, at the bounds of a day in UTC
    open.execute("commit").await?;
    assert_eq!(days(&mut open).await?, 2);
    open.execute(
        "insert into outbox.inbox values ('c', 's', '2', '2026-11-21 00:00Z', 'applied', 'x', '1-2')",
    )
    .await?;
    Ok(())
}

#[tokio::test]
async fn who_waits_for_another_to_make_a_day_finds_it() -> Result {
    const LOCK: i64 = 122_550_254_464_890;
    // GIVEN members, and somebody who makes one day after the other
    let world = World::with_schema(Schema::Inbox).await?;
    let before = days(&mut world.connect().await?).await?;
    let mut making = world.connect().await?;
    let mut members = try_join_all((0..4).map(|_| world.connect())).await?;
    // Two see what was committed when they began to wait.
    for member in &mut members[..2] {
        member
            .execute("set default_transaction_isolation = 'repeatable read'")
            .await?;
    }
    // What a session asks is planned anew the first time, and then it knows names that nobody has told it of: both kinds have their turn.
    for day in 0..4 {
        let add = "select outbox.add_inbox_day(timestamptz '2026-11-20 12:00Z' + $1 * interval '1 day')";
        making.execute("begin").await?;
        let query = sqlx::query("select pg_advisory_xact_lock($1)").bind(LOCK);
        query.execute(&mut making).await?;
        // WHEN they need the same day, wait, and it is committed
        let waiting: Vec<_> = members
            .drain(..)
            .map(|mut member| {
                tokio::spawn(async move {
                    sqlx::query(add).bind(day).execute(&mut member).await?;
                    Ok::<_, sqlx::Error>(member)
                })
            })
            .collect();
        until("all of them wait", Duration::from_secs(60), async || {
            let count: i64 = sqlx::query_scalar(
                "select count(*) from pg_locks join pg_database on pg_database.oid = database
                 where locktype = 'advisory' and not granted and datname = current_database()",
            )
            .fetch_one(&mut making)
            .await?;
            Ok((count == 4).then_some(()))
        })
        .await?;
        sqlx::query(add).bind(day).execute(&mut making).await?;
        making.execute("commit").await?;
        // THEN each of them finds it
        for member in waiting {
            members.push(member.await??);
        }
        assert_eq!(days(&mut making).await?, before + i64::from(day) + 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_table_that_has_the_name_of_a_day_and_is_none_is_said() -> Result {
    // GIVEN a day that somebody detached
    let world = World::with_schema(Schema::Inbox).await?;
    let mut connection = world.connect().await?;
    let add = "select outbox.add_inbox_day('2026-11-20 12:00Z')";
    connection.execute(add).await?;
    connection
        .execute("alter table outbox.inbox detach partition outbox.inbox_20261120")
        .await?;
    // WHEN it is needed again THEN it is said what is in the way
    let refused = connection.execute(add).await.err();
    let text = refused.map(|error| error.to_string()).unwrap_or_default();
    assert!(
        text.contains("table outbox.inbox_20261120 is there, and is no day of the inbox"),
        "{text}"
    );
    // AND it is found when it is attached again
    connection
        .execute("alter table outbox.inbox attach partition outbox.inbox_20261120 for values from ('2026-11-20Z') to ('2026-11-21Z')")
        .await?;
    connection.execute(add).await?;
    assert_eq!(days(&mut connection).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_day_that_is_dropped_while_somebody_looks_at_it_is_left_out() -> Result {
    // GIVEN a day that is over, and whoever drops it
    let world = World::with_schema(Schema::Inbox).await?;
    let (mut dropping, mut looking, mut watching) = (
        world.connect().await?,
        world.connect().await?,
        world.connect().await?,
    );
    dropping
        .execute("select outbox.add_inbox_day(now() - day * interval '1 day') from unnest(array[90, 1]) day")
        .await?;
    dropping.execute("begin").await?;
    let dropped: i32 = sqlx::query_scalar("select outbox.forget_inbox()")
        .fetch_one(&mut dropping)
        .await?;
    assert_eq!(dropped, 1);
    // WHEN days are listed, and it is gone before its turn
    let listed = tokio::spawn(async move { days(&mut looking).await });
    until("who looks waits", Duration::from_secs(60), async || {
        let waits: bool = sqlx::query_scalar(
            "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')",
        )
        .fetch_one(&mut watching)
        .await?;
        Ok(waits.then_some(()))
    })
    .await?;
    dropping.execute("commit").await?;
    // THEN the other one is listed
    assert_eq!(listed.await??, 1);
    Ok(())
}

#[tokio::test]
async fn only_days_are_dropped_that_nothing_can_come_from_again() -> Result {
    // GIVEN days that are old, old but applied lately, old with a dead letter, and young
    let world = World::with_schema(Schema::Inbox).await?;
    let mut connection = world.connect().await?;
    connection
        .execute(
            "select outbox.add_inbox_day(now() - day * interval '1 day') from unnest(array[90, 80, 70, 1]) day;
             insert into outbox.inbox
                 select 'c', 's', day::text, now() - day * interval '1 day', 'applied', 'x', '1-1',
                        case when day = 80 then now() else now() - day * interval '1 day' end
                 from unnest(array[90, 80, 70, 1]) day;
             insert into outbox.dead_letter (consumer, stream, entry_id, source, id, recorded_at, entry_fields, error_class, error, attempts, first_failed_at)
                 values ('c', 'x', '1-7', 's', '70', now() - interval '70 days', '{}', 'handler', 'no', 3, now());
             insert into outbox.inbox_foreign (consumer, source, id, outcome, stream, entry_id, applied_at)
                 values ('c', 's', 'old', 'applied', 'x', '1-1', now() - interval '90 days'), ('c', 's', 'new', 'applied', 'x', '1-2', now())",
        )
        .await?;
    // WHEN a transaction is open on the inbox
    let mut open = world.connect().await?;
    open.execute("begin; insert into outbox.inbox values ('c', 's', 'open', now() - interval '1 day', 'applied', 'x', '1-9')").await?;
    let beside: i32 = sqlx::query_scalar("select outbox.forget_inbox()")
        .fetch_one(&mut connection)
        .await?;
    open.execute("commit").await?;
    let after: i32 = sqlx::query_scalar("select outbox.forget_inbox()")
        .fetch_one(&mut connection)
        .await?;
    // THEN nothing is dropped beside it, and afterwards the one day that is over in every respect
    assert_eq!((beside, after), (0, 1));
    let left: Vec<String> = sqlx::query_scalar("select id from outbox.inbox where id <> 'open' order by id")
        .fetch_all(&mut connection)
        .await?;
    assert_eq!(left, ["1", "70", "80"]);
    let foreign: Vec<String> = sqlx::query_scalar("select id from outbox.inbox_foreign")
        .fetch_all(&mut connection)
        .await?;
    assert_eq!(foreign, ["new"]);
    // AND without a limit nothing is ever dropped
    connection
        .execute("update outbox.inbox_settings set keep = null; delete from outbox.dead_letter")
        .await?;
    let never: i32 = sqlx::query_scalar("select outbox.forget_inbox()")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(never, 0);
    Ok(())
}

#[tokio::test]
async fn a_day_that_somebody_writes_to_is_waited_for_without_holding_the_inbox() -> Result {
    // GIVEN a day that is over, and somebody who writes to it at this moment
    let world = World::with_schema(Schema::Inbox).await?;
    let mut connection = world.connect().await?;
    connection
        .execute("select outbox.add_inbox_day('2001-01-01'), outbox.add_inbox_day(now())")
        .await?;
    let mut writer = world.connect().await?;
    writer
        .execute("begin; lock table outbox.inbox_20010101 in row exclusive mode")
        .await?;
    // WHEN somebody forgets what is old, again and again
    let mut forgetting = world.connect().await?;
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut forgetting)
        .await?;
    let task = tokio::spawn(async move {
        loop {
            let dropped: i32 = sqlx::query_scalar("select outbox.forget_inbox()")
                .fetch_one(&mut forgetting)
                .await?;
            if dropped > 0 {
                return Ok::<_, sqlx::Error>(dropped);
            }
        }
    });
    // THEN while it waits for that day it has no lock on the inbox that anybody who applies would wait for
    let strongest = until("a wait for the day", Duration::from_secs(120), async || {
        let held: Option<Option<String>> = sqlx::query_scalar(
            "select string_agg(distinct held.mode, ' ') filter (where held.relation = 'outbox.inbox'::regclass)
             from pg_locks held
             where held.pid = $1
             having bool_or(not held.granted and held.relation = to_regclass('outbox.inbox_20010101'))",
        )
        .bind(pid)
        .fetch_optional(&mut connection)
        .await?;
        Ok(held)
    })
    .await?;
    assert!(
        strongest
            .as_deref()
            .is_none_or(|modes| modes == "AccessShareLock"),
        "{strongest:?}"
    );
    // AND others apply
    connection
        .execute("insert into outbox.inbox values ('c', 's', '1', now(), 'applied', 'x', '1-1')")
        .await?;
    // AND the day goes when nobody writes to it any more
    writer.execute("rollback").await?;
    assert_eq!(task.await??, 1);
    assert_eq!(days(&mut connection).await?, 1);
    Ok(())
}

#[tokio::test]
async fn days_are_dropped_by_one_at_a_time() -> Result {
    // GIVEN somebody who looks for days to drop, and a day that is over since
    let world = World::with_schema(Schema::Inbox).await?;
    let (mut one, mut other) = (world.connect().await?, world.connect().await?);
    let forget = async |connection: &mut PgConnection| -> Result<i32> {
        Ok(sqlx::query_scalar("select outbox.forget_inbox()")
            .fetch_one(connection)
            .await?)
    };
    one.execute("begin").await?;
    assert_eq!(forget(&mut one).await?, 0);
    other.execute("select outbox.add_inbox_day('2001-01-01')").await?;
    // WHEN another one comes, THEN it leaves that to the first
    assert_eq!(forget(&mut other).await?, 0);
    one.execute("commit").await?;
    assert_eq!(forget(&mut other).await?, 1);
    Ok(())
}

#[tokio::test]
async fn days_are_made_for_times_at_which_events_are_recorded_and_for_no_others() -> Result {
    // GIVEN an inbox without days
    let world = World::with_schema(Schema::Inbox).await?;
    let mut connection = world.connect().await?;
    // WHEN days are asked for, of now, of the last year, and of other times
    let made: Vec<bool> = sqlx::query_scalar(
        "select outbox.ensure_inbox_day(now() + day * interval '1 day') from unnest(array[0, 1, -300, 5, 400, -400, 300000]) day",
    )
    .fetch_all(&mut connection)
    .await?;
    // THEN the others are not made
    assert_eq!(made, [true, true, true, false, false, false, false]);
    assert_eq!(days(&mut connection).await?, 3);
    // AND one that is there is there, however old
    connection
        .execute("select outbox.add_inbox_day('2001-01-01')")
        .await?;
    let is_there: bool = sqlx::query_scalar("select outbox.ensure_inbox_day('2001-01-01 12:00Z')")
        .fetch_one(&mut connection)
        .await?;
    assert!(is_there);
    Ok(())
}
