//! What waits is in the database: in its order, through death and takeover, and its effect is one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use outbox_core::consume::{DeadPolicy, Handler, HandlerError, HandlerResult, PgConnection, RetryPolicy};
use outbox_core::event::Event;
use sqlx::Executor;
use system_tests::patience::until;
use system_tests::relay::RelayOptions;
use system_tests::{Relay, Result};
use tokio::sync::{Notify, Semaphore};

use super::bench::{Bench, GROUP, Member, Order, PATIENCE, STREAM, TOPIC, event, note};

/// Notes every order but one, as long as that is broken.
struct Broken {
    id: &'static str,
    is_broken: AtomicBool,
    calls: AtomicUsize,
}

impl Broken {
    fn new() -> Arc<Self> {
        Self::of("event-1")
    }

    fn of(id: &'static str) -> Arc<Self> {
        Arc::new(Self {
            id,
            is_broken: AtomicBool::new(true),
            calls: AtomicUsize::new(0),
        })
    }

    fn mend(&self) {
        self.is_broken.store(false, Ordering::SeqCst);
    }

    fn handler(self: &Arc<Self>) -> UntilMended {
        UntilMended(self.clone())
    }
}

struct UntilMended(Arc<Broken>);

impl Handler for UntilMended {
    fn handle<'a>(&'a self, tx: &'a mut PgConnection, event: &'a Event) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            if event.id == self.0.id {
                self.0.calls.fetch_add(1, Ordering::SeqCst);
                if self.0.is_broken.load(Ordering::SeqCst) {
                    return Err(HandlerError::new("not yet"));
                }
            }
            note(tx, event).await
        })
    }
}

/// Nothing is tried again before the test says so.
fn far_away() -> RetryPolicy {
    RetryPolicy {
        attempts: 10,
        pause_min: Duration::from_secs(3600),
        pause_max: Duration::from_secs(3600),
    }
}

#[tokio::test]
async fn later_events_of_a_failed_key_wait_in_the_database_and_follow_in_their_order() -> Result {
    // GIVEN a failing event, two behind it of its key and one of another
    let mut bench = Bench::new().await?;
    let broken = Broken::new();
    let member = Member::start(
        bench
            .describe()
            .retry(far_away())
            .on_handler(TOPIC, broken.handler()),
    )?;
    bench.put_all(&["a", "a", "b", "a"]).await?;
    // WHEN all were looked at
    bench
        .until("select coalesce(bool_or(passed_entry = '1-4'), false) from outbox_ops.inbox")
        .await?;
    // THEN the stream went on, and the key waits
    assert_eq!(bench.effects(1).await?, [("b".to_owned(), 3)]);
    let waiting: Vec<(String, i32)> =
        sqlx::query_as("select id, attempts from outbox.parked_event order by place")
            .fetch_all(&bench.pool)
            .await?;
    let ids = ["event-1", "event-2", "event-4"];
    assert_eq!(waiting, ids.map(|id| (id.to_owned(), i32::from(id == "event-1"))));
    until("all are acknowledged", PATIENCE, async || {
        Ok((bench.pending().await? == 0).then_some(()))
    })
    .await?;
    // AND one that comes later joins
    bench.put_all(&["a"]).await?;
    bench
        .until("select count(*) = 4 from outbox.parked_event")
        .await?;
    // AND when the first one succeeds, the others follow
    broken.mend();
    bench.all_is_due().await?;
    let effects = bench.effects(5).await?;
    bench.until("select count(*) = 0 from outbox.parked_lane").await?;
    member.stop().await?;
    let numbers: Vec<i64> = effects.iter().map(|(_, number)| *number).collect();
    assert_eq!(numbers, [3, 1, 2, 4, 5]);
    let open: i64 = bench
        .value("select count(*) from outbox.inbox where outcome <> 'applied'")
        .await?;
    assert_eq!((open, broken.calls.load(Ordering::SeqCst)), (0, 2));
    Ok(())
}

