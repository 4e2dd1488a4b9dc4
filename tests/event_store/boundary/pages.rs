//! Reading by tags, page by page, and what it costs in a store of any size.

use futures_util::TryStreamExt as _;
use outbox_core::append::NewEvent;
use outbox_core::event_store::boundary::{Condition, Matching, TaggedRead, read_tagged, read_tagged_page};
use outbox_core::event_store::{self, EventPage, Expected, Outcome, PageLimits, StreamName};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use system_tests::{Result, World};
use xtask::servers::{PostgresOptions, RedisOptions};

use super::locks::append;

fn limits(events_max: u32, bytes_max: u32) -> PageLimits {
    PageLimits {
        events_max,
        bytes_max,
    }
}

async fn pages(connection: &mut PgConnection, read: TaggedRead) -> Result<Vec<EventPage>> {
    Ok(read_tagged(connection, read).try_collect().await?)
}

#[tokio::test]
async fn events_come_in_order_each_once_however_they_are_cut() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let mut wanted = Vec::new();
    for number in 0..40_u32 {
        let tags: &[&str] = match number % 4 {
            0 => &["a", "b"],
            1 => &["a"],
            2 => &["b", "c"],
            _ => &["d"],
        };
        let position = append(&mut connection, &format!("{}", number % 3), tags).await?;
        if number % 4 != 3 {
            wanted.push(position);
        }
    }
    // Some match both items.
    let both = Condition::of(Matching::tag("a")).or(Matching::tag("b").types(["course.moved"]));
    for (events_max, bytes_max) in [(1, 1 << 20), (7, 1 << 20), (500, 1), (500, 1_100), (500, 1 << 20)] {
        let read = TaggedRead::of(&both).limits(limits(events_max, bytes_max));
        let pages = pages(&mut connection, read).await?;
        let (last, before) = pages.split_last().expect("a page always");
        assert!(last.is_end && before.iter().all(|page| !page.is_end && !page.events.is_empty()));
        let read: Vec<i64> = pages
            .iter()
            .flat_map(|page| page.events.iter().map(|event| event.position))
            .collect();
        assert_eq!(read, wanted, "{events_max} events, {bytes_max} bytes");
    }
    let narrow = Condition::of(Matching::tag("b").and_tag("c"));
    let page = read_tagged_page(&mut connection, &TaggedRead::of(&narrow)).await?;
    assert_eq!(page.events.len(), 10);
    let none = Condition::of(Matching::tag("a").types(["course.closed"]));
    let page = read_tagged_page(&mut connection, &TaggedRead::of(&none)).await?;
    assert_eq!((page.events.len(), page.is_end), (0, true));
    // From the end on, what comes since, and nothing else: also where it is cut.
    let mut cursor = read_tagged_page(&mut connection, &TaggedRead::of(&both))
        .await?
        .cursor;
    for since in [0, 3] {
        let mut added = Vec::new();
        for _ in 0..since {
            added.push(append(&mut connection, "0", &["b", "a"]).await?);
            let _ = append(&mut connection, "0", &["c"]).await?;
        }
        let read = TaggedRead::of(&both).behind(cursor).limits(limits(2, 1 << 20));
        let pages = pages(&mut connection, read).await?;
        let read: Vec<i64> = pages
            .iter()
            .flat_map(|page| page.events.iter().map(|event| event.position))
            .collect();
        assert_eq!(read, added);
        cursor = pages[pages.len() - 1].cursor.clone();
    }
    Ok(())
}

/// Pages of memory that a statement touched.
async fn touched(connection: &mut PgConnection, statement: &str) -> Result<i64> {
    let explain = format!("explain (analyze, buffers, timing off, format json) {statement}");
    let mut last = 0;
    // The first call plans.
    for _ in 0..2 {
        let plan: serde_json::Value = sqlx::query_scalar(AssertSqlSafe(explain.as_str()))
            .fetch_one(&mut *connection)
            .await?;
        let count = |key: &str| plan[0]["Plan"][key].as_i64().unwrap_or(0);
        last = count("Shared Hit Blocks") + count("Shared Read Blocks");
    }
    Ok(last)
}

/// The same read and the same decision in a store of few events and in one of many, before and after statistics.
#[tokio::test]
async fn a_page_and_a_decision_cost_the_same_however_much_is_stored() -> Result {
    // Alone: each transaction that others have open is looked for.
    let world = World::with_own_servers(PostgresOptions::default(), RedisOptions::default()).await?;
    let mut connection = world.connect().await?;
    for number in 0..20 {
        let _ = append(
            &mut connection,
            "wanted",
            &[if number % 2 == 0 { "rare" } else { "other" }],
        )
        .await?;
    }
    let condition = r#"'[{"tags": ["rare", "rare"]}, {"tags": ["rare"], "types": ["course.moved"]}]'"#;
    let cursor: String = sqlx::query_scalar("select outbox.newest_cursor()")
        .fetch_one(&mut connection)
        .await?;
    let page = format!("select * from outbox.read_tagged({condition}, null, 5)");
    let since = format!("select * from outbox.read_tagged({condition}, '{cursor}')");
    let unseen = format!(
        "select * from outbox.find_unseen({condition}, (outbox.cursor_snapshot('{cursor}')).snapshot, null, null, 0)"
    );
    let mut first = Vec::new();
    for statement in [&page, &since, &unseen] {
        first.push(touched(&mut connection, statement).await?);
    }
    // Others' events, many of them with tags, in transactions that the cursor has not seen.
    for round in 0..30 {
        let events = (0..500)
            .map(|number| {
                let event = NewEvent::stored("course.moved").private();
                if number % 2 == 0 {
                    event.tag(format!("t{}", number % 50))
                } else {
                    event
                }
            })
            .collect();
        let name = StreamName::new("filling", round)?;
        let outcome = event_store::append(&mut connection, &name, Expected::Any, events).await?;
        assert!(matches!(outcome, Outcome::Appended { .. }));
    }
    for statistics in ["select", "analyze"] {
        connection.execute(AssertSqlSafe(statistics)).await?;
        for (statement, first) in [&page, &since, &unseen].into_iter().zip(&first) {
            let now = touched(&mut connection, statement).await?;
            println!("{first} pages at first, {now} after {statistics}: {statement}");
            assert!(
                now <= first * 2 + 20,
                "{now} pages of memory, {first} when little was stored: {statement}"
            );
        }
    }
    Ok(())
}
