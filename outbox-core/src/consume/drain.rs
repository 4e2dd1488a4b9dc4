//! What waits in a lane is applied: the first event that failed, when it is due, or all of a lane that goes back, in order.
//!
//! The lane's row is held, the outcome of each event in the inbox changes from `parked` (or `dead`) to `applied` in the same
//! transaction, and must change for one row: if it does not, the event had its effect, and is dropped without another.

use std::time::Duration;

use super::Error;
use super::apply::{CONFLICTS_MAX, jitter};
use super::attempt::{Stopped, is_handlers_doing};
use super::drained::{Drained, Known, Outcome};
use super::emptying::Emptying;
use super::park::Lane;
use super::pg;
use super::place::Place;
use super::span::Spans;

/// Applies the first events of a lane, at most `most`.
///
/// # Errors
/// When the database or the lease is gone.
pub(super) async fn drain(place: &Place, lane: &Lane, mut most: usize) -> Result<Drained, Error> {
    let mut known: Option<Known> = None;
    let mut conflicts = 0;
    loop {
        let company = place.company();
        let outcome = match transaction(place, lane, most, known.as_ref()).await {
            // A statement of ours met another transaction.
            Err(error) if error.is_conflict() && conflicts < CONFLICTS_MAX => {
                place.met(company);
                conflicts += 1;
                jitter().await;
                continue;
            }
            outcome => outcome?,
        };
        match outcome {
            Outcome::Committed(drained) => return Ok(drained),
            Outcome::Dependency(r#type, failure) => {
                return Ok(Drained {
                    dependency: Some((r#type, failure)),
                    ..Drained::default()
                });
            }
            // Those before it come again; when it is its turn, what is known of it counts.
            Outcome::Lost(at, failure, took) => known = Some(Known { at, failure, took }),
            Outcome::Severed(id, lost) => match place.suspect(id, &lost.failure).await? {
                Some(_) => known = Some(lost),
                None => most = 1,
            },
            Outcome::Unclear => most = 1,
            Outcome::Conflict(at, failure) if conflicts == CONFLICTS_MAX => {
                let took = Duration::ZERO;
                known = Some(Known { at, failure, took });
            }
            Outcome::Conflict(..) => {
                place.met(company);
                most = 1;
                conflicts += 1;
                jitter().await;
            }
        }
    }
}

async fn transaction(
    place: &Place,
    lane: &Lane,
    most: usize,
    known: Option<&Known>,
) -> Result<Outcome, Error> {
    let mut spans = Spans::default();
    let came = traced(place, lane, most, known, &mut spans).await;
    spans.end(matches!(came, Ok(Outcome::Committed(_))));
    came
}

async fn traced(
    place: &Place,
    lane: &Lane,
    most: usize,
    known: Option<&Known>,
    spans: &mut Spans,
) -> Result<Outcome, Error> {
    let store = place.store();
    let _slot = place.slot().await;
    let mut connection = store
        .acquire("taking a connection to apply what is parked")
        .await?;
    let mut tx = store.begin(&mut connection, None).await?;
    let backend = store.fence(&mut tx, &place.stream.key, place.lease, &[]).await?;
    let Some(is_whole) = store
        .lock_lane(&mut tx, &place.flow, lane, &place.stream.key)
        .await?
    else {
        pg::rollback(tx).await?;
        return Ok(Outcome::Committed(Drained::default()));
    };
    let most = if is_whole { most } else { 1 };
    let events = store.parked_events(&mut tx, &place.flow, lane, most).await?;
    let mut work = Emptying::new(place, lane, spans);
    let halt = match work.work(&mut tx, &events, known).await {
        Ok(()) => return work.close(tx).await,
        Err(halt) => halt,
    };
    if matches!(halt.1, Stopped::Abandoned { .. }) {
        store.end_backend(backend).await;
    }
    if halt.1.takes_connection() {
        drop(tx);
        connection.close();
    } else if let Err(error) = pg::rollback(tx).await {
        if !is_handlers_doing(&error) {
            return Err(error);
        }
        connection.close();
    }
    halt.outcome(&events, work.handled())
}
