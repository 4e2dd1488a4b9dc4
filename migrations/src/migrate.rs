//! Applying what is pending: one transaction, one lock, all or nothing.

use sqlx::migrate::MigrateError;
use sqlx::{Acquire, PgConnection};

use crate::{Error, Set, Step, status};

/// One lock for both sets: both may have to create the schema. Next to the doorbell's number, which is "outbox" in ASCII.
const LOCK: i64 = 122_550_254_464_889;

/// Roles belong to the cluster and no lock spans its databases, so two databases migrating at once can collide there.
const ATTEMPTS: u32 = 5;

/// A lock that a step needs is waited for so long: whoever asks after us, an append perhaps, queues behind us meanwhile.
const LOCK_WAIT: &str = "set local lock_timeout = '300ms'";

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

/// Brings a set to the newest version this binary knows.
///
/// # Errors
/// [`Error::Newer`] and [`Error::Changed`] before anything is touched; [`Error::Step`] and [`Error::Database`] with nothing changed,
/// also when somebody holds a lock that a step needs for longer than a minute.
pub async fn migrate(conn: &mut PgConnection, set: Set) -> Result<Report, Error> {
    let (mut attempt, mut locked) = (1, 1);
    loop {
        let pause = match attempt_once(&mut *conn, set).await {
            Err(error) if attempt < ATTEMPTS && error.is_collision() => {
                attempt += 1;
                0.1 * f64::from(attempt)
            }
            Err(error) if locked < LOCK_TRIES && error.is_locked() => {
                locked += 1;
                LOCK_PAUSE
            }
            outcome => return outcome,
        };
        sqlx::query("select pg_sleep($1)")
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

async fn attempt_once(conn: &mut PgConnection, set: Set) -> Result<Report, Error> {
    // Without the lock and without a right to create: the usual case at every start of a service.
    let pending = unapplied(&mut *conn, set).await?;
    if pending.is_empty() {
        return Ok(Report {
            set,
            applied: pending,
            version: set.version(),
        });
    }
    let failed = |doing| move |source| Error::Database { set, doing, source };
    let mut transaction = conn.begin().await.map_err(failed("beginning"))?;
    for statement in [
        "set local lock_timeout = '30s'",
        "set local search_path = pg_catalog, pg_temp",
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
    let pending = unapplied(&mut transaction, set).await?;
    if !pending.is_empty() {
        sqlx::query(LOCK_WAIT)
            .execute(&mut *transaction)
            .await
            .map_err(failed("bounding the wait for locks"))?;
        ensure_schema(&mut transaction, set).await?;
        set.migrator()
            .run_direct(None, &mut *transaction, false)
            .await
            .map_err(|error| from_sqlx(set, error))?;
    }
    transaction.commit().await.map_err(failed("committing"))?;
    Ok(Report {
        set,
        applied: pending,
        version: set.version(),
    })
}

async fn unapplied(conn: &mut PgConnection, set: Set) -> Result<Vec<Step>, Error> {
    let status = status(conn, set).await?;
    match status.applied {
        Some(found) if found > status.known => Err(Error::Newer {
            set,
            found,
            known: status.known,
        }),
        _ => Ok(status.pending),
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
