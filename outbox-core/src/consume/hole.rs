//! A hole: an entry is held, and the one before it is neither with this group nor to come by itself.
//!
//! It is shown, and the relay is asked to put out again what the stream lost. A predecessor that is on the stream but was
//! delivered to nobody is this side's to mend: the group is set back to what was passed, and the inbox and the gate absorb
//! what comes twice.

use std::time::{Duration, Instant};

use time::OffsetDateTime;

use super::Error;
use super::session::Session;
use crate::event::{EntryId, envelope};
use crate::hole::{self, Hole};

/// How often a hole is looked at: somebody may have closed it, or let it pass.
pub(super) const LOOK_AT_HOLE: Duration = Duration::from_secs(1);
/// How many entries behind the one last passed are looked at for one of the chain.
const LOOKED_AT: usize = 10;

impl Session<'_> {
    /// What was asked for by whoever had this stream before. Asked for still, if it is missed still.
    pub(super) async fn recall_hole(&mut self) -> Result<(), Error> {
        let (key, field) = self.hole_field();
        if let Some(value) = self.link.field(&key, &field).await? {
            self.is_asked = true;
            self.asked =
                Hole::read(field.as_bytes(), value.as_bytes()).map(|hole| (hole.missing, hole.since));
        }
        Ok(())
    }

    /// Lets the first held entry pass if its predecessor is known never to come and that loses nothing unseen: the
    /// relay says that the group begins here, the predecessor is in the dead letters, or a person gave it up. Any other hole is
    /// shown, and asked for.
    pub(super) async fn concede(&mut self) -> Result<(), Error> {
        let Some((id, previous)) = self.first_held() else {
            return Ok(());
        };
        if self.window.contains(previous) || self.ahead.contains(previous) {
            // It is in hand: what becomes of it is looked at when it is finished.
            return Ok(());
        }
        let is_pending = self.link.is_pending(previous).await?;
        let place = self.place.clone();
        let stream = &place.stream.key;
        // Trimmed or lost: a group that finds neither cannot tell, and what was lost comes again, behind what is there.
        if self.begins_behind(previous).await? {
            tracing::info!(stream, entry = %id, "the group begins here: the relay says that what precedes was gone before it was there");
        } else if place.store().is_unreadable(stream, previous).await? {
            tracing::warn!(stream, entry = %id, "passing: what precedes is in the dead letters");
        } else if !is_pending && self.is_given_up(id, previous).await? {
            tracing::warn!(stream, entry = %id, missing = %previous, "passing: a person gave up what precedes");
        } else {
            return self.wait_for(id, previous, is_pending).await;
        }
        self.close_hole().await?;
        self.gate.concede(previous);
        Ok(())
    }

    /// Whether the relay says that a group that passed nothing begins behind this entry: it was trimmed, or it is gone for good and
    /// nobody waited for it.
    async fn begins_behind(&mut self, previous: EntryId) -> Result<bool, Error> {
        if self.gate.passed().is_some_and(|passed| passed > EntryId::MIN) || !self.is_asked {
            return Ok(false);
        }
        let key = hole::beginnings(&self.place.settings().prefix);
        let (_, field) = self.hole_field();
        let said = self.link.field(&key, &field).await?;
        if said != Some(previous.to_string()) {
            return Ok(false);
        }
        self.link.drop_field(&key, &field).await?;
        Ok(true)
    }

    /// Whether a person gave up what precedes an entry. The end of a generation is no event: who gave that up, and everything
    /// before it, waits for it no more where the stream goes on.
    async fn is_given_up(&mut self, id: EntryId, previous: EntryId) -> Result<bool, Error> {
        let place = self.place.clone();
        let (store, stream) = (place.store(), &place.stream.key);
        if store.is_hole_passed(stream, id).await? {
            return Ok(true);
        }
        // The log has no position 0.
        Ok(previous.position == 0
            && store.is_hole_passed(stream, previous).await?
            && !self.link.is_there(previous).await?)
    }

    async fn wait_for(&mut self, id: EntryId, previous: EntryId, is_pending: bool) -> Result<(), Error> {
        let (stream, held) = (self.stream().key.clone(), self.held.len());
        if is_pending {
            tracing::warn!(stream, entry = %id, waits_for = %previous, held, "held: the predecessor is pending and not in hand");
            self.search_for(EntryId::MIN, id);
            return Ok(());
        }
        if self.link.is_there(previous).await? {
            let passed = self.committed.unwrap_or(EntryId::MIN);
            tracing::warn!(
                stream, entry = %id, waits_for = %previous, %passed,
                "held: the predecessor is on the stream and was delivered to nobody; the group is set back to what was passed"
            );
            self.barrier.lift();
            return self.set_group_back(passed).await;
        }
        if self.hole != Some((id, previous)) {
            tracing::warn!(
                stream, entry = %id, waits_for = %previous, held,
                "held: the stream lost the predecessor; the relay is asked for it"
            );
        }
        self.show_hole(id, previous).await
    }

    /// At the beginning, under the lease: a group that stands where its inbox does not is set back to what the inbox knows.
    pub(super) async fn compare_group(&mut self) -> Result<(), Error> {
        let passed = self.committed.unwrap_or(EntryId::MIN);
        let Some(place) = self.link.group_place().await? else {
            return Ok(());
        };
        let to = match place.beyond_end(passed) {
            Some(to) => to,
            None if passed > EntryId::MIN && place.delivered > passed => {
                match self.next_behind(passed).await? {
                    Some(next) if place.was_delivered(next) && !self.link.is_pending(next).await? => passed,
                    _ => return Ok(()),
                }
            }
            None => return Ok(()),
        };
        tracing::warn!(
            stream = self.stream().key, %passed, delivered = %place.delivered, end = %place.end, %to,
            "the group stands beyond what its inbox knows, or beyond the end of the stream: it is set back"
        );
        self.set_group_back(to).await
    }

    /// It is recorded nowhere: whoever comes next sees it at Redis, and what comes again is absorbed.
    async fn set_group_back(&mut self, to: EntryId) -> Result<(), Error> {
        self.meters.groups_set_back.increment(1);
        self.link.set_back(to).await?;
        crash_point!(GROUP_SET_BACK);
        Ok(())
    }

    /// The entry of the chain that comes next behind one. Entries of strangers are no part of it: they may long be finished.
    async fn next_behind(&mut self, passed: EntryId) -> Result<Option<EntryId>, Error> {
        let entries = self.link.behind(passed, LOOKED_AT).await?;
        let next = entries.iter().find(|entry| {
            let event = envelope::decode_entry(&entry.fields).ok();
            event
                .and_then(|event| event.previous_id)
                .is_some_and(|previous| previous <= passed)
        });
        Ok(next.map(|entry| entry.id))
    }

    /// What is on the stream behind the entry last passed, twice in a row while nothing is pending and nothing in hand, was
    /// delivered to somebody who did not apply it: a person set the group ahead, or a member that had lost the stream read on.
    pub(super) async fn look_for_missed(&mut self, pending: usize) -> Result<(), Error> {
        if pending > 0 || self.window.len() > 0 || !self.flights.is_empty() || self.is_paused() {
            self.missed = None;
            return Ok(());
        }
        let passed = self.committed.unwrap_or(EntryId::MIN);
        let next = self.next_behind(passed).await?;
        if next.is_none() || self.missed != next {
            self.missed = next;
            return Ok(());
        }
        self.missed = None;
        tracing::warn!(
            stream = self.stream().key, %passed,
            "what follows was delivered and not applied; the group is set back to what was passed"
        );
        self.meters.groups_set_back.increment(1);
        self.link.set_back(passed).await
    }

    /// Shows a hole and asks the relay for what is missing.
    async fn show_hole(&mut self, id: EntryId, previous: EntryId) -> Result<(), Error> {
        self.look_at = Instant::now() + LOOK_AT_HOLE;
        if self.hole != Some((id, previous)) {
            self.hole = Some((id, previous));
            self.meters.hole.set(1.0);
            self.stand();
        }
        let since = match self.asked {
            Some((missing, since)) if missing == previous => since,
            _ => OffsetDateTime::now_utc(),
        };
        let asked = Hole {
            stream: self.stream().key.clone(),
            group: self.place.store().consumer().to_owned(),
            missing: previous,
            held: id,
            // What is in hand counts: if it is lost with this member, the next one asks again.
            passed: self.gate.passed().filter(|passed| *passed > EntryId::MIN),
            since,
        };
        // Again each time: the sink may have lost that too.
        let (key, field) = self.hole_field();
        self.link.set_field(&key, &field, &asked.value()).await?;
        self.is_asked = true;
        self.asked = Some((previous, since));
        Ok(())
    }

    /// Nothing is missed any more.
    pub(super) async fn close_hole(&mut self) -> Result<(), Error> {
        if self.hole.take().is_some() {
            self.meters.hole.set(0.0);
            self.stand();
        }
        if std::mem::take(&mut self.is_asked) {
            let (key, field) = self.hole_field();
            self.link.drop_field(&key, &field).await?;
            self.asked = None;
        }
        Ok(())
    }

    fn hole_field(&self) -> (String, String) {
        let field = hole::field(&self.stream().key, self.place.store().consumer());
        (hole::key(&self.place.settings().prefix), field)
    }
}
