//! What comes in which read: late commits, wherever their positions lie.

use outbox_core::event_store::{self, EventRead};
use sqlx::{Connection as _, Executor as _};
use system_tests::{Result, World};
use xtask::servers::{PostgresOptions, RedisOptions};

use super::{append, few, names, pages, read};

#[tokio::test]
async fn a_late_commit_with_an_early_position_comes_in_the_next_read_once() -> Result {
    // GIVEN a transaction that drew an early position, later ones that committed, and a read that has passed the position
    let world = World::new().await?;
    let (mut reader, mut writer, mut early) = (
        world.connect().await?,
        world.connect().await?,
        world.connect().await?,
    );
    append(&mut writer, "order-1", &["placed"]).await?;
    let mut held = early.begin().await?;
    append(&mut held, "order-2", &["placed"]).await?;
    append(&mut writer, "order-3", &["placed", "paid", "sent"]).await?;
    let begun = event_store::read_events_page(&mut reader, &EventRead::all().limits(few(2))).await?;
    assert_eq!(names(&begun.events), ["order-1@1", "order-3@1"]);
    assert!(!begun.is_end);
    // WHEN it commits in the middle of the read, and another one after it
    held.commit().await?;
    append(&mut writer, "order-4", &["placed"]).await?;
    // THEN this read goes on as it began
    let (rest, end) = read(&mut reader, EventRead::all().behind(begun.cursor)).await?;
    assert_eq!(names(&rest), ["order-3@2", "order-3@3"]);
    // AND the next one has what that did not see, and the one after it nothing
    let (late, end) = read(&mut reader, EventRead::all().behind(end)).await?;
    assert_eq!(names(&late), ["order-2@1", "order-4@1"]);
    let (none, _) = read(&mut reader, EventRead::all().behind(end)).await?;
    assert!(none.is_empty());
    Ok(())
}

#[tokio::test]
async fn an_open_transaction_that_no_snapshot_lists_is_not_missed() -> Result {
    // GIVEN an open transaction that no other one on this server has ended behind, so that it is at the end of the snapshot, unlisted; and
    // one that began before it, drew a position behind it, and committed
    let world = World::with_own_servers(PostgresOptions::default(), RedisOptions::default()).await?;
    let (mut reader, mut writer, mut early) = (
        world.connect().await?,
        world.connect().await?,
        world.connect().await?,
    );
    append(&mut writer, "order-1", &["placed"]).await?;
    let mut elder = writer.begin().await?;
    elder.execute("select pg_current_xact_id()").await?;
    let mut held = early.begin().await?;
    append(&mut held, "order-2", &["placed"]).await?;
    append(&mut elder, "order-1", &["paid"]).await?;
    elder.commit().await?;
    let (first, end) = read(&mut reader, EventRead::all()).await?;
    assert_eq!(names(&first), ["order-1@1", "order-1@2"]);
    let seen = end.snapshot()?;
    assert!(seen.snapshot.open().is_empty(), "{end}");
    // WHEN it commits behind a later position THEN both come, in order of position
    append(&mut writer, "order-3", &["placed"]).await?;
    held.commit().await?;
    let (second, _) = read(&mut reader, EventRead::all().behind(end)).await?;
    assert_eq!(names(&second), ["order-2@1", "order-3@1"]);
    Ok(())
}

#[tokio::test]
async fn writers_that_stay_open_across_pages_come_when_they_commit() -> Result {
    // GIVEN six writers of positions that lie between each other, in two categories that are there: who makes one is waited for
    let world = World::new().await?;
    let mut reader = world.connect().await?;
    append(&mut reader, "order-0", &["placed"]).await?;
    append(&mut reader, "cart-0", &["placed"]).await?;
    let mut connections = Vec::new();
    for _ in 0..6 {
        connections.push(world.connect().await?);
    }
    let mut open = Vec::new();
    for connection in &mut connections {
        open.push(connection.begin().await?);
    }
    for round in 0..3 {
        for (n, transaction) in open.iter_mut().enumerate() {
            let category = if n % 2 == 0 { "order" } else { "cart" };
            append(transaction, &format!("{category}-{n}-{round}"), &["placed"]).await?;
        }
    }
    // WHEN they end one by one, each between two pages of one event, and one of them is rolled back
    let (mut all, mut orders) = (Vec::new(), Vec::new());
    let (mut all_at, mut orders_at) = (None, None);
    let mut ending = open.into_iter().enumerate();
    let mut is_over = false;
    while !is_over {
        match ending.next() {
            Some((2, transaction)) => transaction.rollback().await?,
            Some((_, transaction)) => transaction.commit().await?,
            None => is_over = true,
        }
        for (found, at, wanted) in [
            (&mut all, &mut all_at, EventRead::all()),
            (&mut orders, &mut orders_at, EventRead::of_category("order")),
        ] {
            let step = |wanted: EventRead, at: &Option<_>| match at {
                Some(cursor) => wanted.limits(few(1)).behind(Clone::clone(cursor)),
                None => wanted.limits(few(1)),
            };
            let page = event_store::read_events_page(&mut reader, &step(wanted.clone(), at)).await?;
            found.extend(names(&page.events));
            *at = Some(page.cursor);
            // All of what is there, in the end: first what this read goes to, then what the next one does.
            for _ in 0..if is_over { 2 } else { 0 } {
                let rest = pages(&mut reader, step(wanted.clone(), at)).await?;
                for page in rest {
                    found.extend(names(&page.events));
                    *at = Some(page.cursor);
                }
            }
        }
    }
    // THEN each event came, once
    let mut wanted: Vec<String> = (0..6)
        .filter(|n| *n != 2)
        .flat_map(|n| (0..3).map(move |round| (n, round)))
        .map(|(n, round)| format!("{}-{n}-{round}@1", if n % 2 == 0 { "order" } else { "cart" }))
        .chain(["order-0@1".to_owned(), "cart-0@1".to_owned()])
        .collect();
    wanted.sort();
    all.sort();
    orders.sort();
    assert_eq!(all, wanted);
    wanted.retain(|name| name.starts_with("order"));
    assert_eq!(orders, wanted);
    Ok(())
}
