//! Keeping house: days of the inbox are made ahead of use, old ones are dropped, and so are identities whose window is over.

use std::sync::atomic::Ordering;
use std::time::Duration;

use metrics::gauge;
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::redis;
use crate::consume::Error;
use crate::consume::metric::{INBOX_FLOOR, INBOX_KEPT};
use crate::consume::shared::Shared;

/// How often old days are dropped and coming ones are made.
const DAYS: Duration = Duration::from_secs(3600);
/// With more days than that, a plan for all of them is not worth the locks: about two for each.
const MANY_DAYS: i64 = 70;
/// How many of them one round drops at most, each in a transaction of its own.
const DAYS_DROPPED: usize = 10;
/// How often the marks of the streams are looked at.
const MARKS: Duration = Duration::from_secs(300);
/// How often rows are removed: identities, and ids that have no day.
const ROWS: Duration = Duration::from_secs(60);
/// How many one statement removes, and how many statements one round has: more than may come in between.
const ROWS_AT_ONCE: i32 = 10_000;
const STATEMENTS: usize = 20;

/// Keeps house until the token is cancelled.
pub(in crate::consume) async fn keep_house(shared: &Shared, token: &CancellationToken) {
    let (mut marks_at, mut days_at) = (Instant::now(), Instant::now());
    while !token.is_cancelled() {
        if Instant::now() >= marks_at {
            marks_at = Instant::now() + MARKS;
            report(token.run_until_cancelled(look_at_window(shared)).await);
        }
        if Instant::now() >= days_at {
            days_at = Instant::now() + DAYS;
            report(token.run_until_cancelled(turn_days(shared)).await);
        }
        report(token.run_until_cancelled(forget_rows(shared)).await);
        token.run_until_cancelled(tokio::time::sleep(ROWS)).await;
    }
}

fn report(outcome: Option<Result<(), Error>>) {
    if let Some(Err(error)) = outcome {
        tracing::warn!(%error, advice = error.advice(), "housekeeping of the inbox failed; it is tried again");
    }
}

/// Makes the days of today and tomorrow, and drops those that the inbox no longer keeps; and forgets members that are gone.
async fn turn_days(shared: &Shared) -> Result<(), Error> {
    let now = OffsetDateTime::now_utc();
    shared.forget_days();
    shared.has_day(now).await?;
    shared.has_day(now + time::Duration::DAY).await?;
    shared.store.forget_members().await?;
    let mut dropped = 0;
    while dropped < DAYS_DROPPED && shared.store.forget_inbox().await? > 0 {
        dropped += 1;
        shared.forget_days();
    }
    if dropped > 0 {
        tracing::info!(dropped, "dropped old days of the inbox");
    }
    Ok(())
}

/// Keeps what the relay says of the streams, and shows how long ids must be kept. A Redis that does not answer or does not
/// allow the question leaves what was known.
async fn look_at_window(shared: &Shared) -> Result<(), Error> {
    let streams = shared.store.streams().await?;
    match redis::read(&shared.redis, &shared.settings.prefix, &streams).await {
        Ok(marks) => shared.store.keep_marks(&marks).await?,
        Err(error) => {
            tracing::warn!(%error, advice = error.advice(), "could not read how long streams keep their entries");
        }
    }
    let window = shared.store.window().await?;
    let has_many_days = window.days > MANY_DAYS;
    shared.store.has_many_days.store(has_many_days, Ordering::Relaxed);
    let consumer = shared.store.consumer().to_owned();
    gauge!(INBOX_FLOOR, "consumer" => consumer.clone()).set(window.floor.unwrap_or(f64::INFINITY));
    gauge!(INBOX_KEPT, "consumer" => consumer).set(window.kept.unwrap_or(f64::INFINITY));
    if window.is_forced {
        let reason = window.reason;
        tracing::warn!(
            reason,
            "ids of events are forgotten before they are safe to forget: a person forced it"
        );
    }
    Ok(())
}

async fn forget_rows(shared: &Shared) -> Result<(), Error> {
    for _ in 0..STATEMENTS {
        if shared.store.forget_rows(ROWS_AT_ONCE).await? < ROWS_AT_ONCE {
            break;
        }
    }
    Ok(())
}
