//! Looks at every stream, and takes off what may go: first the floor is recorded, then the entries leave in bounded steps.

use std::collections::BTreeMap;

use super::pg::streams::{self as pg, Cause, Ruled, Shown};
use super::run::{Round, Upkeep};
use crate::event::EntryId;
use crate::observe;
use crate::publish::trim::{self, Seen};
use crate::publish::{Error, Marked};

/// Streams that are looked at with one round trip.
const STREAMS_AT_ONCE: usize = 100;
/// Bounded steps in one round for one stream: what is left is taken off by the next round.
const STEPS_AT_MOST: usize = 2_000;
/// Bytes of entries that are read at once to learn where the hard cap falls.
const CAP_BYTES: u64 = 4 << 20;
/// Entries that are read at once for that.
const CAP_ENTRIES: u64 = 1_000;

/// A look at one stream that is ours.
struct Looked {
    ruled: Ruled,
    key: String,
    seen: Seen,
    held_by: Option<String>,
}

impl Upkeep {
    /// One look at every stream of ours.
    pub(super) async fn look_at_streams(&mut self, round: &Round) -> Result<(), Error> {
        let stored = crate::publish::pg::load_streams(&round.session, None).await?;
        let (mut held, mut troubles) = (0_u32, BTreeMap::new());
        for stored in stored.chunks(STREAMS_AT_ONCE) {
            let ruled = pg::rules(&round.session, stored).await?;
            let looked = self.look(round, ruled, &mut troubles).await?;
            let shown: Vec<Shown<'_>> = looked
                .iter()
                .map(|looked| Shown {
                    ruled: &looked.ruled,
                    key: &looked.key,
                    seen: &looked.seen,
                    held_by: looked.held_by.as_deref(),
                })
                .collect();
            held += u32::try_from(shown.iter().filter(|shown| shown.held_by.is_some()).count()).unwrap_or(0);
            pg::show(&round.session, &shown, self.epoch()).await?;
        }
        metrics::gauge!(observe::PUBLISH_HELD_STREAMS).set(f64::from(held));
        self.say_troubles(troubles);
        Ok(())
    }

    /// What cannot be looked at is said when it begins, not every time.
    fn say_troubles(&mut self, troubles: BTreeMap<String, String>) {
        for (stream, why) in &troubles {
            if self.troubles.get(stream) != Some(why) {
                tracing::warn!(stream, why, "the stream cannot be looked at: it is not trimmed");
            }
        }
        self.troubles = troubles;
    }

    async fn look(
        &self,
        round: &Round,
        ruled: Vec<Ruled>,
        troubles: &mut BTreeMap<String, String>,
    ) -> Result<Vec<Looked>, Error> {
        let keys: Vec<(String, String)> = ruled
            .iter()
            .map(|ruled| {
                (
                    self.parts.names.key(&ruled.stream),
                    self.parts.names.mark(&ruled.stream),
                )
            })
            .collect();
        let looks = round.streams.look(&keys).await?;
        let mut looked = Vec::with_capacity(ruled.len());
        for ((ruled, (key, _)), look) in ruled.into_iter().zip(keys).zip(looks) {
            match look {
                // Only what this database wrote is its to trim.
                Ok((Marked::By(mark), seen)) if mark.database_id == self.parts.database_id => {
                    looked.push(self.tend(round, ruled, key, seen).await?);
                }
                Ok(_) => {}
                Err(why) => drop(troubles.insert(key, why)),
            }
        }
        Ok(looked)
    }

    /// Registers who reads, and trims.
    async fn tend(&self, round: &Round, mut ruled: Ruled, key: String, seen: Seen) -> Result<Looked, Error> {
        for name in trim::newcomers(&ruled.known, &seen) {
            let delivered = seen
                .readers
                .iter()
                .find(|reader| reader.name == name)
                .map(|reader| reader.delivered);
            pg::register(&round.session, &ruled.stream, &name, delivered).await?;
            tracing::info!(
                stream = key,
                group = name,
                "the stream waits for this group from now on"
            );
            ruled.known.registered.push(name);
        }
        let decision = trim::decide(&ruled.known, &seen, ruled.clock);
        if let Some(to) = decision.unfinished {
            self.take_off(round, &ruled, &key, to).await?;
        }
        if let Some(floor) = decision.floor {
            let lost = self.lost_before_pending(round, &ruled, &key, &seen).await?;
            if let Some(floor) = trim::below_gaps(&ruled.known, &seen, floor, &lost) {
                self.raise(round, &ruled, &key, floor, Cause::Retention).await?;
            }
        }
        if decision.above_cap > 0 {
            self.cut_to_cap(round, &ruled, &key, &seen, decision.acknowledged)
                .await?;
        }
        Ok(Looked {
            ruled,
            key,
            seen,
            held_by: decision.held_by,
        })
    }

