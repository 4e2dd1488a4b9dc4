//! What operators asked for: two at once, a rate, cancel and resume, and lanes that are in other hands.

use outbox_core::dead_letter::{self, Filter, Stage};
use sqlx::Connection;
use system_tests::Result;

use super::desk::{Desk, of_key, refused};

#[tokio::test]
async fn a_letter_asked_for_twice_goes_back_once() -> Result {
    // GIVEN two operators who asked at the same moment: neither saw the other's operation
    let desk = Desk::new().await?;
    desk.run("select die(1, 'a')").await?;
    let (mut one, mut two) = (desk.pool.acquire().await?, desk.pool.acquire().await?);
    let mut first = one.begin().await?;
    let mut second = two.begin().await?;
    let filter = of_key("a");
    let first_operation = dead_letter::redrive(&mut first, &filter, "mended", None, false).await?;
    let second_operation = dead_letter::redrive(&mut second, &filter, "mended", None, false).await?;
    first.commit().await?;
    second.commit().await?;
    // WHEN both are carried out
    assert_eq!(desk.release(first_operation).await?, 1);
    assert_eq!(desk.release(second_operation).await?, 0);
    desk.drain(&[]).await?;
    desk.release(first_operation).await?;
    // THEN one put it back and the other says that it had nothing to do
    assert_eq!(desk.effects().await?, [1]);
    let (first, second) = (
        desk.operation(first_operation).await?,
        desk.operation(second_operation).await?,
    );
    assert_eq!((first.applied, second.dropped), (1, 1));
    assert!(first.is_at_rest() && second.is_at_rest());
    // AND a third one, who comes later, is told that nothing matches
    let mut connection = desk.pool.acquire().await?;
    assert_eq!(
        refused(dead_letter::redrive(&mut connection, &filter, "mended", None, false).await)?.0,
        "P0002"
    );
    Ok(())
}

#[tokio::test]
async fn a_letter_that_was_discarded_meanwhile_is_dropped() -> Result {
    // GIVEN a redrive under way
    let desk = Desk::new().await?;
    desk.run("select die(1, 'a'); select die(2, 'b')").await?;
    let operation = desk.redrive(&Filter::numbers([1, 2])).await?;
    // WHEN another operator discards one of the letters first
    let mut connection = desk.pool.acquire().await?;
    dead_letter::discard(&mut connection, &of_key("a"), "test data", false).await?;
    desk.release(operation).await?;
    desk.drain(&[]).await?;
    desk.release(operation).await?;
    // THEN it is dropped and the other one applied
    assert_eq!(desk.effects().await?, [2]);
    let seen = desk.operation(operation).await?;
    assert!(
        seen.is_at_rest() && (seen.applied, seen.dropped) == (1, 1),
        "{seen:?}"
    );
    Ok(())
}

#[tokio::test]
async fn no_more_letters_go_back_than_the_rate_allows_by_the_clock_of_the_database() -> Result {
    // GIVEN forty letters, at twenty per second
    let desk = Desk::new().await?;
    desk.run("select die(n, 'key ' || n) from generate_series(1, 40) n")
        .await?;
    let mut connection = desk.pool.acquire().await?;
    let all = Filter {
        consumer: Some("stock".to_owned()),
        ..Filter::default()
    };
    let operation = dead_letter::redrive(&mut connection, &all, "mended", Some(20.0), true).await?;
    // WHEN two members look all the time
    let mut looks = 0;
    let mut slices = Vec::new();
    while desk.operation(operation).await?.waiting > 0 {
        let (one, two) = tokio::join!(desk.release(operation), desk.release(operation));
        slices.extend([one?, two?]);
        looks += 1;
        // THEN what went back is never more than the time since it was asked for allows
        let allowed: bool = desk
            .value(
                "select (select count(*) from outbox.operation_item where state <> 'waiting')
                        <= 20 * extract(epoch from clock_timestamp() - created_at) from outbox.operation",
            )
            .await?;
        assert!(allowed, "after {looks} looks");
    }
    assert_eq!(slices.iter().sum::<i32>(), 40);
    // AND that took the two seconds it must take: nothing was saved up or jumped
    let took: bool = desk
        .value("select clock_timestamp() - created_at >= interval '2 seconds' from outbox.operation")
        .await?;
    assert!(took);
    Ok(())
}

