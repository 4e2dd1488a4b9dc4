//! Producers at full speed: one event to a transaction, one round trip to an event, and no pause. One of them appends an event as
//! large as may be now and then.

use std::time::{Duration, Instant};

use sqlx::PgConnection;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::TOPICS;
use super::backlog::append_large;
use crate::{Result, World};

const WRITERS: u64 = 8;
/// One of them begins with a large event, and has another one each time this is over.
const LARGE_EVERY: Duration = Duration::from_secs(30);
/// Coprime to any number of keys that one would choose: each key has its turn.
const STRIDE: u64 = 7919;

/// What they are when they run.
#[derive(Debug)]
pub(super) struct Writers {
    stop: CancellationToken,
    tasks: JoinSet<Result<u64>>,
    begun: Instant,
}

/// What they did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    /// Events committed.
    pub(super) events: u64,
    /// In this time.
    pub(super) seconds: f64,
}

impl Writers {
    pub(super) async fn start(world: &World, keys: u64) -> Result<Self> {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for number in 0..WRITERS {
            tasks.spawn(write(world.connect().await?, number, keys, stop.clone()));
        }
        Ok(Self {
            stop,
            tasks,
            begun: Instant::now(),
        })
    }

    /// Lets each finish its event.
    pub(super) async fn stop(mut self) -> Result<Written> {
        self.stop.cancel();
        let mut events = 0;
        while let Some(finished) = self.tasks.join_next().await {
            events += finished??;
        }
        let seconds = self.begun.elapsed().as_secs_f64();
        Ok(Written { events, seconds })
    }
}

async fn write(mut connection: PgConnection, number: u64, keys: u64, stop: CancellationToken) -> Result<u64> {
    let mut large = None::<Instant>;
    let mut written = 0;
    while !stop.is_cancelled() {
        if number == 0 && large.is_none_or(|last| last.elapsed() > LARGE_EVERY) {
            append_large(&mut connection, written).await?;
            large = Some(Instant::now());
        } else {
            append(&mut connection, written, (number + written * STRIDE) % keys).await?;
        }
        written += 1;
    }
    Ok(written)
}

/// One event in a transaction of its own.
async fn append(connection: &mut PgConnection, number: u64, key: u64) -> Result {
    sqlx::query(
        "select outbox.append($1, json_build_object('number', $2::bigint), key => 'key-' || $3::bigint)",
    )
    .bind(TOPICS[usize::try_from(key)? % TOPICS.len()])
    .bind(i64::try_from(number)?)
    .bind(i64::try_from(key)?)
    .execute(connection)
    .await?;
    Ok(())
}
