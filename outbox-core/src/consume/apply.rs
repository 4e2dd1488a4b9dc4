//! One batch: the lease, the inbox, the handlers' effects, what failed, how far the stream came. Then, and only then, it
//! counts.
//!
//! A transaction makes progress with every entry it took: applied, known from before, parked, or given up. One that cannot
//! be committed at all gives its entries back, and the one at fault is parked in a transaction of its own.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::attempt::{Stopped, attempt, is_handlers_doing};
use super::delivery::{Delivery, Work};
use super::inbox::Entered;
use super::park::{FailedParked, Lane, Parking};
use super::pg::{self, Cause, PgConnection, Transaction};
use super::place::{Given, Place};
use super::retry::Next;
use super::span::Spans;
use super::window::Item;
use super::{Error, Failure};
use crate::dead_letter::Attributes;
use crate::event::{EntryId, Event};

/// How often in a row a conflict between transactions is no failed attempt.
pub(super) const CONFLICTS_MAX: u32 = 20;
/// How often a batch is begun again because the event whose row was to be watched was in the inbox already.
const WATCHES_MAX: u32 = 4;

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its effect is committed.
    Applied,
    /// It was in the inbox before.
    Duplicate,
    /// Another event said the same before, and input of this topic is told by what it says.
    Repeated,
    /// It waits behind another one of its key.
    Joined,
    /// It failed.
    Failed {
        class: String,
        attempts: u32,
        next: Next,
    },
}

/// What a batch came to.
#[derive(Debug, Default)]
pub(super) struct Landing {
    /// Finished, and committed.
    pub(super) fates: Vec<(EntryId, Fate)>,
    /// As they were.
    pub(super) rest: Vec<EntryId>,
    /// Each of the rest must be tried alone: together they failed, and nobody knows which of them did.
    pub(super) apart: bool,
    /// How far the chain is passed now.
    pub(super) passed: Option<EntryId>,
    /// Something that this entry needs is down.
    pub(super) dependency: Option<(EntryId, Failure)>,
}

/// What one transaction came to.
enum Outcome {
    Committed(Vec<(EntryId, Fate)>),
    /// Undone, by the doing of this entry.
    Lost(EntryId, Failure, Duration),
    /// Undone; each of its entries may be at fault.
    Unclear,
    /// Undone because another transaction was in the way, which this entry met.
    Conflict(EntryId, Failure),
    /// Undone because something that this entry needs is down.
    Dependency(EntryId, Failure),
}

type Items = [Arc<Item<Delivery>>];

/// Applies a batch and passes the chain up to `head`.
///
/// # Errors
/// When the database or the lease is gone. Whether the transaction committed may then be unknown: the inbox knows.
pub(super) async fn apply(place: &Place, items: &Items, head: Option<EntryId>) -> Result<Landing, Error> {
    place
        .shared
        .ensure_days(items.iter().filter_map(|item| item.payload.event.as_ref()))
        .await?;
    let mut conflicts = 0;
    loop {
        let (id, failure, took) = match transaction(place, items, None, head).await? {
            Outcome::Committed(fates) => {
                return Ok(Landing {
                    fates,
                    passed: head,
                    ..Landing::default()
                });
            }
            Outcome::Unclear => {
                return Ok(Landing {
                    rest: ids(items),
                    apart: true,
                    ..Landing::default()
                });
            }
            Outcome::Dependency(id, failure) => {
                return Ok(Landing {
                    rest: ids(items),
                    dependency: Some((id, failure)),
                    ..Landing::default()
                });
            }
            Outcome::Conflict(id, failure) if conflicts == CONFLICTS_MAX => (id, failure, Duration::ZERO),
            Outcome::Conflict(..) => {
                conflicts += 1;
                // The other transaction needs a moment to end; jitter keeps the two from meeting again.
                tokio::time::sleep(Duration::from_millis(rand::random_range(1..50))).await;
                continue;
            }
            Outcome::Lost(id, failure, took) => (id, failure, took),
        };
        return park_alone(place, items, id, &failure, took).await;
    }
}

