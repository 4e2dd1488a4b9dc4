//! The one notification per batch, from whoever cuts the log. It only says when to look.

use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Store;

/// What the tail notifies.
const CHANNEL: &str = "outbox_batch";
/// Before the next try to listen. Polls find everything meanwhile.
const PAUSE: Duration = Duration::from_secs(2);

/// Wakes until it is cancelled. What is missed while a connection is lost is found by the next poll.
pub(in super::super) async fn listen(store: Store, wake: watch::Sender<u64>, token: CancellationToken) {
    while !token.is_cancelled() {
        let lost = async {
            let mut listener = PgListener::connect_with(&store.pool).await?;
            listener.listen(CHANNEL).await?;
            loop {
                // None: the connection was lost, and is there again.
                listener.try_recv().await?;
                wake.send_modify(|times| *times = times.wrapping_add(1));
            }
        };
        let lost: Result<(), sqlx::Error> = tokio::select! {
            () = token.cancelled() => return,
            lost = lost => lost,
        };
        if let Err(error) = lost {
            tracing::debug!(%error, "notifications of batches are not heard for now: polls go on");
        }
        tokio::select! {
            () = token.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}
