//! Running them: again, from several processes at once, with another binary, beside a service's own.

use futures_util::future::try_join_all;
use outbox_migrations::{Error, INBOX_VERSION, LOG_VERSION, Set, State, migrate_inbox, migrate_log, status};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqlSafeStr};
use system_tests::{Result, Schema, World};
use xtask::servers::Postgres;

async fn empty() -> Result<World> {
    World::with_schema(Schema::Empty).await
}

#[tokio::test]
async fn migrating_twice_changes_nothing() -> Result {
    // GIVEN an empty database
    let world = empty().await?;
    let mut connection = world.connect().await?;
    assert_eq!(status(&mut connection, Set::Log).await?.state(), State::Absent);
    // WHEN both sets are migrated twice
    let first = (
        migrate_log(&mut connection).await?,
        migrate_inbox(&mut connection).await?,
    );
    let again = (
        migrate_log(&mut connection).await?,
        migrate_inbox(&mut connection).await?,
    );
    // THEN the second run had nothing to do
    assert_eq!(
        (first.0.applied.len() as i64, first.1.applied.len() as i64),
        (LOG_VERSION, INBOX_VERSION)
    );
    assert!(again.0.applied.is_empty() && again.1.applied.is_empty());
    assert_eq!((again.0.version, again.1.version), (LOG_VERSION, INBOX_VERSION));
    for set in [Set::Log, Set::Inbox] {
        assert_eq!(status(&mut connection, set).await?.state(), State::Current);
    }
    Ok(())
}

#[tokio::test]
async fn the_inbox_needs_no_log_and_may_come_first() -> Result {
    // GIVEN a database with the inbox alone
    let world = empty().await?;
    let mut connection = world.connect().await?;
    migrate_inbox(&mut connection).await?;
    let log: Option<String> = sqlx::query_scalar("select to_regclass('outbox.log')::text")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(log, None);
    // WHEN the log comes later
    migrate_log(&mut connection).await?;
    // THEN both work side by side
    connection
        .execute("select outbox.append('orders.placed', '{}'); select outbox.add_inbox_day(now())")
        .await?;
    Ok(())
}

#[tokio::test]
async fn many_processes_migrate_at_once_and_one_of_them_does_it() -> Result {
    // GIVEN an empty database and eight processes that start together
    let world = empty().await?;
    let runs = (0..8).map(|n| {
        let world = &world;
        async move {
            let mut connection = world.connect().await?;
            // Half of them begin with the other set: both want to make the schema.
            let (log, inbox) = if n % 2 == 0 {
                (
                    migrate_log(&mut connection).await?,
                    migrate_inbox(&mut connection).await?,
                )
            } else {
                let inbox = migrate_inbox(&mut connection).await?;
                (migrate_log(&mut connection).await?, inbox)
            };
            Ok::<_, system_tests::Failure>((log.applied.len() as i64, inbox.applied.len() as i64))
        }
    });
    // WHEN all are done
    let applied = try_join_all(runs).await?;
    // THEN each step was applied once
    assert_eq!(applied.iter().map(|(log, _)| log).sum::<i64>(), LOG_VERSION);
    assert_eq!(applied.iter().map(|(_, inbox)| inbox).sum::<i64>(), INBOX_VERSION);
    Ok(())
}

#[tokio::test]
async fn databases_of_one_fresh_cluster_migrate_at_once() -> Result {
    // GIVEN a cluster without our roles, which all its databases share
    let cluster = Postgres::options().start()?;
    let mut server = PgConnection::connect(&cluster.url("postgres")).await?;
    let mut urls = Vec::new();
    for n in 0..6 {
        server
            .execute(AssertSqlSafe(format!("create database service_{n}")))
            .await?;
        urls.push(cluster.url(&format!("service_{n}")));
    }
    // WHEN all of them migrate together
    try_join_all(urls.iter().map(|url| async move {
        let mut connection = PgConnection::connect(url).await?;
        migrate_log(&mut connection).await?;
        migrate_inbox(&mut connection).await?;
        Ok::<_, system_tests::Failure>(())
    }))
    .await?;
    // THEN every role is there once
    let roles: i64 = sqlx::query_scalar("select count(*) from pg_roles where rolname ^@ 'outbox_'")
        .fetch_one(&mut server)
        .await?;
    assert_eq!(roles, 8);
    Ok(())
}

