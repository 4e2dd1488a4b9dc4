//! Roles: what each may do is enough for its work, and no more.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use system_tests::{Relay, Result, World};
use uuid::Uuid;

use crate::arrivals::arrived;

/// A login with these roles, and the URL that it connects with.
pub(crate) async fn login(world: &World, roles: &str) -> Result<(String, String)> {
    let name = format!("login_{}", Uuid::now_v7().simple());
    let mut administrator = world.connect().await?;
    sqlx::raw_sql(AssertSqlSafe(format!(
        "create role {name} login; grant {roles} to {name}"
    )))
    .execute(&mut administrator)
    .await?;
    Ok((
        name.clone(),
        world
            .database_url()
            .replacen("//postgres@", &format!("//{name}@"), 1),
    ))
}

/// The SQLSTATE that a statement is refused with; none if it is not.
async fn refusal(connection: &mut PgConnection, statement: &'static str) -> Option<String> {
    let error = sqlx::raw_sql(statement).execute(connection).await.err()?;
    Some(error.as_database_error()?.code()?.into_owned())
}

#[tokio::test]
async fn a_relay_needs_its_two_roles_and_no_superuser() -> Result {
    // GIVEN a login that is a relay and a maintainer, and one that only appends
    let world = World::with_own_servers(Default::default(), Default::default()).await?;
    let (_, relay_url) = login(&world, "outbox_relay, outbox_maintainer").await?;
    let (_, producer_url) = login(&world, "outbox_producer").await?;
    // WHEN the one relays what the other appends
    let mut relay = Relay::of(&world).set("DATABASE_URL", relay_url).start()?;
    relay.leads().await?;
    let mut producer = PgConnection::connect(&producer_url).await?;
    for _ in 0..3 {
        sqlx::query("select outbox.append('t', '{}')")
            .execute(&mut producer)
            .await?;
    }
    // THEN it arrives, and the pieces were looked after
    arrived(&mut world.redis().await?, "outbox:t", 3).await?;
    relay
        .logs("pieces looked after", std::time::Duration::from_secs(120))
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_producer_can_append_and_nothing_else() -> Result {
    // GIVEN a login that only appends
    let world = World::with_own_servers(Default::default(), Default::default()).await?;
    let (_, url) = login(&world, "outbox_producer").await?;
    let mut producer = PgConnection::connect(&url).await?;
    sqlx::query("select outbox.append('t', '{}')")
        .execute(&mut producer)
        .await?;
    // WHEN it reaches for anything else, THEN the database refuses
    for statement in [
        "insert into outbox.log (topic, retention, id, source, type, position) values ('t', 'standard', gen_random_uuid(), 's', 't', 1)",
        "insert into outbox.log_standard (topic, retention, id, source, type) values ('t', 'standard', gen_random_uuid(), 's', 't')",
        "select position from outbox.log",
        "select setval('outbox.log_position', 1)",
        "update outbox.lease set epoch = 9",
        "insert into outbox.batch values (1, 1, 'cut', 1, 1, '9:9:', 1, 1, 1)",
        "insert into outbox.progress (topic, batch_number, position, chain_batch_id, chain_position, epoch) values ('t', 9, 9, 9, 9, 9)",
        "update outbox.settings set payload_limit_bytes = 1",
        "select outbox.skip_event('t', gen_random_uuid(), 'x')",
        "drop table outbox.log",
    ] {
        assert_eq!(
            refusal(&mut producer, statement).await.as_deref(),
            Some("42501"),
            "{statement}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn an_observer_sees_every_view_and_no_payload() -> Result {
    // GIVEN a login that only observes, and an event with a secret
    let world = World::with_own_servers(Default::default(), Default::default()).await?;
    let (_, url) = login(&world, "outbox_observer").await?;
    let mut administrator = world.connect().await?;
    sqlx::query("select outbox.append('t', '\"the-secret\"', key => 'k')")
        .execute(&mut administrator)
        .await?;
    let mut observer = PgConnection::connect(&url).await?;
    // WHEN it reads every public view
    let views: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.views where table_schema = 'outbox_ops'",
    )
    .fetch_all(&mut observer)
    .await?;
    assert!(views.len() >= 6, "{views:?}");
    for view in views {
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!(
            "select to_jsonb(v)::text from outbox_ops.{view} v"
        )))
        .fetch_all(&mut observer)
        .await?;
        // THEN none shows a payload
        assert!(!rows.iter().any(|row| row.contains("the-secret")), "{view}");
    }
    // AND an open transaction is seen with its application, and its statement is not
    let mut idle = world.connect().await?;
    for statement in [
        "set application_name = 'shop'",
        "begin",
        "select outbox.append('t', '\"the-secret\"')",
    ] {
        sqlx::raw_sql(statement).execute(&mut idle).await?;
    }
    let applications: Vec<String> = sqlx::query_scalar(
        "select application from outbox_ops.waiting_transactions where 'appends' = any(holds_back)",
    )
    .fetch_all(&mut observer)
    .await?;
    assert_eq!(applications, ["shop"]);
    let statements: Vec<String> = sqlx::query_scalar(
        "select query from pg_stat_activity where query is not null and pid <> pg_backend_pid()",
    )
    .fetch_all(&mut observer)
    .await?;
    assert!(!statements.iter().any(|text| text.contains("the-secret")));
    // AND the log itself is out of reach
    assert_eq!(
        refusal(&mut observer, "select data from outbox.log")
            .await
            .as_deref(),
        Some("42501")
    );
    Ok(())
}

#[tokio::test]
async fn even_the_owner_cannot_change_what_was_appended() -> Result {
    // GIVEN an event and a login with the maintainer's rights
    let world = World::with_own_servers(Default::default(), Default::default()).await?;
    let (_, url) = login(&world, "outbox_maintainer").await?;
    let mut owner = PgConnection::connect(&url).await?;
    sqlx::query("select outbox.append('t', '{}')")
        .execute(&mut owner)
        .await?;
    // WHEN it updates or deletes, THEN the database refuses
    for statement in [
        "update outbox.log set data = '1'",
        "delete from outbox.log",
        "truncate outbox.log",
        "update outbox.batch set batch_id = 7",
        "delete from outbox.batch",
        "delete from outbox.progress",
    ] {
        let refused = refusal(&mut owner, statement).await;
        let untouched = refused.is_none() && statement.contains("progress");
        assert!(
            untouched || refused.as_deref() == Some("42501"),
            "{statement}: {refused:?}"
        );
    }
    Ok(())
}
