//! Who leads, and how far the ledger is, as the database says: looked at ten times a second by a session of its own.
//!
//! A fault that is for the leader is for the process that the row of the lease names; that it met it is known when the epoch
//! rises. What is told here may be a moment old.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use system_tests::Result;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Longer than any answer, except of a server that stands still.
const LIMIT: Duration = Duration::from_secs(2);

const QUESTION: &str =
    "select lease.epoch, case when lease.expires_at > clock_timestamp() then lease.holder end,
           (select max(number) from outbox.batch)
    from outbox.lease lease where lease.name = 'tail'";

/// What was seen last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The process that leads, if one does.
    pub(super) leader: Option<u32>,
    /// It rises whenever the lease changes hands.
    pub(super) epoch: i64,
    /// The last batch of the ledger.
    pub(super) batch: i64,
}

/// Looks until it is dropped.
pub(super) struct Watch {
    seen: watch::Receiver<Seen>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Begins to look.
    pub(super) fn over(url: &str) -> Self {
        let (sender, seen) = watch::channel(Seen::default());
        let url = url.to_owned();
        let task = tokio::spawn(async move {
            while !sender.is_closed() {
                // Faults end it again and again.
                look(&url, &sender).await.ok();
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        Self { seen, task }
    }

    pub(super) fn seen(&self) -> Seen {
        *self.seen.borrow()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look(url: &str, sender: &watch::Sender<Seen>) -> Result {
    let mut connection = tokio::time::timeout(LIMIT, PgConnection::connect(url)).await??;
    loop {
        let question = sqlx::query_as(QUESTION).fetch_one(&mut connection);
        let (epoch, holder, batch): (i64, Option<String>, Option<i64>) =
            tokio::time::timeout(LIMIT, question).await??;
        sender.send_replace(Seen {
            leader: holder.as_deref().and_then(process_of),
            epoch,
            batch: batch.unwrap_or_default(),
        });
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The process that a relay's name names: `host/process/random`.
fn process_of(holder: &str) -> Option<u32> {
    holder.rsplit('/').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::process_of;

    #[test]
    fn a_name_names_its_process() {
        assert_eq!(process_of("a/b/417/0badcafe"), Some(417));
        assert_eq!(process_of("nobody"), None);
    }
}
