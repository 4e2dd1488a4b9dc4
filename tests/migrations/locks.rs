//! What a migration locks, and whom it lets pass: services append while their database is migrated.

use std::time::Duration;

use outbox_migrations::{LOG_VERSION, Set, migrate_log};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};
use system_tests::patience::until;
use system_tests::{Result, Schema, World};

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A database as a binary left it whose newest step of the log was this one.
pub(crate) async fn at_version(world: &World, version: i64) -> Result {
    let mut connection = world.connect().await?;
    connection.execute("create schema outbox").await?;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations/sql/log");
    let mut steps = Vec::new();
    for step in Set::Log.steps().iter().filter(|step| step.version <= version) {
        let file = format!("{folder}/{:04}_{}.sql", step.version, step.name);
        steps.push(Migration::new(
            step.version,
            step.name.into(),
            MigrationType::Simple,
            AssertSqlSafe(std::fs::read_to_string(file)?).into_sql_str(),
            false,
        ));
    }
    let mut migrator = Migrator::with_migrations(steps);
    migrator.dangerous_set_table_name("outbox.log_migration");
    migrator.set_locking(false);
    migrator.run_direct(None, &mut connection, false).await?;
    Ok(())
}

/// The newest step that any release had before refusals were kept.
const BEFORE_REFUSALS: i64 = 13;

#[tokio::test]
async fn appends_go_on_beside_a_migration_while_somebody_holds_a_transaction_open() -> Result {
    // GIVEN a database of the version before, and a transaction that appended and is left open
    let world = World::with_schema(Schema::Empty).await?;
    at_version(&world, BEFORE_REFUSALS).await?;
    let mut idle = world.connect().await?;
    idle.execute("begin; select outbox.append('orders.placed', '{}')")
        .await?;
    // AND one that looked at what a later step changes
    let mut looker = world.connect().await?;
    looker.execute("begin; select count(*) from outbox.loss").await?;
    // WHEN it is migrated
    let mut connection = world.connect().await?;
    let migrating = tokio::spawn(async move { migrate_log(&mut connection).await });
    // THEN it waits for them, and comes back for the lock again and again
    let mut watcher = world.connect().await?;
    let waiting = "select pid from pg_stat_activity
        where wait_event_type = 'Lock' and query like '%outbox%' and pid <> pg_backend_pid() and datname = current_database()";
    let mut appender = world.connect().await?;
    appender.execute("set statement_timeout = '2s'").await?;
    let mut beside = async || -> Result {
        for _ in 0..3 {
            until("it waits for the lock", LIMIT, async || {
                Ok(sqlx::query_scalar::<_, i32>(waiting)
                    .fetch_optional(&mut watcher)
                    .await?)
            })
            .await?;
            // AND nobody who appends, or looks at the same, waits behind it for long
            appender
                .execute("select outbox.append('orders.placed', '{}'); select count(*) from outbox.loss")
                .await?;
            until("it lets others have their turn", LIMIT, async || {
                let waits: Option<i32> = sqlx::query_scalar(waiting).fetch_optional(&mut watcher).await?;
                Ok(waits.is_none().then_some(()))
            })
            .await?;
        }
        Ok(())
    };
    beside().await?;
    assert!(!migrating.is_finished());
    looker.execute("commit").await?;
    // AND for the other, which has the log that gets columns: the same beside it
    beside().await?;
    assert!(!migrating.is_finished());
    idle.execute("commit").await?;
    let report = migrating.await??;
    assert_eq!(report.version, LOG_VERSION);
    Ok(())
}
