//! Two cursors that people write by hand, kept to show that the witness catches them. Never use them.

use redis::aio::MultiplexedConnection;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::Result;

/// How a naive tail remembers where it is.
#[derive(Clone, Copy, Debug)]
pub enum Cursor {
    /// `position > last`: loses what commits after a later position was seen.
    Position(i64),
    /// Transactions below the snapshot's xmin, ordered by transaction id: turns around two events of one key when the
    /// later one's transaction took its id first.
    Transaction(i64),
}

/// Publishes what its cursor shows.
#[derive(Debug)]
pub struct NaiveTail {
    cursor: Cursor,
}

impl NaiveTail {
    /// Begins at the beginning.
    #[must_use]
    pub fn new(cursor: Cursor) -> Self {
        Self { cursor }
    }

    /// One look at the log; returns how many events it published.
    ///
    /// # Errors
    /// When a server does not answer.
    pub async fn run_once(
        &mut self,
        log: &mut PgConnection,
        redis: &mut MultiplexedConnection,
    ) -> Result<usize> {
        let rows: Vec<(i64, i64, Uuid, String)> = match self.cursor {
            Cursor::Position(last) => sqlx::query_as(
                "select position, 0::bigint, id, topic from outbox.log where position > $1 order by position",
            )
            .bind(last)
            .fetch_all(log)
            .await?,
            Cursor::Transaction(last) => {
                let seen_all_below = "select position, transaction_id::text::bigint, id, topic from outbox.log
                    where transaction_id > $1::text::xid8 and transaction_id < pg_snapshot_xmin(pg_current_snapshot())
                    order by transaction_id, position";
                sqlx::query_as(seen_all_below)
                    .bind(last.to_string())
                    .fetch_all(log)
                    .await?
            }
        };
        for (position, transaction, id, topic) in &rows {
            let event = serde_json::json!({ "id": id, "type": topic }).to_string();
            redis::cmd("XADD")
                .arg(format!("outbox:{topic}"))
                .arg("*")
                .arg("event")
                .arg(event)
                .query_async::<()>(redis)
                .await?;
            self.cursor = match self.cursor {
                Cursor::Position(last) => Cursor::Position(last.max(*position)),
                Cursor::Transaction(last) => Cursor::Transaction(last.max(*transaction)),
            };
        }
        Ok(rows.len())
    }
}
