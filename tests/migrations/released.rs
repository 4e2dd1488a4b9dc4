//! A database as the last release left it is brought to this version, with what people had written there.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use outbox_migrations::{LOG_VERSION, Set, migrate_inbox, migrate_log};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Executor, PgConnection, SqlSafeStr};
use system_tests::patience::until;
use system_tests::{Relay, Result, Schema, World, login};

/// The last step of the log that was released (0853044). Its files never change.
const RELEASED: i64 = 13;
const LIMIT: Duration = Duration::from_secs(40);

/// The log as that release made it, and as it recorded it.
async fn migrate_as_released(connection: &mut PgConnection) -> Result {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations/sql/log");
    let mut steps = Vec::new();
    for step in Set::Log.steps().iter().filter(|step| step.version <= RELEASED) {
        let file = folder.join(format!("{:04}_{}.sql", step.version, step.name));
        let sql = AssertSqlSafe(std::fs::read_to_string(file)?).into_sql_str();
        steps.push(Migration::new(
            step.version,
            Cow::Borrowed(step.name),
            MigrationType::Simple,
            sql,
            false,
        ));
    }
    connection
        .execute("create schema outbox; set search_path = pg_catalog, pg_temp")
        .await?;
    let mut migrator = Migrator::with_migrations(steps);
    migrator.dangerous_set_table_name(Set::Log.record_table());
    migrator.run_direct(None, &mut *connection, false).await?;
    connection.execute("reset search_path").await?;
    Ok(())
}

#[tokio::test]
async fn an_order_from_before_1970_is_mended_with_the_schema_and_answered() -> Result {
    // GIVEN a database of the release before, in which a person ordered a re-issue from a time before 1970
    let world = World::with_schema(Schema::Empty).await?;
    let mut connection = world.connect().await?;
    migrate_as_released(&mut connection).await?;
    connection
        .execute(
            "insert into outbox.reissue_order (topic, partition, from_batch_id, from_position, is_preview, reason)
             select 'orders.placed', 0, place.batch_id, place.position, true, 'all of it' from outbox.place_of('1960-01-01Z') place",
        )
        .await?;
    let from = "select from_batch_id from outbox.reissue_order";
    let before: i64 = sqlx::query_scalar(from).fetch_one(&mut connection).await?;
    assert!(before < 0, "no relay can read {before}");
    // WHEN it is migrated THEN the order means what was meant, and so does the next one
    let report = migrate_log(&mut connection).await?;
    assert_eq!(
        (report.applied.first().map(|step| step.version), report.version),
        (Some(RELEASED + 1), LOG_VERSION)
    );
    let meant: (String, i64) = sqlx::query_as(
        "select from_entry, (select place.batch_id from outbox.place_of('1960-01-01Z') place) from outbox_ops.reissue_orders",
    )
    .fetch_one(&mut connection)
    .await?;
    assert_eq!(meant, ("0-0".to_owned(), 0));
    // AND no such place comes back
    let refused = connection
        .execute("update outbox.reissue_order set from_batch_id = -1")
        .await;
    assert!(
        refused.is_err_and(|error| error.to_string().contains("from_batch_id_check")),
        "a place before the first"
    );
    // AND a relay answers it
    migrate_inbox(&mut connection).await?;
    login::make(&mut connection).await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let answer: String = until("the order is answered", LIMIT, async || {
        Ok(sqlx::query_scalar(
            "select coalesce(answer, state) from outbox.reissue_order where state <> 'waiting'",
        )
        .fetch_optional(&mut connection)
        .await?)
    })
    .await?;
    assert!(answer.starts_with("nothing is behind entry 0-0"), "{answer}");
    Ok(())
}
