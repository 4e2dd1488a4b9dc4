//! One batch: the lease, the inbox, the handlers' effects, what failed, how far the stream came. Then, and only then, it
//! counts.
//!
//! A transaction makes progress with every entry it took: applied, known from before, parked, or given up. One that cannot
//! be committed at all gives its entries back, and the one at fault is parked in a transaction of its own.

use std::time::Duration;

use super::attempt::{Stopped, is_handlers_doing};
use super::batch::{Batch, Halt};
use super::failure_kind::FailureKind;
use super::fate::{Fate, Items, Landing, Purpose};
use super::pg::{self, Cause, Transaction};
use super::place::Place;
use super::sole;
use super::span::Spans;
use super::{Error, Failure};
use crate::event::{EntryId, Event};

/// How often in a row a conflict between transactions is no failed attempt.
pub(super) const CONFLICTS_MAX: u32 = 20;
/// How often a batch is begun again because the event whose row was to be watched was in the inbox already.
const WATCHES_MAX: u32 = 4;

/// What one transaction came to.
enum Outcome {
    Committed {
        fates: Vec<(EntryId, Fate)>,
        /// They had no turn, because the others took long.
        rest: Vec<EntryId>,
        took: Duration,
    },
    /// Undone, by the doing of this entry.
    Lost(EntryId, Failure, Duration),
    /// Undone with its connection, while the handler of this entry was at work, or that of several.
    Severed(Option<EntryId>, Failure, Duration),
    /// Undone; each of its entries may be at fault.
    Unclear,
    /// Undone, because the call for all of them together failed after so long.
    Parted(Duration),
    /// Undone because another transaction was in the way, which this entry met.
    Conflict(EntryId, Failure),
    /// Undone because something that this entry needs is down.
    Dependency(EntryId, Failure),
}

/// Applies a batch and passes the chain up to `head`. Of events that failed together only the first are tried one after the other:
/// each has a savepoint, and the server remembers few of them well.
///
/// # Errors
/// When the database or the lease is gone. Whether the transaction committed may then be unknown: the inbox knows.
pub(super) async fn apply(place: &Place, items: &Items, head: Option<EntryId>) -> Result<Landing, Error> {
    let landing = attempts(place, items, Purpose::Apply, head).await?;
    let Some(took) = landing.parted else {
        return Ok(landing);
    };
    let (first, later) = items.split_at(items.len().min(place.settings().batch));
    let head = head.filter(|_| later.is_empty());
    let share = took.mul_f64(first.len() as f64 / items.len() as f64);
    let mut landing = attempts(place, first, Purpose::Apart(share), head).await?;
    landing.rest.extend(ids(later));
    landing.parted = Some(took);
    Ok(landing)
}