/// Between a commit and word of it to other sessions an index refuses the second role of a name and the cache says that there is none. That is
/// too short to be met on purpose; here a trigger says the same.
#[tokio::test]
async fn a_role_that_another_database_has_just_made_may_not_be_seen_yet() -> Result {
    // GIVEN a database in which two tries fail as they do then: what a sequence counts is not undone with them
    let world = empty().await?;
    let mut connection = world.connect().await?;
    connection
        .execute(
            "create sequence public.tries;
            create function public.not_seen() returns event_trigger language plpgsql as $$
            begin
                if nextval('public.tries') <= 2 then
                    raise exception 'role \"outbox_producer\" does not exist' using errcode = 'undefined_object';
                end if;
            end $$;
            create event trigger not_seen on ddl_command_start when tag in ('GRANT') execute function public.not_seen()",
        )
        .await?;
    // WHEN it is migrated
    let report = migrate_log(&mut connection).await?;
    // THEN the third try succeeds
    assert_eq!(report.version, LOG_VERSION);
    let tries: i64 = sqlx::query_scalar("select last_value from public.tries")
        .fetch_one(&mut connection)
        .await?;
    assert!(tries > 2, "{tries}");
    Ok(())
}

#[tokio::test]
async fn a_newer_database_is_refused_and_not_touched() -> Result {
    // GIVEN a database that a newer binary migrated, and an older state of this one in it
    let world = World::with_schema(Schema::Both).await?;
    let mut connection = world.connect().await?;
    for set in [Set::Log, Set::Inbox] {
        let newer = format!(
            "insert into {} (version, description, success, checksum, execution_time) values (900, 'later', true, '', 0)",
            set.record_table()
        );
        connection.execute(AssertSqlSafe(newer)).await?;
        // WHEN this binary migrates
        let refused = outbox_migrations::migrate(&mut connection, set).await;
        // THEN it says what it found and what it knows
        let error = refused
            .err()
            .ok_or_else(|| system_tests::Failure::new("it was not refused"))?;
        assert!(
            matches!(error, Error::Newer { found: 900, .. }) && error.is_refusal(),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .contains("is at version 900, this binary knows versions up to"),
            "{error}"
        );
        assert_eq!(status(&mut connection, set).await?.state(), State::Newer);
    }
    Ok(())
}

#[tokio::test]
async fn a_step_that_was_applied_from_another_file_is_refused() -> Result {
    // GIVEN a database whose first step differs from the embedded one
    let world = World::with_schema(Schema::Inbox).await?;
    let mut connection = world.connect().await?;
    connection
        .execute("update outbox.inbox_migration set checksum = 'other' where version = 1")
        .await?;
    // WHEN it is migrated
    let refused = migrate_inbox(&mut connection).await;
    // THEN the step is named
    assert!(
        matches!(
            refused,
            Err(Error::Changed {
                set: Set::Inbox,
                version: 1
            })
        ),
        "{refused:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_step_that_fails_leaves_nothing_behind_and_those_before_it_stay() -> Result {
    // GIVEN a database in which something has the name of one of ours
    let world = empty().await?;
    let mut connection = world.connect().await?;
    connection
        .execute("create schema outbox; create table outbox.progress ()")
        .await?;
    // WHEN it is migrated
    let failed = migrate_log(&mut connection).await;
    // THEN the step and the way out are named
    let error = failed
        .err()
        .ok_or_else(|| system_tests::Failure::new("it did not fail"))?;
    assert!(matches!(error, Error::Step { version: 3, .. }), "{error}");
    assert!(
        error.advice().contains("use an empty schema"),
        "{}",
        error.advice()
    );
    // AND nothing of it is there, and everything of the steps before
    let made: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class
         where relnamespace = 'outbox'::regnamespace and relkind in ('r', 'p') and relname in ('log', 'batch', 'share', 'progress') order by 1",
    )
    .fetch_all(&mut connection)
    .await?;
    assert_eq!(made, ["log", "progress"]);
    let stands = status(&mut connection, Set::Log).await?;
    assert_eq!((stands.applied, stands.state()), (Some(2), State::Behind));
    // AND the next run goes on there
    connection.execute("drop table outbox.progress").await?;
    let report = migrate_log(&mut connection).await?;
    assert_eq!(report.applied.first().map(|step| step.version), Some(3));
    Ok(())
}

#[tokio::test]
async fn a_services_own_migrations_are_not_ours() -> Result {
    // GIVEN a service with sqlx migrations of its own, with our version numbers
    let world = empty().await?;
    let mut connection = world.connect().await?;
    let own = Migrator::with_migrations(vec![
        Migration::new(
            1,
            "orders".into(),
            MigrationType::Simple,
            "create table orders ()".into_sql_str(),
            false,
        ),
        Migration::new(
            2,
            "customers".into(),
            MigrationType::Simple,
            "create table customers ()".into_sql_str(),
            false,
        ),
    ]);
    // WHEN both run, in turns
    own.run(&mut connection).await?;
    migrate_log(&mut connection).await?;
    migrate_inbox(&mut connection).await?;
    own.run(&mut connection).await?;
    migrate_log(&mut connection).await?;
    // THEN each has its own record
    let own: i64 = sqlx::query_scalar("select count(*) from _sqlx_migrations")
        .fetch_one(&mut connection)
        .await?;
    let log: i64 = sqlx::query_scalar("select count(*) from outbox.log_migration")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!((own, log), (2, LOG_VERSION));
    Ok(())
}
