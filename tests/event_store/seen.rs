//! What operators see of streams: the view, and where one event is.

use outbox_core::append::NewEvent;
use outbox_core::event_store::{self, Expected, Outcome, StreamName};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use system_tests::patience::until;
use system_tests::{Invocation, Login, Relay, Result, World};
use uuid::Uuid;

async fn stored(connection: &mut PgConnection, event: NewEvent) -> Result<Uuid> {
    let id = event.event_id();
    let stream = StreamName::new("order", "of-a-person")?;
    let outcome = event_store::append(connection, &stream, Expected::Any, vec![event]).await?;
    assert!(matches!(outcome, Outcome::Appended { .. }), "{outcome:?}");
    Ok(id)
}

/// The steps of an event by name, and what they say.
fn steps(world: &World, event: Uuid) -> Result<Vec<(String, Value)>> {
    let id = event.to_string();
    let answer = Invocation::of(world, &["trace", &id, "--output", "json"])?.ask()?;
    assert!(!answer.output.contains("of-a-person"), "{}", answer.output);
    let report = answer.json()?;
    let steps = report["steps"].as_array().cloned().unwrap_or_default();
    Ok(steps
        .into_iter()
        .map(|step| {
            (
                step["step"].as_str().unwrap_or_default().to_owned(),
                step["detail"].clone(),
            )
        })
        .collect())
}

#[tokio::test]
async fn a_trace_says_that_an_event_is_private_and_waits_for_nothing() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let private = stored(&mut connection, NewEvent::stored("order.noted").private()).await?;
    // Before any relay was there.
    let names = |steps: &[(String, Value)]| steps.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&steps(&world, private)?), ["appended", "private"]);
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let public = stored(
        &mut connection,
        NewEvent::stored("order.paid").publish_to("orders"),
    )
    .await?;
    let of_public = until(
        "it is published",
        std::time::Duration::from_secs(60),
        async || {
            let steps = steps(&world, public)?;
            Ok(steps.iter().any(|(name, _)| name == "published").then_some(steps))
        },
    )
    .await?;
    assert_eq!(names(&of_public), ["appended", "cut", "published", "stored"]);
    let told = &of_public
        .last()
        .ok_or("no step")
        .map_err(system_tests::Failure::new)?
        .1;
    assert_eq!(
        (&told["version"], &told["category"]),
        (&json!(2), &json!("order"))
    );
    assert_eq!(names(&steps(&world, private)?), ["appended", "private"]);
    let text = Invocation::of(&world, &["trace", &private.to_string()])?.ask()?;
    assert!(
        text.output.contains("for no topic")
            && text
                .output
                .contains("version 1 of a stream of category order, and private"),
        "{}",
        text.output
    );
    Ok(())
}

#[tokio::test]
async fn the_names_of_streams_are_for_who_may_read_them() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    for _ in 0..3 {
        stored(&mut connection, NewEvent::stored("order.noted")).await?;
    }
    let mut reader = PgConnection::connect(&world.log().url_of(Login::Service)).await?;
    let row: (String, String, i64, i64, bool, bool) = sqlx::query_as(
        "select stream, category, version, first_version, last_recorded_at is not null, is_buried from outbox_ops.event_streams",
    )
    .fetch_one(&mut reader)
    .await?;
    assert_eq!(
        row,
        (
            "order-of-a-person".to_owned(),
            "order".to_owned(),
            3,
            1,
            true,
            false
        )
    );
    let mut observer = PgConnection::connect(&world.log().url_of(Login::Observer)).await?;
    let row: (Option<String>, i64) = sqlx::query_as("select stream, version from outbox_ops.event_streams")
        .fetch_one(&mut observer)
        .await?;
    assert_eq!(row, (None, 3));
    Ok(())
}
