//! Who appends does not wait while an era looks at what is there; and what a person interrupted is not committed afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::{Connection, Executor};
use system_tests::Result;
use system_tests::past::{Past, Scene, TOPIC};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::apply::{AtWork, ON_LOG, ON_SKIPPED, leases_run_out, nobody_waits, stands};

#[tokio::test]
async fn producers_go_on_while_an_era_looks_and_what_they_append_is_in_it() -> Result {
    let mut scene = Scene::after(Past::BaseBackup).await?;
    let first = scene.append(5).await?;
    // GIVEN a transaction that appended before the look, and ends after it
    let mut late = scene.connect().await?;
    let mut open = late.begin().await?;
    let early: Uuid = sqlx::query_scalar("select outbox.append($1, '{}', 'key-0')")
        .bind(TOPIC)
        .fetch_one(&mut *open)
        .await?;
    // WHEN an era looks, and comes no further
    let mut connection = scene.connect().await?;
    let mut holding = connection.begin().await?;
    holding
        .execute("lock table outbox.unpublished in access exclusive mode")
        .await?;
    let mut recovering = AtWork::start(&scene, "trust-database")?;
    recovering.waits(&scene, ON_SKIPPED).await?;
    // THEN producers append
    let mut producer = scene.connect().await?;
    producer.execute("set lock_timeout = '500ms'").await?;
    let mut appended = Vec::new();
    for _ in 0..5 {
        let id: Uuid = sqlx::query_scalar("select outbox.append($1, '{}', 'key-0')")
            .bind(TOPIC)
            .fetch_one(&mut producer)
            .await?;
        appended.push(id);
    }
    open.commit().await?;
    // AND when it goes on, everything is in the era, once
    holding.rollback().await?;
    let (code, output, errors) = recovering.end().await?;
    assert_eq!(code, 0, "{errors}");
    let said: serde_json::Value = serde_json::from_str(&output)?;
    assert_eq!(said["applied"]["events"], 11, "{output}");
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    let last = scene.append(1).await?;
    let expected = [scene.known.clone(), first, vec![early], appended, last].concat();
    assert_eq!(scene.arrived(expected.len()).await?, expected);
    Ok(())
}

#[tokio::test]
async fn beside_a_transaction_left_open_producers_have_their_turn_and_the_era_comes_when_it_ends() -> Result {
    let mut scene = Scene::after(Past::BaseBackup).await?;
    // GIVEN a transaction that appended and is left open, and an era that waits for it
    let mut late = scene.connect().await?;
    let mut open = late.begin().await?;
    let early: Uuid = sqlx::query_scalar("select outbox.append($1, '{}', 'key-0')")
        .bind(TOPIC)
        .fetch_one(&mut *open)
        .await?;
    let mut recovering = AtWork::start(&scene, "trust-database")?;
    // WHEN others append while it waits, THEN none of them waits for as long as the lock that it asked for first
    let mut producer = scene.connect().await?;
    producer.execute("set lock_timeout = '1500ms'").await?;
    let mut appended = vec![early];
    for _ in 0..4 {
        recovering.waits(&scene, ON_LOG).await?;
        let id: Uuid = sqlx::query_scalar("select outbox.append($1, '{}', 'key-0')")
            .bind(TOPIC)
            .fetch_one(&mut producer)
            .await?;
        appended.push(id);
    }
    open.commit().await?;
    // AND all of it is in the era
    let (code, output, errors) = recovering.end().await?;
    assert_eq!(code, 0, "{errors}");
    assert!(errors.contains("waiting for these"), "{errors}");
    let said: serde_json::Value = serde_json::from_str(&output)?;
    assert_eq!(said["applied"]["events"], 5, "{output}");
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    let expected = [scene.known.clone(), appended].concat();
    assert_eq!(scene.arrived(expected.len()).await?, expected);
    Ok(())
}

/// Such a transaction comes to the log first and to a part of it then. Who asks for them the other way round alone meets each between the two.
#[tokio::test]
async fn an_era_comes_among_transactions_that_append_by_two_ways() -> Result {
    let scene = Scene::after(Past::BaseBackup).await?;
    scene
        .connect()
        .await?
        .execute("insert into outbox.topic (name, retention) values ('audited', 'audit')")
        .await?;
    // GIVEN producers that do something between the two, and nothing else
    let is_over = Arc::new(AtomicBool::new(false));
    let mut producers = JoinSet::new();
    for _ in 0..4 {
        let (mut connection, is_over) = (scene.connect().await?, Arc::clone(&is_over));
        producers.spawn(async move {
            let mut appended: u64 = 0;
            while !is_over.load(Ordering::Relaxed) {
                connection
                    .execute(
                        "begin;
                         insert into outbox.outgoing (topic, data) values ('audited', '{}');
                         select pg_sleep(0.005);
                         insert into outbox.outgoing_if_plain (id, topic, data) values (gen_random_uuid(), 'another.topic', '{}');
                         commit",
                    )
                    .await?;
                appended += 1;
            }
            Ok::<_, sqlx::Error>(appended)
        });
    }
    // WHEN an era begins among them THEN it comes while they go on, and none of them is refused
    let (code, _, errors) = AtWork::start(&scene, "trust-database")?.end().await?;
    is_over.store(true, Ordering::Relaxed);
    assert_eq!(code, 0, "{errors}");
    while let Some(done) = producers.join_next().await {
        assert!(done?? > 10, "a producer stood still");
    }
    Ok(())
}

#[tokio::test]
async fn what_a_person_interrupted_ends_on_the_server_too() -> Result {
    let mut scene = Scene::after(Past::BaseBackup).await?;
    let newer = scene.append(5).await?;
    let mut connection = scene.connect().await?;
    let mut holding = connection.begin().await?;
    holding
        .execute("lock table outbox.unpublished in access exclusive mode")
        .await?;
    let mut recovering = AtWork::start(&scene, "trust-database")?;
    recovering.waits(&scene, ON_SKIPPED).await?;
    // WHEN it is killed, THEN its session ends though nothing lets it go on
    recovering.kill()?;
    nobody_waits(&scene, ON_SKIPPED).await?;
    holding.rollback().await?;
    assert_eq!(
        stands(&scene).await?,
        (1, vec!["trust-database begun".to_owned()])
    );
    // AND it is finished by running it again
    leases_run_out(&scene).await?;
    scene.apply("trust-database")?;
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    let expected = [scene.known.clone(), newer].concat();
    assert_eq!(scene.arrived(expected.len()).await?, expected);
    Ok(())
}
