//! The lanes of a member, each for as long as its lease.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Look;
use crate::consume::lease::Lease;
use crate::consume::shared::Shared;
use crate::consume::stream::Stream;
use crate::consume::{Error, lane};
use crate::standing::Standing;

/// A lane at work.
struct Tenure {
    lease: Lease,
    /// Ends it after what is in hand.
    stop: CancellationToken,
    /// Ends it at once.
    lost: CancellationToken,
}

/// The lanes at work. Dropped: all of them end at once, and give nothing back.
#[derive(Default)]
pub(super) struct Tenures {
    lanes: HashMap<String, Tenure>,
    tasks: JoinSet<String>,
}

impl Tenures {
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.lanes.len()
    }

    pub(super) fn has(&self, stream: &str) -> bool {
        self.lanes.contains_key(stream)
    }

    pub(super) fn streams(&self) -> impl Iterator<Item = &String> {
        self.lanes.keys()
    }

    pub(super) fn leases(&self) -> Vec<(&str, Lease)> {
        let lanes = self.lanes.iter();
        lanes
            .map(|(stream, lane)| (stream.as_str(), lane.lease))
            .collect()
    }

    /// Starts the lane of a lease that was taken; `token` stops it.
    pub(super) fn start(
        &mut self,
        shared: &Arc<Shared>,
        stream: Stream,
        lease: Lease,
        token: &CancellationToken,
    ) {
        let (stop, lost) = (token.child_token(), CancellationToken::new());
        let tenure = Tenure {
            lease,
            stop: stop.clone(),
            lost: lost.clone(),
        };
        self.lanes.insert(stream.key.clone(), tenure);
        shared.board.set(&stream.key, Standing::Starting);
        let shared = shared.clone();
        self.tasks.spawn(async move {
            lane::run(&shared, &stream, lease, &stop, &lost).await;
            stream.key
        });
    }

    /// Lets a lane finish what is in hand and give its lease back. False if it does so already.
    pub(super) fn give(&self, stream: &str) -> bool {
        let lane = self.lanes.get(stream).filter(|lane| !lane.stop.is_cancelled());
        if let Some(lane) = lane {
            lane.stop.cancel();
        }
        lane.is_some()
    }

    /// The same for every stream that is not among these.
    pub(super) fn keep_only(&self, streams: &BTreeMap<String, Stream>) {
        for stream in self.lanes.keys().filter(|stream| !streams.contains_key(*stream)) {
            self.give(stream);
        }
    }

    /// A lease that another one has, or nobody: its lane ends at once.
    pub(super) fn drop_lost(&self, look: &Look) {
        let rows: HashMap<&str, _> = look.leases.iter().map(|row| (row.stream.as_str(), row)).collect();
        for (stream, lane) in &self.lanes {
            let row = rows.get(stream.as_str());
            if !row.is_some_and(|row| row.epoch == lane.lease.epoch && row.holder.is_some()) {
                lane.lost.cancel();
            }
        }
    }

    /// Waits for a lane to end; for ever if there is none. Returns its stream.
    pub(super) async fn ended(&mut self) -> Result<String, Error> {
        let Some(ended) = self.tasks.join_next().await else {
            return std::future::pending().await;
        };
        let stream = ended.map_err(|error| Error::Broken {
            source: Box::new(error),
        })?;
        self.lanes.remove(&stream);
        Ok(stream)
    }
}
