//! `outbox-relay projection`: what people and scripts see of projections, and have built anew.

use std::sync::Arc;

use serde_json::{Value, json};
use system_tests::patience::until;
use system_tests::{Answer, Invocation, Result};
use tokio::sync::Semaphore;

use crate::projections::orders::{NAME, Totals, asynchronous, becomes_right, is_right, rebuild_is, scene};
use crate::subscriptions::scene::{PATIENCE, Scene};

/// What watches waits for what runs here: so it is asked beside it.
async fn ask(scene: &Scene, arguments: &[&str]) -> Result<Answer> {
    let mut line = vec!["projection"];
    line.extend(arguments);
    line.extend(["--output", "json"]);
    let invocation = Invocation::of(&scene.world, &line)?;
    tokio::task::spawn_blocking(move || invocation.ask()).await?
}

async fn asked(scene: &Scene, arguments: &[&str]) -> Result<Value> {
    let answer = ask(scene, arguments).await?;
    assert_eq!(answer.code, 0, "{arguments:?}: {}", answer.errors);
    answer.json()
}

async fn refused(scene: &Scene, arguments: &[&str], code: i32, part: &str) -> Result {
    let answer = ask(scene, arguments).await?;
    assert_eq!(answer.code, code, "{arguments:?}: {}", answer.errors);
    assert!(answer.errors.contains(part), "{arguments:?}: {}", answer.errors);
    Ok(())
}

