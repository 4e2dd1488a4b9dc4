//! Parcels out of lanes, and what their answers mean: confirmed rows leave, everything else stays where it is.

use std::time::Instant;

use super::lane::Gate;
use super::leader::Leader;
use super::parcel::{Packed, pack};
use super::retry::Breaker;
use super::sink::{Halt, Settled, settle};
use super::work::{self, Done};
use super::{Error, Kind, pg};
use crate::observe;
use crate::tail::StreamId;
use crate::tail::row::Row;

/// Payload bytes on their way to the sink at once, or one parcel if it is larger: each is in memory three times until it is
/// confirmed, and a sink that takes one command after the other gains nothing from more.
const SENDING_BYTES: usize = 8 << 20;

impl Leader {
    /// Starts whatever can start. Once stopping, only what is held in memory goes out: the rest is the next leader's.
    pub(super) async fn move_lanes(&mut self) -> Result<(), Error> {
        if self.link.is_none() && !self.stopping && self.breaker_may_try() {
            self.connect().await?;
        }
        let now = Instant::now();
        for lane in self.lanes.values_mut() {
            if let Gate::Blocked(until) = lane.gate
                && now >= until
            {
                lane.gate = Gate::Open;
            }
        }
        // Sent before it is read: who has no room is waited for while a parcel of it is on its way, and not between two of them.
        self.send_parcels().await?;
        if !self.stopping {
            self.start_reads();
        }
        Ok(())
    }

    pub(super) async fn send_parcels(&mut self) -> Result<(), Error> {
        let Some(link) = self.link.clone() else {
            return Ok(());
        };
        let mut sending: usize = self.lanes.values().map(|lane| lane.sending).sum();
        while self.breaker.admits(Instant::now()) {
            let may_repair = self.pace.admits(Instant::now());
            let Some(stream) = self.next_in_turn(&self.sent_last, |lane| {
                lane.wants_to_publish() && self.openings.admits(lane) && (may_repair || !lane.is_again())
            }) else {
                break;
            };
            let Some(lane) = self.lanes.get_mut(&stream) else {
                break;
            };
            let bytes = lane.head_bytes(self.options.parcel_rows, self.options.parcel_bytes);
            if sending > 0 && sending + bytes > SENDING_BYTES {
                break;
            }
            let work = if self.unannounced.contains(&stream.topic)
                && let Some(layout) = self.layouts.get(&stream.topic)
            {
                let key = self.publisher.names.layout(&stream.topic);
                work::announce(link.clone(), stream.clone(), key, layout.to_string())
            } else if lane.vetted {
                match pack(lane, &self.publisher, &self.options) {
                    Some(Packed::Parcel(parcel)) => {
                        if lane.is_again() {
                            self.pace.took(parcel.entries.len(), Instant::now());
                        }
                        lane.sending = bytes;
                        sending += bytes;
                        work::publish(link.clone(), lane, parcel)
                    }
                    Some(Packed::TooLarge { bytes }) => {
                        self.set_aside_too_large(&stream, bytes).await?;
                        continue;
                    }
                    Some(Packed::Broken { why }) => {
                        self.set_aside_broken(&stream, why).await?;
                        continue;
                    }
                    None => break,
                }
            } else {
                let key = self.publisher.names.mark(&stream);
                let layout = self.publisher.names.layout(&stream.topic);
                work::vet(link.clone(), stream.clone(), key, layout)
            };
            lane.publishing = true;
            self.breaker.sent();
            self.in_flight.push(work);
            self.sent_last = stream;
        }
        Ok(())
    }

    async fn set_aside_too_large(&mut self, stream: &StreamId, bytes: usize) -> Result<(), Error> {
        let why = format!(
            "the entry has {bytes} bytes, the sink takes {} (publish.max_entry_bytes); raise the limit and resume the topic, or skip the event",
            self.options.max_entry_bytes
        );
        self.halt(stream, Halt::Rejected(why)).await
    }

    async fn set_aside_broken(&mut self, stream: &StreamId, why: &str) -> Result<(), Error> {
        let why = format!("somebody inserted it into outbox.log by hand, and {why}; skip the event");
        self.halt(stream, Halt::Rejected(why)).await
    }

