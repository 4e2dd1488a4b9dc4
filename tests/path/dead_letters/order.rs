//! A letter goes back before everything that waits behind it, and has one effect.

use outbox_core::dead_letter::Filter;
use system_tests::Result;

use super::desk::{Desk, of_key};

#[tokio::test]
async fn the_letter_its_followers_and_newer_events_are_applied_in_their_first_order() -> Result {
    // GIVEN a key that waits for a dead letter, with events behind it, and a key that does not
    let desk = Desk::new().await?;
    desk.run("select die(1, 'a'); select arrive(2, 'a'); select arrive(3, 'a'); select arrive(4, 'b')")
        .await?;
    // WHEN the letter goes back, and an event of the key comes before anything of it is applied, and one after
    let operation = desk.redrive(&of_key("a")).await?;
    assert_eq!(desk.release(operation).await?, 1);
    desk.run("select arrive(5, 'a')").await?;
    desk.drain(&[]).await?;
    desk.run("select arrive(6, 'a')").await?;
    // THEN all of them had their effect in order, and the key is free
    assert_eq!(desk.effects().await?, [4, 1, 2, 3, 5, 6]);
    assert_eq!(desk.state(1).await?, "applied");
    assert_eq!(
        desk.value::<i64>("select count(*) from outbox.parked_lane")
            .await?,
        0
    );
    // AND the operation is finished when the members look again
    assert_eq!(desk.release(operation).await?, 0);
    let seen = desk.operation(operation).await?;
    assert!(seen.is_at_rest() && seen.applied == 1, "{seen:?}");
    Ok(())
}

#[tokio::test]
async fn a_letter_that_dies_again_is_the_same_letter_and_its_followers_wait_again() -> Result {
    // GIVEN a letter with a follower, put back, whose cause was not mended
    let desk = Desk::new().await?;
    desk.run("select die(1, 'a'); select arrive(2, 'a')").await?;
    let first = desk.redrive(&of_key("a")).await?;
    desk.release(first).await?;
    // WHEN it dies again
    desk.drain(&[1]).await?;
    desk.release(first).await?;
    // THEN nothing had an effect and the operation says what happened
    assert_eq!(desk.effects().await?, [0; 0]);
    let seen = desk.operation(first).await?;
    assert!(seen.is_at_rest() && seen.dead == 1, "{seen:?}");
    let (letters, redrives): (i64, i64) =
        sqlx::query_as("select count(*), max(redrives)::bigint from outbox_ops.dead_letters where state = 'dead' and holds_key")
            .fetch_one(&desk.pool)
            .await?;
    assert_eq!((letters, redrives), (1, 1));
    // AND once more it goes through, still in order
    let second = desk.redrive(&of_key("a")).await?;
    desk.release(second).await?;
    desk.drain(&[]).await?;
    assert_eq!(desk.effects().await?, [1, 2]);
    Ok(())
}

