//! Gauges of how far publishing is behind, and the causes that `/readyz` names, read from the operators' views every few seconds
//! by every relay, leading or not: a leader that hangs cannot be asked.
//!
//! What cannot be read leaves the gauges as they were and the time of the last reading behind, which is to be alerted on. Causes
//! that cannot be read are none: where the relay stands says then that Postgres does not answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use outbox_core::observe::{
    OPS_BACKLOG, OPS_NOTIFICATION_QUEUE, OPS_OLDEST, OPS_SAMPLED, OPS_STOPPED, OPS_WAITING, OPS_WAITING_AGE,
};
use outbox_core::ops::{self, Lag, View};
use sqlx::PgConnection;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::connect::{self, Role};
use crate::http::Causes;

/// As often as monitoring commonly scrapes, or oftener.
const PAUSE: Duration = Duration::from_secs(5);

/// Reads and shows until the token is cancelled.
pub async fn watch(config: Arc<Config>, causes: watch::Sender<Causes>, token: CancellationToken) {
    let mut connection = None;
    let mut shown = BTreeSet::new();
    let mut fails = false;
    while !token.is_cancelled() {
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
        token.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
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
