//! How long ids are remembered, in a consumer at work: what is older than that is recognised, and never applied silently.

use outbox_core::consume::Consumer;
use serde_json::json;
use sqlx::Executor;
use system_tests::{Login, Result};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::bench::{Bench, Member, TOPIC, event, note};

/// The event `number` as it was recorded so many days ago.
fn recorded(days: i64, previous: &str, key: &str, number: i64) -> Result<Vec<u8>> {
    let mut event = event(Some(previous), key, number);
    let at = OffsetDateTime::now_utc() - Duration::days(days);
    event["recordedtime"] = json!(at.format(&Rfc3339)?);
    Ok(event.to_string().into_bytes())
}

/// As if everything had been applied two months ago.
const TWO_MONTHS_AGO: &str = "
    begin;
    set local session_replication_role = 'replica';
    update outbox.inbox set applied_at = applied_at - interval '60 days';
    commit";

#[tokio::test]
async fn an_event_that_comes_again_after_its_id_was_forgotten_is_given_up_as_too_old_and_not_applied()
-> Result {
    // GIVEN an old event that was applied, and whose day the inbox dropped since
    let mut bench = Bench::new().await?;
    bench
        .put_raw("1-1", "event", &recorded(60, "0-0", "a", 1)?)
        .await?;
    let member = bench.start()?;
    bench.effects(1).await?;
    member.stop().await?;
    bench.pool.execute(TWO_MONTHS_AGO).await?;
    assert_eq!(bench.value::<i32>("select outbox.forget_inbox()").await?, 1);
    // WHEN it is published again, before a new one of its key
    bench
        .put_raw("2-1", "event", &recorded(60, "1-1", "a", 1)?)
        .await?;
    bench
        .put_raw("2-2", "event", &recorded(0, "2-1", "a", 2)?)
        .await?;
    let member = bench.start()?;
    let effects = bench.effects(2).await?;
    bench
        .until("select passed_entry = '2-2' from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    // THEN it has no second effect, its key goes on, and a dead letter says why in words
    assert_eq!(effects, [("a".to_owned(), 1), ("a".to_owned(), 2)]);
    let letter: (String, String, String, String) =
        sqlx::query_as("select id, error_kind, state, error from outbox.dead_letter")
            .fetch_one(&bench.pool)
            .await?;
    assert_eq!(
        (letter.0.as_str(), letter.1.as_str(), letter.2.as_str()),
        ("event-1", "too_old", "dead")
    );
    assert!(
        letter.3.contains("forgotten") && letter.3.contains("redrive"),
        "{}",
        letter.3
    );
    assert_eq!(
        bench
            .value::<i64>("select count(*) from outbox.parked_lane")
            .await?,
        0
    );
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_new_group_reads_old_events_whatever_others_forgot() -> Result {
    // GIVEN a group that forgot an old day
    let mut bench = Bench::new().await?;
    bench
        .put_raw("1-1", "event", &recorded(60, "0-0", "a", 1)?)
        .await?;
    let member = bench.start()?;
    bench.effects(1).await?;
    member.stop().await?;
    bench.pool.execute(TWO_MONTHS_AGO).await?;
    assert_eq!(bench.value::<i32>("select outbox.forget_inbox()").await?, 1);
    // WHEN another one begins
    let other = Consumer::builder("audit")
        .database_url(bench.world.log().url_of(Login::Consumer))
        .redis(bench.world.redis_url_of(Login::Consumer))
        .discovery(None)
        .on(TOPIC, note);
    let member = Member::start(other)?;
    let effects = bench.effects(2).await?;
    member.stop().await?;
    // THEN it applies what the first one would not
    assert_eq!(effects, [("a".to_owned(), 1), ("a".to_owned(), 1)]);
    assert_eq!(
        bench
            .value::<i64>("select count(*) from outbox.dead_letter")
            .await?,
        0
    );
    Ok(())
}

#[tokio::test]
async fn a_member_keeps_what_the_relay_says_of_its_streams() -> Result {
    // GIVEN the mark of a relay that keeps entries for fifty days, and a group that knows the stream
    let mut bench = Bench::new().await?;
    redis::cmd("XADD")
        .arg("outbox:@mark:orders.placed")
        .arg("7-0")
        .arg(&["database", "d", "epoch", "1", "retention", "4320000"])
        .query_async::<()>(&mut bench.redis)
        .await?;
    let add = "insert into outbox.consumer_lease (consumer, stream) values ('stock', 'outbox:orders.placed')";
    bench.pool.execute(add).await?;
    bench
        .pool
        .execute(
            "create trigger tell after insert or update on outbox.stream_mark for each row execute function tell()",
        )
        .await?;
    bench.listen("stream_mark").await?;
    // WHEN a member works
    let member = bench.start()?;
    bench
        .until("select coalesce(max(published_batch), 0) = 7 from outbox.stream_mark")
        .await?;
    member.stop().await?;
    // THEN ids are kept as long as that
    let window: (String, String, String) = sqlx::query_as(
        "select floor::text, kept::text, reason from outbox_ops.inbox_window where consumer = 'stock'",
    )
    .fetch_one(&bench.pool)
    .await?;
    let expected = (
        "50 days",
        "50 days",
        "stream outbox:orders.placed keeps its entries for 50 days",
    );
    assert_eq!(
        (window.0.as_str(), window.1.as_str(), window.2.as_str()),
        expected
    );
    Ok(())
}