#[tokio::test]
async fn what_a_standstill_left_unused_is_not_made_up_for() -> Result {
    // GIVEN a redrive at ten per second that no member looked at for an hour
    let desk = Desk::new().await?;
    desk.run("select die(n, 'key ' || n) from generate_series(1, 200) n")
        .await?;
    let mut connection = desk.pool.acquire().await?;
    let all = Filter {
        consumer: Some("stock".to_owned()),
        ..Filter::default()
    };
    let operation = dead_letter::redrive(&mut connection, &all, "mended", Some(10.0), true).await?;
    desk.run("update outbox.operation set released_until = released_until - interval '1 hour'")
        .await?;
    // WHEN a member comes
    let released = desk.release(operation).await?;
    // THEN it puts back what two seconds allow, not an hour
    assert_eq!(released, 20);
    Ok(())
}

#[tokio::test]
async fn a_slow_rate_gets_through_too() -> Result {
    // GIVEN two letters at one per hundred seconds
    let desk = Desk::new().await?;
    desk.run("select die(1, 'a'); select die(2, 'b')").await?;
    let mut connection = desk.pool.acquire().await?;
    let operation = dead_letter::redrive(
        &mut connection,
        &Filter::numbers([1, 2]),
        "mended",
        Some(0.01),
        false,
    )
    .await?;
    // WHEN a hundred seconds are over, and then another hundred
    let mut released = vec![desk.release(operation).await?];
    for _ in 0..2 {
        desk.run("update outbox.operation set released_until = released_until - interval '100 seconds'")
            .await?;
        released.extend([desk.release(operation).await?, desk.release(operation).await?]);
    }
    // THEN one went back each time
    assert_eq!(released, [0, 1, 0, 1, 0]);
    Ok(())
}

#[tokio::test]
async fn a_cancelled_redrive_puts_nothing_more_back_and_goes_on_when_resumed() -> Result {
    // GIVEN a redrive of three letters of which one went back
    let desk = Desk::new().await?;
    desk.run("select die(1, 'a'); select die(2, 'b'); select die(3, 'c')")
        .await?;
    let mut connection = desk.pool.acquire().await?;
    let filter = Filter::numbers([1, 2, 3]);
    let operation = dead_letter::redrive(&mut connection, &filter, "mended", Some(1.0), false).await?;
    desk.run("update outbox.operation set released_until = released_until - interval '1 second'")
        .await?;
    assert_eq!(desk.release(operation).await?, 1);
    // WHEN it is cancelled
    dead_letter::cancel(&mut connection, operation, "the fix is wrong").await?;
    desk.run("update outbox.operation set released_until = released_until - interval '1 hour'")
        .await?;
    assert_eq!(desk.release(operation).await?, 0);
    desk.drain(&[]).await?;
    // THEN what went back went, and the rest stays where it was
    let seen = desk.operation(operation).await?;
    assert_eq!((seen.state, seen.applied, seen.waiting), (Stage::Cancelled, 1, 2));
    assert!(seen.is_at_rest());
    assert_eq!(
        refused(dead_letter::cancel(&mut connection, operation, "again").await)?.0,
        "55000"
    );
    // AND resumed, it goes on with what it had not done, at its rate from then on
    dead_letter::resume(&mut connection, operation, "the fix is right").await?;
    assert_eq!(desk.release(operation).await?, 0);
    desk.run("update outbox.operation set released_until = released_until - interval '2 seconds'")
        .await?;
    assert_eq!(desk.release(operation).await?, 2);
    desk.drain(&[]).await?;
    desk.release(operation).await?;
    assert_eq!(desk.effects().await?, [1, 2, 3]);
    assert_eq!(
        refused(dead_letter::resume(&mut connection, operation, "more").await)?.0,
        "55000"
    );
    assert_eq!(
        refused(dead_letter::resume(&mut connection, 4711, "more").await)?.0,
        "P0002"
    );
    let actions: Vec<String> = sqlx::query_scalar("select action from outbox_ops.audit order by number")
        .fetch_all(&desk.pool)
        .await?;
    assert_eq!(actions, ["redrive", "cancel", "resume"]);
    Ok(())
}

