//! A consumer without code: an SQL function applies each event.

use outbox_core::consume::{DeadPolicy, Error};
use sqlx::Executor;
use system_tests::Result;
use tokio_util::sync::CancellationToken;

use super::bench::{Bench, Member, TOPIC, chain};

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

#[tokio::test]
async fn a_function_that_is_not_there_is_refused_at_the_start() -> Result {
    // GIVEN a function that nobody made
    let bench = Bench::new().await?;
    let consumer = bench.describe().call(TOPIC, "shop.apply_order").build()?;
    // WHEN the consumer starts
    let outcome = consumer.run(CancellationToken::new()).await;
    // THEN it says so
    assert!(matches!(outcome, Err(Error::NoFunction { .. })), "{outcome:?}");
    // AND a name that is none is refused before that
    let outcome = bench.describe().call(TOPIC, "apply_order(json)").build();
    assert!(matches!(outcome, Err(Error::Configuration { .. })));
    Ok(())
}
