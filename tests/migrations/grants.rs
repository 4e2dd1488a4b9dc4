//! Rights that a service was granted by itself, beside the roles: they go on through a migration.

use outbox_core::append::{self, NewEvent};
use outbox_core::event_store::{self, Expected, Outcome, StreamName};
use outbox_migrations::migrate_log;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use system_tests::{Result, Schema, World};

use crate::locks::at_version;

/// The last version in which `outbox.append` was a function by itself.
const BY_ITSELF: i64 = 31;

#[tokio::test]
async fn who_was_granted_append_alone_goes_on_appending() -> Result {
    // GIVEN a login with a right to outbox.append alone, which it may pass on, and a function of a service that runs with that right
    let world = World::with_schema(Schema::Empty).await?;
    at_version(&world, BY_ITSELF).await?;
    let database = world.log().name();
    let (direct, owner, caller) = (
        format!("direct_{database}"),
        format!("owner_{database}"),
        format!("caller_{database}"),
    );
    let mut administrator = world.connect().await?;
    administrator
        .execute(AssertSqlSafe(format!(
            "create role {direct} login; create role {owner} nologin; create role {caller} login;
             grant usage on schema outbox to {direct}, {owner};
             grant execute on function outbox.append to {direct} with grant option;
             grant execute on function outbox.append to {owner};
             create schema shop authorization {owner}; grant usage on schema shop to {caller};
             create function shop.place(n integer) returns uuid language sql security definer set search_path = pg_catalog, pg_temp
             as $$ select outbox.append('orders.placed', to_json(n)) $$;
             alter function shop.place owner to {owner}; grant execute on function shop.place to {caller}"
        )))
        .await?;
    let url = |name: &str| world.database_url().replacen("postgres@", &format!("{name}@"), 1);
    let mut service = PgConnection::connect(&url(&direct)).await?;
    let mut wrapped = PgConnection::connect(&url(&caller)).await?;
    let mut append = async |when: &str| -> Result {
        service
            .execute("select outbox.append('orders.placed', '{}')")
            .await
            .map_err(|error| system_tests::Failure::new(format!("{when}, by itself: {error}")))?;
        wrapped.execute("select shop.place(1)").await.map_err(|error| {
            system_tests::Failure::new(format!("{when}, by a function of the service: {error}"))
        })?;
        Ok(())
    };
    append("before").await?;
    // WHEN it is migrated
    migrate_log(&mut world.connect().await?).await?;
    // THEN both go on, and what could be passed on can be passed on whole
    append("after").await?;
    let rights: (bool, bool, bool) = sqlx::query_as(
        "select has_function_privilege($1, p.oid, 'execute with grant option'), has_function_privilege($2, p.oid, 'execute with grant option'),
                has_function_privilege($3, p.oid, 'execute')
         from pg_proc p where p.pronamespace = 'outbox'::regnamespace and p.proname = 'append_event'",
    )
    .bind(&direct)
    .bind(&owner)
    .bind(&caller)
    .fetch_one(&mut administrator)
    .await?;
    assert_eq!(rights, (true, false, false));
    let rows: i64 = sqlx::query_scalar("select count(*) from outbox.log")
        .fetch_one(&mut administrator)
        .await?;
    assert_eq!(rows, 4);
    Ok(())
}

/// The last version in which the library appended by functions alone.
const BY_FUNCTIONS: i64 = 32;

#[tokio::test]
async fn who_was_granted_the_functions_alone_goes_on_by_what_the_library_sends() -> Result {
    // GIVEN a login with a right to the functions that the library called
    let world = World::with_schema(Schema::Empty).await?;
    at_version(&world, BY_FUNCTIONS).await?;
    let direct = format!("functions_{}", world.log().name());
    let mut administrator = world.connect().await?;
    administrator
        .execute(AssertSqlSafe(format!(
            "create role {direct} login; grant usage on schema outbox to {direct};
             grant execute on function outbox.append_event, outbox.append_to_streams to {direct}"
        )))
        .await?;
    // WHEN it is migrated
    migrate_log(&mut world.connect().await?).await?;
    // THEN the library appends, also when it has statements prepared
    let url = world
        .database_url()
        .replacen("postgres@", &format!("{direct}@"), 1);
    let mut service = PgConnection::connect(&url).await?;
    for number in 0..3 {
        append::append(
            &mut service,
            NewEvent::new("orders.placed").json_text(number.to_string()),
        )
        .await?;
    }
    let stream = StreamName::new("order", "1")?;
    for version in 0..2 {
        let event = NewEvent::stored("order.placed").json_text(version.to_string());
        let outcome =
            event_store::append(&mut service, &stream, Expected::Version(version), vec![event]).await?;
        assert!(matches!(outcome, Outcome::Appended { .. }), "{outcome:?}");
    }
    let rows: (i64, i64) = sqlx::query_as("select count(*), count(stream) from outbox.log")
        .fetch_one(&mut administrator)
        .await?;
    assert_eq!(rows, (5, 2));
    Ok(())
}