/// Until it is known what becomes of them, or that they failed together.
async fn attempts(
    place: &Place,
    items: &Items,
    purpose: Purpose<'_>,
    head: Option<EntryId>,
) -> Result<Landing, Error> {
    let mut conflicts = 0;
    loop {
        let company = place.company();
        let outcome = match transaction(place, items, purpose, head).await {
            // A statement of ours met another transaction.
            Err(error) if error.is_conflict() && conflicts < CONFLICTS_MAX => {
                place.met(company);
                conflicts += 1;
                jitter().await;
                continue;
            }
            outcome => outcome?,
        };
        let (id, failure, took) = match outcome {
            Outcome::Committed { fates, rest, took } => {
                return Ok(Landing {
                    fates,
                    passed: head.filter(|_| rest.is_empty()),
                    rest,
                    took,
                    ..Landing::default()
                });
            }
            Outcome::Unclear => return Ok(apart(items)),
            Outcome::Parted(took) => {
                return Ok(Landing {
                    rest: ids(items),
                    parted: Some(took),
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
            Outcome::Conflict(..) if items.len() > 1 => {
                place.met(company);
                return Ok(Landing {
                    rest: ids(items),
                    ..Landing::default()
                });
            }
            Outcome::Conflict(id, failure) if conflicts == CONFLICTS_MAX => (id, failure, Duration::ZERO),
            Outcome::Conflict(..) => {
                place.met(company);
                conflicts += 1;
                jitter().await;
                continue;
            }
            Outcome::Severed(id, failure, took) => match place.suspect(id, &failure).await? {
                Some(id) if !is_behind_its_own(items, id) => (id, failure, took),
                _ => return Ok(apart(items)),
            },
            Outcome::Lost(id, failure, took) => (id, failure, took),
        };
        let (one, others): (Vec<_>, Vec<_>) = items.iter().cloned().partition(|item| item.id == id);
        let fates = surely(place, &one, Purpose::Fail(&failure, took)).await?;
        return Ok(Landing {
            fates,
            rest: ids(&others),
            took,
            ..Landing::default()
        });
    }
}

/// Whether an entry has another one of its key before it, which was undone with it: parked now it would overtake that one.
fn is_behind_its_own(items: &Items, id: EntryId) -> bool {
    let lane = items.iter().find(|item| item.id == id).map(|item| &item.lane);
    let mut before = items.iter().take_while(|item| item.id != id);
    before.any(|item| Some(&item.lane) == lane)
}

/// Each of them is to be tried alone.
fn apart(items: &Items) -> Landing {
    Landing {
        rest: ids(items),
        apart: true,
        ..Landing::default()
    }
}

/// Parks a batch, so that other keys need not wait for it: behind what is parked of its lanes, or as the first of them.
///
/// # Errors
/// When the database or the lease is gone.
pub(super) async fn park(place: &Place, items: &Items) -> Result<Landing, Error> {
    Ok(Landing {
        fates: surely(place, items, Purpose::Park).await?,
        ..Landing::default()
    })
}

/// A transaction that calls no handler: only another one can be in its way.
async fn surely(place: &Place, items: &Items, purpose: Purpose<'_>) -> Result<Vec<(EntryId, Fate)>, Error> {
    for _ in 0..CONFLICTS_MAX {
        match transaction(place, items, purpose, None).await {
            Ok(Outcome::Committed { fates, .. }) => return Ok(fates),
            Err(error) if !error.is_conflict() => return Err(error),
            _ => {}
        }
        jitter().await;
    }
    Err(Error::Postgres {
        doing: "parking an event",
        code: None,
        source: "other transactions were in the way every time".into(),
    })
}

/// The other transaction needs a moment to end; jitter keeps the two from meeting again.
pub(super) async fn jitter() {
    tokio::time::sleep(Duration::from_millis(rand::random_range(1..50))).await;
}

fn ids(items: &Items) -> Vec<EntryId> {
    items.iter().map(|item| item.id).collect()
}

async fn transaction(
    place: &Place,
    items: &Items,
    purpose: Purpose<'_>,
    head: Option<EntryId>,
) -> Result<Outcome, Error> {
    let mut spans = Spans::default();
    let mut came = traced(place, items, purpose, head, &mut spans).await;
    if let Ok(Outcome::Lost(id, failure, _)) = &came
        && is_behind_its_own(items, *id)
    {
        spans.give_back(*id, &failure.class);
        came = Ok(Outcome::Unclear);
    }
    match &came {
        Ok(Outcome::Lost(id, failure, _)) => {
            let item = items.iter().find(|item| item.id == *id);
            let attempts = item.map_or(0, |item| item.attempts);
            spans.lose(*id, &failure.class, place.next(attempts + 1, failure));
        }
        Ok(
            Outcome::Conflict(id, failure)
            | Outcome::Dependency(id, failure)
            | Outcome::Severed(Some(id), failure, _),
        ) => {
            spans.give_back(*id, &failure.class);
        }
        _ => {}
    }
    if let Ok(Outcome::Committed { fates, .. }) = &came {
        let applied = fates.iter().filter(|(_, fate)| *fate == Fate::Applied);
        let ids = applied.map(|(id, _)| *id);
        place.shared.suspects.forget(&place.stream.key, ids);
    }
    spans.end(matches!(came, Ok(Outcome::Committed { .. })));
    came
}

async fn traced(
    place: &Place,
    items: &Items,
    purpose: Purpose<'_>,
    head: Option<EntryId>,
    spans: &mut Spans,
) -> Result<Outcome, Error> {
    let store = place.store();
    let events: Vec<(EntryId, &Event)> = items
        .iter()
        .filter_map(|item| Some((item.id, item.payload.event.as_ref()?)))
        .collect();
    let mut watched = events.first().map(|(id, _)| *id);
    let to_enter: Vec<&Event> = events.iter().map(|(_, event)| *event).collect();
    let places = place.shared.places(&to_enter).await?;
    let _slot = place.slot().await;
    for _ in 0..WATCHES_MAX {
        let mut connection = store.acquire("taking a connection to apply").await?;
        let mut tx = store.begin(&mut connection, watched).await?;
        let stream = &place.stream.key;
        let backend = store.fence(&mut tx, stream, place.lease, &events).await?;
        let entered = store
            .enter_inbox(&mut tx, stream, &place.flow, &events, &places)
            .await?;
        crash_point!(INBOX_ENTERED);
        let mut ids = events.iter().map(|(id, _)| *id);
        let first = ids.find(|id| entered.fresh.contains(id));
        if first.is_some() && first != watched {
            // The event to be watched came again, so it has no new row: another one must carry the watch.
            pg::rollback(tx).await?;
            watched = first;
            continue;
        }
        let mut batch = Batch::new(place, purpose, entered, spans);
        batch.find_repeated(&mut tx, &events).await?;
        if batch.may_be_parked() {
            batch.find_parked(&mut tx, items).await?;
        }
        let worked = match batch.work(&mut tx, items).await {
            Ok(()) => batch.prove(&mut tx, items, head).await,
            halted => halted,
        };
        let (halt, took) = match worked {
            Ok(()) => {
                let closed = close(batch, items, tx, head).await;
                let is_left_open = connection.settle();
                return closed.map(|closed| match closed {
                    Outcome::Committed { took, .. } if is_left_open => left_open(items, took),
                    closed => closed,
                });
            }
            Err(halt) => (halt, batch.took),
        };
        if matches!(halt.stopped, Stopped::Abandoned { .. }) {
            store.end_backend(backend).await;
        }
        if let Stopped::Undone { failure, .. } = &halt.stopped {
            let Err(stopped) = sole::undo(tx, failure, took).await else {
                connection.settle();
                return Ok(parted(halt.id, failure, took, items, spans));
            };
            connection.close();
            return Outcome::of(Halt { stopped, ..halt });
        }
        if halt.stopped.takes_connection() {
            drop(tx);
            connection.close();
        } else if let Err(error) = pg::rollback(tx).await {
            if !is_handlers_doing(&error) {
                return Err(error);
            }
            connection.close();
        } else {
            connection.settle();
        }
        return Outcome::of(halt);
    }
    Err(Error::Postgres {
        doing: "recording events in the inbox",
        code: None,
        source: "another member enters the same events all the time".into(),
    })
}

/// Nothing was committed: a handler left a transaction of the driver open inside of this one.
fn left_open(items: &Items, took: Duration) -> Outcome {
    let failure = Failure {
        class: pg::ENDED.to_owned(),
        text: "the handler began a transaction inside of its own and left it open: end it, or let go of it"
            .to_owned(),
        kind: FailureKind::Transient,
    };
    match items {
        [item] => Outcome::Lost(item.id, failure, took),
        _ => Outcome::Unclear,
    }
}

/// The only call of a transaction failed, and is undone with it: the one event that it was for failed, or they are to be tried one
/// after the other.
fn parted(
    id: Option<EntryId>,
    failure: &Failure,
    took: Duration,
    items: &Items,
    spans: &mut Spans,
) -> Outcome {
    if let Some(id) = id {
        return Outcome::Lost(id, failure.clone(), took);
    }
    for item in items {
        spans.give_back(item.id, &failure.class);
    }
    Outcome::Parted(took)
}

impl Outcome {
    fn of(halt: Halt) -> Result<Self, Error> {
        let Some(id) = halt.id else {
            return match halt.stopped {
                Stopped::Outage(error) => Err(error),
                Stopped::Severed { failure, took } => Ok(Self::Severed(None, failure, took)),
                _ => Ok(Self::Unclear),
            };
        };
        match halt.stopped {
            Stopped::Undone { failure, took }
            | Stopped::Lost { failure, took }
            | Stopped::Abandoned { failure, took } => Ok(Self::Lost(id, failure, took)),
            Stopped::Severed { failure, took } => Ok(Self::Severed(Some(id), failure, took)),
            Stopped::Conflict(failure) => Ok(Self::Conflict(id, failure)),
            Stopped::Dependency(failure) => Ok(Self::Dependency(id, failure)),
            Stopped::Outage(error) => Err(error),
        }
    }
}

/// What comes before the commit must fail if the transaction was aborted or ended on the way: the handler may have ignored
/// the one, and the commit would be a silent rollback; after the other nothing more may be recorded.
async fn close(
    batch: Batch<'_>,
    items: &Items,
    mut tx: Transaction<'_>,
    head: Option<EntryId>,
) -> Result<Outcome, Error> {
    let (place, took) = (batch.place, batch.took);
    let (store, stream) = (place.store(), &place.stream.key);
    let rest = ids(batch.rest());
    // After a call that was all of the transaction that is done.
    let to_finish = (!batch.is_sole).then(|| head.filter(|_| rest.is_empty()));
    let counted = items
        .iter()
        .filter(|item| item.attempts > 0 && !rest.contains(&item.id));
    let counted: Vec<EntryId> = counted.map(|item| item.id).collect();
    let has_applied = batch.has_applied();
    let recorded = async {
        let fates = batch.record(&mut tx).await?;
        if !counted.is_empty() {
            store.clear_failures(&mut tx, stream, &counted).await?;
        }
        Ok(fates)
    };
    let fates = match recorded.await {
        Ok(fates) => fates,
        Err(error) if has_applied => return unrecorded(items, error),
        Err(error) => return Err(error),
    };
    let closed = async {
        if let Some(head) = to_finish {
            sole::finish(place, &mut tx, head).await?;
        }
        crash_point!(INBOX_BEFORE_COMMIT);
        pg::commit(tx).await?;
        crash_point!(INBOX_COMMITTED);
        Ok(())
    };
    match closed.await {
        Ok(()) => Ok(Outcome::Committed { fates, rest, took }),
        Err(error) => refused(&fates, error),
    }
}

/// A statement of ours was refused after handlers had answered success: what one of them set for the transaction is at fault,
/// a role, a limit of time.
fn unrecorded(items: &Items, error: Error) -> Result<Outcome, Error> {
    let Error::Postgres { code: Some(code), .. } = &error else {
        return Err(error);
    };
    let failure = Failure::of_commit(code, &error);
    match (pg::cause_of_code(code), items) {
        (Cause::Handler(_), [item]) => Ok(Outcome::Lost(item.id, failure, Duration::ZERO)),
        (Cause::Handler(_), _) => Ok(Outcome::Unclear),
        _ => Err(error),
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
