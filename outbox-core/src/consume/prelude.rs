//! The prelude of a stream for one group, `<stream>@prelude:<group>:<epoch of the seek>`.
//!
//! A group that was set back to where its stream was trimmed finds there what the stream no longer has: the same entries under
//! the same ids, written by the seek from the producer's log before it gave the stream to the members. Its last entry is the
//! predecessor of the first one on the stream, so whoever reads the one and then the other reads one chain. Only the key that
//! `outbox.consumer_stream` names is read: a seek that died leaves its own behind, and touches nobody else's. It belongs to
//! whoever holds the stream's lease, who takes the name away and then removes it when the group has passed it. So what is named
//! and not there was lost, and the stream waits for a person. What is read of it is pending nowhere: after
//! a takeover it is read again, and the gate knows what was passed.

use super::Error;
use super::pg::Store;
use super::redis::Link;
use crate::event::EntryId;

/// A prelude being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prelude {
    pub(super) key: String,
    /// The entry read last.
    pub(super) behind: EntryId,
    /// It was read to its end; it is removed when that is passed.
    pub(super) is_read: bool,
}

/// The key of a prelude. No stream of a topic contains `@prelude:`: a writer has no colon in its name. The epoch under
/// which the stream was seized makes it the key of one seek.
pub(super) fn key(stream: &str, group: &str, epoch: i64) -> String {
    format!("{stream}@prelude:{group}:{epoch}")
}

/// The epoch in the key of a prelude of this stream and group.
pub(super) fn epoch(key: &str, stream: &str, group: &str) -> Option<i64> {
    key.strip_prefix(&format!("{stream}@prelude:{group}:"))?
        .parse()
        .ok()
}

impl Prelude {
    pub(super) fn new(key: String) -> Self {
        Self {
            key,
            behind: EntryId::MIN,
            is_read: false,
        }
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The generation that begins with this entry is open now: from there on it is read again.
    pub(super) fn reopen(&mut self, from: EntryId) {
        if !self.is_read || from <= self.behind {
            self.behind = EntryId::MIN;
            self.is_read = false;
        }
    }
}

/// What a seek left for the group to read before the stream; none if there is nothing, or nothing any more. Where it is named and
/// not there, the stream must not be read: what is missing would never be applied.
pub(super) async fn find(store: &Store, link: &mut Link, stream: &str) -> Result<Option<Prelude>, Error> {
    let Some(key) = store.prelude(stream).await? else {
        return Ok(None);
    };
    if link.range(&key, EntryId::MIN, 1).await?.is_empty() {
        return Err(Error::Redis {
            doing: "reading older entries",
            code: None,
            source: format!(
                "Redis lost {key}, which the group is to read before {stream}: run the same seek again"
            )
            .into(),
        });
    }
    Ok(Some(Prelude::new(key)))
}