    pub(super) async fn settle(&mut self, done: Done) -> Result<(), Error> {
        match done {
            Done::Read { expected, found } => {
                self.reads -= 1;
                self.expected_bytes = self.expected_bytes.saturating_sub(expected);
                self.take_rows(found?).await
            }
            Done::Announced {
                stream,
                link,
                layout,
                answer,
            } => {
                if let Some(lane) = self.lanes.get_mut(&stream) {
                    lane.publishing = false;
                }
                match answer {
                    _ if !self.is_current(link) => Ok(()),
                    Ok(Some(answer)) => {
                        self.breaker.half_open();
                        self.settle_layout(&stream, &layout, answer).await
                    }
                    Ok(None) => {
                        self.sink_failed(&Error::new(Kind::SinkDown, "no answer about a layout"));
                        Ok(())
                    }
                    Err(error) => {
                        self.sink_failed(&error);
                        Ok(())
                    }
                }
            }
            Done::Searched { link, found } => self.settle_search(link, found).await,
            Done::Vetted { stream, link, told } => {
                if let Some(lane) = self.lanes.get_mut(&stream) {
                    lane.publishing = false;
                }
                match told {
                    // Another connection has compared every stream since.
                    _ if !self.is_current(link) => Ok(()),
                    Ok((Some(mark), layout)) => {
                        // The probe of a sink that had failed is answered as well.
                        self.breaker.half_open();
                        self.compare_marks(vec![(stream.clone(), mark)]).await?;
                        self.vet_layout(&stream, layout).await
                    }
                    Ok((None, _)) => {
                        self.sink_failed(&Error::new(Kind::SinkDown, "no answer about a mark"));
                        Ok(())
                    }
                    Err(error) => {
                        self.sink_failed(&error);
                        Ok(())
                    }
                }
            }
            Done::Published {
                stream,
                stretch,
                link,
                batch_id,
                receipt,
            } => {
                if let Some(lane) = self.lanes.get_mut(&stream) {
                    lane.publishing = false;
                    lane.sending = 0;
                }
                match receipt {
                    Ok(receipt) => {
                        if self.is_current(link) {
                            self.breaker = Breaker::Closed;
                            self.backoff.reset();
                        }
                        let found = receipt.marked.clone();
                        let settled = settle(receipt);
                        // The mark moves with the entries, unless Redis had it there already.
                        let left = (settled.confirmed > 0).then_some(batch_id);
                        self.compare_found(&stream, found, left).await?;
                        self.confirm(&stream, stretch, settled).await
                    }
                    Err(error) => {
                        metrics::counter!(observe::PUBLISH_RETRIES).increment(1);
                        // The others that were in flight with the first one to fail say nothing new: they neither end the
                        // connection made since nor make the pause longer.
                        if self.is_current(link) {
                            self.sink_failed(&error);
                        }
                        Ok(())
                    }
                }
            }
        }
    }

    pub(super) async fn confirm(
        &mut self,
        stream: &StreamId,
        stretch: u64,
        settled: Settled,
    ) -> Result<(), Error> {
        let Some(lane) = self
            .lanes
            .get_mut(stream)
            .filter(|lane| lane.stretch() == stretch)
        else {
            return Ok(());
        };
        let confirmed = lane.confirm(settled.confirmed);
        crash_point!(PARCEL_CONFIRMED);
        if !confirmed.is_empty() {
            self.openings.has_entries(stream);
        }
        metrics::counter!(observe::PUBLISH_EVENTS, "topic" => stream.topic.clone())
            .increment(confirmed.iter().filter(|row| row.position > 0).count() as u64);
        if settled.repeated > 0 {
            metrics::counter!(observe::PUBLISH_REPEATED, "topic" => stream.topic.clone())
                .increment(settled.repeated as u64);
        }
        if let Some(recorded) = confirmed.first().and_then(Row::recorded_at) {
            let delay = (time::OffsetDateTime::now_utc() - recorded)
                .as_seconds_f64()
                .max(0.0);
            metrics::histogram!(observe::PUBLISH_DELAY).record(delay);
        }
        match settled.halt {
            Some(halt) => self.halt(stream, halt).await,
            None => {
                if !confirmed.is_empty() && self.lane_backoffs.remove(stream).is_some() {
                    tracing::info!(%stream, "the stream takes entries again");
                    pg::block(
                        &self.session,
                        stream,
                        "unblocked",
                        "the stream takes entries again",
                    )
                    .await?;
                }
                Ok(())
            }
        }
    }
}
