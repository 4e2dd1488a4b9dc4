//! A leader that died: with a parcel on its way, or between what it cut and who should learn of it.

use sqlx::Executor;
use system_tests::{Relay, Result};
use uuid::Uuid;

use crate::cast::{Cast, LIMIT, STREAM};

/// What a leader recorded of late goes with the crash of a server that had not flushed it.
const FORGET: &str = "set session_replication_role = replica; delete from outbox.progress; \
    insert into outbox.progress select * from public.recorded; reset session_replication_role";
const REMEMBER: &str = "create table public.recorded as select * from outbox.progress";

/// The next leader knows of so many entries that are on the stream; of the entry behind them it does not know that it was there, and
/// the one behind that, of the dead leader, is there.
async fn what_is_refused_and_not_there_is_put_out_again(kept: usize) -> Result {
    // GIVEN entries of which it is recorded that they are there
    let mut cast = Cast::new().await?;
    let mut leader = cast.actor().await?;
    leader.relay.leads().await?;
    let mut last = None;
    for count in 1..=kept {
        cast.append().await?;
        let id = cast.entries(count).await?[count - 1].id;
        cast.is_recorded(id).await?;
        last = Some(id);
    }
    cast.postgres.execute(REMEMBER).await?;
    let copy: Option<Vec<u8>> = cast.ask(&["DUMP", STREAM]).await?;
    // AND one more, and another one that is on its way when the leader dies
    cast.append().await?;
    let forgotten = cast.entries(kept + 1).await?[kept].id;
    cast.is_recorded(forgotten).await?;
    leader.with_a_parcel_in_flight(&mut cast).await?;
    leader.relay.kill()?;
    // WHEN both servers forget the one more, and then what was on its way arrives
    cast.postgres.execute(FORGET).await?;
    match copy {
        Some(copy) => cast.restore(&copy).await?,
        None => cast.ask(&["DEL", STREAM]).await?,
    }
    leader.redis.heal();
    let found = cast.entries(kept + 1).await?;
    assert_eq!(found[kept].previous_id, Some(forgotten));
    // THEN the next leader, whose first parcel is refused as too old, puts out again what is behind the last that it knows
    let mut next = cast.actor().await?;
    next.relay.leads().await?;
    let entries = cast.entries(kept + 3).await?;
    Cast::is_chain(&entries[kept + 1..kept + 3], last, &cast.events[kept..]);
    // AND goes on from there, without a person
    cast.append().await?;
    let entries = cast.entries(kept + 4).await?;
    Cast::is_chain(&entries[kept + 1..], last, &cast.events[kept..]);
    let (_, reissues) = cast.losses().await?;
    assert_eq!(reissues, 1);
    Ok(())
}

#[tokio::test]
async fn what_is_refused_and_not_there_is_put_out_again_where_nothing_is_known_to_be_there() -> Result {
    what_is_refused_and_not_there_is_put_out_again(0).await
}

#[tokio::test]
async fn what_is_refused_and_not_there_is_put_out_again_where_the_entry_before_is_there() -> Result {
    what_is_refused_and_not_there_is_put_out_again(1).await
}

#[tokio::test]
async fn an_entry_keeps_its_id_whatever_is_left_of_its_batch() -> Result {
    // GIVEN a batch of two events, a parcel each: it is recorded that the first is there, and the second is on its way when the leader dies
    let mut cast = Cast::new().await?;
    let options = Relay::of(&cast.world).set("OUTBOX_PUBLISH_SHARE_ROWS", 1);
    let mut leader = cast.actor_with(options).await?;
    leader.relay.leads().await?;
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    leader.hold_the_parcel_with(second);
    cast.postgres.execute("begin").await?;
    cast.append_as(first).await?;
    cast.append_as(second).await?;
    cast.postgres.execute("commit").await?;
    leader.is_held().await?;
    let id = cast.entries(1).await?[0].id;
    cast.is_recorded(id).await?;
    leader.relay.kill()?;
    // WHEN what was published is dropped from the log, and what was on its way arrives
    cast.postgres
        .execute("set session_replication_role = replica")
        .await?;
    sqlx::query("delete from outbox.log where id = $1")
        .bind(first)
        .execute(&mut cast.postgres)
        .await?;
    cast.postgres.execute("reset session_replication_role").await?;
    leader.redis.heal();
    cast.entries(2).await?;
    // THEN the next leader knows the second by its id, and goes on behind it
    let mut next = cast.actor().await?;
    next.relay.leads().await?;
    cast.append().await?;
    Cast::is_chain(&cast.entries(3).await?, None, &cast.events);
    assert_eq!(cast.losses().await?, (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_stream_that_misses_nothing_goes_on_though_it_was_said_to_be_lost() -> Result {
    // GIVEN a leader that ends as soon as it has cut a re-issue
    let mut cast = Cast::new().await?;
    let options = Relay::of(&cast.world).set("OUTBOX_CRASH_POINT", "reissue-cut:exit:1");
    let mut leader = cast.actor_with(options).await?;
    leader.relay.leads().await?;
    cast.append().await?;
    let lost = cast.entries(1).await?[0].id;
    cast.is_recorded(lost).await?;
    cast.ask::<()>(&["DEL", STREAM]).await?;
    assert_eq!(leader.relay.ended(LIMIT).await?.code(), Some(9));
    // WHEN one that took over while it was at that, and did not know of the re-issue, has the last word: the stream is lost
    cast.postgres
        .execute("insert into outbox.stream_action (topic, partition, action, reason) values ('t', 0, 'lost', 'seen before it was known')")
        .await?;
    // THEN whoever leads then lets it go on, without a person
    let mut next = cast.actor().await?;
    next.relay.leads().await?;
    cast.append().await?;
    let entries = cast.entries(2).await?;
    Cast::is_chain(&entries, None, &cast.events);
    assert!(entries.iter().all(|entry| entry.id > lost));
    Ok(())
}
