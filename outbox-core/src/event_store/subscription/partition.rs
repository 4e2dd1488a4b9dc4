//! A partition at work: look, apply, wait to be woken.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::careful::Careful;
use super::drain::{Drained, drain};
use super::obstacle::{Met, Obstacle};
use super::set_aside::set_aside;
use super::step::{Care, Hindered, Place, Stepped, step};
use super::{Error, metric};
use crate::verdict::Verdict;

/// Between looks where nobody tells of batches, at first; it doubles up to the poll.
const POLL_MIN: Duration = Duration::from_millis(20);
/// While the database does not answer.
const OUTAGE_MAX: Duration = Duration::from_secs(2);

/// What a partition does next.
enum Next {
    GoOn,
    /// Nothing is to be done, or may be.
    Rest,
}

/// Applies until it is cancelled.
///
/// # Errors
/// When the lease is gone, or a person must mend something.
pub(super) async fn apply(
    place: Place,
    mut wake: watch::Receiver<u64>,
    token: CancellationToken,
) -> Result<(), Error> {
    let mut pace = Pace::new(place.store.subscription.poll);
    let mut careful = Careful::default();
    // Of streams that wait.
    let mut met = Met::default();
    while !token.is_cancelled() {
        wake.mark_unchanged();
        let next = match turn(&place, &mut careful, &mut met).await {
            Ok(next) => next,
            Err(error) if matches!(error, Error::Fenced) || error.verdict() != Verdict::Retry => {
                return Err(error);
            }
            Err(error) => {
                tracing::warn!(%error, subscription = place.store.subscription.name, "the database is waited for");
                pause(&token, jitter(OUTAGE_MAX)).await;
                continue;
            }
        };
        match next {
            Next::GoOn => pace.reset(),
            Next::Rest => {
                let poll = pace.next();
                tokio::select! {
                    () = token.cancelled() => {}
                    _ = wake.changed() => pace.reset(),
                    () = tokio::time::sleep(poll) => {}
                }
            }
        }
    }
    Ok(())
}

async fn turn(place: &Place, careful: &mut Careful, met: &mut Met) -> Result<Next, Error> {
    let news = place.store.news(place.partition).await?;
    let mut is_busy = false;
    if news.has_due {
        is_busy = drain(place, met).await? == Drained::One;
    }
    if !news.has_events {
        return Ok(if is_busy { Next::GoOn } else { Next::Rest });
    }
    let care = careful.next();
    match step(place, care).await? {
        Stepped::Moved { .. } => {
            careful.moved();
            Ok(Next::GoOn)
        }
        Stepped::SetAside => Ok(Next::GoOn),
        Stepped::Again(care, times) => {
            careful.again(care, times);
            Ok(Next::GoOn)
        }
        Stepped::Hindered(hindered) => {
            wait_or_fail(place, careful, care, hindered).await?;
            Ok(Next::GoOn)
        }
        Stepped::Paused | Stepped::Full if is_busy => Ok(Next::GoOn),
        Stepped::Paused | Stepped::Full => Ok(Next::Rest),
    }
}

/// Waits for what was in the way, or counts it as a failed attempt of the event that met it too often.
async fn wait_or_fail(
    place: &Place,
    careful: &mut Careful,
    care: Care,
    hindered: Hindered,
) -> Result<(), Error> {
    let Hindered {
        obstacle,
        event,
        events,
        failure,
    } = hindered;
    metric::hindered(&place.store.subscription.name, &failure.class).increment(1);
    if careful.hindered(care, obstacle, event, events) {
        // Does nothing if the database does not answer: then it was not the event.
        set_aside(place, event, &failure).await?;
        return Ok(());
    }
    if obstacle == Obstacle::Shortage {
        tracing::warn!(
            subscription = place.store.subscription.name,
            class = failure.class,
            "the server has too little of something: it is waited for"
        );
    }
    tokio::time::sleep(jitter(obstacle.pause_max())).await;
    Ok(())
}

/// Polls far apart where nothing happens.
struct Pace {
    next: Duration,
    max: Duration,
}

impl Pace {
    fn new(max: Duration) -> Self {
        Self { next: POLL_MIN, max }
    }

    fn reset(&mut self) {
        self.next = POLL_MIN;
    }

    fn next(&mut self) -> Duration {
        let now = self.next.min(self.max);
        self.next = (self.next * 2).min(self.max);
        now
    }
}

pub(super) fn jitter(most: Duration) -> Duration {
    most.mul_f64(0.1 + 0.9 * rand::random::<f64>())
}

async fn pause(token: &CancellationToken, time: Duration) {
    tokio::select! {
        () = token.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}
