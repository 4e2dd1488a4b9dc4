//! What of the store goes out: by the event's own topic, by the routes of its category, or not at all.

use std::time::Duration;

use outbox_core::append::{self, NewEvent};
use outbox_core::event_store::{self, Expected, StreamName};
use sqlx::postgres::PgListener;
use sqlx::{Executor as _, PgConnection};
use system_tests::patience::until;
use system_tests::stream::entries;
use system_tests::{Relay, Result, World};

async fn store(connection: &mut PgConnection, stream: &str, events: Vec<NewEvent>) -> Result {
    let stream: StreamName = stream.parse()?;
    let outcome = event_store::append(connection, &stream, Expected::Any, events).await?;
    assert!(
        matches!(outcome, event_store::Outcome::Appended { .. }),
        "{outcome:?}"
    );
    Ok(())
}

/// Waits until the ledger has seen everything that is committed.
async fn all_is_cut(connection: &mut PgConnection) -> Result {
    until("the ledger has seen all of the log", Duration::from_secs(60), async || {
        let missing: i64 = sqlx::query_scalar(
            "select count(*) from outbox.log l, (select snapshot from outbox.batch order by number desc limit 1) last
             where not pg_visible_in_snapshot(l.transaction_id, last.snapshot)",
        )
        .fetch_one(&mut *connection)
        .await?;
        Ok((missing == 0).then_some(()))
    })
    .await
}

#[tokio::test]
async fn routes_say_what_goes_out_and_the_rest_stays() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    connection
        .execute(
            "insert into outbox.route (category, type, topic) values
             ('order', '', 'orders'), ('order', 'order.noted', null), ('account', 'account.closed', 'closings')",
        )
        .await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let typed = |names: &[&str]| {
        names
            .iter()
            .map(|name| NewEvent::stored(*name))
            .collect::<Vec<_>>()
    };
    store(
        &mut connection,
        "order-1",
        typed(&["order.placed", "order.noted", "order.paid"]),
    )
    .await?;
    store(
        &mut connection,
        "account-1",
        typed(&["account.opened", "account.closed"]),
    )
    .await?;
    store(
        &mut connection,
        "order-1",
        vec![
            NewEvent::stored("order.sent").private(),
            NewEvent::stored("order.lost").publish_to("losses"),
            NewEvent::stored("order.found"),
        ],
    )
    .await?;
    all_is_cut(&mut connection).await?;
    let mut redis = world.redis().await?;
    for (key, wanted) in [
        (
            "outbox:orders",
            &["order.placed", "order.paid", "order.found"][..],
        ),
        ("outbox:closings", &["account.closed"]),
        ("outbox:losses", &["order.lost"]),
    ] {
        let found = until(key, Duration::from_secs(60), async || {
            let found = entries(&mut redis, key).await?;
            Ok((found.len() >= wanted.len()).then_some(found))
        })
        .await?;
        let stream = if key == "outbox:closings" {
            "account-1"
        } else {
            "order-1"
        };
        for (entry, name) in found.iter().zip(wanted) {
            assert_eq!(entry.attribute("type")?.as_deref(), Some(*name), "{key}");
            assert_eq!(entry.attribute("partitionkey")?.as_deref(), Some(stream));
        }
        assert_eq!(found.len(), wanted.len(), "{key}");
    }
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("outbox:[a-z]*")
        .query_async(&mut redis)
        .await?;
    assert_eq!(keys.len(), 3, "{keys:?}");
    // Progress is recorded a moment after what was published.
    until(
        "nothing is left to publish",
        Duration::from_secs(60),
        async || {
            let backlog: i64 = sqlx::query_scalar("select count(*) from outbox_ops.backlog")
                .fetch_one(&mut connection)
                .await?;
            Ok((backlog == 0).then_some(()))
        },
    )
    .await?;
    Ok(())
}

/// What is private is in a batch all the same: or each cut would look at it again, and nobody would be told of it.
#[tokio::test]
async fn private_events_alone_make_a_batch_without_events_and_a_notification() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let mut listener = PgListener::connect(world.database_url()).await?;
    listener.listen("outbox_batch").await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let secrets: Vec<NewEvent> = (0..50)
        .map(|_| NewEvent::stored("account.opened").private())
        .collect();
    store(&mut connection, "account-1", secrets).await?;
    let told = tokio::time::timeout(Duration::from_secs(60), listener.recv()).await??;
    let (number, events, kind): (i64, i64, String) =
        sqlx::query_as("select number, event_count, kind from outbox.batch order by number desc limit 1")
            .fetch_one(&mut connection)
            .await?;
    assert_eq!(
        (events, kind.as_str(), told.payload()),
        (0, "cut", number.to_string().as_str())
    );
    all_is_cut(&mut connection).await?;
    // And the next event that goes out does so behind it.
    append::append(&mut connection, NewEvent::new("orders")).await?;
    let mut redis = world.redis().await?;
    until("the event arrives", Duration::from_secs(60), async || {
        Ok((entries(&mut redis, "outbox:orders").await?.len() == 1).then_some(()))
    })
    .await?;
    Ok(())
}
