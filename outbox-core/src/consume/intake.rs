//! What comes from the stream, new or pending: judged at the gate, taken in hand, held or passed over.

use std::collections::HashSet;
use std::time::Instant;

use super::delivery::{Delivery, Work};
use super::discovery::Kind;
use super::gate::Verdict;
use super::park::Lane;
use super::redis::Entry;
use super::routes::Route;
use super::session::{HELD_MAX, Session};
use super::settings::Ordering;
use super::window::Item;
use super::{Error, Failure};
use crate::event::{EntryId, Event, envelope};

impl Session<'_> {
    /// Takes one read or claimed entry in hand, or says why not.
    pub(super) async fn take(&mut self, entry: Entry) -> Result<(), Error> {
        let id = entry.id;
        self.stir();
        if self.window.contains(id) {
            return Ok(());
        }
        self.held.remove(&id);
        let event = match envelope::decode_entry(&entry.fields) {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(stream = self.stream().key, entry = %id, %error, advice = error.advice(), "unreadable entry");
                let item = self.unreadable(entry, false, Failure::of_entry(&error));
                self.push(item);
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
        let item = match self.barrier.kind(id, &event, chained) {
            Kind::Event => self.item(entry, event, chained),
            Kind::Control(generation) => {
                self.barrier.announce(id, generation);
                None
            }
            Kind::Pretender => {
                tracing::warn!(stream = self.stream().key, entry = %id, "an entry that looks like the relay's own and is not");
                Some(self.unreadable(entry, chained, Failure::of_pretender()))
            }
        };
        match item {
            Some(item) => self.push(item),
            None => self.skip(id, chained),
        }
        Ok(())
    }

    /// What is to be done with an event; none if nobody here wants it.
    fn item(&mut self, entry: Entry, event: Event, chained: bool) -> Option<Item<Delivery>> {
        if let Some(failure) = Failure::of_unfit(&event, entry.size()) {
            return Some(self.unreadable(entry, chained, failure));
        }
        let work = match self.shared().routes.find(&self.stream().topic, &event) {
            Route::Handler(handler) => Work::Handle(handler),
            Route::UnknownVersion => Work::Fail(Failure::of_version(&event)),
            Route::Skip => return None,
        };
        let lane = match (&event.key, self.place.settings().ordering) {
            (Some(key), Ordering::Key) => Lane::of_key(key),
            _ => Lane::of_entry(entry.id),
        };
        Some(Item {
            id: entry.id,
            chained,
            lane,
            bytes: entry.size() * 2,
            attempts: self.failures.get(&entry.id).copied().unwrap_or(0),
            payload: Delivery {
                fields: entry.fields,
                event: Some(event),
                work,
            },
        })
    }

    /// What can only be given up.
    fn unreadable(&mut self, entry: Entry, chained: bool, failure: Failure) -> Item<Delivery> {
        Item {
            id: entry.id,
            chained,
            lane: Lane::of_entry(entry.id),
            bytes: entry.size() * 2,
            attempts: self.failures.get(&entry.id).copied().unwrap_or(0),
            payload: Delivery {
                fields: entry.fields,
                event: None,
                work: Work::Fail(failure),
            },
        }
    }

    fn push(&mut self, item: Item<Delivery>) {
        self.window.push(item);
        self.meters.in_hand.set(self.window.len() as f64);
    }

    /// Loads entries again that were set aside, once nothing else of their lane is in hand.
    pub(super) async fn load_aside(&mut self) -> Result<(), Error> {
        let ids = self.window.to_load(self.portion.count());
        if ids.is_empty() {
            return Ok(());
        }
        let stream = self.stream().key.clone();
        let mut entries = self.link.fetch(&stream, &ids).await?;
        if let Some(prelude) = self.prelude.as_ref().map(|prelude| prelude.key().to_owned())
            && entries.len() < ids.len()
        {
            let is_there = |id: &EntryId| entries.iter().any(|entry| entry.id == *id);
            let missing: Vec<EntryId> = ids.iter().filter(|id| !is_there(id)).copied().collect();
            entries.extend(self.link.fetch(&prelude, &missing).await?);
        }
        self.portion.learn(entries.iter().map(Entry::size));
        let found: HashSet<EntryId> = entries.iter().map(|entry| entry.id).collect();
        for entry in entries {
            let id = entry.id;
            // It could be read before it was set aside, it passed the gate, and somebody here wants it.
            let event = envelope::decode_entry(&entry.fields).ok();
            let chained = event.as_ref().is_some_and(|event| event.previous_id.is_some());
            match event.and_then(|event| self.item(entry, event, chained)) {
                Some(item) => drop(self.window.reload(item)),
                None => drop(self.window.lose(id)),
            }
        }
        self.miss(ids.into_iter().filter(|id| !found.contains(id)).collect())
    }

    /// These were deleted from the stream while they were set aside. What is part of the chain is a hole in it: a new session
    /// begins behind what is passed, and finds it there.
    fn miss(&mut self, ids: Vec<EntryId>) -> Result<(), Error> {
        self.tell_deleted(ids.len());
        for id in ids {
            if self.window.lose(id) {
                return Err(Error::Redis {
                    doing: "reading again what was set aside",
                    code: None,
                    source: format!("entry {id} is not on the stream any more").into(),
                });
            }
        }
        Ok(())
    }

    pub(super) fn tell_deleted(&self, entries: usize) {
        if entries > 0 {
            self.meters.deleted.increment(entries as u64);
            tracing::error!(
                stream = self.stream().key,
                entries,
                "entries were deleted from the stream while pending"
            );
        }
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
            self.held_too_many = true;
        }
        if self.held.is_empty() {
            // Redis delivers in order: the predecessor is with someone already, or will not come by itself.
            self.look_at = Instant::now();
        }
        self.held.insert(id, previous);
        self.meters.held.set(self.held.len() as f64);
    }
}
