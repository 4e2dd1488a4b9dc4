//! One stream in the hands of one member, from the taking of the lease to its end or the first trouble.
//!
//! What is pending comes first, then what is new. Everything here can be thrown away at any moment: what is not
//! committed stays pending in Redis, what is not acknowledged is in the inbox.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::apply::{self, Delivery, Outcome, Place, Work};
use super::discovery::Barrier;
use super::gate::Gate;
use super::inbox;
use super::lease::Lease;
use super::metric::Meters;
use super::reader::Reader;
use super::redis::{Entry, Link};
use super::retry::Next;
use super::shared::Shared;
use super::stream::Stream;
use super::window::{Item, Window};
use super::{Error, Failure};
use crate::event::EntryId;

/// How often it is looked for pending entries that are not in hand, and for holes.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often in a row a conflict between transactions is no failed attempt.
const CONFLICTS_MAX: u32 = 20;

pub(super) struct Session<'a> {
    pub(super) shared: &'a Shared,
    pub(super) stream: &'a Stream,
    lease: Lease,
    pub(super) link: Link,
    pub(super) gate: Gate,
    pub(super) barrier: Barrier<'a>,
    pub(super) committed: Option<EntryId>,
    pub(super) window: Window<Delivery>,
    /// Held entries and what they wait for. Their contents stay in Redis.
    pub(super) held: BTreeMap<EntryId, EntryId>,
    pub(super) failures: HashMap<EntryId, (u32, Duration)>,
    /// Where the search among the pending entries goes on; none when it came to its end.
    pub(super) sweep: Option<EntryId>,
    pub(super) look_at: Instant,
    /// A predecessor has not come and is not to be expected: shown until it did.
    pub(super) hole: bool,
    conflicts: u32,
    /// So many entries are applied one by one, to find out whose fault a failure is.
    alone: usize,
    has_progressed: bool,
    pub(super) meters: Meters,
}

impl<'a> Session<'a> {
    pub(super) async fn open(shared: &'a Shared, stream: &'a Stream, lease: Lease) -> Result<Self, Error> {
        let meters = Meters::new(shared.store.consumer(), &stream.key);
        for gauge in [&meters.in_hand, &meters.held, &meters.hole] {
            gauge.set(0.0);
        }
        let mut link = Link::connect(&shared.redis, &stream.key, shared.store.consumer()).await?;
        if link.ensure_group().await? {
            meters.groups_made.increment(1);
            tracing::info!(
                stream = stream.key,
                "made the consumer group from the beginning of the stream"
            );
        }
        let committed = shared.store.passed(&stream.key).await?;
        let failures = shared.store.failures(&stream.key).await?;
        Ok(Self {
            shared,
            stream,
            lease,
            link,
            gate: Gate::new(committed),
            barrier: Barrier::new(&shared.discovery, stream),
            committed,
            window: Window::new(shared.settings.window, shared.settings.window_bytes),
            held: BTreeMap::new(),
            failures,
            sweep: Some(EntryId::MIN),
            look_at: Instant::now() + LOOK_EVERY,
            hole: false,
            conflicts: 0,
            alone: 0,
            has_progressed: false,
            meters,
        })
    }

    /// Reads and applies until the token is cancelled or something fails.
    pub(super) async fn run(&mut self, token: &CancellationToken) -> Result<(), Error> {
        let mut reader: Option<Reader> = None;
        while !token.is_cancelled() {
            self.search_pending().await?;
            self.release_held().await?;
            if self.apply_ready().await? || (self.sweep.is_some() && self.window.has_room()) {
                continue;
            }
            if reader.is_none() && self.sweep.is_none() {
                reader = Some(Reader::start(&self.link, self.shared).await?);
            }
            let may_read = self.sweep.is_none() && self.window.has_room() && !self.barrier.is_closed();
            let wake = self.next_wake();
            tokio::select! {
                () = token.cancelled() => {}
                batch = next_batch(reader.as_mut()), if may_read => {
                    for entry in batch? {
                        self.take(entry).await?;
                    }
                }
                () = self.barrier.changed() => {
                    if let Some(from) = self.barrier.reopen() {
                        self.sweep = Some(from);
                    }
                }
                () = tokio::time::sleep_until(wake.into()) => self.look_around().await?,
            }
        }
        Ok(())
    }

    /// Whether anything was finished: trouble after that is a new one.
    pub(super) fn has_progressed(&self) -> bool {
        self.has_progressed
    }

    fn next_wake(&self) -> Instant {
        self.window
            .next_retry()
            .map_or(self.look_at, |retry| retry.min(self.look_at))
    }

    /// Every few seconds: what is pending and not in hand is searched for; what waits without hope is shown.
    async fn look_around(&mut self) -> Result<(), Error> {
        if Instant::now() < self.look_at {
            return Ok(());
        }
        self.look_at = Instant::now() + LOOK_EVERY;
        if self.sweep.is_some() || self.barrier.is_closed() {
            return Ok(());
        }
        if self.link.pending_count().await? > self.window.len() + self.held.len() {
            self.sweep = Some(EntryId::MIN);
        } else if !self.held.is_empty() {
            self.concede().await?;
        }
        Ok(())
    }