/// The transaction was lost by the doing of one entry: it is parked by itself, the others come again.
async fn park_alone(
    place: &Place,
    items: &Items,
    id: EntryId,
    failure: &Failure,
    took: Duration,
) -> Result<Landing, Error> {
    let (one, others): (Vec<_>, Vec<_>) = items.iter().cloned().partition(|item| item.id == id);
    let mut conflicts = 0;
    loop {
        match transaction(place, &one, Some((failure, took)), None).await? {
            Outcome::Committed(fates) => {
                return Ok(Landing {
                    fates,
                    rest: ids(&others),
                    ..Landing::default()
                });
            }
            // No handler was called: only another transaction can be in the way.
            _ if conflicts < CONFLICTS_MAX => conflicts += 1,
            _ => {
                return Err(Error::Postgres {
                    doing: "parking an event",
                    code: None,
                    source: "other transactions were in the way every time".into(),
                });
            }
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(1..50))).await;
    }
}

fn ids(items: &Items) -> Vec<EntryId> {
    items.iter().map(|item| item.id).collect()
}

/// One transaction. With `failed`, its one entry is parked for that failure and no handler is called.
async fn transaction(
    place: &Place,
    items: &Items,
    failed: Option<(&Failure, Duration)>,
    head: Option<EntryId>,
) -> Result<Outcome, Error> {
    let mut spans = Spans::default();
    let came = traced(place, items, failed, head, &mut spans).await;
    match &came {
        Ok(Outcome::Lost(id, failure, _)) => {
            let attempts = items
                .iter()
                .find(|item| item.id == *id)
                .map_or(0, |item| item.attempts);
            spans.lose(*id, &failure.class, place.next(attempts + 1, failure));
        }
        Ok(Outcome::Conflict(id, failure) | Outcome::Dependency(id, failure)) => {
            spans.give_back(*id, &failure.class);
        }
        _ => {}
    }
    spans.end(matches!(came, Ok(Outcome::Committed(_))));
    came
}

async fn traced(
    place: &Place,
    items: &Items,
    failed: Option<(&Failure, Duration)>,
    head: Option<EntryId>,
    spans: &mut Spans,
) -> Result<Outcome, Error> {
    let store = place.store();
    let events: Vec<(EntryId, &Event)> = items
        .iter()
        .filter_map(|item| Some((item.id, item.payload.event.as_ref()?)))
        .collect();
    let mut watched = events.first().map(|(id, _)| *id);
    let _slot = place.shared.slot().await;
    for _ in 0..WATCHES_MAX {
        let mut connection = store.acquire("taking a connection to apply").await?;
        let mut tx = store.begin(&mut connection, watched).await?;
        store.fence(&mut tx, &place.stream.key, place.lease).await?;
        let entered = store
            .enter_inbox(&mut tx, &place.stream.key, &place.flow, &events)
            .await?;
        let first = events
            .iter()
            .map(|(id, _)| *id)
            .find(|id| entered.fresh.contains(id));
        if first.is_some() && first != watched {
            // The event to be watched came again, so it has no new row: another one must carry the watch.
            pg::rollback(tx).await?;
            watched = first;
            continue;
        }
        let mut batch = Batch::new(place, entered, spans);
        batch.find_repeated(&mut tx, &events).await?;
        if batch.entered.may_be_parked {
            batch.find_parked(&mut tx, items).await?;
        }
        let stopped = match batch.work(&mut tx, items, failed).await {
            Ok(()) => return close(batch, items, tx, head).await,
            Err(stopped) => stopped,
        };
        let (outcome, is_lost) = stopped.outcome()?;
        if is_lost {
            // In the middle of a statement, perhaps: the server ends it and undoes it, the connection is not used again.
            drop(tx);
            connection.close();
        } else if let Err(error) = pg::rollback(tx).await {
            if !is_handlers_doing(&error) {
                return Err(error);
            }
            connection.close();
        }
        return Ok(outcome);
    }
    Err(Error::Postgres {
        doing: "recording events in the inbox",
        code: None,
        source: "another member enters the same events all the time".into(),
    })
}

