//! Stopping: the sink as a whole, or one stream alone.

use std::time::Instant;

use super::lane::Gate;
use super::leader::Leader;
use super::retry::{Backoff, Breaker};
use super::sink::Halt;
use super::{Error, pg};
use crate::observe;
use crate::standing::Standing;
use crate::tail::StreamId;

impl Leader {
    pub(super) fn is_current(&self, number: u64) -> bool {
        self.link.as_ref().is_some_and(|link| link.number == number)
    }

    /// The sink as a whole failed: everything in flight is unknown, the next connection finds out.
    pub(super) fn sink_failed(&mut self, error: &Error) {
        if self.link.take().is_some() || matches!(self.breaker, Breaker::Closed) {
            tracing::warn!(%error, advice = error.advice(), "the sink failed; everything waits");
        }
        let pause = self.backoff.pause();
        self.breaker = Breaker::Open(Instant::now() + pause);
        metrics::gauge!(observe::PUBLISH_SINK_UP).set(0.0);
        self.standing.send_replace(Standing::Waiting {
            cause: format!("{error}; {}", error.advice()),
        });
    }

    /// One stream stops; the others go on.
    pub(super) async fn halt(&mut self, stream: &StreamId, halt: Halt) -> Result<(), Error> {
        // A refused entry means loss only to the present leader: a zombie sees its successor's entries.
        self.check_lease()?;
        if matches!(halt, Halt::Lost(_)) && self.was_trimmed(stream).await? {
            return Ok(());
        }
        let epoch = self.publisher.epoch;
        let Some(lane) = self.lanes.get_mut(stream) else {
            return Ok(());
        };
        match halt {
            Halt::Blocked(why) => {
                let backoff = self
                    .lane_backoffs
                    .entry(stream.clone())
                    .or_insert_with(Backoff::of_lane);
                lane.halt(Gate::Blocked(Instant::now() + backoff.pause()));
                tracing::warn!(
                    %stream,
                    why,
                    "the stream refuses entries; tried again by itself, the others go on"
                );
                pg::block(&self.session, stream, "blocked", &why).await?;
            }
            Halt::Rejected(why) => {
                tracing::error!(
                    %stream,
                    why,
                    "the stream is set aside until a person decides; the others go on"
                );
                self.stop(stream, epoch, "set_aside", &why).await?;
            }
            Halt::Lost(why) => {
                tracing::error!(%stream, why, "the stream lost entries: they are put out again; the others go on");
                self.stop(stream, epoch, "lost", &why).await?;
            }
        }
        Ok(())
    }

    /// It moves no more until the database says that it goes on, or a re-issue takes it elsewhere.
    async fn stop(
        &mut self,
        stream: &StreamId,
        epoch: i64,
        action: &'static str,
        why: &str,
    ) -> Result<(), Error> {
        let Some(lane) = self.lanes.get_mut(stream) else {
            return Ok(());
        };
        let counter = match action {
            "lost" => observe::PUBLISH_LOST,
            _ => observe::PUBLISH_REJECTED,
        };
        metrics::counter!(counter, "topic" => stream.topic.clone()).increment(1);
        let next = lane.next_event().map(|(place, row)| (place, row.event_id()));
        let (at, event_id) = next.map_or((lane.progress, None), |(place, id)| (place, Some(id)));
        let come = pg::Come::from(&*lane);
        lane.halt(Gate::SetAside);
        lane.dirty = false;
        self.halted.send_replace(true);
        pg::set_aside(&self.session, &come, epoch, at, event_id.as_deref(), action, why).await?;
        Ok(())
    }
}
