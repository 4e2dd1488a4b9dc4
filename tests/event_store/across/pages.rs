//! How much a page holds: events, bytes, and what is looked at.

use outbox_core::append::NewEvent;
use outbox_core::event_store::{self, EventRead, Expected, PageLimits};
use serde_json::json;
use system_tests::{Result, World};

use super::{append, few, names, pages, read};

#[tokio::test]
async fn a_page_has_no_more_events_than_were_asked_for_and_the_last_one_says_so() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    for n in 0..10 {
        append(&mut connection, &format!("order-{n}"), &["placed"]).await?;
    }
    for (events_max, sizes) in [
        (3, vec![3, 3, 3, 1]),
        (5, vec![5, 5]),
        (10, vec![10]),
        (11, vec![10]),
    ] {
        for wanted in [
            EventRead::all(),
            EventRead::of_category("order"),
            EventRead::all().backward(),
        ] {
            let found = pages(&mut connection, wanted.limits(few(events_max))).await?;
            assert_eq!(
                found.iter().map(|page| page.events.len()).collect::<Vec<_>>(),
                sizes
            );
        }
    }
    // Nothing at all is a page too, and it is the end.
    let none = pages(&mut connection, EventRead::of_category("nothing")).await?;
    assert_eq!((none.len(), none[0].events.len()), (1, 0));
    Ok(())
}

#[tokio::test]
async fn a_page_ends_where_its_bytes_do_and_has_one_event_however_large() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let large = "x".repeat(100_000);
    for size in [10, 10, 100_000, 100_000, 10] {
        let event = NewEvent::stored("noted").json(&json!({ "text": large[..size] }));
        let outcome =
            event_store::append(&mut connection, &"order-1".parse()?, Expected::Any, vec![event]).await?;
        assert!(
            matches!(outcome, event_store::Outcome::Appended { .. }),
            "{outcome:?}"
        );
    }
    let limits = PageLimits {
        events_max: 100,
        bytes_max: 20_000,
    };
    for (wanted, sizes) in [
        (EventRead::all(), [3, 1, 1]),
        (EventRead::of_category("order"), [3, 1, 1]),
        (EventRead::all().backward(), [2, 1, 2]),
    ] {
        let found = pages(&mut connection, wanted.limits(limits)).await?;
        assert_eq!(
            found.iter().map(|page| page.events.len()).collect::<Vec<_>>(),
            sizes
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_page_ends_where_enough_was_looked_at_though_nothing_was_wanted() -> Result {
    // GIVEN many events of one type, and one of another at the end
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "order-1", &["placed"; 200]).await?;
    append(&mut connection, "order-2", &["paid"]).await?;
    // WHEN the one is looked for, five at a time
    let wanted = EventRead::all().types(["paid"]).limits(few(5));
    let first = event_store::read_events_page(&mut connection, &wanted).await?;
    // THEN a page without events is not the end, and the last page has it
    assert_eq!((first.events.len(), first.is_end), (0, false));
    let found = pages(&mut connection, wanted).await?;
    assert_eq!(found.len(), 5);
    assert_eq!(names(&found[4].events), ["order-2@1"]);
    Ok(())
}

#[tokio::test]
async fn what_no_page_can_be_is_refused() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    for (arguments, part) in [
        ("max => 0", "max must be 1 to 10000"),
        ("max => 10001", "max must be 1 to 10000"),
        ("max => null", "max must be 1 to 10000"),
        ("max_bytes => 0", "max_bytes must be at least 1"),
        ("categories => '{}'", "categories must be null or 1 to 100"),
        ("types => '{}'", "types null or 1 to 1000"),
        ("types => array[null::text]", "must not have a null"),
        ("backward => null", "true or false"),
        ("above => -1", "above must be a position"),
        ("cursor => '7'", "that is no cursor"),
    ] {
        let refused = sqlx::query(sqlx::AssertSqlSafe(format!(
            "select * from outbox.read_events({arguments})"
        )))
        .execute(&mut connection)
        .await
        .expect_err(arguments);
        assert!(refused.to_string().contains(part), "{arguments}: {refused}");
    }
    let (_, end) = read(&mut connection, EventRead::all()).await?;
    let both = sqlx::query("select * from outbox.read_events($1, above => 3)")
        .bind(end.as_str())
        .execute(&mut connection)
        .await
        .expect_err("refused");
    assert!(both.to_string().contains("for reads without a cursor"), "{both}");
    Ok(())
}
