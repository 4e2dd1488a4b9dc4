//! What a migration locks, and whom it lets pass: services append while their database is migrated.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use outbox_migrations::{Error, LOG_VERSION, Set, State, migrate_log, status};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqlSafeStr};
use system_tests::patience::until;
use system_tests::{Failure, Result, Schema, World};
use xtask::servers::Postgres;

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A database as a binary left it whose newest step of the log was this one.
pub(crate) async fn at_version(world: &World, version: i64) -> Result {
    bring_to(&mut world.connect().await?, version).await
}

async fn bring_to(connection: &mut PgConnection, version: i64) -> Result {
    connection.execute("create schema if not exists outbox").await?;
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
    migrator.run_direct(None, &mut *connection, false).await?;
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

#[tokio::test]
async fn what_was_applied_stays_where_a_later_step_waits_in_vain_and_who_holds_the_lock_is_named() -> Result {
    // GIVEN a database of a version before, and somebody who looked at what a later step changes, and lingers
    let world = World::with_schema(Schema::Empty).await?;
    at_version(&world, BEFORE_REFUSALS).await?;
    let mut looker = world.connect().await?;
    looker
        .execute("set application_name = 'the lingerer'; begin; select count(*) from outbox.loss")
        .await?;
    let process: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut looker)
        .await?;
    // WHEN it is migrated THEN it gives up after a minute, and says who it was
    let mut connection = world.connect().await?;
    let failed = migrate_log(&mut connection).await.err();
    let error = failed.ok_or_else(|| Failure::new("it did not wait"))?;
    let Error::Locked { version, .. } = error else {
        return Err(Failure::new(format!("something else: {error}")));
    };
    let said = error.to_string();
    assert!(
        said.contains(&format!(
            "process {process} (login postgres, application \"the lingerer\", in its transaction since 20"
        )),
        "{said}"
    );
    // AND what the steps before it made is there, and services go on
    let stands = status(&mut connection, Set::Log).await?;
    assert_eq!(
        (stands.applied, stands.state()),
        (Some(version - 1), State::Behind)
    );
    assert!(version - 1 > BEFORE_REFUSALS, "{version}");
    connection
        .execute("select outbox.append('orders.placed', '{}')")
        .await?;
    // AND the next run goes on with it
    looker.execute("commit").await?;
    let report = migrate_log(&mut connection).await?;
    assert_eq!(
        (report.applied.first().map(|step| step.version), report.version),
        (Some(version), LOG_VERSION)
    );
    Ok(())
}

/// The first version with streams.
const STREAMS: i64 = 17;

#[tokio::test]
async fn services_append_between_any_two_steps() -> Result {
    let world = World::with_schema(Schema::Empty).await?;
    let mut service = world.connect().await?;
    for version in BEFORE_REFUSALS..=LOG_VERSION {
        // WHEN a run ends after this step
        at_version(&world, version).await?;
        // THEN what appended before appends, and so does what the step brought
        service
            .execute("select outbox.append('orders.placed', '{}', key => 'k')")
            .await
            .map_err(|error| Failure::new(format!("after step {version}: {error}")))?;
        if version >= STREAMS {
            service
                .execute("select outbox.append_to_stream('order-1', null, '[{\"type\": \"placed\"}]')")
                .await
                .map_err(|error| Failure::new(format!("after step {version}: {error}")))?;
        }
    }
    let rows: i64 = sqlx::query_scalar("select count(*) from outbox.log")
        .fetch_one(&mut service)
        .await?;
    assert_eq!(
        rows,
        2 * (LOG_VERSION - BEFORE_REFUSALS + 1) - (STREAMS - BEFORE_REFUSALS)
    );
    Ok(())
}

/// The last version whose doorbell asked in its function.
const BEFORE_TERSE: i64 = 40;

