//! A recovery that was begun may be chosen anew while nothing was taken off, and given up by name afterwards.

use sqlx::Connection;
use sqlx::Executor;
use system_tests::Result;
use system_tests::past::{LIMIT, Past, Scene};
use system_tests::patience::until;

use crate::apply::{AtWork, ON_ENTRIES, leases_run_out, nobody_waits, stands};

#[tokio::test]
async fn while_nothing_was_taken_off_another_strategy_may_be_chosen() -> Result {
    // GIVEN a recovery that was killed when it was about to keep the first entry
    let mut scene = Scene::after(Past::BaseBackup).await?;
    let newer = scene.append(5).await?;
    let mut connection = scene.connect().await?;
    let mut holding = connection.begin().await?;
    holding
        .execute("lock table outbox.unknown_entry in exclusive mode")
        .await?;
    let mut recovering = AtWork::start(&scene, "trust-database")?;
    recovering.waits(&scene, ON_ENTRIES).await?;
    recovering.kill()?;
    nobody_waits(&scene, ON_ENTRIES).await?;
    holding.rollback().await?;
    leases_run_out(&scene).await?;
    // WHEN a person chooses otherwise
    scene.apply("trust-stream")?;
    // THEN that is done, and the first one is said to be given up
    let states = ["trust-database abandoned", "trust-stream done"].map(str::to_owned);
    assert_eq!(stands(&scene).await?, (2, states.to_vec()));
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    let expected = [scene.known.clone(), scene.unknown.clone(), newer].concat();
    assert_eq!(scene.arrived(expected.len()).await?, expected);
    Ok(())
}

#[tokio::test]
async fn what_was_begun_and_has_taken_entries_off_is_given_up_by_name() -> Result {
    // GIVEN a recovery that was killed when everything was kept, and the first entry about to go
    let mut scene = Scene::after(Past::BaseBackup).await?;
    redis::cmd("CLIENT")
        .arg(&["PAUSE", "60000", "WRITE"])
        .query_async::<()>(&mut scene.redis)
        .await?;
    let recovering = AtWork::start(&scene, "trust-database")?;
    let mut connection = scene.connect().await?;
    until("entries are about to go", LIMIT, async || {
        let removing: bool =
            sqlx::query_scalar("select exists (select from outbox.recovery where removing_at is not null)")
                .fetch_one(&mut connection)
                .await?;
        Ok(removing.then_some(()))
    })
    .await?;
    // THEN while it is at work it is not given up
    let refused = scene.ask(&["recover", "abandon", "--reason", "x", "--yes"])?;
    assert_eq!(refused.code, 4, "{}", refused.errors);
    assert!(refused.errors.contains("is at work"), "{}", refused.errors);
    recovering.kill()?;
    redis::cmd("CLIENT")
        .arg("UNPAUSE")
        .query_async::<()>(&mut scene.redis)
        .await?;
    leases_run_out(&scene).await?;
    // AND another strategy is refused, and told how
    let other = scene.try_apply("trust-stream")?;
    assert_eq!(other.code, 4, "{}", other.errors);
    assert!(other.errors.contains("recover abandon"), "{}", other.errors);
    // WHEN a person gives it up
    let told = scene.ask(&["recover", "abandon", "--reason", "not this one"])?;
    assert_eq!(told.code, 4, "{}", told.errors);
    assert!(told.output.contains("10 entries"), "{}", told.output);
    let done = scene.ask(&["recover", "abandon", "--reason", "not this one", "--yes"])?;
    assert_eq!(done.code, 0, "{}", done.errors);
    // THEN the audit has it, no relay leads, and anything may be chosen
    let audit: (String, String, bool) = sqlx::query_as(
        "select state, abandoned_because, pg_has_role(abandoned_by, 'outbox_maintainer', 'member') and removing_at < abandoned_at \
         from outbox_ops.recoveries",
    )
    .fetch_one(&mut connection)
    .await?;
    assert_eq!(audit, ("abandoned".to_owned(), "not this one".to_owned(), true));
    let mut relay = scene.relay().start()?;
    relay.not_ready_because("STREAM-IS-AHEAD").await?;
    relay.terminate().await?;
    let left = scene.entries().await?.len();
    scene.apply("trust-stream")?;
    assert_eq!(scene.entries().await?.len(), left);
    // AND there is nothing more to give up
    let again = scene.ask(&["recover", "abandon", "--reason", "x", "--yes"])?;
    assert_eq!(again.code, 4, "{}", again.errors);
    assert!(again.errors.contains("nothing to give up"), "{}", again.errors);
    Ok(())
}