async fn append_some(scene: &Scene, streams: u32) -> Result {
    for n in 0..streams {
        scene.append(&format!("order-{n}"), &["placed", "paid"]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_rebuild_is_watched_until_it_is_live_or_held_for_a_person() -> Result {
    // GIVEN a projection at work
    let scene = scene().await?;
    refused(
        &scene,
        &["rebuild", NAME, "--reason", "too early"],
        4,
        "outbox-relay projection ls",
    )
    .await?;
    append_some(&scene, 10).await?;
    let running = asynchronous(&scene.pool, Totals::default());
    becomes_right(&scene).await?;
    let listed = asked(&scene, &["ls"]).await?;
    assert_eq!(
        (
            &listed[0]["projection"],
            &listed[0]["kind"],
            &listed[0]["generation"]
        ),
        (&json!(NAME), &json!("asynchronous"), &json!(1))
    );
    refused(&scene, &["show", NAME, "--watch"], 4, "never built anew").await?;
    // WHEN it is built anew THEN the command ends when it is live, with a bar on the way
    let answer = ask(
        &scene,
        &["rebuild", NAME, "--reason", "the code was mended", "--watch"],
    )
    .await?;
    assert_eq!(answer.code, 0, "{}", answer.errors);
    assert!(
        answer
            .errors
            .contains("[##############################] 100 %  switched: every table has the same rows"),
        "{}",
        answer.errors
    );
    let report = answer.json()?;
    assert_eq!(
        (
            &report["generation"],
            &report["rebuild_state"],
            &report["rebuild_reason"]
        ),
        (&json!(2), &json!("switched"), &json!("the code was mended"))
    );
    // WHEN it differs THEN it is held, said so, and goes on when a person accepts it
    scene
        .administer("update order_totals.totals set events = 99 where type = 'paid'")
        .await?;
    refused(
        &scene,
        &["rebuild", NAME, "--reason", "looks wrong", "--watch"],
        3,
        "outbox-relay projection release order_totals",
    )
    .await?;
    assert!(!is_right(&scene).await?);
    refused(
        &scene,
        &["rebuild", NAME, "--reason", "again"],
        4,
        "is being built anew already",
    )
    .await?;
    let line = [
        "release",
        NAME,
        "--reason",
        "it was",
        "--accept-differences",
        "--watch",
    ];
    assert_eq!(asked(&scene, &line).await?["rebuild_state"], "switched");
    assert!(is_right(&scene).await?);
    let table = Invocation::of(&scene.world, &["projection", "ls"])?.ask()?;
    assert!(
        table.output.contains("switched")
            && table.output.contains("100 %")
            && table.output.contains("accepted"),
        "{}",
        table.output
    );
    running.stop().await
}

#[tokio::test]
async fn what_is_built_and_what_is_live_are_paused_resumed_and_cancelled() -> Result {
    // GIVEN a projection whose rebuild does not get on
    let scene = scene().await?;
    append_some(&scene, 3).await?;
    let gate = Arc::new(Semaphore::new(6));
    let running = asynchronous(
        &scene.pool,
        Totals {
            gate: Some(Arc::clone(&gate)),
        },
    );
    becomes_right(&scene).await?;
    refused(
        &scene,
        &["pause", NAME, "--rebuild", "--reason", "peak hours"],
        4,
        "is not being built anew",
    )
    .await?;
    asked(&scene, &["rebuild", NAME, "--reason", "to be sure"]).await?;
    rebuild_is(&scene, "building").await?;
    // WHEN it is paused THEN it alone is, which is shown
    until("it can be paused", PATIENCE, async || {
        let line = ["pause", NAME, "--rebuild", "--reason", "peak hours"];
        Ok((asked(&scene, &line).await?["paused"] == 1).then_some(()))
    })
    .await?;
    let shown = asked(&scene, &["show", NAME]).await?;
    assert_eq!(shown["rebuild_paused"], true);
    assert_ne!(shown["state"], "paused");
    // WHEN somebody watches, and it is cancelled THEN the watching ends, with a code of its own
    let invocation = Invocation::of(&scene.world, &["projection", "show", NAME, "--watch"])?;
    let watching = tokio::task::spawn_blocking(move || invocation.ask());
    asked(&scene, &["cancel", NAME, "--reason", "not today"]).await?;
    let answer = watching.await??;
    assert_eq!(answer.code, 5, "{}", answer.errors);
    assert!(answer.errors.contains("cancelled"), "{}", answer.errors);
    refused(
        &scene,
        &["cancel", NAME, "--reason", "again"],
        4,
        "is not being built anew",
    )
    .await?;
    // WHEN what is live is paused THEN nothing is applied until it is resumed
    gate.add_permits(100);
    until("what was built is gone", PATIENCE, async || {
        let left = scene
            .count("select count(*) from outbox.subscription where generation = 2")
            .await?;
        Ok((left == 0).then_some(()))
    })
    .await?;
    assert_eq!(
        asked(&scene, &["pause", NAME, "--reason", "the disk is full"]).await?["paused"],
        1
    );
    append_some(&scene, 1).await?;
    let shown = asked(&scene, &["show", NAME]).await?;
    assert_eq!(
        (&shown["state"], &shown["lag_events"]),
        (&json!("paused"), &json!(2))
    );
    assert!(!is_right(&scene).await?);
    assert_eq!(
        asked(&scene, &["resume", NAME, "--reason", "there is room"]).await?["resumed"],
        1
    );
    becomes_right(&scene).await?;
    let actions: Vec<(String, i32, String)> =
        sqlx::query_as("select action, generation, reason from outbox.subscription_action order by number")
            .fetch_all(&mut scene.world.connect().await?)
            .await?;
    let actions: Vec<(&str, i32, &str)> = actions
        .iter()
        .map(|(action, generation, reason)| (action.as_str(), *generation, reason.as_str()))
        .collect();
    assert_eq!(
        actions,
        [
            ("pause", 2, "peak hours"),
            ("pause", 1, "the disk is full"),
            ("resume", 1, "there is room")
        ]
    );
    running.stop().await
}

#[tokio::test]
async fn what_cannot_be_is_said() -> Result {
    let scene = scene().await?;
    scene
        .administer("insert into outbox.projection (name, kind) values ('per_order', 'inline')")
        .await?;
    for (line, code, part) in [
        (&["show", "nothing"][..], 4, "there is no projection nothing"),
        (
            &["pause", "nothing", "--reason", "so"],
            4,
            "there is no projection nothing",
        ),
        (
            &["pause", "per_order", "--reason", "so"],
            4,
            "in the transactions that append",
        ),
        (&["rebuild", "per_order"], 2, "--reason"),
        (&["rebuild", "per_order", "--reason", ""], 2, "--reason"),
        (
            &["release", "per_order", "--reason", "so"],
            4,
            "no rebuild of projection 'per_order' is held",
        ),
    ] {
        refused(&scene, line, code, part).await?;
    }
    // Who may only look decides nothing.
    let line = ["projection", "rebuild", "per_order", "--reason", "so"];
    let answer = Invocation::of(&scene.world, &line)?
        .login(system_tests::Login::Observer)
        .ask()?;
    assert_eq!(answer.code, 1, "{}", answer.errors);
    assert!(answer.errors.contains("outbox_operator"), "{}", answer.errors);
    Ok(())
}