    /// Runs one transaction if anything is due. Returns whether there was.
    async fn apply_ready(&mut self) -> Result<bool, Error> {
        let most = if self.alone > 0 {
            1
        } else {
            self.shared.settings.batch
        };
        let ids = self.window.ready(Instant::now(), most);
        if ids.is_empty() {
            return Ok(false);
        }
        let head = self.window.head_after(&ids);
        let items: Vec<&Item<Delivery>> = self.window.items(&ids).collect();
        if let Work::GiveUp(failure) = &items[0].payload.work {
            let (id, failure) = (items[0].id, failure.clone());
            self.give_up(id, 1, &failure).await?;
            return Ok(true);
        }
        let until = items
            .iter()
            .position(|item| matches!(item.payload.work, Work::GiveUp(_)))
            .unwrap_or(items.len());
        let (ids, items) = (&ids[..until], &items[..until]);
        self.alone = self.alone.saturating_sub(1);
        let head = if until < items.len() {
            self.window.head_after(ids)
        } else {
            head
        };
        self.shared
            .ensure_days(items.iter().filter_map(|item| item.payload.event()))
            .await?;
        let began = Instant::now();
        match apply::apply(self.place(), items, head).await? {
            Outcome::Committed { fresh } => {
                self.count(items, fresh, began);
                let ids = ids.to_vec();
                self.finished(&ids).await?;
            }
            Outcome::Failed { id, failure } => self.failed(id, &failure).await?,
            Outcome::Unclear => self.alone = items.len() + 1,
            Outcome::Conflict { id, failure } => self.conflicted(id, &failure).await?,
        }
        Ok(true)
    }

    fn count(&self, items: &[&Item<Delivery>], fresh: usize, began: Instant) {
        let meters = &self.meters;
        let events = items.iter().filter_map(|item| item.payload.event());
        let handled = events.clone().count();
        meters.applied.increment(fresh as u64);
        meters.duplicates.increment((handled - fresh) as u64);
        meters.skipped.increment((items.len() - handled) as u64);
        meters.transaction_seconds.record(began.elapsed().as_secs_f64());
        let now = time::OffsetDateTime::now_utc();
        for recorded_at in events.filter_map(inbox::recorded_at) {
            meters
                .delay_seconds
                .record((now - recorded_at).as_seconds_f64().max(0.0));
        }
    }

    async fn finished(&mut self, ids: &[EntryId]) -> Result<(), Error> {
        self.conflicts = 0;
        self.has_progressed = true;
        let (acknowledge, head) = self.window.finish(ids);
        if head.is_some() {
            self.committed = head;
        }
        self.meters.in_hand.set(self.window.len() as f64);
        self.link.acknowledge(&acknowledge).await
    }

    async fn failed(&mut self, id: EntryId, failure: &Failure) -> Result<(), Error> {
        let attempts = 1 + self.window.items(&[id]).next().map_or(0, |item| item.attempts);
        self.meters.failed(&failure.class);
        match self.shared.settings.retry.after(attempts, failure.permanent) {
            Next::Dead => self.give_up(id, attempts, failure).await,
            Next::Retry(pause) => {
                let class = &failure.class;
                tracing::warn!(stream = self.stream.key, entry = %id, attempts, class, ?pause, "an attempt failed");
                self.shared
                    .store
                    .record_failure(&self.stream.key, id, attempts, pause, failure)
                    .await?;
                self.window.fail(id, attempts, Instant::now() + pause);
                Ok(())
            }
        }
    }

    async fn conflicted(&mut self, id: EntryId, failure: &Failure) -> Result<(), Error> {
        self.conflicts += 1;
        if self.conflicts > CONFLICTS_MAX {
            self.conflicts = 0;
            return self.failed(id, failure).await;
        }
        // The other transaction needs a moment to end; jitter keeps the two from meeting again.
        tokio::time::sleep(Duration::from_millis(rand::random_range(1..50))).await;
        Ok(())
    }

    async fn give_up(&mut self, id: EntryId, attempts: u32, failure: &Failure) -> Result<(), Error> {
        let head = self.window.head_after(&[id]);
        let ids = [id];
        let Some(item) = self.window.items(&ids).next() else {
            return Ok(());
        };
        self.shared.ensure_days(item.payload.event()).await?;
        apply::bury(self.place(), item, attempts, failure, head).await?;
        self.meters.dead.increment(1);
        let class = &failure.class;
        tracing::error!(stream = self.stream.key, entry = %id, attempts, class, "given up: see outbox_ops.dead_letters");
        self.finished(&[id]).await
    }

    fn place(&self) -> Place<'a> {
        Place {
            store: &self.shared.store,
            stream: &self.stream.key,
            lease: self.lease,
            handler_limit: self.shared.settings.handler_limit,
        }
    }
}

async fn next_batch(reader: Option<&mut Reader>) -> Result<Vec<Entry>, Error> {
    match reader {
        Some(reader) => reader.next().await,
        None => std::future::pending().await,
    }
}
