//! A reader that is blocked in XREAD, and notes when each entry is there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::streams::{StreamRangeReply, StreamReadReply};
use system_tests::arrival::stream_of;
use system_tests::stream::{EntryId, parse_page};
use system_tests::{Result, World};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use super::TOPIC;

/// What a blocked read waits at most before it is sent again.
pub(super) const BLOCK: Duration = Duration::from_secs(1);

/// Entries with their events, and when they were there.
pub(super) type Seen = Arc<Mutex<Vec<(EntryId, Uuid, Instant)>>>;

/// Begins to read; aborted, it ends.
pub(super) async fn read(world: &World, seen: Seen) -> Result<JoinHandle<Result>> {
    let mut redis = world.redis().await?;
    Ok(tokio::spawn(async move {
        let mut after = "0".to_owned();
        loop {
            let reply: Option<StreamReadReply> = redis::cmd("XREAD")
                .arg("BLOCK")
                .arg(u64::try_from(BLOCK.as_millis())?)
                .arg("STREAMS")
                .arg(stream_of(TOPIC))
                .arg(&after)
                .query_async(&mut redis)
                .await?;
            let at = Instant::now();
            for key in reply.into_iter().flat_map(|reply| reply.keys) {
                for entry in parse_page(&key.key, &StreamRangeReply { ids: key.ids })? {
                    after = entry.id.to_string();
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.push((entry.id, entry.event_id, at));
                }
            }
        }
    }))
}