/// What comes before the commit must fail if the transaction was aborted or ended on the way: the handler may have ignored
/// the one, and the commit would be a silent rollback; after the other nothing more may be recorded.
async fn close(
    batch: Batch<'_>,
    items: &Items,
    mut tx: Transaction<'_>,
    head: Option<EntryId>,
) -> Result<Outcome, Error> {
    let (store, stream) = (batch.place.store(), &batch.place.stream.key);
    let counted: Vec<EntryId> = items
        .iter()
        .filter(|item| item.attempts > 0)
        .map(|item| item.id)
        .collect();
    let fates = batch.record(&mut tx).await?;
    if !counted.is_empty() {
        store.clear_failures(&mut tx, stream, &counted).await?;
    }
    let closed = async {
        match head {
            Some(head) => store.move_passed(&mut tx, stream, head).await?,
            None => store.prove_whole(&mut tx).await?,
        }
        pg::commit(tx).await
    };
    match closed.await {
        Ok(()) => Ok(Outcome::Committed(fates)),
        Err(error) => refused(&fates, error),
    }
}

/// The server refused to commit after the handlers had answered success: what one of them left behind is at fault.
fn refused(fates: &[(EntryId, Fate)], error: Error) -> Result<Outcome, Error> {
    let mut handled = fates
        .iter()
        .filter(|(_, fate)| *fate == Fate::Applied)
        .map(|(id, _)| *id);
    let (first, is_one) = (handled.next(), handled.next().is_none());
    let Error::Postgres { code: Some(code), .. } = &error else {
        return Err(error);
    };
    let failure = Failure::of_commit(code, &error);
    match (pg::cause_of_code(code), first) {
        (Cause::Handler(_), Some(id)) if is_one => Ok(Outcome::Lost(id, failure, Duration::ZERO)),
        (Cause::Handler(_), Some(_)) => Ok(Outcome::Unclear),
        (Cause::Conflict, Some(id)) => Ok(Outcome::Conflict(id, failure)),
        _ => Err(error),
    }
}

/// Where the work on a batch ended before its end.
struct Halt {
    id: EntryId,
    stopped: Stopped,
}

impl Halt {
    /// What the transaction came to, and whether its connection is lost.
    fn outcome(self) -> Result<(Outcome, bool), Error> {
        let id = self.id;
        match self.stopped {
            Stopped::Undone { failure, took } => Ok((Outcome::Lost(id, failure, took), false)),
            Stopped::Lost { failure, took } => Ok((Outcome::Lost(id, failure, took), true)),
            Stopped::Conflict(failure) => Ok((Outcome::Conflict(id, failure), false)),
            Stopped::Dependency(failure) => Ok((Outcome::Dependency(id, failure), false)),
            Stopped::Outage(error) => Err(error),
        }
    }
}

/// The work on one batch inside its transaction.
struct Batch<'a> {
    place: &'a Place,
    entered: Entered,
    /// Entries whose input came before, under another id.
    repeated: HashSet<EntryId>,
    /// Lanes of which nothing is applied here.
    parked: HashSet<Lane>,
    failures: HashMap<EntryId, (Failure, Duration)>,
    fates: Vec<(EntryId, Fate, &'a Item<Delivery>)>,
    spans: &'a mut Spans,
}

impl<'a> Batch<'a> {
    fn new(place: &'a Place, entered: Entered, spans: &'a mut Spans) -> Self {
        Self {
            place,
            entered,
            repeated: HashSet::new(),
            parked: HashSet::new(),
            failures: HashMap::new(),
            fates: Vec::new(),
            spans,
        }
    }

