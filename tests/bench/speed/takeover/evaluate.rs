//! From when entries were there, who cut their batches and when they were appended: how long each takeover took.

use std::collections::HashMap;

use system_tests::stream::EntryId;
use system_tests::{Failure, Result, World};
use tokio::time::Instant;
use uuid::Uuid;

use super::super::schedule::Produced;
use super::Takeover;
use super::strike::Signal;

/// One for each signal.
pub(super) async fn evaluate(
    world: &World,
    produced: &Produced,
    seen: &[(EntryId, Uuid, Instant)],
    signals: &[Signal],
) -> Result<Vec<Takeover>> {
    let mut connection = world.connect().await?;
    let batches: Vec<(i64, i64)> = sqlx::query_as("select batch_id, epoch from outbox.batch")
        .fetch_all(&mut connection)
        .await?;
    let epochs: HashMap<u64, i64> = batches
        .into_iter()
        .map(|(batch, epoch)| (batch.cast_unsigned(), epoch))
        .collect();
    let begun: HashMap<Uuid, Instant> = produced
        .events
        .iter()
        .map(|event| (event.id, event.begun))
        .collect();
    let of = |signal: &Signal| {
        let is_new = |(entry, event, _): &&(EntryId, Uuid, Instant)| {
            epochs.get(&entry.0).is_some_and(|epoch| *epoch > signal.epoch)
                && begun.get(event).is_some_and(|begun| *begun > signal.at)
        };
        let first = seen.iter().find(is_new);
        let (_, _, first) = first.ok_or_else(|| Failure::new("the other relay published nothing"))?;
        let times = seen.iter().map(|(_, _, at)| *at);
        let times: Vec<Instant> = std::iter::once(signal.at)
            .chain(times.filter(|at| (signal.at..signal.until).contains(at)))
            .collect();
        let silence = times.windows(2).map(|pair| pair[1] - pair[0]).max();
        Ok(Takeover {
            end: signal.end,
            first: *first - signal.at,
            silence: silence.unwrap_or_default(),
        })
    };
    signals.iter().map(of).collect()
}
