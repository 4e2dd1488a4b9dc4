//! Applying what is pending: step by step, each in a transaction of its own under one lock.
//!
//! A step is whole: what works before it works after it, so a database between two steps is one of a version in between, and the next
//! run goes on there. A step that must wait for a lock again and again repeats itself alone, not those before it.

use sqlx::migrate::MigrateError;
use sqlx::{Connection, PgConnection};

use crate::error::is_lock_timeout;
use crate::{Error, Set, Step, holders, status};

/// Whatever the defaults of the server, the database or the login are: a step that waits for a lock looks behind it at what was committed
/// meanwhile, and under REPEATABLE READ would not see it.
const BEGIN: &str = "begin isolation level read committed read write";

/// One lock for both sets: both may have to create the schema. Next to the doorbell's number, which is "outbox" in ASCII.
const LOCK: i64 = 122_550_254_464_889;

/// Roles belong to the cluster and no lock spans its databases, so two databases migrating at once can collide there.
const ATTEMPTS: u32 = 5;

/// A lock that a step needs is waited for so long: whoever asks after us, an append perhaps, queues behind us meanwhile.
const LOCK_WAIT: &str = "set local lock_timeout = '300ms'";

/// Autovacuum lets go of a table for whom has waited for it as long as `deadlock_timeout`, a second by default, and for nobody who asks for
/// less, however often (`ProcSleep` in the server's `proc.c`). On a large piece of the log it takes longer than all our tries together.
/// Where that setting is above some five seconds it is not waited for so long, since appends queue behind us: then a person is told who it is.
const VACUUM_WAIT: &str = "
    select pg_catalog.set_config('lock_timeout', least(1000 * extract(epoch from current_setting('deadlock_timeout')::interval) + 300, 5000)::integer || 'ms', true)";

/// So often at most for one step: what vacuums against the wraparound of transaction ids lets go for nobody, and appends queue behind us.
const VACUUM_TRIES: u32 = 3;

/// And then asked for again so often, a pause of as long between two tries, in which others have their turn: a minute in all.
const LOCK_TRIES: u32 = 60;

/// Seconds between two tries for a lock.
const LOCK_PAUSE: f64 = 0.7;

/// What a run did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which set.
    pub set: Set,
    /// What was applied now, in order; empty when the database was current.
    pub applied: Vec<Step>,
    /// The version of the database now.
    pub version: i64,
}

/// Brings a set to the newest version this binary knows. Each step is committed by itself: the connection must not be in a transaction, and one
/// that is is refused.
///
/// # Errors
/// [`Error::Newer`] and [`Error::Changed`] before anything is touched. [`Error::Step`] and [`Error::Database`] with nothing left behind of
/// the step that failed, and [`Error::Locked`] when somebody holds a lock that it needs for longer than a minute; the steps before it
/// stay, and the next run goes on behind them.
pub async fn migrate(conn: &mut PgConnection, set: Set) -> Result<Report, Error> {
    let mut applied = Vec::new();
    let (mut attempt, mut locked, mut vacuumed) = (1, 1, 0);
    let mut wait = LOCK_WAIT;
    loop {
        let pause = match apply_next(&mut *conn, set, wait).await {
            Ok(Some(step)) => {
                applied.push(step);
                (attempt, locked, vacuumed, wait) = (1, 1, 0, LOCK_WAIT);
                continue;
            }
            Ok(None) => {
                return Ok(Report {
                    set,
                    applied,
                    version: set.version(),
                });
            }
            Err(error) if attempt < ATTEMPTS && error.is_collision() => {
                attempt += 1;
                0.1 * f64::from(attempt)
            }
            Err(error) if locked < LOCK_TRIES && error.is_locked() => {
                locked += 1;
                wait = LOCK_WAIT;
                if vacuumed < VACUUM_TRIES && holders::is_autovacuum(&mut *conn).await {
                    vacuumed += 1;
                    wait = VACUUM_WAIT;
                }
                LOCK_PAUSE
            }
            Err(error) => return Err(name_holders(conn, error).await),
        };
        // Not all at the same moment, who collided a moment ago.
        sqlx::query("select pg_sleep($1 * (0.5 + random()))")
            .bind(pause)
            .execute(&mut *conn)
            .await
            .map_err(|source| Error::Database {
                set,
                doing: "waiting to try again",
                source,
            })?;
    }
}

