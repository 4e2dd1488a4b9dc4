//! Who may do what: migrating without being a superuser, and what a consumer may and may not.

use outbox_migrations::{migrate_inbox, migrate_log};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use system_tests::{Failure, Result, Schema, World};

/// A login of this test alone; roles belong to the cluster. Ends with the database: it owns nothing elsewhere.
async fn login(world: &World, options: &str) -> Result<(String, String)> {
    let name = format!("login_{}", world.log().name());
    let mut connection = world.connect().await?;
    connection
        .execute(AssertSqlSafe(format!("create role {name} login {options}")))
        .await?;
    let url = world.database_url().replacen("postgres@", &format!("{name}@"), 1);
    Ok((name, url))
}

fn code(error: &sqlx::Error) -> Option<String> {
    error
        .as_database_error()
        .and_then(|error| error.code())
        .map(String::from)
}

#[tokio::test]
async fn the_owner_of_the_database_migrates_without_being_a_superuser() -> Result {
    // GIVEN a login that owns the database and may create roles
    let world = World::with_schema(Schema::Empty).await?;
    let (name, url) = login(&world, "createrole").await?;
    let statement = format!("alter database {} owner to {name}", world.log().name());
    world.connect().await?.execute(AssertSqlSafe(statement)).await?;
    // WHEN it migrates
    let mut connection = PgConnection::connect(&url).await?;
    migrate_log(&mut connection).await?;
    migrate_inbox(&mut connection).await?;
    // THEN it can append, and migrating again needs no right to create anything
    connection
        .execute("select outbox.append('orders.placed', '{}')")
        .await?;
    let statement = format!("alter database {} owner to postgres", world.log().name());
    world.connect().await?.execute(AssertSqlSafe(statement)).await?;
    assert!(migrate_log(&mut connection).await?.applied.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_login_without_rights_is_told_what_it_needs() -> Result {
    // GIVEN a login that owns nothing
    let world = World::with_schema(Schema::Empty).await?;
    let (_, url) = login(&world, "").await?;
    // WHEN it migrates
    let failed = migrate_inbox(&mut PgConnection::connect(&url).await?).await;
    // THEN the advice says as whom to do it
    let error = failed.err().ok_or_else(|| Failure::new("it did not fail"))?;
    assert!(
        error.advice().contains("as the owner of the database"),
        "{error}; {}",
        error.advice()
    );
    Ok(())
}

#[tokio::test]
async fn a_consumer_adds_and_neither_changes_nor_removes() -> Result {
    // GIVEN a login with role outbox_consumer and nothing else
    let world = World::with_schema(Schema::Both).await?;
    let (_, url) = login(&world, "in role outbox_consumer").await?;
    let mut connection = PgConnection::connect(&url).await?;
    // WHEN it works as a consumer
    connection
        .execute(
            "select outbox.add_inbox_day(now());
             insert into outbox.inbox (consumer, source, id, recorded_at, outcome, stream, entry_id) values ('c', 's', '1', now(), 'applied', 'x', '1-1');
             insert into outbox.consumer_lease (consumer, stream) values ('c', 'x');
             insert into outbox.consumer_stream (consumer, stream, passed_batch, passed_position) values ('c', 'x', 1, 1);
             select outbox.forget_inbox(); select * from outbox_ops.inbox; select * from outbox_ops.dead_letters;
             select * from outbox_ops.inbox_days;",
        )
        .await?;
    // THEN what is finished is out of its reach, and so is the log
    for (statement, expected) in [
        ("update outbox.inbox set outcome = 'skipped'", "23514"),
        ("update outbox.inbox set entry_id = '1-2'", "42501"),
        ("delete from outbox.inbox", "42501"),
        ("delete from outbox.dead_letter", "42501"),
        ("update outbox.dead_letter set entry_fields = '{}'", "42501"),
        ("update outbox.consumer set paused_at = null", "42501"),
        (
            "insert into outbox.operation (kind, consumer, reason, total) values ('redrive', 'c', 'r', 1)",
            "42501",
        ),
        ("delete from outbox.consumer_audit", "42501"),
        ("select * from outbox.log", "42501"),
        ("drop table outbox.inbox", "42501"),
    ] {
        let refused = connection
            .execute(statement)
            .await
            .err()
            .ok_or_else(|| Failure::new(statement))?;
        assert_eq!(
            code(&refused).as_deref(),
            Some(expected),
            "{statement}: {refused}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn epochs_and_places_on_a_stream_only_rise() -> Result {
    // GIVEN a lease and a place
    let world = World::with_schema(Schema::Inbox).await?;
    let mut connection = world.connect().await?;
    connection
        .execute(
            "insert into outbox.consumer_lease (consumer, stream, epoch, holder) values ('c', 'x', 5, 'one');
             insert into outbox.consumer_stream (consumer, stream, passed_batch, passed_position) values ('c', 'x', 2, 9)",
        )
        .await?;
    // WHEN someone turns them back, even the owner
    for statement in [
        "update outbox.consumer_lease set epoch = 4",
        "update outbox.consumer_lease set holder = 'two'",
        "update outbox.consumer_stream set passed_batch = 1, passed_position = 20",
        "update outbox.consumer_stream set passed_position = 8",
    ] {
        // THEN the database refuses
        let refused = connection
            .execute(statement)
            .await
            .err()
            .ok_or_else(|| Failure::new(statement))?;
        assert_eq!(code(&refused).as_deref(), Some("23514"), "{statement}: {refused}");
    }
    connection
        .execute("update outbox.consumer_stream set passed_batch = 3, passed_position = 1")
        .await?;
    Ok(())
}
