//! What fails: tried again, then given up, whole, and on with the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use outbox_core::consume::{DeadPolicy, Handler, HandlerError, HandlerResult, PgConnection, RetryPolicy};
use outbox_core::event::{Event, envelope};
use sqlx::Connection;
use system_tests::{Login, Result};

use super::bench::{Bench, Member, Order, STREAM, TOPIC, chain, event, note};

/// Notes every order but number 1, which it counts and leaves to `first`.
struct Except<F> {
    calls: Arc<AtomicUsize>,
    first: F,
}

impl<F> Handler for Except<F>
where
    F: for<'a> Fn(&'a mut PgConnection) -> BoxFuture<'a, HandlerResult> + Send + Sync + 'static,
{
    fn handle<'a>(&'a self, tx: &'a mut PgConnection, event: &'a Event) -> BoxFuture<'a, HandlerResult> {
        if event.id != "event-1" {
            return note(tx, event);
        }
        self.calls.fetch_add(1, Ordering::SeqCst);
        (self.first)(tx)
    }
}

fn first_order<F>(calls: &Arc<AtomicUsize>, first: F) -> Except<F>
where
    F: for<'a> Fn(&'a mut PgConnection) -> BoxFuture<'a, HandlerResult> + Send + Sync + 'static,
{
    Except {
        calls: calls.clone(),
        first,
    }
}

