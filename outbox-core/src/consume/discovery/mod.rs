//! Which streams there are: the writers of each topic, the partitions that each of them has, and had.
//!
//! Authoritative is the relay, which says under one key per flow which batch began which number of partitions, before the
//! first entry of a new number leaves. The group reads the newest streams, and older ones until it has passed them.
//!
//! Invariants:
//! * Nothing of a generation is applied before nothing of the one before is left on any of its streams: a key may have
//!   moved from one to another.
//! * What was learned is never unlearned: a Redis that forgot a layout does not take a stream away. Only a group that was set
//!   back has older streams before it again.
//!
//! Failure: while Redis or the database does not answer, everything stays as it is known.
//!
//! Deliberately absent: shrinking. A topic only grows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::stream::{Flow, Stream};

mod barrier;

mod older;

mod opening;

mod pg;

mod redis;

mod run;

pub(super) use barrier::{Barrier, Kind};
pub(super) use opening::Opening;
pub(super) use run::{follow, refresh};

/// What is known, by flow. A flow whose layout was never read is not in it.
pub(super) type Known = BTreeMap<Flow, Opening>;

/// What the lanes of a member know of the flows they read.
pub(super) struct Discovery {
    flows: Mutex<BTreeSet<Flow>>,
    known: watch::Sender<Known>,
    /// Rung when a flow came, or a generation is awaited or announced.
    asked: Notify,
    link: tokio::sync::Mutex<Option<redis::Link>>,
    /// How often the group had been set back when what is known was learned.
    seeks: Mutex<i64>,
}

impl Discovery {
    pub(super) fn new(flows: impl IntoIterator<Item = Flow>) -> Self {
        Self {
            flows: Mutex::new(flows.into_iter().collect()),
            known: watch::Sender::default(),
            asked: Notify::new(),
            link: tokio::sync::Mutex::default(),
            seeks: Mutex::default(),
        }
    }

    pub(super) fn watch(&self) -> watch::Receiver<Known> {
        self.known.subscribe()
    }

    /// Reads a flow from now on. False if it was read before.
    pub(super) fn add(&self, flow: Flow) -> bool {
        let is_new = self.flows().insert(flow);
        if is_new {
            self.asked.notify_one();
        }
        is_new
    }

    /// The streams to read, as far as they are known.
    pub(super) fn streams(known: &Known, prefix: &str) -> Vec<Stream> {
        let streams_of = |(flow, opening): (&Flow, &Opening)| {
            let partitions = opening.partitions().into_iter();
            partitions
                .map(|partition| flow.stream(prefix, partition))
                .collect::<Vec<_>>()
        };
        known.iter().flat_map(streams_of).collect()
    }

    fn await_generation(&self, flow: &Flow, generation: usize) {
        self.known.send_if_modified(|known| {
            if let Some(opening) = known.get_mut(flow) {
                opening.await_generation(generation);
            }
            false
        });
        self.asked.notify_one();
    }

    /// A control entry says that this generation begins: the layout has to know it soon.
    fn announce(&self, flow: &Flow, generation: usize) {
        let mut is_news = false;
        self.known.send_if_modified(|known| {
            if let Some(opening) = known.get_mut(flow) {
                opening.announce(generation);
                is_news = opening.is_unconfirmed();
            }
            false
        });
        if is_news {
            self.asked.notify_one();
        }
    }

    /// Changes what is known of a flow; whoever watches is told if that made a difference.
    fn update(&self, flow: &Flow, change: impl FnOnce(&mut Opening)) {
        self.known.send_if_modified(|known| {
            let Some(opening) = known.get_mut(flow) else {
                return false;
            };
            let before = opening.clone();
            change(opening);
            *opening != before
        });
    }

    /// The group had been set back so often when something was read. What was learned before it was set back is forgotten.
    fn note_seeks(&self, seeks: i64) {
        self.update_at(seeks, None, |_| {});
    }

    /// Changes what is known of a flow by something that was read when the group had been set back so often. False, and nothing
    /// is changed, when it has been set back since: what was read is of before.
    fn update_at(&self, seeks: i64, flow: Option<&Flow>, change: impl FnOnce(&mut Opening)) -> bool {
        let mut known = self.seeks.lock().unwrap_or_else(PoisonError::into_inner);
        if seeks > *known {
            *known = seeks;
            self.known
                .send_modify(|known| known.values_mut().for_each(Opening::set_back));
        }
        let is_current = seeks == *known;
        if let Some(flow) = flow.filter(|_| is_current) {
            self.update(flow, change);
        }
        is_current
    }

    fn flows(&self) -> MutexGuard<'_, BTreeSet<Flow>> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
