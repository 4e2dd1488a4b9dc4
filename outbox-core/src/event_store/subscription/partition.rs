//! A partition at work: look, apply, wait to be woken.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::drain::{Drained, drain};
use super::step::{Care, Place, Stepped, step};
use crate::verdict::Verdict;

/// Between looks where nobody tells of batches, at first; it doubles up to the poll.
const POLL_MIN: Duration = Duration::from_millis(20);
/// While the database does not answer.
const OUTAGE_MAX: Duration = Duration::from_secs(2);
/// After this many conflicts in a row a page is applied one event at a time.
const CONFLICTS_MAX: u32 = 10;

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
    while !token.is_cancelled() {
        wake.mark_unchanged();
        let next = match turn(&place, &mut careful).await {
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

/// How carefully the next steps are made, and how many of them.
#[derive(Default)]
struct Careful {
    care: Option<(Care, usize)>,
    conflicts: u32,
}

async fn turn(place: &Place, careful: &mut Careful) -> Result<Next, Error> {
    let news = place.store.news(place.partition).await?;
    let mut is_busy = false;
    if news.has_due {
        is_busy = match drain(place).await? {
            Drained::One => true,
            Drained::Nothing => false,
            Drained::Conflict => {
                tokio::time::sleep(jitter(Duration::from_millis(50))).await;
                true
            }
        };
    }
    if !news.has_events {
        return Ok(if is_busy { Next::GoOn } else { Next::Rest });
    }
    let care = careful.next();
    match step(place, care).await? {
        Stepped::Moved { .. } => {
            careful.conflicts = 0;
            Ok(Next::GoOn)
        }
        Stepped::SetAside => Ok(Next::GoOn),
        Stepped::Again(care, times) => {
            careful.care = Some((care, times.max(1)));
            Ok(Next::GoOn)
        }
        Stepped::Conflict => {
            careful.conflicts += 1;
            if careful.conflicts >= CONFLICTS_MAX {
                careful.care = Some((Care::Alone, 1));
            }
            tokio::time::sleep(jitter(Duration::from_millis(50))).await;
            Ok(Next::GoOn)
        }
        Stepped::Paused | Stepped::Full if is_busy => Ok(Next::GoOn),
        Stepped::Paused | Stepped::Full => Ok(Next::Rest),
    }
}

impl Careful {
    fn next(&mut self) -> Care {
        match self.care.take() {
            Some((care, times)) => {
                self.care = (times > 1).then_some((care, times - 1));
                care
            }
            None => Care::Whole,
        }
    }
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

fn jitter(most: Duration) -> Duration {
    most.mul_f64(0.1 + 0.9 * rand::random::<f64>())
}

async fn pause(token: &CancellationToken, time: Duration) {
    tokio::select! {
        () = token.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}
