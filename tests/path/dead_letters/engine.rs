//! Dead letters with the library's consumer: broken, mended, put back.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use outbox_core::consume::{Builder, DeadPolicy, Handler, HandlerError, HandlerResult, PgConnection};
use outbox_core::dead_letter::{self, Filter, Operation};
use outbox_core::event::Event;
use serde_json::value::RawValue;
use sqlx::PgPool;
use system_tests::{Failure, Result};

use super::desk::{of_key, refused};
use crate::consume::bench::{Bench, Member, Order, TOPIC, chain, note};

/// A handler that refuses some orders until it is mended.
#[derive(Clone, Default)]
struct Shop {
    refused: Arc<Mutex<HashSet<i64>>>,
}

impl Shop {
    fn that_refuses(numbers: impl IntoIterator<Item = i64>) -> Self {
        let shop = Self::default();
        shop.refuse(numbers);
        shop
    }

    fn refuse(&self, numbers: impl IntoIterator<Item = i64>) {
        *self.refused.lock().expect("nobody panicked") = numbers.into_iter().collect();
    }
}

impl Handler for Shop {
    fn handle<'a>(&'a self, tx: &'a mut PgConnection, event: &'a Event) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            let number = event.json::<Order>()?.number;
            if self.refused.lock().expect("nobody panicked").contains(&number) {
                return Err(HandlerError::new(format!("order {number} has no price")).permanent());
            }
            note(tx, event).await
        })
    }
}

fn member(bench: &Bench, shop: &Shop) -> Builder {
    bench.describe().on_handler(TOPIC, shop.clone())
}

/// Puts `keys.len()` events on the stream, the n-th of the n-th key, from `first` on.
async fn put(bench: &mut Bench, first: u64, keys: &[&str]) -> Result {
    for (n, key) in (first..).zip(keys) {
        let (id, previous) = chain(n)
            .pop()
            .ok_or_else(|| Failure::new("the chain begins at 1"))?;
        bench.put(&id, Some(&previous), key, n.cast_signed()).await?;
    }
    Ok(())
}

async fn redrive(pool: &PgPool, filter: &Filter) -> Result<i64> {
    let mut connection = pool.acquire().await?;
    Ok(dead_letter::redrive(&mut connection, filter, "mended", None, false).await?)
}

/// Waits until the operation is finished.
async fn finished(bench: &mut Bench, number: i64) -> Result<Operation> {
    bench
        .until("select bool_and(state = 'finished') from outbox.operation")
        .await?;
    let mut connection = bench.pool.acquire().await?;
    let found = dead_letter::operation(&mut connection, number).await?;
    found.ok_or_else(|| Failure::new("the operation is gone"))
}

fn of(key: &str, effects: &[(String, i64)]) -> Vec<i64> {
    let of_key = effects.iter().filter(|(name, _)| name == key);
    of_key.map(|(_, number)| *number).collect()
}

