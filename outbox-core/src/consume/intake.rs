//! What comes from the stream, new or pending: judged at the gate, taken in hand, held or passed over.

use std::time::Instant;

use super::delivery::{Delivery, Work};
use super::discovery::is_control;
use super::gate::Verdict;
use super::park::Lane;
use super::redis::Entry;
use super::routes::Route;
use super::session::Session;
use super::settings::Ordering;
use super::window::Item;
use super::{Error, Failure};
use crate::event::{EntryId, envelope};

/// How many pending entries are claimed at a time.
const CLAIM_COUNT: usize = 100;
/// How many ids of held entries are remembered. The others are found again among the pending ones.
pub(super) const HELD_MAX: usize = 10_000;

impl Session<'_> {
    /// Takes one read or claimed entry in hand, or says why not.
    pub(super) async fn take(&mut self, entry: Entry) -> Result<(), Error> {
        let id = entry.id;
        if self.window.contains(id) {
            return Ok(());
        }
        self.held.remove(&id);
        let bytes = entry
            .fields
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum::<usize>()
            * 2;
        let event = match envelope::decode_entry(&entry.fields) {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(stream = self.stream().key, entry = %id, %error, advice = error.advice(), "unreadable entry");
                self.push_unreadable(entry, false, bytes, Failure::of_entry(&error));
                return Ok(());
            }
        };
        let chained = match self.gate.judge(id, event.previous_id) {
            Verdict::Superseded => {
                self.pass_over(id);
                return Ok(());
            }
            // Left pending: it is claimed again when its generation opens.
            Verdict::Held | Verdict::Apply if !self.barrier.admits(id) => return Ok(()),
            Verdict::Held => {
                self.hold(id, event.previous_id.unwrap_or(EntryId::MIN));
                return Ok(());
            }
            Verdict::Apply => {
                self.gate.pass(id);
                true
            }
            Verdict::Stranger => false,
        };
        if is_control(id, &event) {
            self.barrier.announce(id, &event);
            self.skip(id, chained);
            return Ok(());
        }
        if let Some(failure) = Failure::of_unfit(&event) {
            self.push_unreadable(entry, chained, bytes, failure);
            return Ok(());
        }
        let work = match self.shared().routes.find(&self.stream().topic, &event) {
            Route::Handler(handler) => Work::Handle(handler),
            Route::UnknownVersion => Work::Fail(Failure::of_version(&event)),
            Route::Skip => {
                self.skip(id, chained);
                return Ok(());
            }
        };
        let lane = match (&event.key, self.place.settings().ordering) {
            (Some(key), Ordering::Key) => Lane::of_key(key),
            _ => Lane::of_entry(id),
        };
        let payload = Delivery {
            fields: entry.fields,
            event: Some(event),
            work,
        };
        self.push(id, chained, lane, bytes, payload);
        Ok(())
    }

    /// Takes in hand what can only be given up.
    fn push_unreadable(&mut self, entry: Entry, chained: bool, bytes: usize, failure: Failure) {
        let payload = Delivery {
            fields: entry.fields,
            event: None,
            work: Work::Fail(failure),
        };
        self.push(entry.id, chained, Lane::of_entry(entry.id), bytes, payload);
    }

    fn push(&mut self, id: EntryId, chained: bool, lane: Lane, bytes: usize, payload: Delivery) {
        let attempts = self.failures.remove(&id).unwrap_or(0);
        self.window.push(Item {
            id,
            chained,
            lane,
            bytes,
            attempts,
            payload,
        });
        self.meters.in_hand.set(self.window.len() as f64);
    }

    /// Nobody here wants it: passed in its turn, without a transaction.
    fn skip(&mut self, id: EntryId, chained: bool) {
        self.meters.skipped.increment(1);
        if chained {
            self.window.push_finished(id);
        } else {
            self.flights.finished(vec![id]);
        }
    }

    /// Acknowledges without effect: at once if what superseded it is committed, else with it.
    fn pass_over(&mut self, id: EntryId) {
        self.meters.superseded.increment(1);
        if self.committed.is_some_and(|committed| id <= committed) {
            self.superseded.push(id);
        } else {
            self.window.supersede(id);
        }
    }

    /// Acknowledges what was passed before, if this member still holds the stream. One that lost it may go by what was passed
    /// before the group was set back, and would take from the next one what that has to apply.
    pub(super) async fn acknowledge_superseded(&mut self) -> Result<(), Error> {
        if self.superseded.is_empty() {
            return Ok(());
        }
        let place = &self.place;
        if !place.store().holds_lease(&place.stream.key, place.lease).await? {
            return Err(Error::Fenced);
        }
        let superseded = std::mem::take(&mut self.superseded);
        self.flights.finished(superseded);
        Ok(())
    }

    fn hold(&mut self, id: EntryId, previous: EntryId) {
        if self.held.len() >= HELD_MAX {
            self.held.pop_last();
        }
        if self.held.is_empty() {
            // Redis delivers in order: the predecessor is with someone already, or will not come by itself.
            self.look_at = Instant::now();
        }
        self.held.insert(id, previous);
        self.meters.held.set(self.held.len() as f64);
    }

    /// Goes through what is pending, as far as there is room: everything after the start, the rest when in need.
    pub(super) async fn search_pending(&mut self) -> Result<(), Error> {
        while let Some(from) = self.sweep
            && self.window.has_room()
        {
            self.sweep = self.claim(from).await?;
        }
        Ok(())
    }

    async fn claim(&mut self, from: EntryId) -> Result<Option<EntryId>, Error> {
        let claimed = self.link.claim(from, CLAIM_COUNT).await?;
        if claimed.deleted > 0 {
            self.meters.deleted.increment(claimed.deleted as u64);
            let entries = claimed.deleted;
            tracing::error!(
                stream = self.stream().key,
                entries,
                "entries were deleted from the stream while pending"
            );
        }
        for entry in claimed.entries {
            self.take(entry).await?;
        }
        Ok(claimed.next)
    }

    /// Takes held entries in hand whose predecessor came.
    pub(super) async fn release_held(&mut self) -> Result<(), Error> {
        while self.window.has_room()
            && let Some((&id, &previous)) = self.held.first_key_value()
            && self
                .gate
                .passed()
                .is_some_and(|passed| previous <= passed || id <= passed)
        {
            self.claim(id).await?;
            // It is no longer pending if it was deleted meanwhile.
            if self.held.get(&id) == Some(&previous) {
                self.held.remove(&id);
            }
        }
        // What was asked for is had when what waited for it is no longer held.
        let waiting = self.held.first_key_value().map(|(&id, &previous)| (id, previous));
        if self.hole.is_some() && self.hole != waiting {
            self.close_hole().await?;
        }
        self.meters.held.set(self.held.len() as f64);
        Ok(())
    }
}
