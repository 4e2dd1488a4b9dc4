//! Another database with the same Redis and prefix gave partitions to a topic of the same name: that topic alone is refused here.

use sqlx::PgConnection;
use system_tests::patience::until;
use system_tests::plain_reader::layout;
use system_tests::stream;
use system_tests::{Invocation, Relay, Result, World};

use super::{LIMIT, append, keys, set_partitions};
use crate::arrivals::arrived;
use crate::publish::action;

/// Two databases that nobody takes for copies of each other.
async fn two() -> Result<(World, World, PgConnection)> {
    let (theirs, ours) = (World::new().await?, World::new().await?);
    let mut connection = ours.connect().await?;
    sqlx::query("update outbox.settings set database_id = gen_random_uuid()")
        .execute(&mut connection)
        .await?;
    Ok((theirs, ours, connection))
}

/// A recovery for another reason, of the database of `ours` with the Redis of `theirs`.
async fn recovers(theirs: &World, ours: &World, connection: &mut PgConnection) -> Result {
    sqlx::query("insert into outbox.refusal (code, said, epoch) values ('STREAM-IS-AHEAD', 'a test', 1)")
        .execute(connection)
        .await?;
    let recover = |arguments: &[&str]| {
        Invocation::of(ours, &[&["recover"], arguments].concat())?
            .set("REDIS_URL", theirs.redis_url())
            .ask()
    };
    let report = recover(&["inspect"])?;
    assert!(!report.output.contains("more partitions"), "{}", report.output);
    let answer = recover(&["apply", "--strategy", "continue", "--reason", "a test", "--yes"])?;
    assert_eq!(answer.code, 0, "{}{}", answer.output, answer.errors);
    Ok(())
}

#[tokio::test]
async fn partitions_of_another_database_set_that_topic_aside_and_stop_nothing_else() -> Result {
    // GIVEN a database that gave a topic four partitions, and has published nothing
    let (theirs, ours, mut connection) = two().await?;
    let mut redis = theirs.redis().await?;
    set_partitions(&theirs, "orders", 4)?;
    let mut their_relay = Relay::of(&theirs).start()?;
    their_relay.leads().await?;
    until("the layout is announced", LIMIT, async || {
        let generations = layout(&mut redis, "orders").await?;
        Ok((generations.len() > 1).then_some(()))
    })
    .await?;
    // WHEN another one publishes that topic, and one of its own
    let ours_at_theirs = Relay::of(&ours).set("REDIS_URL", theirs.redis_url());
    let mut our_relay = ours_at_theirs.start()?;
    our_relay.leads().await?;
    append(&mut connection, "orders", &keys(1)).await?;
    let reason = action(&mut connection, "orders", "set_aside").await?;
    // THEN that topic is set aside, naming the remedy, before anything of it leaves, and the relay goes on
    assert!(reason.contains("writer"), "{reason}");
    assert_eq!(stream::entries(&mut redis, "outbox:orders").await?.len(), 0);
    append(&mut connection, "mine", &keys(3)).await?;
    arrived(&mut redis, "outbox:mine", 3).await?;
    our_relay.terminate().await?;
    let mut our_relay = ours_at_theirs.start()?;
    our_relay.leads().await?;
    append(&mut connection, "mine", &keys(3)).await?;
    arrived(&mut redis, "outbox:mine", 6).await?;
    our_relay.terminate().await?;
    let refusals: i64 = sqlx::query_scalar("select count(*) from outbox.refusal")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(refusals, 0);
    // AND a recovery is not refused for it, neither before nor after the other one published
    recovers(&theirs, &ours, &mut connection).await?;
    append(&mut theirs.connect().await?, "orders", &keys(40)).await?;
    for partition in 0..4 {
        arrived(&mut redis, &format!("outbox:orders:{partition}"), 1).await?;
    }
    recovers(&theirs, &ours, &mut connection).await?;
    // AND with a writer's name it has streams of its own
    sqlx::query("update outbox.settings set writer = 'b'")
        .execute(&mut connection)
        .await?;
    sqlx::query("select outbox.resume_topic('orders', 'test: writer set')")
        .execute(&mut connection)
        .await?;
    let mut our_relay = ours_at_theirs.start()?;
    our_relay.leads().await?;
    arrived(&mut redis, "outbox:orders@b", 1).await?;
    Ok(())
}