/// Steps 0041 and 0042 change what each append runs through, and take locks that each append has.
#[tokio::test]
async fn nobody_is_refused_who_appends_while_the_statement_and_the_doorbell_are_changed() -> Result {
    // GIVEN producers that append by each way, without prepared statements, one short transaction behind the other
    let world = World::with_schema(Schema::Empty).await?;
    at_version(&world, BEFORE_TERSE).await?;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut producers = Vec::new();
    for number in 0..6 {
        let mut connection = world.connect().await?;
        let is_over = Arc::clone(&is_over);
        producers.push(tokio::spawn(async move {
            let statement = match number % 3 {
                0 => "insert into outbox.outgoing (topic, key, data) values ('orders.placed', 'k', '{}')",
                1 => "select outbox.append('orders.placed', '{}', key => 'k')",
                _ => "begin; select outbox.append_to_stream('order-1', null, '[{\"type\": \"placed\"}]'); commit",
            };
            let mut appended: i64 = 0;
            while !is_over.load(Ordering::Relaxed) {
                connection.execute(statement).await?;
                appended += 1;
            }
            Ok::<_, sqlx::Error>(appended)
        }));
    }
    let mut watcher = world.connect().await?;
    let rows = "select count(*) from outbox.log";
    until("they append", LIMIT, async || {
        let rows: i64 = sqlx::query_scalar(rows).fetch_one(&mut watcher).await?;
        Ok((rows > 100).then_some(()))
    })
    .await?;
    // WHEN it is migrated
    let mut connection = world.connect().await?;
    let report = migrate_log(&mut connection).await;
    let at_its_end: i64 = sqlx::query_scalar(rows).fetch_one(&mut watcher).await?;
    until("they append with what is new", LIMIT, async || {
        let rows: i64 = sqlx::query_scalar(rows).fetch_one(&mut watcher).await?;
        Ok((rows > at_its_end + 100).then_some(()))
    })
    .await?;
    is_over.store(true, Ordering::Relaxed);
    // THEN every append of them succeeded, and is there once
    let mut appended = 0;
    for producer in producers {
        appended += producer.await??;
    }
    assert_eq!(report?.version, LOG_VERSION);
    assert_eq!(
        sqlx::query_scalar::<_, i64>(rows).fetch_one(&mut watcher).await?,
        appended
    );
    Ok(())
}

#[tokio::test]
async fn autovacuum_gives_way_to_a_step() -> Result {
    // GIVEN a log of the version before, and autovacuum at work on a piece of it, for hours at this pace
    let cluster = Postgres::options().set("autovacuum_naptime", 1).start()?;
    let mut service = PgConnection::connect(&cluster.url("postgres")).await?;
    bring_to(&mut service, BEFORE_REFUSALS).await?;
    service
        .execute("select outbox.append('orders.placed', '{}') from generate_series(1, 20000)")
        .await?;
    let piece: String = sqlx::query_scalar("select distinct tableoid::regclass::text from outbox.log")
        .fetch_one(&mut service)
        .await?;
    service
        .execute(AssertSqlSafe(format!(
            "alter table {piece} set (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1,
                 autovacuum_vacuum_insert_threshold = 1000, autovacuum_vacuum_insert_scale_factor = 0)"
        )))
        .await?;
    let mut watcher = PgConnection::connect(&cluster.url("postgres")).await?;
    let vacuum = "select pid from pg_stat_progress_vacuum where relid = $1::text::regclass";
    let worker: i32 = until("autovacuum is at work on it", LIMIT, async || {
        Ok(sqlx::query_scalar(vacuum)
            .bind(&piece)
            .fetch_optional(&mut watcher)
            .await?)
    })
    .await?;
    // WHEN it is migrated
    let report = migrate_log(&mut service).await?;
    // THEN it has the lock, since autovacuum let go and did not end
    assert_eq!(report.version, LOG_VERSION);
    let log = std::fs::read_to_string(cluster.log_path())?;
    let said = format!("[{worker}] ERROR:  canceling autovacuum task");
    assert!(log.contains(&said), "{said}: {log}");
    Ok(())
}
