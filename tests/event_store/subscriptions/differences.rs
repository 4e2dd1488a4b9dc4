//! What comes in which difference: late commits, transactions above a snapshot's end, the own one, another era.

use std::time::Duration;

use outbox_core::event_store::PageLimits;
use outbox_core::event_store::subscription::{Error, Subscription};
use sqlx::{Connection as _, Executor as _};
use system_tests::patience::until;
use system_tests::{Relay, Result};

use super::scene::{PATIENCE, Recorder, Scene, append, quick};

#[tokio::test]
async fn a_late_commit_with_an_early_position_is_handed_over_when_it_commits() -> Result {
    // GIVEN an open transaction that drew a position, later ones that committed, and a subscription that applied these
    let scene = Scene::new().await?;
    scene.append("order-2", &["placed"]).await?;
    let mut early = scene.world.connect().await?;
    let mut held = early.begin().await?;
    append(&mut held, "order-1", &["placed"]).await?;
    for _ in 0..2 {
        scene.append("order-2", &["placed"]).await?;
    }
    let running = scene.start(quick("all"), Recorder::plain());
    scene.has_applied(3).await?;
    scene.append("order-2", &["placed"]).await?;
    scene.has_applied(4).await?;
    // WHEN it commits THEN its event comes, once
    held.commit().await?;
    let applied = scene.has_applied(5).await?;
    assert_eq!(applied[4], ("order-1".to_owned(), 1));
    scene.append("order-3", &["placed"]).await?;
    assert_eq!(scene.has_applied(6).await?.len(), 6);
    running.stop().await
}

#[tokio::test]
async fn an_open_transaction_that_no_snapshot_lists_is_not_missed() -> Result {
    // GIVEN an open transaction that drew the last position: no later one has ended, so it is at the end of every snapshot, and not
    // in its list
    let scene = Scene::new().await?;
    scene.append("order-1", &["placed"]).await?;
    let mut early = scene.world.connect().await?;
    let mut held = early.begin().await?;
    append(&mut held, "order-2", &["placed"]).await?;
    // WHEN a subscription goes past it, in one step
    let running = scene.start(quick("all"), Recorder::plain());
    scene.has_applied(1).await?;
    // THEN its event comes after its commit
    held.commit().await?;
    assert_eq!(scene.has_applied(2).await?[1].0, "order-2");
    running.stop().await
}

#[tokio::test]
async fn a_handler_is_handed_what_it_appended_itself_once() -> Result {
    // GIVEN a handler that answers each ping with a pong, and strangers whose transactions begin and end all the time: so some end
    // between the beginning of an applying transaction and its snapshot
    let scene = Scene::new().await?;
    let answering = Recorder::and(|transaction, event| {
        Box::pin(async move {
            if event.event.r#type == "ping" {
                append(transaction, &format!("answer-{}", event.position), &["pong"])
                    .await
                    .map_err(|failure| failure.to_string())?;
            }
            Ok(())
        })
    });
    let token = tokio_util::sync::CancellationToken::new();
    let mut strangers = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let mut connection = scene.world.connect().await?;
        let token = token.clone();
        strangers.spawn(async move {
            while !token.is_cancelled() {
                if connection.execute("select pg_current_xact_id()").await.is_err() {
                    break;
                }
            }
        });
    }
    let running = scene.start(quick("all"), answering);
    // WHEN pings come one by one
    let pings = 60;
    for n in 0..pings {
        scene.append(&format!("question-{n}"), &["ping"]).await?;
    }
    // THEN each pong comes, and none twice
    let outcome = scene.has_applied(2 * pings).await;
    token.cancel();
    while strangers.join_next().await.is_some() {}
    let applied = outcome?;
    let mut streams: Vec<&str> = applied.iter().map(|(stream, _)| stream.as_str()).collect();
    streams.sort_unstable();
    streams.dedup();
    assert_eq!((applied.len(), streams.len()), (2 * pings, 2 * pings));
    running.stop().await
}

