//! A leader from before, whose lease was over when it went on, writes to the ledger: who leads now must notice.

use std::time::Duration;

use system_tests::patience::until;
use system_tests::{Relay, Result, World, stream};

const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test]
async fn a_leader_sees_that_the_ledger_went_on_also_when_nothing_is_appended() -> Result {
    // GIVEN a leader with nothing to do
    let world = World::new().await?;
    let mut relay = Relay::of(&world).set("OUTBOX_TAIL_SLOW_POLL", "200ms").start()?;
    relay.leads().await?;
    let mut connection = world.connect().await?;
    let epoch = "select max(epoch) from outbox.lease where name = 'tail'";
    let before: i64 = sqlx::query_scalar(epoch).fetch_one(&mut connection).await?;
    // WHEN the ledger goes on without it, as by a re-issue that a leader from before cuts when it is let go on
    sqlx::query(
        "insert into outbox.batch (number, batch_id, era, epoch, snapshot, event_count, first_position, last_position)
         select number + 1, batch_id + 1, era, epoch, snapshot, 1, 1, 1 from outbox.batch order by number desc limit 1",
    )
    .execute(&mut connection)
    .await?;
    // THEN it begins another term from there
    until("another term", LIMIT, async || {
        let now: i64 = sqlx::query_scalar(epoch).fetch_one(&mut connection).await?;
        Ok((now > before).then_some(()))
    })
    .await?;
    // AND goes on in it
    sqlx::query("select outbox.append('t', '{}')")
        .execute(&mut connection)
        .await?;
    let mut redis = world.redis().await?;
    let length = until("the entry arrives", LIMIT, async || {
        let length = stream::length(&mut redis, "outbox:t").await?;
        Ok((length > 0).then_some(length))
    })
    .await?;
    assert_eq!(length, 1);
    Ok(())
}