#[tokio::test]
async fn the_failing_one_of_a_batch_is_parked_in_the_transaction_that_applies_the_others() -> Result {
    // GIVEN a member that has seen that its handler is quick, so that it takes many events at a time
    let mut bench = Bench::new().await?;
    bench
        .pool
        .execute(
            "create table seen (transaction xid8);
             create function see() returns trigger language plpgsql as $$
                 begin insert into seen values (pg_current_xact_id()); return null; end $$;
             create trigger see after insert on effect for each row execute function see();
             create trigger see after insert on outbox.parked_event for each row execute function see();",
        )
        .await?;
    let broken = Broken::of("event-5");
    let describe = bench.describe().retry(far_away()).concurrency(1);
    let member = Member::start(describe.on_handler(TOPIC, broken.handler()))?;
    let warm: Vec<_> = (101..=131).map(|n| event(None, "warm", n)).collect();
    bench.put_together(0, warm).await?;
    bench.effects(31).await?;
    bench.pool.execute("truncate seen").await?;
    // WHEN ten events of ten keys come, of which the fifth fails, and one more of its key behind them
    let keys = (1..=10).chain([5]).map(|n| format!("key-{n}"));
    let events: Vec<_> = (1..).zip(keys).map(|(n, key)| event(None, &key, n)).collect();
    bench.put_together(31, events).await?;
    bench.effects(40).await?;
    bench
        .until("select coalesce(bool_or(passed_entry = '1-42'), false) from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    // THEN one transaction did it all
    let (writes, transactions): (i64, i64) =
        sqlx::query_as("select count(*), count(distinct transaction) from seen")
            .fetch_one(&bench.pool)
            .await?;
    assert_eq!((writes, transactions), (11, 1));
    let parked: String = bench
        .value("select string_agg(id, ' ' order by place) from outbox.parked_event")
        .await?;
    assert_eq!(
        (parked.as_str(), broken.calls.load(Ordering::SeqCst)),
        ("event-5 event-11", 1)
    );
    Ok(())
}

#[tokio::test]
async fn events_without_a_key_are_never_parked_as_one() -> Result {
    // GIVEN two events without a key, of which the first is given up
    let mut bench = Bench::new().await?;
    for (n, previous) in [(1, "0-0"), (2, "1-1")] {
        let mut keyless = event(Some(previous), "", n);
        keyless.as_object_mut().map(|event| event.remove("partitionkey"));
        let id = format!("1-{n}");
        bench
            .put_raw(&id, "event", keyless.to_string().as_bytes())
            .await?;
    }
    let member = Member::start(bench.describe().on(TOPIC, |tx, event| {
        Box::pin(async move {
            match event.json::<Order>()?.number {
                1 => Err(HandlerError::new("out of stock")),
                _ => note(tx, event).await,
            }
        })
    }))?;
    // WHEN it had its attempts
    bench.until("select count(*) = 1 from outbox.dead_letter").await?;
    bench
        .until("select count(*) = 1 from effect where number = 2")
        .await?;
    member.stop().await?;
    // THEN the second did not wait, and nothing is left waiting for the first
    let left: i64 = bench.value("select count(*) from outbox.parked_lane").await?;
    assert_eq!(left, 0);
    let lane: String = bench.value("select lane from outbox.dead_letter").await?;
    assert_eq!(lane, "e1-1");
    Ok(())
}

#[tokio::test]
async fn a_parked_event_that_comes_again_is_a_duplicate() -> Result {
    // GIVEN a key that waits
    let mut bench = Bench::new().await?;
    let broken = Broken::new();
    let describe = |bench: &Bench| {
        bench
            .describe()
            .retry(far_away())
            .on_handler(TOPIC, broken.handler())
    };
    let member = Member::start(describe(&bench))?;
    bench.put_all(&["a", "a"]).await?;
    bench
        .until("select count(*) = 2 from outbox.parked_event")
        .await?;
    member.stop().await?;
    // WHEN the group forgets what was acknowledged, and both are re-issued before a new one
    redis::cmd("XGROUP")
        .arg("DESTROY")
        .arg(STREAM)
        .arg(GROUP)
        .query_async::<()>(&mut bench.redis)
        .await?;
    bench.put("5-1", Some("1-2"), "a", 1).await?;
    bench.put("5-2", Some("5-1"), "a", 2).await?;
    bench.put("5-3", Some("5-2"), "a", 3).await?;
    let member = Member::start(describe(&bench))?;
    bench
        .until("select coalesce(bool_or(passed_entry = '5-3'), false) from outbox_ops.inbox")
        .await?;
    // THEN they wait once, in their order, and have one effect each
    let waiting: Vec<String> = sqlx::query_scalar("select id from outbox.parked_event order by place")
        .fetch_all(&bench.pool)
        .await?;
    assert_eq!(waiting, ["event-1", "event-2", "event-3"]);
    broken.mend();
    bench.all_is_due().await?;
    let effects = bench.effects(3).await?;
    bench.until("select count(*) = 0 from outbox.parked_lane").await?;
    member.stop().await?;
    let numbers: Vec<i64> = effects.iter().map(|(_, number)| *number).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(bench.value::<i64>("select count(*) from effect").await?, 3);
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_parked_event_that_had_its_effect_is_dropped_without_another() -> Result {
    // GIVEN a parked event of which the inbox says that it was applied
    let mut bench = Bench::new().await?;
    let broken = Broken::new();
    let member = Member::start(
        bench
            .describe()
            .retry(far_away())
            .on_handler(TOPIC, broken.handler()),
    )?;
    bench.put_all(&["a", "a"]).await?;
    bench
        .until("select count(*) = 2 from outbox.parked_event")
        .await?;
    bench
        .pool
        .execute("update outbox.inbox set outcome = 'applied' where id = 'event-1'")
        .await?;
    // WHEN it is due
    broken.mend();
    bench.all_is_due().await?;
    let effects = bench.effects(1).await?;
    bench.until("select count(*) = 0 from outbox.parked_lane").await?;
    member.stop().await?;
    // THEN those behind it follow, and it has no effect
    assert_eq!(effects, [("a".to_owned(), 2)]);
    assert_eq!(broken.calls.load(Ordering::SeqCst), 1, "the first attempt alone");
    Ok(())
}

#[tokio::test]
async fn a_parked_event_whose_id_was_forgotten_meanwhile_is_applied() -> Result {
    // GIVEN a parked event of a stranger, whose ids are remembered for a time only
    let mut bench = Bench::new().await?;
    let broken = Broken::new();
    let member = Member::start(
        bench
            .describe()
            .retry(far_away())
            .on_handler(TOPIC, broken.handler()),
    )?;
    let mut stranger = event(None, "s", 1);
    stranger.as_object_mut().map(|event| event.remove("recordedtime"));
    bench
        .put_raw("1-1", "event", stranger.to_string().as_bytes())
        .await?;
    bench
        .until("select count(*) = 1 from outbox.parked_event")
        .await?;
    // WHEN the time is over, and then it is due
    bench.pool.execute("delete from outbox.inbox_foreign").await?;
    broken.mend();
    bench.all_is_due().await?;
    // THEN it is not taken for one that had its effect
    assert_eq!(bench.effects(1).await?, [("s".to_owned(), 1)]);
    bench.until("select count(*) = 0 from outbox.parked_lane").await?;
    member.stop().await?;
    let outcome: String = bench.value("select outcome from outbox.inbox_foreign").await?;
    assert_eq!(outcome, "applied");
    Ok(())
}

#[tokio::test]
async fn a_key_that_is_skipped_goes_on_and_its_dead_event_stays_dead() -> Result {
    // GIVEN a poison event and two behind it, for a consumer that skips what is dead
    let mut bench = Bench::new().await?;
    bench.put_all(&["a", "a", "a"]).await?;
    let describe = bench.describe().on_dead(DeadPolicy::Skip);
    let member = Member::start(describe.on(TOPIC, |tx, event| {
        Box::pin(async move {
            match event.json::<Order>()?.number {
                1 => Err(HandlerError::new("never").permanent()),
                _ => note(tx, event).await,
            }
        })
    }))?;
    // WHEN all were looked at
    let effects = bench.effects(2).await?;
    bench
        .until("select coalesce(bool_or(passed_entry = '1-3'), false) from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    // THEN nothing waits
    let numbers: Vec<i64> = effects.iter().map(|(_, number)| *number).collect();
    assert_eq!(numbers, [2, 3]);
    let (state, kind, attempts): (String, String, i32) =
        sqlx::query_as("select state, error_kind, attempts from outbox.dead_letter")
            .fetch_one(&bench.pool)
            .await?;
    assert_eq!((state.as_str(), kind.as_str(), attempts), ("dead", "poison", 1));
    assert_eq!(
        bench
            .value::<i64>("select count(*) from outbox.parked_lane")
            .await?,
        0
    );
    Ok(())
}

#[tokio::test]
async fn a_member_whose_lease_was_taken_applies_nothing_of_what_is_parked() -> Result {
    // GIVEN a member in the middle of the first of three parked events, one per transaction
    let mut bench = Bench::new().await?;
    let (broken, arrived, gate) = (
        Broken::new(),
        Arc::new(Notify::new()),
        Arc::new(Semaphore::new(0)),
    );
    let (inner, signal, wait) = (broken.handler(), arrived.clone(), gate.clone());
    let inner = Arc::new(inner);
    let describe = bench.describe().retry(far_away()).batch(1);
    let member = Member::start(describe.on(TOPIC, move |tx, event| {
        let (inner, signal, wait) = (inner.clone(), signal.clone(), wait.clone());
        Box::pin(async move {
            inner.handle(tx, event).await?;
            signal.notify_one();
            wait.acquire().await?.forget();
            Ok(())
        })
    }))?;
    bench.put_all(&["a", "a", "a"]).await?;
    bench
        .until("select count(*) = 3 from outbox.parked_event")
        .await?;
    broken.mend();
    bench.all_is_due().await?;
    arrived.notified().await;
    // WHEN its lease is taken meanwhile
    bench
        .pool
        .execute("update outbox.consumer_lease set epoch = epoch + 1, holder = 'thief', expires_at = clock_timestamp() + interval '1 second'")
        .await?;
    let stolen: i64 = bench.value("select epoch from outbox.consumer_lease").await?;
    gate.add_permits(100);
    bench.effects(3).await?;
    member.stop().await?;
    // THEN the others were applied under a new lease, not beside the thief
    let epochs: Vec<i64> = sqlx::query_scalar("select epoch from effect where number > 1 order by number")
        .fetch_all(&bench.pool)
        .await?;
    assert_eq!(epochs, [stolen + 1, stolen + 1]);
    Ok(())
}

#[tokio::test]
async fn while_a_parked_event_is_applied_nobody_takes_the_stream_over() -> Result {
    // GIVEN a member in the middle of a parked event
    let mut bench = Bench::new().await?;
    let (broken, arrived, gate) = (
        Broken::new(),
        Arc::new(Notify::new()),
        Arc::new(Semaphore::new(0)),
    );
    let (signal, wait) = (arrived.clone(), gate.clone());
    let inner = Arc::new(broken.handler());
    let member = Member::start(bench.describe().retry(far_away()).on(TOPIC, move |tx, event| {
        let (inner, signal, wait) = (inner.clone(), signal.clone(), wait.clone());
        Box::pin(async move {
            inner.handle(tx, event).await?;
            signal.notify_one();
            wait.acquire().await?.forget();
            Ok(())
        })
    }))?;
    bench.put_all(&["a"]).await?;
    bench
        .until("select count(*) = 1 from outbox.parked_event")
        .await?;
    broken.mend();
    bench.all_is_due().await?;
    arrived.notified().await;
    // WHEN another one wants the lease's row, as a takeover does, or the lane's, as a redrive does
    for table in ["consumer_lease", "parked_lane"] {
        let statement = format!("select from outbox.{table} for update nowait");
        let taken = bench.pool.execute(sqlx::AssertSqlSafe(statement)).await;
        // THEN it has to wait
        let code = taken
            .err()
            .and_then(|error| error.as_database_error()?.code().map(String::from));
        assert_eq!(code.as_deref(), Some("55P03"), "{table}");
    }
    gate.add_permits(1);
    bench.effects(1).await?;
    member.stop().await?;
    Ok(())
}

/// `outbox-relay consume` with a function that refuses order 1 until the table `mended` has a row.
fn process(bench: &Bench, member: &str) -> RelayOptions {
    let call = [
        "consume",
        "--group",
        GROUP,
        "--topic",
        TOPIC,
        "--call",
        "public.apply",
        "--member",
        member,
    ];
    Relay::command(&call)
        .set("DATABASE_URL", bench.world.database_url())
        .set("REDIS_URL", bench.world.redis_url())
        .set("OUTBOX_CONSUME_LEASE_TTL", "1s")
        .set("OUTBOX_CONSUME_ATTEMPTS", "5")
        .set("OUTBOX_CONSUME_BACKOFF_MIN", "1h")
        .set("OUTBOX_CONSUME_BACKOFF_MAX", "1h")
}

#[tokio::test]
async fn a_key_is_not_closed_while_an_event_joins_it() -> Result {
    // GIVEN a member in the middle of the only event that waits of a key
    let mut bench = Bench::new().await?;
    let broken = Broken::new();
    let (arrived, gate) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let (inner, signal, wait) = (Arc::new(broken.handler()), arrived.clone(), gate.clone());
    // It waits longer than the others of this file.
    let describe = bench
        .describe()
        .retry(far_away())
        .lease(PATIENCE)
        .handler_limit(PATIENCE);
    let member = Member::start(describe.on(TOPIC, move |tx, event| {
        let (inner, signal, wait) = (inner.clone(), signal.clone(), wait.clone());
        Box::pin(async move {
            inner.handle(tx, event).await?;
            signal.notify_one();
            wait.acquire().await?.forget();
            Ok(())
        })
    }))?;
    bench.put_all(&["a"]).await?;
    bench
        .until("select count(*) = 1 from outbox.parked_event")
        .await?;
    broken.mend();
    bench.all_is_due().await?;
    arrived.notified().await;
    // WHEN another event of the key is about to join it, and does not come to its end
    let mut in_the_way = bench.pool.begin().await?;
    let same = "insert into outbox.parked_event (consumer, flow, lane, stream, entry_id, source, id, type, entry_fields)
                select consumer, flow, 'elsewhere', stream, '9-9', source, 'event-2', type, entry_fields from outbox.parked_event";
    in_the_way.execute(same).await?;
    bench.put_all(&["a"]).await?;
    until_waiting(&bench, 1).await?;
    // THEN the key is not closed behind the first one, but waits for it
    gate.add_permits(2);
    until_waiting(&bench, 2).await?;
    in_the_way.rollback().await?;
    // AND what joined is applied in its turn
    let numbers: Vec<i64> = bench
        .effects(2)
        .await?
        .into_iter()
        .map(|(_, number)| number)
        .collect();
    assert_eq!(numbers, [1, 2]);
    bench.until("select count(*) = 0 from outbox.parked_lane").await?;
    member.stop().await?;
    let left: i64 = bench.value("select count(*) from outbox.parked_event").await?;
    assert_eq!(left, 0);
    Ok(())
}

/// So many transactions wait for others.
async fn until_waiting(bench: &Bench, count: i64) -> Result {
    until("transactions that wait for others", PATIENCE, async || {
        let waiting: i64 = bench
            .value(
                "select count(*) from pg_stat_activity
                 where datname = current_database() and wait_event_type = 'Lock'",
            )
            .await?;
        Ok((waiting == count).then_some(()))
    })
    .await
}

#[tokio::test]
async fn attempts_and_order_survive_a_member_that_is_killed() -> Result {
    // GIVEN a process whose function failed twice, with another event of its key behind
    let mut bench = Bench::new().await?;
    bench
        .pool
        .execute(
            "create table mended (yes boolean);
             create function public.apply(event json) returns void language plpgsql as $$
             begin
                 if (event -> 'data' ->> 'number')::bigint = 1 and not exists (select from mended) then
                     raise exception 'not yet';
                 end if;
                 insert into effect (key, number) values (event ->> 'partitionkey', (event -> 'data' ->> 'number')::bigint);
             end $$",
        )
        .await?;
    let mut killed = process(&bench, "killed").start()?;
    bench.put_all(&["a", "a"]).await?;
    for attempts in ["1", "2"] {
        let query = match attempts {
            "1" => "select coalesce(max(attempts), 0) = 1 from outbox.parked_event",
            _ => "select coalesce(max(attempts), 0) = 2 from outbox.parked_event",
        };
        bench.until(query).await?;
        bench.all_is_due().await?;
    }
    bench
        .until("select coalesce(max(attempts), 0) = 3 from outbox.parked_event")
        .await?;
    // WHEN it is killed, the next one takes over, and the function is mended
    killed.kill()?;
    let mut next = process(&bench, "next").start()?;
    bench
        .until("select coalesce(bool_or(holder = 'next'), false) from outbox.consumer_lease")
        .await?;
    bench.all_is_due().await?;
    bench
        .until("select coalesce(max(attempts), 0) = 4 from outbox.parked_event")
        .await?;
    bench.pool.execute("insert into mended values (true)").await?;
    bench.all_is_due().await?;
    let effects = bench.effects(2).await?;
    next.terminate().await?;
    // THEN the fifth attempt succeeded, and the other followed
    assert_eq!(effects, [("a".to_owned(), 1), ("a".to_owned(), 2)]);
    assert_eq!(
        bench
            .value::<i64>("select count(*) from outbox.dead_letter")
            .await?,
        0
    );
    Ok(())
}