#[tokio::test]
async fn another_server_is_refused_until_an_era_is_opened_and_then_nothing_is_missed() -> Result {
    // GIVEN a checkpoint of a server whose transaction ids were far higher, and what was appended since
    let scene = Scene::new().await?;
    scene.append("order-1", &["placed", "paid"]).await?;
    let running = scene.start(quick("all"), Recorder::plain());
    scene.has_applied(2).await?;
    running.stop().await?;
    scene
        .administer("update outbox.subscription_checkpoint set done = '900000000:900000000:'")
        .await?;
    scene.append("order-1", &["shipped"]).await?;
    // WHEN it is run THEN it says what is the matter, and applies nothing
    let said = scene.start(quick("all"), Recorder::plain()).ended().await?;
    assert!(matches!(said, Error::WentBack { .. }), "{said}");
    assert!(said.advice().contains("recover"), "{}", said.advice());
    assert_eq!(scene.applied().await?.len(), 2);
    // WHEN an era was opened, and more comes THEN it goes on behind what it had
    scene
        .administer(
            "insert into outbox.era (era, system_identifier, timeline, position_floor) \
             select era + 1, system_identifier, timeline, (select last_value from outbox.log_position) from outbox.era",
        )
        .await?;
    scene.append("order-1", &["returned"]).await?;
    let running = scene.start(quick("all"), Recorder::plain());
    let applied = scene.has_applied(4).await?;
    scene.append("order-1", &["placed"]).await?;
    let versions: Vec<i64> = scene
        .has_applied(5)
        .await?
        .iter()
        .map(|(_, version)| *version)
        .collect();
    assert_eq!((applied.len(), versions), (4, vec![1, 2, 3, 4, 5]));
    running.stop().await
}

#[tokio::test]
async fn only_categories_and_types_that_were_asked_for_come() -> Result {
    let scene = Scene::new().await?;
    let running = scene.start(
        quick("payments").categories(["order", "refund"]).types(["paid"]),
        Recorder::plain(),
    );
    scene.append("order-1", &["placed", "paid"]).await?;
    scene.append("cart-1", &["paid"]).await?;
    scene.append("refund-1", &["paid"]).await?;
    let applied = scene.has_applied(2).await?;
    assert_eq!(applied, [("order-1".to_owned(), 2), ("refund-1".to_owned(), 1)]);
    running.stop().await?;
    // What it reads does not change under its name.
    let said = scene
        .start(quick("payments").types(["paid"]), Recorder::plain())
        .ended()
        .await?;
    assert!(
        matches!(said, Error::Changed { .. }) && said.to_string().contains("order, refund"),
        "{said}"
    );
    Ok(())
}

/// The pauses between looks double, from 20 ms on: 21 s after the last event one of 20.48 s has just begun.
const CALM_SECONDS: i64 = 22;
const NEXT_LOOK: Duration = Duration::from_secs(15);

#[tokio::test]
async fn a_batch_of_the_relay_wakes_it() -> Result {
    // GIVEN a subscription that looks by itself once in an hour, and a relay
    let scene = Scene::new().await?;
    let mut relay = Relay::of(&scene.world).start()?;
    relay.leads().await?;
    let seldom = quick("all").poll(Duration::from_secs(3_600));
    let running = scene.start(seldom, Recorder::plain());
    scene.append("order-1", &["placed"]).await?;
    scene.has_applied(1).await?;
    // WHEN it has been calm for so long that the next look by itself is far away, and an event comes
    let calm = "select coalesce(min(extract(epoch from clock_timestamp() - moved_at)), 0)::bigint from outbox.subscription_checkpoint";
    until("it looks seldom", PATIENCE, async || {
        Ok((scene.count(calm).await? >= CALM_SECONDS).then_some(()))
    })
    .await?;
    let appended = std::time::Instant::now();
    scene.append("order-1", &["paid"]).await?;
    // THEN it is applied before that
    scene.has_applied(2).await?;
    assert!(appended.elapsed() < NEXT_LOOK, "{:?}", appended.elapsed());
    running.stop().await
}

#[tokio::test]
async fn the_second_difference_does_not_look_through_what_the_first_one_had() -> Result {
    // GIVEN a store with events, and a subscription that is new
    let scene = Scene::new().await?;
    scene.append("order-1", &["placed", "paid", "shipped"]).await?;
    let drawn = scene.count("select last_value from outbox.log_position").await?;
    let running = scene.start(quick("all"), Recorder::plain());
    scene.has_applied(3).await?;
    // WHEN its first difference is done THEN what it has is no part of the next one by position
    let floor =
        "select coalesce(max(done_floor), 0)::bigint from outbox.subscription_checkpoint where goal is null";
    let floor = until("the first difference is done", PATIENCE, async || {
        let floor = scene.count(floor).await?;
        Ok((floor > 0).then_some(floor))
    })
    .await?;
    assert_eq!(floor, drawn);
    // AND what comes comes
    scene.append("order-1", &["closed"]).await?;
    assert_eq!(scene.has_applied(4).await?[3].1, 4);
    running.stop().await
}