    /// What the stream lost right before the lowest entry that is pending with a group: the group has not had it.
    async fn lost_before_pending(
        &self,
        round: &Round,
        ruled: &Ruled,
        key: &str,
        seen: &Seen,
    ) -> Result<Vec<EntryId>, Error> {
        let readers = seen.readers.iter();
        let registered = readers.filter(|reader| ruled.known.registered.contains(&reader.name));
        let mut lost = Vec::new();
        for lowest in registered.filter_map(|reader| reader.lowest) {
            let Some(previous) = round.streams.previous_of(key, lowest).await? else {
                continue;
            };
            if previous >= ruled.known.floor
                && round.streams.last_in(key, (previous, previous)).await?.is_none()
            {
                lost.push(previous);
            }
        }
        Ok(lost)
    }

    /// Records the floor, then takes off what is below. Without the record nothing is taken off.
    async fn raise(
        &self,
        round: &Round,
        ruled: &Ruled,
        key: &str,
        floor: EntryId,
        cause: Cause,
    ) -> Result<bool, Error> {
        self.check_lease()?;
        let recorded = pg::record_floor(&round.session, &ruled.stream, floor, cause, self.epoch()).await?;
        if recorded {
            crash_point!(FLOOR_RECORDED);
            self.take_off(round, ruled, key, floor).await?;
        }
        Ok(recorded)
    }

    async fn take_off(&self, round: &Round, ruled: &Ruled, key: &str, floor: EntryId) -> Result<(), Error> {
        let (mut gone, mut is_last) = (0, false);
        for _ in 0..STEPS_AT_MOST {
            self.check_lease()?;
            let step = round.streams.trim_step(key, floor).await?;
            gone += step;
            is_last = step == 0;
            if is_last {
                break;
            }
        }
        // Less than a node is left, so this is short.
        if is_last {
            gone += round.streams.trim_rest(key, floor).await?;
        }
        crash_point!(TRIMMED);
        metrics::counter!(observe::PUBLISH_TRIMMED, "topic" => ruled.stream.topic.clone()).increment(gone);
        tracing::debug!(stream = key, %floor, entries = gone, "trimmed");
        Ok(())
    }

    /// Takes off the first entries, read or not, until the cap holds. What is unread is counted before it goes.
    async fn cut_to_cap(
        &self,
        round: &Round,
        ruled: &Ruled,
        key: &str,
        seen: &Seen,
        acknowledged: EntryId,
    ) -> Result<(), Error> {
        let (mut above, mut lost) = (seen.length.saturating_sub(ruled.known.cap.unwrap_or(u64::MAX)), 0);
        let mean = (seen.memory.unwrap_or(0) / seen.length.max(1)).max(1);
        for _ in 0..STEPS_AT_MOST {
            let count = above.min(CAP_ENTRIES).min((CAP_BYTES / mean).max(1));
            if count == 0 {
                break;
            }
            let ids = round.streams.first_ids(key, count).await?;
            let Some(last) = ids.last() else { break };
            let unread = ids.iter().filter(|id| **id >= acknowledged).count() as u64;
            // Refused where the progress is not above it: the last entry stays.
            if !self
                .raise(round, ruled, key, last.next(), Cause::Cap(unread))
                .await?
            {
                break;
            }
            above = above.saturating_sub(ids.len() as u64);
            lost += unread;
        }
        if lost > 0 {
            metrics::counter!(observe::PUBLISH_LOST_UNREAD, "topic" => ruled.stream.topic.clone())
                .increment(lost);
            tracing::error!(
                stream = key,
                entries = lost,
                "the hard cap took off entries that a registered group had not acknowledged: they are lost to it"
            );
        }
        Ok(())
    }
}