#[tokio::test]
async fn cancelling_waits_for_what_is_being_put_back_and_holds_the_rest() -> Result {
    // GIVEN a member in the middle of putting letters back
    let desk = Desk::new().await?;
    desk.run("select die(1, 'a'); select die(2, 'b')").await?;
    let operation = desk.redrive(&Filter::numbers([1, 2])).await?;
    let mut member = desk.pool.acquire().await?;
    let mut release = member.begin().await?;
    sqlx::query("select outbox.release_redrive_items($1)")
        .bind(operation)
        .execute(&mut *release)
        .await?;
    // WHEN an operator cancels, who must wait for it
    let mut operator = desk.pool.acquire().await?;
    sqlx::query("set lock_timeout = '50ms'")
        .execute(&mut *operator)
        .await?;
    let outcome = dead_letter::cancel(&mut operator, operation, "stop").await;
    assert_eq!(refused(outcome)?.0, "55P03");
    // AND another member looks, which does not wait and does nothing
    assert_eq!(desk.release(operation).await?, 0);
    release.rollback().await?;
    // THEN, the first member being gone with its work undone, cancelling succeeds and nothing went back
    dead_letter::cancel(&mut operator, operation, "stop").await?;
    assert_eq!(desk.release(operation).await?, 0);
    assert_eq!(desk.operation(operation).await?.waiting, 2);
    Ok(())
}

#[tokio::test]
async fn a_lane_in_other_hands_is_left_for_later_and_holds_nobody_up() -> Result {
    // GIVEN a member that applies events of key a, and letters of keys a and b
    let desk = Desk::new().await?;
    desk.run(
        "select die(1, 'a', holds => false); select die(2, 'a'); select arrive(3, 'a'); select die(4, 'b')",
    )
    .await?;
    let mut member = desk.pool.acquire().await?;
    let mut applying = member.begin().await?;
    sqlx::query("select from outbox.parked_lane where lane = 'ka' for no key update")
        .execute(&mut *applying)
        .await?;
    // WHEN both keys' letters are to go back
    let operation = desk.redrive(&Filter::numbers([1, 2, 3])).await?;
    let released = desk.release(operation).await?;
    // THEN b's went at once, and of a's none went before its turn
    assert_eq!(released, 1);
    assert_eq!(
        (desk.state(1).await?, desk.state(2).await?, desk.state(4).await?),
        ("dead".into(), "dead".into(), "redriving".into())
    );
    applying.commit().await?;
    assert_eq!(desk.release(operation).await?, 2);
    desk.drain(&[]).await?;
    assert_eq!(desk.effects().await?, [1, 2, 3, 4]);
    Ok(())
}

#[tokio::test]
async fn nothing_of_a_key_overtakes_a_letter_that_is_in_other_hands() -> Result {
    // GIVEN two letters of one key, of which somebody edits the first at this moment
    let desk = Desk::new().await?;
    desk.run("select die(1, 'a', holds => false); select die(2, 'a', holds => false)")
        .await?;
    let mut operator = desk.pool.acquire().await?;
    let mut editing = operator.begin().await?;
    sqlx::query("select from outbox.dead_letter where number = 1 for no key update")
        .execute(&mut *editing)
        .await?;
    // WHEN both are to go back
    let operation = desk.redrive(&of_key("a")).await?;
    assert_eq!(desk.release(operation).await?, 0);
    desk.drain(&[]).await?;
    editing.commit().await?;
    desk.release(operation).await?;
    desk.drain(&[]).await?;
    // THEN the second waited for the first
    assert_eq!(desk.effects().await?, [1, 2]);
    Ok(())
}

