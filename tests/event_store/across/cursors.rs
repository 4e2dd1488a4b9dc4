//! Cursors as texts: kept and given back, cut, changed, and put where they do not belong.

use outbox_core::event_store::{self, Cursor, Error, EventRead};
use sqlx::{Connection as _, Executor as _, PgConnection};
use system_tests::patience::until;
use system_tests::{Login, Result, World};
use xtask::servers::{PostgresOptions, RedisOptions};

use super::{append, few, names, read};

/// Why the database refuses to go on from there.
async fn refusal(connection: &mut PgConnection, wanted: EventRead) -> String {
    match event_store::read_events_page(connection, &wanted).await {
        Err(Error::Cursor { said }) => said,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_cursor_is_kept_as_text_at_any_place_of_a_read() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    for n in 0..5 {
        append(&mut connection, &format!("order-{n}"), &["placed"]).await?;
    }
    let (mut found, mut kept) = (Vec::new(), None::<String>);
    for is_backward in [false, true] {
        loop {
            let mut wanted = EventRead::all().limits(few(2));
            if is_backward {
                wanted = wanted.backward();
            }
            if let Some(text) = &kept {
                wanted = wanted.behind(text.parse()?);
            }
            let page = event_store::read_events_page(&mut connection, &wanted).await?;
            found.extend(names(&page.events));
            kept = Some(page.cursor.to_string());
            assert_eq!(page.cursor.is_at_end(), page.is_end);
            if page.is_end {
                break;
            }
        }
        // Backward from there: what came since.
        append(&mut connection, "order-5", &["placed", "paid", "sent"]).await?;
    }
    assert_eq!(
        found,
        [
            "order-0@1",
            "order-1@1",
            "order-2@1",
            "order-3@1",
            "order-4@1",
            "order-5@3",
            "order-5@2",
            "order-5@1"
        ]
    );
    Ok(())
}

#[tokio::test]
async fn what_was_cut_or_changed_is_no_cursor_here_nor_at_the_database() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "order-1", &["placed", "paid"]).await?;
    let within = event_store::read_events_page(&mut connection, &EventRead::all().limits(few(1))).await?;
    let (_, end) = read(&mut connection, EventRead::all()).await?;
    for cursor in [within.cursor, end] {
        let text = cursor.to_string();
        let mut tampered: Vec<String> = (0..text.len()).map(|end| text[..end].to_owned()).collect();
        for at in 0..text.len() {
            let other = if &text[at..=at] == "3" { "4" } else { "3" };
            tampered.push(format!("{}{other}{}", &text[..at], &text[at + 1..]));
        }
        tampered.extend([
            format!("{text} "),
            format!("{text}/0"),
            text.replacen('1', "2", 1),
        ]);
        for text in tampered {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
            let refused = sqlx::query("select * from outbox.read_events($1)")
                .bind(&text)
                .execute(&mut connection)
                .await
                .expect_err(&text);
            let code = refused.as_database_error().and_then(|error| error.code());
            assert_eq!(code.as_deref(), Some("22023"), "{text}: {refused}");
        }
        assert!(
            sqlx::query("select * from outbox.read_events($1)")
                .bind(&text)
                .execute(&mut connection)
                .await
                .is_ok()
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_cursor_of_another_read_is_refused() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "order-1", &["placed", "paid"]).await?;
    append(&mut connection, "cart-1", &["placed"]).await?;
    let (_, of_orders) = read(&mut connection, EventRead::of_category("order")).await?;
    for wanted in [
        EventRead::all(),
        EventRead::of_category("cart"),
        EventRead::of_category("order").types(["placed"]),
        EventRead::all().categories(["order", "cart"]),
    ] {
        let said = refusal(&mut connection, wanted.behind(of_orders.clone())).await;
        assert!(said.contains("of a read of other categories or types"), "{said}");
    }
    // Less than everything is in everything.
    let (_, of_all) = read(&mut connection, EventRead::all()).await?;
    append(&mut connection, "order-1", &["sent"]).await?;
    let (found, _) = read(&mut connection, EventRead::of_category("order").behind(of_all)).await?;
    assert_eq!(names(&found), ["order-1@3"]);
    // In the middle of a read there is one direction.
    let within = event_store::read_events_page(&mut connection, &EventRead::all().limits(few(1))).await?;
    let said = refusal(
        &mut connection,
        EventRead::all().backward().behind(within.cursor.clone()),
    )
    .await;
    assert!(said.contains("in the middle of a read forward"), "{said}");
    // Only a cursor at its end, of all that a read could see, stands for a snapshot.
    let (_, until) = read(
        &mut connection,
        EventRead::all().until(time::OffsetDateTime::now_utc()),
    )
    .await?;
    let (_, above) = read(&mut connection, EventRead::all().above_position(1)).await?;
    for cursor in [within.cursor, until, above] {
        assert!(cursor.snapshot().is_err(), "{cursor}");
        let refused = sqlx::query("select * from outbox.cursor_snapshot($1)")
            .bind(cursor.as_str())
            .execute(&mut connection)
            .await
            .expect_err("refused");
        assert!(
            refused.to_string().contains("stands for no snapshot"),
            "{refused}"
        );
    }
    let (snapshot, era_floor): (String, i64) =
        sqlx::query_as("select snapshot::text, era_floor from outbox.cursor_snapshot($1)")
            .bind(of_orders.as_str())
            .fetch_one(&mut connection)
            .await?;
    assert_eq!(
        (snapshot, era_floor),
        (of_orders.snapshot()?.snapshot.to_string(), 0)
    );
    Ok(())
}

