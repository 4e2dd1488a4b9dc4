//! A recovery that is killed at any step is finished by running it again, and no relay publishes in between.

use std::process::{Child, Command, Stdio};

use sqlx::{Connection, Executor};
use system_tests::patience::until;
use system_tests::{Login, Result, relay};

use system_tests::past::{LIMIT, Past, Scene};

/// Where it is killed: what it waits for there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It recorded that it begins, and keeps the first entry.
    Keep,
    /// Everything is kept, and nothing is taken off.
    TakeOff,
    /// Everything is taken off, and there is no era yet.
    Open,
    /// The era is there, and no mark says so.
    Mark,
}

fn begin(scene: &Scene, strategy: &str) -> Result<Child> {
    Ok(Command::new(relay::binary()?)
        .args([
            "recover",
            "apply",
            "--strategy",
            strategy,
            "--reason",
            "a test",
            "--yes",
        ])
        .env("DATABASE_URL", Login::Maintainer.database_url(&scene.url))
        .env("REDIS_URL", scene.world.redis_url_of(Login::Maintainer))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?)
}

/// Kills a recovery at a step, and looks that nobody publishes; a lock makes it wait there.
async fn killed_at(step: Step, scene: &mut Scene, strategy: &str) -> Result {
    let mut connection = scene.connect().await?;
    let mut holding = connection.begin().await?;
    match step {
        Step::Keep => {
            holding
                .execute("lock table outbox.unknown_entry in exclusive mode")
                .await?;
        }
        Step::Open => {
            holding
                .execute("select outbox.append('another.topic', '{}')")
                .await?;
        }
        // What an earlier run took off is not taken off again: then the marks are all that is written.
        Step::TakeOff | Step::Mark => pause_writes(scene).await?,
    }
    let mut recovering = begin(scene, strategy)?;
    let mut watch = scene.connect().await?;
    let waits = match step {
        Step::Keep => {
            "select exists (select from pg_locks where relation = 'outbox.unknown_entry'::regclass and not granted)"
        }
        Step::TakeOff => "select exists (select from outbox.recovery where removing_at is not null)",
        Step::Open => {
            "select exists (select from pg_locks where relation = 'outbox.log_standard'::regclass and not granted)"
        }
        Step::Mark => "select exists (select from outbox.recovery where state = 'opened')",
    };
    until("it waits", LIMIT, async || {
        let there: bool = sqlx::query_scalar(waits).fetch_one(&mut watch).await?;
        Ok(there.then_some(()))
    })
    .await?;
    recovering.kill()?;
    recovering.wait()?;
    // Its session waits on, and would do what it was asked once the lock is free: that is the next step's case.
    watch
        .execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'outbox-relay/command'",
        )
        .await?;
    until("its session ends", LIMIT, async || {
        let gone: bool = sqlx::query_scalar(
            "select not exists (select from pg_stat_activity where application_name = 'outbox-relay/command')",
        )
        .fetch_one(&mut watch)
        .await?;
        Ok(gone.then_some(()))
    })
    .await?;
    holding.rollback().await?;
    if matches!(step, Step::TakeOff | Step::Mark) {
        redis::cmd("CLIENT")
            .arg("UNPAUSE")
            .query_async::<()>(&mut scene.redis)
            .await?;
    }
    // What it held runs out by itself; a test does not wait for that.
    scene
        .execute("update outbox.lease set expires_at = '-infinity'")
        .await
}

async fn pause_writes(scene: &mut Scene) -> Result {
    redis::cmd("CLIENT")
        .arg(&["PAUSE", "60000", "WRITE"])
        .query_async::<()>(&mut scene.redis)
        .await?;
    Ok(())
}

async fn is_finished_by_running_it_again(steps: &[Step], strategy: &str) -> Result {
    // GIVEN a database that went back, and a recovery that is killed at each of these steps, one run after the other
    let mut scene = Scene::after(Past::BaseBackup).await?;
    let newer = scene.append(10).await?;
    for step in steps {
        killed_at(*step, &mut scene, strategy).await?;
        // THEN no relay publishes, also where the era is there and no mark says so
        let mut relay = scene.relay().start()?;
        relay.not_ready_because("RECOVERY-UNFINISHED").await?;
        relay.terminate().await?;
        if matches!(step, Step::TakeOff | Step::Open) && strategy != "trust-stream" {
            // AND nobody may leave now what was taken off
            let refused = scene.try_apply("trust-stream")?;
            assert_eq!(refused.code, 4, "{}", refused.errors);
            assert!(refused.errors.contains("not finished"), "{}", refused.errors);
        }
    }
    // WHEN it is run to its end
    scene.apply(strategy)?;
    // THEN there is one era more, every entry was kept once, and the stream is as chosen
    let mut connection = scene.connect().await?;
    let (eras, kept, open): (i64, i64, i64) = sqlx::query_as(
        "select (select count(*) from outbox.era), (select count(*) from outbox.unknown_entry), \
                (select count(*) from outbox.recovery where state <> 'done')",
    )
    .fetch_one(&mut connection)
    .await?;
    assert_eq!((eras, kept, open), (2, 10, 0));
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    let unknown = if strategy == "trust-stream" {
        scene.unknown.clone()
    } else {
        Vec::new()
    };
    let expected = [scene.known.clone(), unknown, newer].concat();
    assert_eq!(scene.arrived(expected.len()).await?, expected);
    Ok(())
}

#[tokio::test]
async fn killed_at_every_step_it_is_finished_by_running_it_again() -> Result {
    is_finished_by_running_it_again(
        &[Step::Keep, Step::TakeOff, Step::Open, Step::Mark],
        "trust-database",
    )
    .await
}

#[tokio::test]
async fn killed_where_nothing_is_taken_off_it_is_finished_by_running_it_again() -> Result {
    is_finished_by_running_it_again(&[Step::Keep, Step::Open], "trust-stream").await
}
