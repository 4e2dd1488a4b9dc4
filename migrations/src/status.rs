//! Where a database stands, against what this binary knows. Reads only.
//!
//! Statements are unnamed: they are sent once, and a named one is left behind in a pooler for strangers to trip over.

use sqlx::{AssertSqlSafe, PgConnection};

use crate::{Error, Set, Step};

/// Asked of the catalog: `to_regclass` answers from a cache that may not know what another process has just committed.
const RECORD_EXISTS: &str = "select exists (
    select from pg_catalog.pg_class join pg_catalog.pg_namespace namespace on namespace.oid = relnamespace
    where nspname || '.' || relname = $1)";

/// How a database relates to this binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing of the set is here.
    Absent,
    /// Older than this binary: steps are pending.
    Behind,
    /// What this binary makes and needs.
    Current,
    /// Newer than this binary: it must not touch it.
    Newer,
}

/// What is applied and what is pending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Which set.
    pub set: Set,
    /// The newest version applied; none when nothing is.
    pub applied: Option<i64>,
    /// The newest version this binary knows.
    pub known: i64,
    /// What a run would apply, in order.
    pub pending: Vec<Step>,
}

impl Status {
    /// How the database relates to this binary.
    #[must_use]
    pub fn state(&self) -> State {
        match self.applied {
            None => State::Absent,
            Some(applied) if applied > self.known => State::Newer,
            Some(_) if self.pending.is_empty() => State::Current,
            Some(_) => State::Behind,
        }
    }
}

/// Reads where a database stands. A set that differs from the embedded files is an error; a newer one is not.
///
/// # Errors
/// [`Error::Changed`] when an applied step is not the one embedded here, [`Error::Database`] otherwise.
pub async fn status(conn: &mut PgConnection, set: Set) -> Result<Status, Error> {
    let failed = |source| Error::Database {
        set,
        doing: "reading which migrations are applied",
        source,
    };
    let recorded: bool = sqlx::query_scalar(RECORD_EXISTS)
        .persistent(false)
        .bind(set.record_table())
        .fetch_one(&mut *conn)
        .await
        .map_err(failed)?;
    let mut applied: Vec<(i64, Vec<u8>)> = Vec::new();
    if recorded {
        let query = format!(
            "select version, checksum from {} order by version",
            set.record_table()
        );
        applied = sqlx::query_as(AssertSqlSafe(query))
            .persistent(false)
            .fetch_all(&mut *conn)
            .await
            .map_err(failed)?;
    }
    for migration in set.migrations() {
        if let Some((version, checksum)) = applied.iter().find(|(version, _)| *version == migration.version)
            && checksum[..] != migration.checksum[..]
        {
            return Err(Error::Changed {
                set,
                version: *version,
            });
        }
    }
    let is_pending = |step: &&Step| !applied.iter().any(|(version, _)| *version == step.version);
    Ok(Status {
        set,
        applied: applied.last().map(|(version, _)| *version),
        known: set.version(),
        pending: set.steps().iter().filter(is_pending).copied().collect(),
    })
}
