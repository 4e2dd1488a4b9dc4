//! Gauges of how far publishing is behind, and the causes that `/readyz` names, read from the operators' views by every relay,
//! leading or not: a leader that hangs cannot be asked.
//!
//! Read when somebody asks for `/metrics` or `/readyz`, at most every few seconds however many ask: what nobody looks at costs the
//! database nothing. Who asks waits a moment for what is read, and not longer: a database that does not answer is not waited for.
//!
//! What cannot be read leaves the gauges as they were and the time of the last reading behind, which is to be alerted on. Causes
//! that cannot be read are none: where the relay stands says then that Postgres does not answer. Nor is shown what was true when
//! somebody last asked, long ago.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use outbox_core::observe::{
    OPS_BACKLOG, OPS_NOTIFICATION_QUEUE, OPS_OLDEST, OPS_SAMPLED, OPS_STOPPED, OPS_WAITING, OPS_WAITING_AGE,
};
use outbox_core::ops::{self, Lag, View};
use sqlx::PgConnection;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::connect::{self, Role};
use crate::http::Causes;

/// As often as monitoring commonly scrapes, or oftener.
const PAUSE: Duration = Duration::from_secs(5);
/// Causes that are older are not shown.
const OUTDATED: Duration = Duration::from_secs(15);

/// Asks for what the watch reads.
#[derive(Clone)]
pub struct Asker {
    wanted: Arc<Notify>,
    read_at: watch::Receiver<Option<Instant>>,
}

/// Hears who asks.
pub struct Asked {
    wanted: Arc<Notify>,
    read_at: watch::Sender<Option<Instant>>,
}

/// Both ends.
#[must_use]
pub fn channel() -> (Asker, Asked) {
    let (read_at, seen) = watch::channel(None);
    let wanted = Arc::new(Notify::new());
    let asker = Asker {
        wanted: wanted.clone(),
        read_at: seen,
    };
    (asker, Asked { wanted, read_at })
}

impl Asker {
    /// Asks, unless what there is was read lately, and waits for the reading, but not longer than `patience`.
    pub async fn ask(&self, patience: Duration) {
        let mut read_at = self.read_at.clone();
        if read_at.borrow_and_update().is_some_and(|at| at.elapsed() < PAUSE) {
            return;
        }
        self.wanted.notify_one();
        // Nobody reads any more, or it takes too long: what there is must do.
        let _ = tokio::time::timeout(patience, read_at.changed()).await;
    }
}

/// Reads and shows when it is asked, until the token is cancelled.
pub async fn watch(
    config: Arc<Config>,
    causes: watch::Sender<Causes>,
    asked: Asked,
    token: CancellationToken,
) {
    let mut connection = None;
    let mut shown = BTreeSet::new();
    let mut fails = false;
    while token.run_until_cancelled(asked.wanted.notified()).await.is_some() {
        let read_at = *asked.read_at.borrow();
        if read_at.is_some_and(|at| at.elapsed() < PAUSE) {
            continue;
        }
        if read_at.is_some_and(|at| at.elapsed() >= OUTDATED) {
            causes.send_replace(Causes::new());
        }
        match token.run_until_cancelled(read(&config, &mut connection)).await {
            None => return,
            Some(Ok((lag, found))) => {
                fails = false;
                show(&lag, &mut shown);
                causes.send_replace(found);
            }
            // Said once: whoever leads or stands by says the same in its own words.
            Some(Err(error)) if !fails => {
                fails = true;
                causes.send_replace(Causes::new());
                tracing::warn!(error, "the backlog cannot be read; its gauges stay as they are");
            }
            Some(Err(_)) => {}
        }
        asked.read_at.send_replace(Some(Instant::now()));
    }
}

/// A connection that failed, or did not answer in time, is not used again.
async fn read(config: &Config, kept: &mut Option<PgConnection>) -> Result<(Lag, Causes), String> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => connect::connection(config, Role::Report)
            .await
            .map_err(|error| error.to_string())?,
    };
    let limit = config.postgres.query_timeout;
    let both = async {
        let lag = ops::lag(&mut connection).await?;
        Ok((lag, ops::view(&mut connection, View::Causes).await?))
    };
    let read = tokio::time::timeout(limit, both).await;
    let read = read.map_err(|_| format!("no answer within {} s", limit.as_secs()))?;
    let read = read.map_err(|error: ops::Error| format!("{error}; {}", error.advice()))?;
    // Behind a pooler it is in a transaction, and that must end.
    *kept = config.postgres.listen.then_some(connection);
    Ok(read)
}

/// Sets every gauge; a topic whose backlog is gone goes to zero, once.
fn show(lag: &Lag, shown: &mut BTreeSet<String>) {
    let present: BTreeSet<String> = lag.topics.iter().map(|topic| topic.topic.clone()).collect();
    for gone in shown.difference(&present) {
        metrics::gauge!(OPS_BACKLOG, "topic" => gone.clone()).set(0.0);
        metrics::gauge!(OPS_OLDEST, "topic" => gone.clone()).set(0.0);
    }
    for topic in &lag.topics {
        metrics::gauge!(OPS_BACKLOG, "topic" => topic.topic.clone()).set(topic.events as f64);
        metrics::gauge!(OPS_OLDEST, "topic" => topic.topic.clone()).set(topic.oldest_age);
    }
    *shown = present;
    metrics::gauge!(OPS_STOPPED, "state" => "set_aside").set(lag.set_aside as f64);
    metrics::gauge!(OPS_STOPPED, "state" => "blocked").set(lag.blocked as f64);
    metrics::gauge!(OPS_WAITING).set(lag.waiting as f64);
    metrics::gauge!(OPS_WAITING_AGE).set(lag.waiting_age);
    metrics::gauge!(OPS_NOTIFICATION_QUEUE).set(lag.notification_queue);
    metrics::gauge!(OPS_SAMPLED).set(lag.sampled_at);
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn who_asks_is_told_when_it_was_read_and_asks_nobody_soon_after() {
        let (asker, asked) = channel();
        let reading = async {
            asked.wanted.notified().await;
            asked.read_at.send_replace(Some(Instant::now()));
        };
        let patience = Duration::from_secs(3600);
        tokio::join!(asker.ask(patience), reading);
        asker.ask(patience).await;
        let again = asked.wanted.notified().now_or_never();
        assert_eq!(again, None, "what was just read is not read again");
    }

    #[tokio::test]
    async fn who_asks_in_vain_is_let_go() {
        let (asker, asked) = channel();
        asker.ask(Duration::from_millis(1)).await;
        assert!(asked.read_at.borrow().is_none(), "nobody has read");
        drop(asked);
        asker.ask(Duration::from_secs(3600)).await;
    }
}
