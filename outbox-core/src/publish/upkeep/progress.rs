//! Tells how far streams are that are put out again: in the log now and then, and as a gauge.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::pg::orders::running;
use super::run::{Round, Upkeep};
use crate::observe;
use crate::publish::Error;

/// How often it is looked while one is running, and said.
const TELL_EVERY: Duration = Duration::from_secs(5);

impl Upkeep {
    /// One look, if any is running.
    pub(super) async fn tell_progress(&mut self, round: &Round) -> Result<(), Error> {
        if !self.is_repairing || self.told_at.is_some_and(|at| at.elapsed() < TELL_EVERY) {
            return Ok(());
        }
        self.told_at = Some(Instant::now());
        let running = running(&round.session).await?;
        let mut left: BTreeMap<&str, i64> = BTreeMap::new();
        for reissue in &running {
            *left.entry(&reissue.topic).or_default() += reissue.events - reissue.published;
            tracing::info!(
                stream = reissue.stream,
                published = reissue.published,
                events = reissue.events,
                remaining_seconds = reissue.remaining_seconds.map(f64::round),
                "a stream is put out again"
            );
        }
        for topic in std::mem::take(&mut self.repairing) {
            if !left.contains_key(topic.as_str()) {
                metrics::gauge!(observe::PUBLISH_REISSUE_LEFT, "topic" => topic).set(0.0);
            }
        }
        for (topic, events) in &left {
            metrics::gauge!(observe::PUBLISH_REISSUE_LEFT, "topic" => (*topic).to_owned())
                .set(*events as f64);
        }
        self.repairing = left.into_keys().map(str::to_owned).collect();
        self.is_repairing = !running.is_empty();
        Ok(())
    }
}