    /// Finds out which of the new events say what another one said before, where that is asked for.
    async fn find_repeated(
        &mut self,
        tx: &mut PgConnection,
        events: &[(EntryId, &Event)],
    ) -> Result<(), Error> {
        let topic = &self.place.stream.topic;
        let Some(by) = self.place.settings().deduplicate.get(topic) else {
            return Ok(());
        };
        let is_new = |id: &EntryId| self.entered.fresh.contains(id) && !self.entered.too_old.contains_key(id);
        let new: Vec<(EntryId, &Event)> = events.iter().filter(|(id, _)| is_new(id)).copied().collect();
        let repeated = self.place.store().enter_keyed(tx, topic, *by, &new).await?;
        self.repeated = repeated.into_iter().collect();
        Ok(())
    }

    /// Finds out which lanes are parked already, and keeps them so until the commit.
    async fn find_parked(&mut self, tx: &mut PgConnection, items: &Items) -> Result<(), Error> {
        let mut lanes: Vec<&str> = items
            .iter()
            .filter(|item| self.entered.fresh.contains(&item.id))
            .map(|item| item.lane.as_str())
            .collect();
        lanes.sort_unstable();
        lanes.dedup();
        let (store, flow, stream) = (self.place.store(), &self.place.flow, &self.place.stream.key);
        let parked = store.lock_lanes(tx, flow, &lanes).await?;
        let elsewhere: Vec<&str> = parked
            .iter()
            .filter(|(_, owner)| owner != stream)
            .map(|(lane, _)| lane.as_str())
            .collect();
        if !elsewhere.is_empty() {
            store.move_lanes(tx, flow, stream, &elsewhere).await?;
        }
        self.parked = parked.iter().map(|(lane, _)| Lane::stored(lane)).collect();
        Ok(())
    }

    async fn work(
        &mut self,
        tx: &mut PgConnection,
        items: &'a Items,
        failed: Option<(&Failure, Duration)>,
    ) -> Result<(), Halt> {
        let outage = |id| {
            move |error| Halt {
                id,
                stopped: Stopped::Outage(error),
            }
        };
        let mut is_begun = false;
        for item in items {
            let id = item.id;
            let is_event = item.payload.event.is_some();
            let failure = if is_event && !self.entered.fresh.contains(&id) {
                self.mark(item, "duplicate");
                self.fates.push((id, Fate::Duplicate, item));
                continue;
            } else if self.repeated.contains(&id) {
                self.mark(item, "repeated");
                self.fates.push((id, Fate::Repeated, item));
                continue;
            } else if let (Some(until), Some(event)) = (self.entered.too_old.get(&id), &item.payload.event) {
                Some((Failure::of_age(event, until), Duration::ZERO))
            } else if self.parked.contains(&item.lane) {
                self.mark(item, "parked");
                self.fates.push((id, Fate::Joined, item));
                continue;
            } else if let Some((failure, took)) = failed {
                Some((failure.clone(), took))
            } else {
                match (&item.payload.work, &item.payload.event) {
                    (Work::Fail(failure), _) => {
                        self.mark(item, "parked");
                        Some((failure.clone(), Duration::ZERO))
                    }
                    (Work::Handle(handler), Some(event)) => {
                        if !std::mem::replace(&mut is_begun, true) {
                            pg::begin_attempt(tx, None).await.map_err(outage(id))?;
                        }
                        let limit = self.place.settings().handler_limit;
                        let span = self.spans.begin(self.place, id, event, item.attempts + 1);
                        match attempt(&**handler, tx, event, limit, span).await {
                            Ok(()) => None,
                            Err(Stopped::Undone { failure, took }) => Some((failure, took)),
                            Err(stopped) => return Err(Halt { id, stopped }),
                        }
                    }
                    (Work::Handle(_), None) => None,
                }
            };
            match failure {
                None => self.fates.push((id, Fate::Applied, item)),
                Some((failure, took)) => self.fail(item, failure, took),
            }
        }
        Ok(())
    }