/// A page looks at twenty positions, and there are more than a hundred ahead.
fn small_pages(name: &str) -> Subscription {
    quick(name).categories(["order", "refund"]).limits(PageLimits {
        events_max: 2,
        ..PageLimits::default()
    })
}

#[tokio::test]
async fn what_is_found_by_category_comes_in_order_of_position_late_commits_included() -> Result {
    // GIVEN events of three categories among each other, and of two of them one that is not committed yet, drawn early
    let scene = Scene::new().await?;
    let mut early = scene.world.connect().await?;
    scene.append("order-1", &["placed"]).await?;
    let mut held = early.begin().await?;
    append(&mut held, "order-9", &["placed"]).await?;
    for n in 0..30 {
        scene.append("cart-1", &["filled", "filled"]).await?;
        scene.append(&format!("refund-{}", n % 3), &["asked"]).await?;
        scene.append("order-1", &["paid"]).await?;
    }
    // WHEN a subscription to two of them is new
    let running = scene.start(small_pages("both"), Recorder::plain());
    // THEN each comes once, in order of position
    let applied = scene.has_applied(61).await?;
    let stored: Vec<(String, i64)> = sqlx::query_as(
        "select stream, version from outbox.stored_event where split_part(stream, '-', 1) in ('order', 'refund') order by position",
    )
    .fetch_all(&mut scene.world.connect().await?)
    .await?;
    assert_eq!(applied, stored);
    // AND the late one when it commits, and what comes then
    held.commit().await?;
    assert_eq!(scene.has_applied(62).await?[61], ("order-9".to_owned(), 1));
    scene.append("order-9", &["paid"]).await?;
    assert_eq!(scene.has_applied(63).await?[62], ("order-9".to_owned(), 2));
    running.stop().await
}

#[tokio::test]
async fn a_new_subscription_to_a_rare_category_does_not_look_at_the_others() -> Result {
    // GIVEN many events of others, and three of the category, the last of all
    let scene = Scene::new().await?;
    let many = ["filled"; 400];
    scene.append("cart-1", &many).await?;
    scene.append("order-1", &["placed", "paid", "shipped"]).await?;
    scene
        .administer("create table public.moves (moved_at timestamptz)")
        .await?;
    scene
        .administer(
            "create function public.count_moves() returns trigger language plpgsql security definer as
             $$ begin insert into public.moves values (clock_timestamp()); return null; end $$",
        )
        .await?;
    scene
        .administer("create trigger count_moves after update on outbox.subscription_checkpoint for each row execute function public.count_moves()")
        .await?;
    let running = scene.start(small_pages("rare"), Recorder::plain());
    scene.has_applied(3).await?;
    // THEN it took the place of its beginning, two pages of two events, and nothing to pass the others
    let moves = scene.count("select count(*) from public.moves").await?;
    assert!((2..=3).contains(&moves), "{moves} checkpoints");
    running.stop().await
}

#[tokio::test]
async fn from_now_on_is_what_is_committed_after_it_was_run_first() -> Result {
    // GIVEN events that are stored, and one of a transaction that is open
    let scene = Scene::new().await?;
    scene.append("order-1", &["placed", "paid"]).await?;
    let mut late = scene.pool.begin().await?;
    append(&mut late, "order-2", &["placed"]).await?;
    scene.append("order-3", &["placed"]).await?;
    // WHEN a subscription is run from now on
    let running = scene.start(quick("all").from_now().partitions(2), Recorder::plain());
    until("it is there", PATIENCE, async || {
        let there = scene
            .count("select count(*) from outbox.subscription_checkpoint")
            .await?;
        Ok((there == 2).then_some(()))
    })
    .await?;
    // THEN its first difference looks through nothing below what was drawn by then
    let floor = scene
        .count("select min(least(done_floor, drawn)) from outbox.subscription_checkpoint")
        .await?;
    assert_eq!(floor, 4);
    // AND it has what is committed afterwards, the open one included, and nothing of before
    scene.append("order-1", &["shipped"]).await?;
    late.commit().await?;
    scene.append("order-3", &["paid"]).await?;
    let mut applied = scene.has_applied(3).await?;
    applied.sort();
    let told = |stream: &str, version| (stream.to_owned(), version);
    assert_eq!(
        applied,
        [told("order-1", 3), told("order-2", 1), told("order-3", 2)]
    );
    running.stop().await?;
    // AND begun once, it goes on where it was
    scene.append("order-4", &["placed"]).await?;
    let running = scene.start(quick("all").from_now().partitions(2), Recorder::plain());
    assert_eq!(scene.has_applied(4).await?[3], told("order-4", 1));
    running.stop().await
}
