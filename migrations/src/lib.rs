//! The database of the transactional outbox, embedded: schema `outbox`, forward only.
//!
//! Two sets of migrations share the schema. The *log* is what a service that appends needs; the *inbox* is what a
//! consumer needs, in the same database or in one of its own. Each set keeps its own record
//! (`outbox.log_migration`, `outbox.inbox_migration`), so neither clashes with a service's own sqlx migrations.
//!
//! Authoritative for the state of a database is its record table; for what ought to be there, this crate.
//!
//! Invariants:
//! * A step is one transaction under one advisory lock: of two processes at once one applies it, and a crash in the middle leaves all of
//!   it or nothing. The lock belongs to the transaction, so a transaction pooler is no obstacle.
//! * A step is whole: a database between two of them is one of a version in between, in which services go on, and the next run goes on there.
//! * A run with nothing to do changes nothing and needs no right to create.
//! * A database that is newer than this binary is refused, and so is one whose applied files differ from these.
//!
//! Deliberately absent: migrations down. A mistake is mended by the next migration.

mod set;

mod status;

mod migrate;

mod error;

mod holders;

pub use error::Error;
pub use migrate::{Report, migrate};
pub use set::{INBOX_VERSION, LOG_VERSION, Set, Step};
pub use status::{State, Status, status};

use sqlx::PgConnection;

/// Brings the log of this database to the newest version this binary knows.
///
/// # Errors
/// See [`Error`].
pub async fn migrate_log(conn: &mut PgConnection) -> Result<Report, Error> {
    migrate(conn, Set::Log).await
}

/// Brings the inbox of this database to the newest version this binary knows; the log need not be here.
///
/// # Errors
/// See [`Error`].
pub async fn migrate_inbox(conn: &mut PgConnection) -> Result<Report, Error> {
    migrate(conn, Set::Inbox).await
}
