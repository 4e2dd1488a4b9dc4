//! A connection of the pool that comes back to it only if nothing is open on it.
//!
//! The driver counts a transaction from the moment it has heard that it began. Who is stopped before that, by a lost lease or
//! a limit of time, would leave a connection in the pool with an open transaction of which nobody knows: whatever the next
//! one does on it would never be committed, and hold its locks.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Connection, Postgres};

use super::{PgConnection, Transaction};

/// A connection of the pool, for a while.
pub(in crate::consume) struct Lent {
    connection: PoolConnection<Postgres>,
    is_unclear: bool,
}

impl Lent {
    pub(super) fn new(connection: PoolConnection<Postgres>) -> Self {
        Self {
            connection,
            is_unclear: false,
        }
    }

    /// Begins a transaction. Given up before it answers, the connection is closed.
    pub(super) async fn begin(&mut self, statement: String) -> Result<Transaction<'_>, sqlx::Error> {
        self.is_unclear = true;
        let begun = self.connection.begin_with(AssertSqlSafe(statement)).await?;
        self.is_unclear = false;
        Ok(begun)
    }

    /// Gives it back. True: a transaction that a handler began inside of ours, and neither ended nor let go of, is open on it; what was
    /// taken for the end of ours was its end, and the connection is closed.
    pub(in crate::consume) fn settle(self) -> bool {
        let is_open = self.connection.is_in_transaction();
        if is_open {
            self.close();
        }
        is_open
    }

    /// Closes it: the server undoes what is open on it.
    pub(in crate::consume) fn close(mut self) {
        self.is_unclear = true;
    }
}

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.is_unclear {
            self.connection.close_on_drop();
        }
    }
}