#[tokio::test]
async fn an_edited_letter_is_applied_as_edited_and_kept_as_it_came() -> Result {
    // GIVEN a letter whose data a person mended
    let desk = Desk::new().await?;
    desk.run(r#"select die(1, 'a'); select outbox.edit_dead_letter(1, '{"number": 1, "price":  2.50}', 'a price was missing')"#)
        .await?;
    // WHEN it goes back
    let operation = desk.redrive(&of_key("a")).await?;
    desk.release(operation).await?;
    desk.drain(&[]).await?;
    // THEN the edited data had its effect, and what came is still there
    let applied: String = desk.value("select data::text from effect").await?;
    assert_eq!(applied, r#"{"number": 1, "price":  2.50}"#);
    let kept: String = desk
        .value("select convert_from(entry_fields[2], 'UTF8')::json ->> 'data' from outbox.dead_letter")
        .await?;
    assert_eq!(kept, r#"{"number":1,"price":1.10}"#);
    Ok(())
}

#[tokio::test]
async fn discarding_lets_the_followers_go_on_without_the_letter() -> Result {
    // GIVEN a letter with followers, and one without
    let desk = Desk::new().await?;
    desk.run("select die(1, 'a'); select arrive(2, 'a'); select arrive(3, 'a'); select die(4, 'b')")
        .await?;
    // WHEN both are given up
    let mut connection = desk.pool.acquire().await?;
    let filter = Filter::numbers([1, 2]);
    assert_eq!(
        outbox_core::dead_letter::discard(&mut connection, &filter, "test data", false).await?,
        2
    );
    desk.drain(&[]).await?;
    // THEN the followers are applied, nothing waits, and neither letter ever has an effect
    assert_eq!(desk.effects().await?, [2, 3]);
    assert_eq!(
        desk.value::<i64>("select count(*) from outbox.parked_lane")
            .await?,
        0
    );
    assert_eq!(
        (desk.state(1).await?, desk.state(4).await?),
        ("discarded".to_owned(), "discarded".to_owned())
    );
    let kept: i64 = desk
        .value("select count(*) from outbox.inbox where outcome = 'dead'")
        .await?;
    assert_eq!(kept, 2);
    Ok(())
}

#[tokio::test]
async fn a_letter_whose_key_went_on_goes_back_alone_and_holds_it_meanwhile() -> Result {
    // GIVEN a key that skipped its dead letters
    let desk = Desk::new().await?;
    desk.run("select die(1, 'a', holds => false); select arrive(2, 'a'); select die(3, 'a', holds => false); select arrive(4, 'a')")
        .await?;
    // WHEN they go back, and an event of the key comes meanwhile
    let operation = desk.redrive(&of_key("a")).await?;
    assert_eq!(desk.release(operation).await?, 2);
    desk.run("select arrive(5, 'a')").await?;
    desk.drain(&[]).await?;
    // THEN they come late, as the preview said, and in order among themselves and before what came later
    assert_eq!(desk.effects().await?, [2, 4, 1, 3, 5]);
    Ok(())
}

#[tokio::test]
async fn a_letter_behind_another_one_that_is_not_asked_for_waits_for_it() -> Result {
    // GIVEN a key that first went on without letter 1, and now waits for letter 3
    let desk = Desk::new().await?;
    desk.run("select die(1, 'a', holds => false); select arrive(2, 'a'); select die(3, 'a'); select arrive(4, 'a')")
        .await?;
    // WHEN only the first one is asked for
    let first = desk.redrive(&Filter::numbers([1])).await?;
    assert_eq!(desk.release(first).await?, 1);
    // THEN nothing overtakes letter 3
    assert_eq!(desk.drain(&[]).await?, 0);
    assert_eq!(desk.effects().await?, [2]);
    // AND when that one goes back too, all go in order
    let second = desk.redrive(&Filter::numbers([2])).await?;
    desk.release(second).await?;
    desk.drain(&[]).await?;
    assert_eq!(desk.effects().await?, [2, 1, 3, 4]);
    desk.release(first).await?;
    desk.release(second).await?;
    assert!(desk.operation(first).await?.is_at_rest() && desk.operation(second).await?.is_at_rest());
    Ok(())
}

#[tokio::test]
async fn an_event_that_had_its_effect_meanwhile_has_no_second_one() -> Result {
    // GIVEN a letter whose event was applied all the same, after its consumer forgot its inbox and read the stream again
    let desk = Desk::new().await?;
    desk.run(
        "select die(1, 'a'); select arrive(2, 'a');
         update outbox.inbox set outcome = 'applied' where id = 'event-1'; insert into effect (key, number) values ('a', 1)",
    )
    .await?;
    // WHEN the letter is put back
    let operation = desk.redrive(&of_key("a")).await?;
    assert_eq!(desk.release(operation).await?, 0);
    desk.drain(&[]).await?;
    desk.release(operation).await?;
    // THEN it is settled without an effect, and its followers go on
    assert_eq!(desk.effects().await?, [1, 2]);
    assert_eq!(desk.state(1).await?, "applied");
    let seen = desk.operation(operation).await?;
    assert!(seen.is_at_rest() && seen.dropped == 1, "{seen:?}");
    Ok(())
}

#[tokio::test]
async fn what_the_inbox_forgot_goes_back_by_the_word_of_its_letter() -> Result {
    // GIVEN a letter whose id is in no day of the inbox any more
    let desk = Desk::new().await?;
    desk.run("select die(1, 'a', kind => 'too_old', holds => false); delete from outbox.inbox; drop table outbox.inbox_20261120")
        .await?;
    // WHEN it is asked for by its kind
    let too_old = Filter {
        error_kind: Some(outbox_core::dead_letter::Kind::TooOld),
        ..Filter::default()
    };
    let operation = desk.redrive(&too_old).await?;
    desk.release(operation).await?;
    desk.drain(&[]).await?;
    // THEN it is applied, and the inbox knows it again
    assert_eq!(desk.effects().await?, [1]);
    let known: i64 = desk
        .value("select count(*) from outbox.inbox where id = 'event-1' and outcome = 'applied'")
        .await?;
    assert_eq!(known, 1);
    Ok(())
}

#[tokio::test]
async fn letters_from_before_keys_could_wait_go_back_too() -> Result {
    // GIVEN an event that waits in the middle of a lane for its next attempt
    let desk = Desk::new().await?;
    desk.run("select die(1, 'a', holds => false); select arrive(2, 'a');
              insert into outbox.parked_lane (consumer, flow, lane, state, stream, due_at)
              values ('stock', 'orders.placed', 'ka', 'retrying', 'outbox:orders.placed', now() + interval '1 hour');
              select arrive(3, 'a')")
        .await?;
    // WHEN an older letter of its key goes back
    let operation = desk.redrive(&of_key("a")).await?;
    desk.release(operation).await?;
    desk.drain(&[]).await?;
    // THEN it goes first
    assert_eq!(desk.effects().await?, [2, 1, 3]);
    Ok(())
}
