//! A stream that waited: its next event, in a transaction of its own, until nothing of it is behind the checkpoint any more.

use std::time::Duration;

use super::attempt::{Stopped, attempt, left_behind};
use super::failure::Failure;
use super::obstacle::Met;
use super::partition::jitter;
use super::pg::{self, Due};
use super::step::{Place, say, version};
use super::{Error, metric};

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Drained {
    /// No stream is due.
    Nothing,
    /// One came on, failed again, or is put off because something was in its way.
    One,
}

/// Tries the next event of the stream that has waited longest, if its time has come. `met`: what was in the way of which, and how often.
///
/// # Errors
/// When the lease or the database is gone.
pub(super) async fn drain(place: &Place, met: &mut Met) -> Result<Drained, Error> {
    let (store, settings) = (&place.store, &place.store.subscription);
    let mut lent = store.lend().await?;
    let mut tx = store.begin(&mut lent).await?;
    let fenced = store.fence(&mut tx, place.partition, place.epoch).await?;
    let due = if fenced.is_paused {
        None
    } else {
        store.due(&mut tx, place.partition).await?
    };
    let Some(due) = due else {
        pg::rollback(tx).await?;
        return Ok(Drained::Nothing);
    };
    let Some(event) = store.waiting_event(&mut tx, &due, &fenced.checkpoint).await? else {
        store.unpark(&mut tx, due.stream).await?;
        pg::commit(tx).await?;
        return Ok(Drained::One);
    };
    store.enter_schema(&mut tx).await?;
    let mut outcome = attempt(
        &mut tx,
        &*place.handler,
        &event,
        &settings.name,
        settings.handler_limit,
    )
    .await;
    if outcome.is_ok() {
        let moved = async {
            store
                .move_parked(&mut tx, (due.stream, version(&event) + 1), fenced.own)
                .await?;
            pg::commit(tx).await
        };
        outcome = moved.await.map_err(left_behind);
    } else {
        drop(tx);
    }
    let failure = match outcome {
        Ok(()) => {
            met.forget((due.stream, version(&event)));
            metric::applied(&settings.name).increment(1);
            return Ok(Drained::One);
        }
        Err(Stopped::Failed(failure) | Stopped::Abandoned(failure)) => {
            met.forget((due.stream, version(&event)));
            failure
        }
        Err(Stopped::Hindered(obstacle, failure)) => {
            metric::hindered(&settings.name, &failure.class).increment(1);
            if !met.is_failure((due.stream, version(&event)), obstacle) {
                lent.close();
                put_off(place, &due, jitter(obstacle.pause_max())).await?;
                return Ok(Drained::One);
            }
            failure
        }
        Err(Stopped::Outage(error)) => {
            lent.close();
            return Err(error);
        }
    };
    lent.close();
    record(place, &due, version(&event), &failure).await?;
    Ok(Drained::One)
}

/// Lets others that are due come first.
async fn put_off(place: &Place, due: &Due, pause: Duration) -> Result<(), Error> {
    let store = &place.store;
    let mut lent = store.lend().await?;
    let mut tx = store.begin(&mut lent).await?;
    store.fence(&mut tx, place.partition, place.epoch).await?;
    store.delay_parked(&mut tx, due, pause).await?;
    pg::commit(tx).await
}

/// Counts a failed attempt, unless a person decided about the stream meanwhile.
async fn record(place: &Place, due: &Due, at: i64, failure: &Failure) -> Result<(), Error> {
    let (store, settings) = (&place.store, &place.store.subscription);
    let mut lent = store.lend().await?;
    let mut tx = store.begin(&mut lent).await?;
    store.fence(&mut tx, place.partition, place.epoch).await?;
    let attempts = if due.version == at { due.attempts + 1 } else { 1 };
    let pause = settings.retry.after(attempts, rand::random());
    store
        .fail_parked(&mut tx, (due.stream, at), due.version, attempts, pause, failure)
        .await?;
    pg::commit(tx).await?;
    say(&settings.name, at, attempts, pause.is_some(), failure);
    Ok(())
}