/// Applies the first step that is pending, and commits it. None: nothing was pending.
async fn apply_next(conn: &mut PgConnection, set: Set, wait: &'static str) -> Result<Option<Step>, Error> {
    // Without the lock and without a right to create: the usual case at every start of a service.
    if unapplied(&mut *conn, set).await?.is_none() {
        return Ok(None);
    }
    let failed = |doing| move |source| Error::Database { set, doing, source };
    let mut transaction = conn.begin_with(BEGIN).await.map_err(failed("beginning"))?;
    for statement in [
        "set local lock_timeout = '30s'",
        "set local search_path = pg_catalog, pg_temp",
        // What looks at each row of a log takes as long as the log is large. A limit of who migrates would end it each time.
        "set local statement_timeout = 0",
    ] {
        sqlx::query(statement)
            .execute(&mut *transaction)
            .await
            .map_err(failed("bounding the wait for another process"))?;
    }
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(&mut *transaction)
        .await
        .map_err(failed("waiting for another process that migrates"))?;
    let next = unapplied(&mut transaction, set).await?;
    if let Some(step) = next {
        sqlx::query(wait)
            .execute(&mut *transaction)
            .await
            .map_err(failed("bounding the wait for locks"))?;
        ensure_schema(&mut transaction, set).await?;
        set.migrator()
            .run_direct(Some(step.version), &mut *transaction, false)
            .await
            .map_err(|error| from_sqlx(set, error))?;
    }
    transaction.commit().await.map_err(failed("committing"))?;
    Ok(next)
}

/// Who held the lock, where one was not to be had.
async fn name_holders(conn: &mut PgConnection, error: Error) -> Error {
    match error {
        Error::Step { set, version, source } if is_lock_timeout(&source) => {
            let held_by = holders::name(conn).await;
            Error::Locked {
                set,
                version,
                held_by,
                source,
            }
        }
        other => other,
    }
}

/// The first step that is pending.
async fn unapplied(conn: &mut PgConnection, set: Set) -> Result<Option<Step>, Error> {
    let status = status(conn, set).await?;
    match status.applied {
        Some(found) if found > status.known => Err(Error::Newer {
            set,
            found,
            known: status.known,
        }),
        _ => Ok(status.pending.first().copied()),
    }
}

/// From the catalog, as in `status`.
const SCHEMA_EXISTS: &str = "select exists (select from pg_catalog.pg_namespace where nspname = 'outbox')";

/// `create schema if not exists` asks for the right to create even when there is nothing to create.
async fn ensure_schema(conn: &mut PgConnection, set: Set) -> Result<(), Error> {
    let failed = |source| Error::Database {
        set,
        doing: "creating schema outbox",
        source,
    };
    let exists: bool = sqlx::query_scalar(SCHEMA_EXISTS)
        .fetch_one(&mut *conn)
        .await
        .map_err(failed)?;
    if !exists {
        sqlx::query("create schema outbox")
            .execute(&mut *conn)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

fn from_sqlx(set: Set, error: MigrateError) -> Error {
    match error {
        MigrateError::VersionMismatch(version) => Error::Changed { set, version },
        MigrateError::VersionMissing(found) => Error::Newer {
            set,
            found,
            known: set.version(),
        },
        MigrateError::ExecuteMigration(source, version) => Error::Step { set, version, source },
        MigrateError::Execute(source) => Error::Database {
            set,
            doing: "recording a migration",
            source,
        },
        other => Error::Database {
            set,
            doing: "migrating",
            source: sqlx::Error::Migrate(Box::new(other)),
        },
    }
}