#[tokio::test]
async fn a_key_that_an_open_transaction_parks_is_left_for_later() -> Result {
    // GIVEN a letter whose key went on, and a transaction that parks an event of that key and is not committed
    let desk = Desk::new().await?;
    desk.run("select die(1, 'a', holds => false); select die(2, 'b')")
        .await?;
    let mut member = desk.pool.acquire().await?;
    let mut applying = member.begin().await?;
    sqlx::query("insert into outbox.parked_lane (consumer, flow, lane, state, stream) values ('stock', 'orders.placed', 'ka', 'dead', 'outbox:orders.placed')")
        .execute(&mut *applying)
        .await?;
    // WHEN the letter is to go back
    let operation = desk.redrive(&Filter::numbers([1, 2])).await?;
    // THEN it waits for that transaction, not for longer than a moment, and the other key's goes
    assert_eq!(desk.release(operation).await?, 1);
    assert_eq!(desk.state(1).await?, "dead");
    applying.rollback().await?;
    assert_eq!(desk.release(operation).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_paused_consumer_puts_nothing_back() -> Result {
    // GIVEN a redrive of a consumer that a person paused
    let desk = Desk::new().await?;
    desk.run("select die(1, 'a'); update outbox.consumer set paused_at = now(), paused_by = 'me', paused_reason = 'deploy'").await?;
    let operation = desk.redrive(&of_key("a")).await?;
    // WHEN members look
    assert_eq!(desk.release(operation).await?, 0);
    // THEN it begins when the pause ends
    desk.run("update outbox.consumer set paused_at = null, paused_by = null, paused_reason = null")
        .await?;
    assert_eq!(desk.release(operation).await?, 1);
    Ok(())
}

#[tokio::test]
async fn many_letters_go_back_in_slices_and_within_a_key_in_order() -> Result {
    // GIVEN more letters than one call puts back, twenty to a key
    let desk = Desk::new().await?;
    desk.run("select die(n, 'key ' || n % 60, holds => false) from generate_series(1, 1200) n")
        .await?;
    let mut connection = desk.pool.acquire().await?;
    let all = Filter {
        consumer: Some("stock".to_owned()),
        ..Filter::default()
    };
    let operation = dead_letter::redrive(&mut connection, &all, "mended", None, true).await?;
    // WHEN members put back without applying
    let slices = [
        desk.release(operation).await?,
        desk.release(operation).await?,
        desk.release(operation).await?,
    ];
    // THEN what is on its way is bounded
    assert_eq!(slices, [500, 500, 0]);
    // AND with applying all go through, each key in its order
    while desk.operation(operation).await?.state != Stage::Finished {
        desk.drain(&[]).await?;
        desk.release(operation).await?;
    }
    let turned: i64 = desk
        .value("select count(*) from effect one join effect other on one.key = other.key and one.n < other.n and one.number > other.number")
        .await?;
    assert_eq!((desk.effects().await?.len(), turned), (1200, 0));
    Ok(())
}

#[tokio::test]
async fn letters_that_wait_in_line_do_not_use_up_a_redrive() -> Result {
    // GIVEN a thousand keys that wait for another letter than the one that is selected, and one that waits for a selected one
    let desk = Desk::new().await?;
    desk.run(
        "select die(n, 'key ' || n) from generate_series(1, 1001) n;
         select die(n + 2000, 'key ' || n, error => 'other') from generate_series(1, 1000) n",
    )
    .await?;
    let selected = Filter {
        fingerprint: desk
            .value("select fingerprint from outbox.dead_letter where number = 1")
            .await?,
        ..Filter::default()
    };
    // WHEN they are put back
    let operation = desk.redrive(&selected).await?;
    let mut slices = Vec::new();
    for _ in 0..3 {
        slices.push(desk.release(operation).await?);
    }
    // THEN the key that nothing else holds goes on
    assert_eq!(slices, [500, 500, 1]);
    desk.drain(&[]).await?;
    assert_eq!(desk.effects().await?, [1001]);
    Ok(())
}

#[tokio::test]
async fn letters_behind_one_that_died_again_do_not_use_up_a_redrive() -> Result {
    // GIVEN a thousand letters of a key that went back, and behind them one of another key
    let desk = Desk::new().await?;
    desk.run(
        "select die(n, 'a', holds => false) from generate_series(1, 1000) n;
         select die(1001, 'b')",
    )
    .await?;
    let mut connection = desk.pool.acquire().await?;
    let all = Filter {
        consumer: Some("stock".to_owned()),
        ..Filter::default()
    };
    let operation = dead_letter::redrive(&mut connection, &all, "mended", None, true).await?;
    assert_eq!(
        (desk.release(operation).await?, desk.release(operation).await?),
        (500, 500)
    );
    // WHEN the first of them dies again
    desk.drain(&[1]).await?;
    // THEN the other key goes on, and what waits keeps its place
    assert_eq!(desk.release(operation).await?, 1);
    desk.drain(&[]).await?;
    assert_eq!(desk.effects().await?, [1001]);
    // AND when that is put back, all go through in their order
    desk.redrive(&Filter::numbers([1])).await?;
    while desk.operation(operation).await?.state != Stage::Finished {
        desk.release(operation + 1).await?;
        desk.drain(&[]).await?;
        desk.release(operation).await?;
    }
    let expected: Vec<i64> = std::iter::once(1001).chain(1..=1000).collect();
    assert_eq!(desk.effects().await?, expected);
    Ok(())
}
