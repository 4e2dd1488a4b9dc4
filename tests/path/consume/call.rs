//! A consumer without code: an SQL function applies each event.

use outbox_core::consume::{DeadPolicy, Error};
use sqlx::Executor;
use system_tests::Result;
use tokio_util::sync::CancellationToken;

use super::bench::{Bench, Member, TOPIC, chain, event};

const FUNCTION: &str = "
    create schema shop authorization test_consumer;
    create function shop.apply_order(event json) returns void language plpgsql as $$
    begin
        if (event -> 'data' ->> 'number')::bigint = 2 then
            raise exception 'order % cannot be taken', event -> 'data' ->> 'number' using errcode = 'P0007';
        end if;
        insert into public.effect (key, number) values (event ->> 'partitionkey', (event -> 'data' ->> 'number')::bigint);
    end $$";

#[tokio::test]
async fn an_sql_function_applies_each_event_and_what_it_raises_is_a_failed_attempt() -> Result {
    // GIVEN a function that refuses the second of three orders
    let mut bench = Bench::new().await?;
    bench.pool.execute(FUNCTION).await?;
    for (n, (id, previous)) in (1..).zip(chain(3)) {
        bench.put(&id, Some(&previous), "a", n).await?;
    }
    // WHEN it is the consumer
    let member = Member::start(
        bench
            .describe()
            .on_dead(DeadPolicy::Skip)
            .call(TOPIC, "shop.apply_order"),
    )?;
    let effects = bench.effects(2).await?;
    member.stop().await?;
    // THEN the others are applied and the second is given up with what the function said
    assert_eq!(effects, [("a".to_owned(), 1), ("a".to_owned(), 3)]);
    let (class, error, attempts): (String, String, i32) =
        sqlx::query_as("select error_class, error, attempts from outbox.dead_letter")
            .fetch_one(&bench.pool)
            .await?;
    assert_eq!((class.as_str(), attempts), ("P0007", 3));
    assert!(error.contains("order 2 cannot be taken"), "{error}");
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

/// Numbers the events of a key by what it finds of them, and notes by which statement it was called. Refuses a negative one.
const NUMBERING: &str = "
    create schema shop authorization test_consumer;
    alter table public.effect add asked timestamptz, add seen bigint;
    grant select on public.effect to test_consumer;
    create function shop.number_order(event json) returns void language plpgsql as $$
    begin
        if (event -> 'data' ->> 'number')::bigint < 0 then
            raise exception 'not this one';
        end if;
        insert into public.effect (key, number, asked, seen)
        select event ->> 'partitionkey', (event -> 'data' ->> 'number')::bigint, statement_timestamp(), count(*)
        from public.effect where key = event ->> 'partitionkey';
    end $$";

#[tokio::test]
async fn a_function_is_called_by_one_statement_for_many_events_and_sees_what_it_did_for_those_before()
-> Result {
    // GIVEN a function that numbers the events of a key, and a member that it has shown to be quick
    let mut bench = Bench::new().await?;
    bench.pool.execute(NUMBERING).await?;
    let describe = bench.describe().concurrency(1);
    let member = Member::start(describe.call(TOPIC, "shop.number_order"))?;
    let warm = (1..=64).map(|n| event(None, "warm", n));
    bench.put_together(0, warm.collect()).await?;
    bench.effects(64).await?;
    // WHEN 60 events of three keys come at one moment
    let events = (1..=60).map(|n| event(None, ["a", "b", "c"][n as usize % 3], n + 100));
    bench.put_together(64, events.collect()).await?;
    let effects = bench.effects(124).await?;
    member.stop().await?;
    // THEN each is applied once, in its order, and each call saw those of its key before it
    let numbers: Vec<i64> = effects[64..].iter().map(|(_, number)| *number).collect();
    assert_eq!(numbers, (101..=160).collect::<Vec<_>>());
    let astray: i64 = bench
        .value(
            "select count(*) from (select seen, row_number() over (partition by key order by number) - 1 as before from effect) of_key
             where seen <> before",
        )
        .await?;
    assert_eq!(astray, 0);
    // AND by a few statements
    let statements: i64 = bench
        .value("select count(distinct asked) from effect where number > 100")
        .await?;
    assert!(statements < 20, "{statements}");
    Ok(())
}

#[tokio::test]
async fn of_many_events_the_one_that_a_function_refuses_has_failed_and_no_other() -> Result {
    // GIVEN a function that refuses one of the events, and a member that takes many at a time
    let mut bench = Bench::new().await?;
    bench.pool.execute(NUMBERING).await?;
    let describe = bench.describe().concurrency(1).on_dead(DeadPolicy::Skip);
    let member = Member::start(describe.call(TOPIC, "shop.number_order"))?;
    let warm = (1..=64).map(|n| event(None, "warm", n));
    bench.put_together(0, warm.collect()).await?;
    bench.effects(64).await?;
    // WHEN it comes among others
    let numbers = (1..=30).map(|n| if n == 13 { -13 } else { n });
    let events = numbers.map(|n: i64| event(None, &format!("key-{}", n % 7), n + 100 * n.signum()));
    bench.put_together(64, events.collect()).await?;
    bench.until("select count(*) = 1 from outbox.dead_letter").await?;
    bench.effects(93).await?;
    member.stop().await?;
    // THEN it had its three attempts, and the others none but their own
    let (id, attempts): (String, i32) = sqlx::query_as("select id, attempts from outbox.dead_letter")
        .fetch_one(&bench.pool)
        .await?;
    assert_eq!((id.as_str(), attempts), ("event--113", 3));
    let others = "select count(*) from outbox.inbox where outcome = 'applied' and history is null";
    assert_eq!(bench.value::<i64>(others).await?, 93);
    let twice = "select count(*) - count(distinct (key, number)) from effect";
    assert_eq!(bench.value::<i64>(twice).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_function_that_is_not_there_is_refused_at_the_start() -> Result {
    // GIVEN a function that nobody made
    let bench = Bench::new().await?;
    let consumer = bench.describe().call(TOPIC, "shop.apply_order").build()?;
    // WHEN the consumer starts
    let outcome = consumer.run(CancellationToken::new()).await;
    // THEN it says so
    assert!(matches!(outcome, Err(Error::NoFunction { .. })), "{outcome:?}");
    // AND so does one whose function is marked as one that does not write
    bench
        .pool
        .execute(
            "create schema shop authorization test_consumer;
             create function shop.apply_order(event json) returns void language plpgsql stable as 'begin end'",
        )
        .await?;
    let consumer = bench.describe().call(TOPIC, "shop.apply_order").build()?;
    let outcome = consumer.run(CancellationToken::new()).await;
    assert!(matches!(outcome, Err(Error::NotVolatile { .. })), "{outcome:?}");
    // AND a name that is none is refused before that
    let outcome = bench.describe().call(TOPIC, "apply_order(json)").build();
    assert!(matches!(outcome, Err(Error::Configuration { .. })));
    Ok(())
}