#[tokio::test]
async fn what_died_of_one_cause_is_found_mended_and_put_back_in_order() -> Result {
    // GIVEN a handler that refuses two orders of two keys, while a third key is well
    let mut bench = Bench::new().await?;
    let shop = Shop::that_refuses([1, 2]);
    let running = Member::start(member(&bench, &shop))?;
    put(&mut bench, 1, &["a", "b", "c", "a", "b", "a"]).await?;
    bench
        .until("select count(*) = 3 from outbox.parked_event")
        .await?;
    assert_eq!(bench.effects(1).await?, [("c".to_owned(), 3)]);
    // WHEN the one group is put back without mending
    let mut connection = bench.pool.acquire().await?;
    let groups = dead_letter::groups(&mut connection, &Filter::default(), 10).await?;
    assert_eq!(
        (
            groups.len(),
            groups[0].letters,
            groups[0].held_keys,
            groups[0].waiting_events
        ),
        (1, 2, 2, 3)
    );
    let group = Filter::group(groups[0].fingerprint.clone());
    let seen = redrive(&bench.pool, &group).await?;
    let seen = finished(&mut bench, seen).await?;
    // THEN both died again, as the same letters, and nothing overtook them
    assert_eq!((seen.dead, seen.applied), (2, 0));
    assert_eq!(
        bench
            .value::<i64>("select count(*) from outbox.dead_letter where redrives = 1 and state = 'dead'")
            .await?,
        2
    );
    assert_eq!(bench.effects(1).await?.len(), 1);
    // AND mended, with newer events of the keys coming, all go in their first order
    shop.refuse([]);
    let again = redrive(&bench.pool, &group).await?;
    put(&mut bench, 7, &["a", "b", "c"]).await?;
    let seen = finished(&mut bench, again).await?;
    assert_eq!((seen.dead, seen.applied), (0, 2));
    let effects = bench.effects(9).await?;
    assert_eq!(
        (of("a", &effects), of("b", &effects)),
        (vec![1, 4, 6, 7], vec![2, 5, 8])
    );
    bench.until("select count(*) = 0 from outbox.parked_lane").await?;
    running.stop().await?;
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn an_edited_letter_reaches_the_handler_as_edited() -> Result {
    // GIVEN a letter whose order has a wrong number
    let mut bench = Bench::new().await?;
    let running = Member::start(member(&bench, &Shop::that_refuses([1])))?;
    put(&mut bench, 1, &["a", "a"]).await?;
    bench
        .until("select count(*) = 1 from outbox.parked_event")
        .await?;
    // WHEN a person corrects it and puts it back
    let mut connection = bench.pool.acquire().await?;
    let data = RawValue::from_string(r#"{"number": 100}"#.to_owned())?;
    dead_letter::edit(&mut connection, 1, &data, "the shop sent another number").await?;
    let operation = redrive(&bench.pool, &of_key("a")).await?;
    finished(&mut bench, operation).await?;
    // THEN the handler got the correction, in its place, and the letter keeps both
    let effects = bench.effects(2).await?;
    assert_eq!(of("a", &effects), [100, 2]);
    let letter = dead_letter::whole(&mut connection, 1)
        .await?
        .ok_or_else(|| Failure::new("no letter"))?;
    let text = letter.to_json();
    assert!(
        text.contains(r#""event":{"#)
            && text.contains(r#""number":1}"#)
            && text.contains(r#"{"number": 100}"#),
        "{text}"
    );
    running.stop().await
}

#[tokio::test]
async fn behind_a_discarded_letter_the_followers_are_applied() -> Result {
    // GIVEN a letter with followers
    let mut bench = Bench::new().await?;
    let running = Member::start(member(&bench, &Shop::that_refuses([1])))?;
    put(&mut bench, 1, &["a", "a", "a"]).await?;
    bench
        .until("select count(*) = 2 from outbox.parked_event")
        .await?;
    // WHEN it is given up
    let mut connection = bench.pool.acquire().await?;
    dead_letter::discard(&mut connection, &of_key("a"), "test data", false).await?;
    // THEN they are applied, in order, and it never is
    let effects = bench.effects(2).await?;
    assert_eq!(of("a", &effects), [2, 3]);
    bench.until("select count(*) = 0 from outbox.parked_lane").await?;
    assert_eq!(
        bench
            .value::<String>("select state from outbox.dead_letter")
            .await?,
        "discarded"
    );
    running.stop().await
}

#[tokio::test]
async fn a_key_that_skips_its_dead_letters_gets_them_late_and_once() -> Result {
    // GIVEN a consumer that skips, and two dead letters of a key that went on
    let mut bench = Bench::new().await?;
    let shop = Shop::that_refuses([1, 3]);
    let running = Member::start(member(&bench, &shop).on_dead(DeadPolicy::Skip))?;
    put(&mut bench, 1, &["a", "a", "a", "a"]).await?;
    bench.until("select count(*) = 2 from outbox.dead_letter").await?;
    bench.effects(2).await?;
    // WHEN they are put back with one mended, and newer events come
    shop.refuse([3]);
    let operation = redrive(&bench.pool, &of_key("a")).await?;
    put(&mut bench, 5, &["a", "a"]).await?;
    let seen = finished(&mut bench, operation).await?;
    // THEN the mended one had its effect once, the other one is a dead letter again, and the key goes on
    assert_eq!((seen.applied, seen.dead), (1, 1));
    let effects = bench.effects(5).await?;
    let mut numbers = of("a", &effects);
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 4, 5, 6]);
    bench.until("select count(*) = 0 from outbox.parked_lane").await?;
    running.stop().await?;
    assert_eq!(
        bench
            .value::<String>("select state from outbox.dead_letter where id = 'event-3'")
            .await?,
        "dead"
    );
    Ok(())
}

#[tokio::test]
async fn an_event_that_comes_again_after_its_letter_was_applied_has_no_second_effect() -> Result {
    // GIVEN a letter that was put back and applied
    let mut bench = Bench::new().await?;
    let shop = Shop::that_refuses([1]);
    let running = Member::start(member(&bench, &shop))?;
    put(&mut bench, 1, &["a"]).await?;
    bench.until("select count(*) = 1 from outbox.dead_letter").await?;
    shop.refuse([]);
    let operation = redrive(&bench.pool, &of_key("a")).await?;
    finished(&mut bench, operation).await?;
    // WHEN the same event is on the stream once more, and another one behind it
    bench.put("1-2", Some("1-1"), "a", 1).await?;
    bench.put("1-3", Some("1-2"), "a", 2).await?;
    bench.effects(2).await?;
    running.stop().await?;
    // THEN it had one effect
    assert_eq!(of("a", &bench.effects(2).await?), [1, 2]);
    Ok(())
}

#[tokio::test]
async fn a_redrive_that_fails_stops_no_other_one() -> Result {
    // GIVEN two dead letters, and a redrive of the first at a rate that no interval holds
    let mut bench = Bench::new().await?;
    let shop = Shop::that_refuses([1, 2]);
    put(&mut bench, 1, &["a", "b"]).await?;
    let broken = Member::start(member(&bench, &shop))?;
    bench.until("select count(*) = 2 from outbox.dead_letter").await?;
    broken.stop().await?;
    shop.refuse([]);
    let failing = redrive(&bench.pool, &of_key("a")).await?;
    sqlx::query("update outbox.operation set rate = 1e-12 where number = $1")
        .bind(failing)
        .execute(&bench.pool)
        .await?;
    // WHEN a member carries it out, and another one behind it
    redrive(&bench.pool, &of_key("b")).await?;
    let mended = Member::start(member(&bench, &shop))?;
    // THEN the other one has its effect
    let effects = bench.effects(1).await?;
    mended.stop().await?;
    assert_eq!(effects, [("b".to_owned(), 2)]);
    // AND nobody can ask for such a rate
    let mut connection = bench.pool.acquire().await?;
    let asked = dead_letter::redrive(&mut connection, &of_key("a"), "slowly", Some(1e-12), false).await;
    assert_eq!(refused(asked)?.0, "22023");
    Ok(())
}