#[tokio::test]
async fn a_standby_is_refused_and_its_single_streams_are_read() -> Result {
    // GIVEN a standby that has everything, with what no snapshot of it would list: a transaction in progress
    let mut world = World::with_own_servers(PostgresOptions::default(), RedisOptions::default()).await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "order-1", &["placed"]).await?;
    let database: String = sqlx::query_scalar("select current_database()::text")
        .fetch_one(&mut connection)
        .await?;
    let last: String = sqlx::query_scalar("select pg_current_wal_lsn()::text")
        .fetch_one(&mut connection)
        .await?;
    let primary = world.postgres()?;
    let standby = primary.standby(primary.port(), PostgresOptions::default())?;
    let mut there = PgConnection::connect(&standby.url(&database)).await?;
    until(
        "the standby has it",
        std::time::Duration::from_secs(120),
        async || {
            let has: bool = sqlx::query_scalar("select pg_last_wal_replay_lsn() >= $1::text::pg_lsn")
                .bind(&last)
                .fetch_one(&mut there)
                .await?;
            Ok(has.then_some(()))
        },
    )
    .await?;
    // WHEN it is read across streams THEN that is refused, and says why
    let refused = event_store::read_events_page(&mut there, &EventRead::all())
        .await
        .expect_err("refused");
    assert!(refused.to_string().contains("is a standby"), "{refused}");
    assert!(refused.advice().contains("primary"), "{}", refused.advice());
    assert!(event_store::newest_cursor(&mut there).await.is_err());
    let one = event_store::StreamRead::of(&"order-1".parse()?);
    assert_eq!(event_store::read_page(&mut there, &one).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn who_may_append_may_not_read_across_streams() -> Result {
    let world = World::new().await?;
    for login in [Login::Producer, Login::Observer, Login::Relay] {
        let mut connection = PgConnection::connect(&world.log().url_of(login)).await?;
        for call in [
            "select * from outbox.read_events()",
            "select outbox.newest_cursor()",
            "select * from outbox.cursor_snapshot('')",
        ] {
            let refused = connection.execute(call).await.expect_err(call);
            assert!(
                refused.to_string().contains("permission denied"),
                "{login:?} {call}: {refused}"
            );
        }
    }
    Ok(())
}