    /// The span of an event that no handler is called for.
    fn mark(&mut self, item: &Item<Delivery>, outcome: &'static str) {
        if let Some(event) = &item.payload.event {
            self.spans
                .mark(self.place, item.id, event, item.attempts + 1, outcome);
        }
    }

    fn fail(&mut self, item: &'a Item<Delivery>, failure: Failure, took: Duration) {
        let attempts = item.attempts + 1;
        let next = self.place.next(attempts, &failure);
        if next != Next::Dead || self.place.parks_dead(&item.lane, failure.kind) {
            self.parked.insert(item.lane.clone());
        }
        let class = failure.class.clone();
        self.spans.fail(item.id, &class, next);
        self.failures.insert(item.id, (failure, took));
        self.fates.push((
            item.id,
            Fate::Failed {
                class,
                attempts,
                next,
            },
            item,
        ));
    }

    /// Writes down what was parked and given up: letters first, so that their places are before those who wait for them.
    async fn record(self, tx: &mut PgConnection) -> Result<Vec<(EntryId, Fate)>, Error> {
        let place = self.place;
        let mut parking = Parking::default();
        let mut dead: Vec<&Event> = Vec::new();
        let mut skipped: Vec<&Event> = Vec::new();
        for (id, fate, item) in &self.fates {
            let Delivery { fields, event, .. } = &item.payload;
            match (fate, event, self.failures.get(id)) {
                (Fate::Repeated, Some(event), _) => skipped.push(event),
                (Fate::Joined, Some(event), _) => parking.join(&item.lane, *id, event, fields, None),
                (Fate::Failed { next: Next::Wait, .. }, Some(event), _) => {
                    parking.turn(&item.lane, "waiting_version", Duration::ZERO);
                    parking.join(&item.lane, *id, event, fields, None);
                }
                (
                    Fate::Failed {
                        next: Next::Retry(pause),
                        attempts,
                        ..
                    },
                    Some(event),
                    Some((failure, took)),
                ) => {
                    let failed = FailedParked {
                        attempts: *attempts,
                        failure,
                        took: *took,
                    };
                    parking.turn(&item.lane, "retrying", *pause);
                    parking.join(&item.lane, *id, event, fields, Some(failed));
                }
                (Fate::Failed { attempts, .. }, _, Some((failure, took))) => {
                    place
                        .give_up(tx, given(place, item, failure, *took, *attempts))
                        .await?;
                    dead.extend(event);
                    if place.parks_dead(&item.lane, failure.kind) {
                        parking.turn(&item.lane, "dead", Duration::ZERO);
                    }
                }
                _ => {}
            }
        }
        if !dead.is_empty() {
            place.store().set_outcome(tx, "dead", &["applied"], &dead).await?;
        }
        if !skipped.is_empty() {
            place
                .store()
                .set_outcome(tx, "skipped", &["applied"], &skipped)
                .await?;
        }
        place
            .store()
            .park(tx, &place.flow, &place.stream.key, &parking)
            .await?;
        Ok(self.fates.into_iter().map(|(id, fate, _)| (id, fate)).collect())
    }
}

fn given<'a>(
    place: &'a Place,
    item: &'a Item<Delivery>,
    failure: &'a Failure,
    took: Duration,
    attempts: u32,
) -> Given<'a> {
    Given {
        stream: &place.stream.key,
        entry_id: item.id.to_string(),
        lane: &item.lane,
        place: None,
        event: item.payload.event.as_ref().map(|event| Attributes {
            source: &event.source,
            id: &event.id,
            r#type: &event.r#type,
            schema_version: event.schema_version.as_deref(),
            key: event.key.as_deref(),
            recorded_at: event.recorded_at,
        }),
        fields: &item.payload.fields,
        failure,
        attempts,
        history: "[]",
        took,
    }
}