#[tokio::test]
async fn after_three_attempts_an_event_is_given_up_and_its_key_goes_on() -> Result {
    // GIVEN a poison event, one behind it of the same key and one of another
    let mut bench = Bench::new().await?;
    for (n, key) in (1..).zip(["a", "a", "b"]) {
        let (id, previous) = &chain(3)[n - 1];
        bench.put(id, Some(previous), key, n as i64).await?;
    }
    let calls = Arc::new(AtomicUsize::new(0));
    // WHEN a member that skips what is dead consumes them
    let member = Member::start(bench.describe().on_dead(DeadPolicy::Skip).on_handler(
        TOPIC,
        first_order(&calls, |_| {
            Box::pin(async { Err(HandlerError::new("out of stock")) })
        }),
    ))?;
    let effects = bench.effects(2).await?;
    bench
        .until("select passed_entry = '1-3' from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    // THEN the other key did not wait, the same key went on behind it, and the event is kept whole
    assert_eq!(effects, [("b".to_owned(), 3), ("a".to_owned(), 2)]);
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    let (class, error, attempts, fields): (String, String, i32, Vec<Vec<u8>>) =
        sqlx::query_as("select error_class, error, attempts, entry_fields from outbox.dead_letter")
            .fetch_one(&bench.pool)
            .await?;
    assert_eq!(
        (class.as_str(), error.as_str(), attempts),
        ("handler", "out of stock", 3)
    );
    assert_eq!(
        fields,
        [
            b"event".to_vec(),
            event(Some("0-0"), "a", 1).to_string().into_bytes()
        ]
    );
    assert_eq!(
        bench
            .value::<i64>("select count(*) from outbox.inbox where outcome = 'dead'")
            .await?,
        1
    );
    assert_eq!(
        bench
            .value::<i64>("select (select count(*) from outbox.parked_event) + (select count(*) from outbox.parked_lane)")
            .await?,
        0
    );
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn by_default_the_key_of_a_dead_event_waits_and_everything_else_goes_on() -> Result {
    // GIVEN a poison event, two behind it of the same key and one of another
    let mut bench = Bench::new().await?;
    for (n, key) in (1..).zip(["a", "a", "a", "b"]) {
        let (id, previous) = &chain(4)[n - 1];
        bench.put(id, Some(previous), key, n as i64).await?;
    }
    let calls = Arc::new(AtomicUsize::new(0));
    // WHEN a member consumes them
    let member = Member::start(bench.describe().on_handler(
        TOPIC,
        first_order(&calls, |_| {
            Box::pin(async { Err(HandlerError::new("out of stock")) })
        }),
    ))?;
    bench.until("select count(*) = 1 from outbox.dead_letter").await?;
    bench
        .until("select coalesce(bool_or(passed_entry = '1-4'), false) from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    // THEN the other key is applied, and the later ones of this key wait in their order
    assert_eq!(bench.effects(1).await?, [("b".to_owned(), 4)]);
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    let lane: (String, String) = sqlx::query_as("select lane, state from outbox.parked_lane")
        .fetch_one(&bench.pool)
        .await?;
    assert_eq!(lane, ("ka".to_owned(), "dead".to_owned()));
    let waiting: Vec<String> = sqlx::query_scalar("select id from outbox.parked_event order by place")
        .fetch_all(&bench.pool)
        .await?;
    assert_eq!(waiting, ["event-2", "event-3"]);
    let outcomes: Vec<String> = sqlx::query_scalar("select outcome from outbox.inbox order by id")
        .fetch_all(&bench.pool)
        .await?;
    assert_eq!(outcomes, ["dead", "parked", "parked", "applied"]);
    // AND the letter tells each attempt, and stands before those that wait for it
    let (attempts, told, is_first): (i32, i32, bool) = sqlx::query_as(
        "select attempts, jsonb_array_length(history), place < (select min(place) from outbox.parked_event) from outbox.dead_letter",
    )
    .fetch_one(&bench.pool)
    .await?;
    assert_eq!((attempts, told, is_first), (3, 3, true));
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_restart_does_not_reset_the_count_of_attempts() -> Result {
    // GIVEN an event that failed twice, and a member that stopped before the third attempt
    let mut bench = Bench::new().await?;
    let calls = Arc::new(AtomicUsize::new(0));
    let policy = RetryPolicy {
        attempts: 3,
        pause_min: Duration::from_secs(3600),
        pause_max: Duration::from_secs(3600),
    };
    let describe = |bench: &Bench| {
        bench.describe().retry(policy).on_handler(
            TOPIC,
            first_order(&calls, |_| Box::pin(async { Err(HandlerError::new("no")) })),
        )
    };
    let member = Member::start(describe(&bench))?;
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    bench
        .until("select coalesce(max(attempts), 0) = 1 from outbox.parked_event")
        .await?;
    bench.all_is_due().await?;
    bench
        .until("select coalesce(max(attempts), 0) = 2 from outbox.parked_event")
        .await?;
    member.stop().await?;
    // WHEN another one goes on
    let member = Member::start(describe(&bench))?;
    bench.all_is_due().await?;
    bench.until("select count(*) = 1 from outbox.dead_letter").await?;
    member.stop().await?;
    // THEN it tried once more
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    assert!(
        bench
            .value::<bool>("select attempts = 3 and first_failed_at < dead_at from outbox.dead_letter")
            .await?
    );
    Ok(())
}

#[tokio::test]
async fn a_panic_and_a_hanging_handler_are_failed_attempts() -> Result {
    // GIVEN one handler that panics and one that never answers
    let mut bench = Bench::new().await?;
    let calls = Arc::new(AtomicUsize::new(0));
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    bench.put("1-2", Some("1-1"), "a", 2).await?;
    let panics = Member::start(bench.describe().on_dead(DeadPolicy::Skip).on_handler(
        TOPIC,
        first_order(&calls, |_| Box::pin(async { panic!("a bug") })),
    ))?;
    // WHEN both had their attempts
    bench.effects(1).await?;
    panics.stop().await?;
    bench.put("2-1", Some("1-2"), "b", 3).await?;
    let hangs = bench
        .describe()
        .handler_limit(Duration::from_millis(100))
        .on(TOPIC, |_, event| {
            Box::pin(async move {
                assert_eq!(event.json::<Order>()?.number, 3);
                std::future::pending().await
            })
        });
    let hangs = Member::start(hangs)?;
    bench.until("select count(*) = 2 from outbox.dead_letter").await?;
    hangs.stop().await?;
    // THEN each is given up for its own reason
    let classes: Vec<String> =
        sqlx::query_scalar("select error_class from outbox_ops.dead_letters order by number")
            .fetch_all(&bench.pool)
            .await?;
    assert_eq!(classes, ["panic", "timeout"]);
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_failed_statement_that_the_handler_ignores_loses_nothing() -> Result {
    // GIVEN a handler that answers success in a transaction that is aborted: the commit would be a silent rollback
    let mut bench = Bench::new().await?;
    let calls = Arc::new(AtomicUsize::new(0));
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    bench.put("1-2", Some("1-1"), "a", 2).await?;
    let handler = first_order(&calls, |tx| {
        Box::pin(async move {
            let _ = sqlx::query("select 1 / 0").execute(tx).await;
            Ok(())
        })
    });
    // WHEN it is consumed
    let describe = bench.describe().on_dead(DeadPolicy::Skip);
    let member = Member::start(describe.on_handler(TOPIC, handler))?;
    let effects = bench.effects(1).await?;
    member.stop().await?;
    // THEN the event is not taken for applied
    assert_eq!(effects, [("a".to_owned(), 2)]);
    assert_eq!(
        bench
            .value::<String>("select error_class from outbox.dead_letter")
            .await?,
        "25P02"
    );
    assert_eq!(
        bench
            .value::<i64>("select count(*) from outbox.inbox where outcome = 'applied'")
            .await?,
        1
    );
    Ok(())
}

#[tokio::test]
async fn a_payload_of_another_shape_is_given_up_at_once_without_showing_it() -> Result {
    // GIVEN a payload that is no order
    let mut bench = Bench::new().await?;
    let mut broken = event(Some("0-0"), "a", 1);
    broken["data"] = serde_json::json!({"number": "a secret"});
    bench
        .put_raw("1-1", "event", broken.to_string().as_bytes())
        .await?;
    bench.put("1-2", Some("1-1"), "a", 2).await?;
    // WHEN a typed handler gets it
    let member = Member::start(
        bench
            .describe()
            .on_dead(DeadPolicy::Skip)
            .on_json(TOPIC, |tx, _: Order, event| note(tx, event)),
    )?;
    bench.effects(1).await?;
    member.stop().await?;
    // THEN one attempt was enough and the reason does not quote the payload
    let (class, error, attempts): (String, String, i32) =
        sqlx::query_as("select error_class, error, attempts from outbox.dead_letter")
            .fetch_one(&bench.pool)
            .await?;
    assert_eq!((class.as_str(), attempts), ("payload", 1));
    assert!(!error.contains("secret"), "{error}");
    Ok(())
}

#[tokio::test]
async fn an_entry_that_is_no_event_is_kept_and_the_chain_goes_on() -> Result {
    // GIVEN an entry of the chain that cannot be read
    let mut bench = Bench::new().await?;
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    bench
        .put_raw("1-2", "event", b"{\"specversion\": \"1.0\", \"id\"")
        .await?;
    bench.put("1-3", Some("1-2"), "a", 3).await?;
    // WHEN a member consumes the stream
    let member = bench.start()?;
    let effects = bench.effects(2).await?;
    member.stop().await?;
    // THEN the entry is in the dead letters with its bytes, and its successor is applied
    assert_eq!(effects, [("a".to_owned(), 1), ("a".to_owned(), 3)]);
    let (entry, id, fields): (String, Option<String>, Vec<Vec<u8>>) =
        sqlx::query_as("select entry_id, id, entry_fields from outbox.dead_letter where stream = $1")
            .bind(STREAM)
            .fetch_one(&bench.pool)
            .await?;
    assert_eq!((entry.as_str(), id), ("1-2", None));
    assert!(envelope::decode_entry(&[(fields[0].clone(), fields[1].clone())]).is_err());
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn an_effect_is_durable_before_its_entry_is_acknowledged() -> Result {
    // GIVEN a database whose commits do not wait for the disk
    let mut bench = Bench::new().await?;
    let alter = "do $$ begin execute format('alter database %I set synchronous_commit = off', current_database()); end $$";
    sqlx::query(alter).execute(&bench.pool).await?;
    let seen = Arc::new(std::sync::Mutex::new(String::new()));
    let note_seen = seen.clone();
    let builder = outbox_core::consume::Consumer::builder("stock")
        .database_url(bench.world.log().url_of(Login::Consumer))
        .redis(bench.world.redis_url_of(Login::Consumer))
        .discovery(None)
        .on(TOPIC, move |tx, event| {
            let seen = note_seen.clone();
            Box::pin(async move {
                let setting: String = sqlx::query_scalar("select current_setting('synchronous_commit')")
                    .fetch_one(&mut *tx)
                    .await?;
                seen.lock()
                    .map_err(|_| HandlerError::new("poisoned"))?
                    .push_str(&setting);
                note(tx, event).await
            })
        });
    // WHEN an event is applied
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    let member = Member::start(builder)?;
    bench.effects(1).await?;
    member.stop().await?;
    // THEN its commit did
    assert_eq!(seen.lock().expect("nobody panicked").as_str(), "on");
    Ok(())
}

#[tokio::test]
async fn an_event_that_the_inbox_cannot_take_is_given_up_and_the_chain_goes_on() -> Result {
    // GIVEN an event whose id holds a NUL
    let mut bench = Bench::new().await?;
    let mut unfit = event(Some("0-0"), "a", 1);
    unfit["id"] = serde_json::json!("one\u{0}");
    bench
        .put_raw("1-1", "event", unfit.to_string().as_bytes())
        .await?;
    bench.put("1-2", Some("1-1"), "a", 2).await?;
    // WHEN a member consumes it
    let member = bench.start()?;
    let effects = bench.effects(1).await?;
    member.stop().await?;
    // THEN it is in the dead letters and the next one is applied
    assert_eq!(effects, [("a".to_owned(), 2)]);
    assert_eq!(
        bench
            .value::<String>("select error from outbox.dead_letter")
            .await?,
        "id: must not contain a NUL"
    );
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_handler_that_ends_the_transaction_itself_is_found_out() -> Result {
    // GIVEN a handler that rolls back and answers success, which would undo the inbox too, and pass the event without effect
    let mut bench = Bench::new().await?;
    let calls = Arc::new(AtomicUsize::new(0));
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    bench.put("1-2", Some("1-1"), "b", 2).await?;
    let handler = first_order(&calls, |tx| {
        Box::pin(async move {
            sqlx::query("rollback").execute(tx).await?;
            Ok(())
        })
    });
    // WHEN it is consumed
    let member = Member::start(bench.describe().on_handler(TOPIC, handler))?;
    bench.until("select count(*) = 1 from outbox.dead_letter").await?;
    bench
        .until("select passed_entry = '1-2' from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    // THEN the event is given up with that reason, and nothing was taken for applied that was not
    let (class, attempts): (String, i32) =
        sqlx::query_as("select error_class, attempts from outbox.dead_letter")
            .fetch_one(&bench.pool)
            .await?;
    assert_eq!((class.as_str(), attempts), ("25P01", 3));
    let unapplied: i64 = bench
        .value("select count(*) from outbox.inbox where outcome = 'applied' and id <> 'event-2'")
        .await?;
    assert_eq!(unapplied, 0);
    assert!(
        bench
            .value::<bool>("select exists (select from effect where number = 2)")
            .await?
    );
    Ok(())
}

#[tokio::test]
async fn a_handler_that_idles_beyond_the_lease_is_a_failed_attempt_and_no_outage() -> Result {
    // GIVEN a handler that waits for something else for longer than the server lets a transaction idle, with three ends
    for (n, end) in [Idle::Ok, Idle::Statement, Idle::Error].into_iter().enumerate() {
        let mut bench = Bench::new().await?;
        let calls = Arc::new(AtomicUsize::new(0));
        bench.put("1-1", Some("0-0"), "a", 1).await?;
        bench.put("1-2", Some("1-1"), "b", 2).await?;
        let url = bench.world.database_url().to_owned();
        let handler = first_order(&calls, move |tx| {
            let url = url.clone();
            Box::pin(async move { idle(tx, &url, end).await })
        });
        // WHEN it is consumed
        let describe = bench.describe().lease(Duration::from_millis(300));
        let member = Member::start(describe.on_handler(TOPIC, handler))?;
        bench.until("select count(*) = 1 from outbox.dead_letter").await?;
        bench
            .until("select passed_entry = '1-2' from outbox_ops.inbox")
            .await?;
        member.stop().await?;
        // THEN it had its attempts and the stream went on
        assert!(calls.load(Ordering::SeqCst) >= 3, "case {n}");
    }
    Ok(())
}

/// How a handler ends whose session the server has ended.
#[derive(Clone, Copy)]
enum Idle {
    Ok,
    Statement,
    Error,
}

/// Waits, without a statement, until the server has ended the session.
async fn idle(tx: &mut PgConnection, url: &str, end: Idle) -> HandlerResult {
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut *tx)
        .await?;
    let mut observer = PgConnection::connect(url).await?;
    while sqlx::query_scalar("select exists (select from pg_stat_activity where pid = $1)")
        .bind(pid)
        .fetch_one(&mut observer)
        .await?
    {
        tokio::task::yield_now().await;
    }
    match end {
        Idle::Ok => Ok(()),
        Idle::Statement => Ok(sqlx::query("select 1").execute(tx).await.map(drop)?),
        Idle::Error => Err(HandlerError::new("the other service did not answer")),
    }
}
