//! A database that went back in time, and the era that a person opened.

use outbox_core::event_store::{self, Cursor, Error, EventRead};
use sqlx::{Executor as _, PgConnection};
use system_tests::{Result, World};

use super::{append, few, names, read};

/// A cursor as a server far ahead of this one would have made it.
async fn of_the_future(connection: &mut PgConnection) -> Result<Cursor> {
    let text: String = sqlx::query_scalar(
        "select outbox.cursor_text(e.era, s.system_identifier, '-', 0, '900000000:900000000:', null, null)
         from outbox.era e cross join pg_control_system() s",
    )
    .fetch_one(connection)
    .await?;
    Ok(text.parse()?)
}

async fn refusal(connection: &mut PgConnection, cursor: Cursor) -> String {
    match event_store::read_events_page(connection, &EventRead::all().behind(cursor)).await {
        Err(Error::Cursor { said }) => said,
        other => panic!("not refused: {other:?}"),
    }
}

const OPEN_ERA: &str = "insert into outbox.era (era, system_identifier, timeline, position_floor) \
    select era + 1, system_identifier, timeline, (select last_value from outbox.log_position) from outbox.era";

#[tokio::test]
async fn a_cursor_of_a_server_that_was_ahead_is_refused_and_so_is_one_of_another_era() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "order-1", &["placed", "paid"]).await?;
    let (_, before) = read(&mut connection, EventRead::all()).await?;
    let within = event_store::read_events_page(&mut connection, &EventRead::all().limits(few(1))).await?;
    let ahead = of_the_future(&mut connection).await?;
    let said = refusal(&mut connection, ahead).await;
    assert!(said.contains("the database went back in time"), "{said}");
    // WHEN an era was opened THEN what is of the one before is refused, at any place
    connection.execute(OPEN_ERA).await?;
    for cursor in [before, within.cursor] {
        let said = refusal(&mut connection, cursor).await;
        assert!(said.contains("is of era 1, and this is era 2"), "{said}");
    }
    let elsewhere: String = sqlx::query_scalar(
        "select outbox.cursor_text(2, s.system_identifier + 1, '-', 0, '3:3:', null, null) from pg_control_system() s",
    )
    .fetch_one(&mut connection)
    .await?;
    let said = refusal(&mut connection, elsewhere.parse()?).await;
    assert!(said.contains("is of server"), "{said}");
    Ok(())
}

#[tokio::test]
async fn what_is_of_an_earlier_era_is_read_whatever_its_transaction_ids_are() -> Result {
    // GIVEN rows of a server whose transaction ids were far higher, one that looks old, and an era that began behind them
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "order-1", &["placed"]).await?;
    connection
        .execute(
            "insert into outbox.log (transaction_id, retention, id, source, type, stream, version, category)
             select '800000000'::xid8, 'stream', gen_random_uuid(), 'test', 'paid', s.id, 2, s.category from outbox.stream s",
        )
        .await?;
    connection.execute(OPEN_ERA).await?;
    append(&mut connection, "order-1", &["sent"]).await?;
    // WHEN all is read THEN they are in it, and the difference from there has what is new
    for wanted in [
        EventRead::all(),
        EventRead::of_category("order"),
        EventRead::all().backward(),
    ] {
        let (mut all, end) = read(&mut connection, wanted.clone().limits(few(1))).await?;
        all.sort_by_key(|event| event.position);
        assert_eq!(names(&all), ["order-1@1", "order-1@2", "order-1@3"]);
        let (none, _) = read(&mut connection, wanted.behind(end)).await?;
        assert!(none.is_empty(), "{:?}", names(&none));
    }
    let (_, end) = read(&mut connection, EventRead::all()).await?;
    append(&mut connection, "order-1", &["returned"]).await?;
    let (found, _) = read(&mut connection, EventRead::all().behind(end)).await?;
    assert_eq!(names(&found), ["order-1@4"]);
    Ok(())
}

#[tokio::test]
async fn another_server_is_refused_as_long_as_no_era_was_opened() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "order-1", &["placed"]).await?;
    connection
        .execute("update outbox.era set system_identifier = system_identifier + 1")
        .await?;
    let refused = event_store::read_events_page(&mut connection, &EventRead::all())
        .await
        .expect_err("refused");
    assert!(
        matches!(&refused, Error::Cursor { said } if said.contains("is not the one that its newest era is of")),
        "{refused}"
    );
    Ok(())
}
