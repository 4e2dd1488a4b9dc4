//! Why a database could not be migrated: what was seen, what it means, what to do.

use std::fmt;

use crate::Set;

/// Why a database could not be migrated. A step that failed left nothing behind; the steps before it stay.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The database is newer than this binary.
    Newer {
        /// Which set.
        set: Set,
        /// The version found.
        found: i64,
        /// The newest this binary knows.
        known: i64,
    },
    /// A step that was applied is not the one embedded here.
    Changed {
        /// Which set.
        set: Set,
        /// Which step.
        version: i64,
    },
    /// A step failed.
    Step {
        /// Which set.
        set: Set,
        /// Which step.
        version: i64,
        /// What Postgres said.
        source: sqlx::Error,
    },
    /// Somebody held a lock that a step needs for longer than it is asked for again.
    Locked {
        /// Which set.
        set: Set,
        /// Which step.
        version: i64,
        /// Who held locks on the schema when it was given up: processes with login, application and since when; none if nobody did any more.
        held_by: Option<String>,
        /// What Postgres said.
        source: sqlx::Error,
    },
    /// Something around the steps failed.
    Database {
        /// Which set.
        set: Set,
        /// What was being done.
        doing: &'static str,
        /// What Postgres said.
        source: sqlx::Error,
    },
}

impl Error {
    /// True when the cause does not pass by itself and going on could do harm: another binary or a person must act.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Newer { .. } | Self::Changed { .. })
    }

    /// What to do about it, in a sentence.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Newer { .. } => "use a binary at least as new as the database; nothing was touched",
            Self::Changed { .. } => {
                "use the release that made this database, or restore the file as it was released; nothing was touched"
            }
            Self::Locked { .. } => {
                "end the transactions of these processes (pg_terminate_backend, or rollback prepared) or wait for them, and migrate again: \
                 it goes on with this step"
            }
            Self::Step { source, .. } | Self::Database { source, .. } => match code(source).as_deref() {
                Some("42501") => {
                    "migrate as the owner of the database or as a role that may create schemas and roles"
                }
                Some("55P03") => "find who holds the lock in pg_locks, end it or wait, and migrate again",
                Some("42P07" | "42710" | "42723") => {
                    "schema outbox holds objects that no record table knows: use an empty schema or restore the record"
                }
                _ => {
                    "see what the server says; the step left nothing behind and those before it stay, so migrating again is safe"
                }
            },
        }
    }

    /// Somebody holds a lock that a step needs. Waiting for another process that migrates is not this: that is waited for as it is.
    pub(crate) fn is_locked(&self) -> bool {
        matches!(self, Self::Step { source, .. } if is_lock_timeout(source))
    }

    /// Two databases of one cluster made the same role, or granted it, at the same moment.
    pub(crate) fn is_collision(&self) -> bool {
        match self {
            Self::Step { source, .. } | Self::Database { source, .. } => match source {
                // XX000 is "tuple concurrently updated". 42704: a role is not there, which the same step has just found to be there: between
                // a commit and word of it to other sessions (`ProcArrayEndTransaction` and `AtEOXact_Inval` in the server's `xact.c`) an
                // index refuses the second of that name and the cache says still that there is none.
                sqlx::Error::Database(error) => {
                    matches!(error.code().as_deref(), Some("XX000" | "42704"))
                        || (error.code().as_deref() == Some("23505")
                            && error.constraint().is_some_and(|name| name.starts_with("pg_auth")))
                }
                _ => false,
            },
            Self::Locked { .. } | Self::Newer { .. } | Self::Changed { .. } => false,
        }
    }
}

pub(crate) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some("55P03")
}

fn code(error: &sqlx::Error) -> Option<String> {
    error
        .as_database_error()
        .and_then(|error| error.code())
        .map(Into::into)
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer { set, found, known } => write!(
                out,
                "the {} of this database is at version {found}, this binary knows versions up to {known}",
                set.word()
            ),
            Self::Changed { set, version } => write!(
                out,
                "migration {version} of the {} was applied from a file that differs from the one in this binary",
                set.word()
            ),
            Self::Step { set, version, source } => {
                write!(out, "migration {version} of the {} failed: {source}", set.word())
            }
            Self::Locked {
                set,
                version,
                held_by,
                ..
            } => write!(
                out,
                "migration {version} of the {} waits for a lock that others hold, and was given up; in long transactions on the schema: {}",
                set.word(),
                held_by.as_deref().unwrap_or("nobody any more")
            ),
            Self::Database { set, doing, source } => {
                write!(out, "the {} could not be migrated, {doing}: {source}", set.word())
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Step { source, .. } | Self::Locked { source, .. } | Self::Database { source, .. } => {
                Some(source)
            }
            Self::Newer { .. } | Self::Changed { .. } => None,
        }
    }
}
