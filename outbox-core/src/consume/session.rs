//! One stream in the hands of one member, from the taking of the lease to its end or the first trouble.
//!
//! What is pending comes first, then what is new. Everything here can be thrown away at any moment: what is not
//! committed stays pending in Redis, what is not acknowledged is in the inbox.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::ahead::Ahead;
use super::breaker::Held;
use super::delivery::Delivery;
use super::discovery::Barrier;
use super::flight::Flights;
use super::gate::Gate;
use super::held_up::HeldUp;
use super::lanes::Lanes;
use super::lease::Lease;
use super::metric::Meters;
use super::pace;
use super::place::Place;
use super::portion::Portion;
use super::prelude::{self, Prelude};
use super::reader::Reader;
use super::redis::{Entry, Link};
use super::search::{Count, END, Search};
use super::shared::Shared;
use super::signals::Paused;
use super::stream::Stream;
use super::window::Window;
use crate::event::EntryId;
use crate::standing::Standing;

/// How often it is looked for pending entries that are not in hand, and for holes.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often where nothing came, and nothing was to be seen, for so many looks in a row.
const LOOK_QUIET: Duration = Duration::from_secs(15);
const QUIET_LOOKS: u32 = 3;
/// How many keys that waited for a version are looked at in one go.
const WAITING_COUNT: usize = 500;

/// How many ids of held entries are remembered. The others are found again among the pending ones.
pub(super) const HELD_MAX: usize = 10_000;

pub(super) struct Session<'a> {
    pub(super) place: Arc<Place>,
    pub(super) link: Link,
    pub(super) gate: Gate,
    pub(super) barrier: Barrier<'a>,
    /// How far the chain is passed, and that is committed.
    pub(super) committed: Option<EntryId>,
    pub(super) window: Window<Delivery>,
    pub(super) portion: Portion,
    /// When a transaction came back last.
    pub(super) landed_at: Instant,
    /// For how long each key has held the others up.
    pub(super) held_up: HeldUp,
    /// How long an event's handler takes, of late.
    pub(super) pace: Duration,
    /// How many events may be handed over together while the stream is behind: fewer after they failed together.
    pub(super) together: usize,
    /// What was started last was a lane that is drained.
    pub(super) was_lane: bool,
    pub(super) flights: Flights,
    pub(super) lanes: Lanes,
    /// Held entries and what they wait for. Their contents stay in Redis.
    pub(super) held: BTreeMap<EntryId, EntryId>,
    /// More are held than are remembered.
    pub(super) held_too_many: bool,
    /// Attempts from before keys were parked.
    pub(super) failures: HashMap<EntryId, u32>,
    /// Entries that were passed before, and are to be acknowledged.
    pub(super) superseded: Vec<EntryId>,
    /// What the stream no longer has and the group reads again; none if it has all.
    pub(super) prelude: Option<Prelude>,
    /// What was read ahead, and not taken yet.
    pub(super) ahead: Ahead,
    /// Where the claiming of all that was pending at the start goes on; none when it came to its end.
    pub(super) sweep: Option<EntryId>,
    /// A search among the pending entries for what is not in hand.
    pub(super) search: Option<Search>,
    pub(super) count: Count,
    pub(super) look_at: Instant,
    /// Looks in a row that saw nothing, while nothing came.
    quiet: u32,
    /// A predecessor has not come and is not to be expected: shown until it did.
    pub(super) hole: Option<(EntryId, EntryId)>,
    /// The entry after the one last passed, when nothing seemed to be left to do.
    pub(super) missed: Option<EntryId>,
    /// The relay was asked for something, by this session or by one before.
    pub(super) is_asked: bool,
    /// For what, and since when.
    pub(super) asked: Option<(EntryId, OffsetDateTime)>,
    paused: Option<Paused>,
    /// What the breaker of the topic holds, as far as this session knows.
    pub(super) held_back: Held,
    /// When one event may be tried.
    pub(super) probe_at: Option<Instant>,
    pub(super) has_progressed: bool,
    pub(super) meters: Meters,
}

impl<'a> Session<'a> {
    pub(super) async fn open(shared: &'a Arc<Shared>, stream: &Stream, lease: Lease) -> Result<Self, Error> {
        crash_point!(STREAM_LEASED);
        let place = Arc::new(Place::new(shared.clone(), stream, lease));
        let meters = Meters::new(shared.store.consumer(), &stream.key);
        for gauge in [&meters.in_hand, &meters.held, &meters.hole, &meters.breaker] {
            gauge.set(0.0);
        }
        let mut link = Link::connect(&shared.redis, &stream.key, shared.store.consumer()).await?;
        let prelude = prelude::find(&shared.store, &mut link, &stream.key).await?;
        let committed = shared.store.passed(&stream.key).await?;
        let made = link.ensure_group(committed).await?;
        if let Some(from) = made {
            crash_point!(GROUP_MADE);
            meters.groups_made.increment(1);
            tracing::info!(stream = stream.key, %from, "made the consumer group behind this entry");
        }
        let committed = match committed {
            Some(passed) => Some(passed),
            None => begin(shared, &mut link, &stream.key, lease).await?,
        };
        let failures = shared.store.failures(&stream.key).await?;
        wake_known_versions(&place).await?;
        let mut session = Self {
            place,
            link,
            gate: Gate::new(committed),
            barrier: Barrier::new(&shared.discovery, stream),
            committed,
            window: Window::new(shared.settings.window, shared.settings.window_bytes),
            portion: Portion::new(shared.settings.read_count),
            landed_at: Instant::now(),
            held_up: HeldUp::default(),
            pace: pace::AT_FIRST,
            together: shared.settings.together,
            was_lane: false,
            flights: Flights::default(),
            lanes: Lanes::new(Instant::now()),
            held: BTreeMap::new(),
            held_too_many: false,
            failures,
            superseded: Vec::new(),
            prelude,
            ahead: Ahead::default(),
            sweep: Some(EntryId::MIN),
            search: None,
            count: Count::No,
            look_at: Instant::now() + LOOK_EVERY,
            quiet: 0,
            hole: None,
            missed: None,
            is_asked: false,
            asked: None,
            paused: None,
            held_back: Held::Nothing,
            probe_at: None,
            has_progressed: false,
            meters,
        };
        if made.is_none() && session.prelude.is_none() {
            session.compare_group().await?;
        }
        session.recall_hole().await?;
        Ok(session)
    }

    /// Reads and applies until the token is cancelled or something fails.
    pub(super) async fn run(&mut self, token: &CancellationToken) -> Result<(), Error> {
        let outcome = self.work(token).await;
        if let Err(error @ Error::Redis { .. }) = &outcome {
            let cause = format!("{error}. {}", error.advice());
            let line = &self.stream().key;
            self.shared().board.set(line, Standing::Waiting { cause });
            // Handlers under way need no stream; ended in the middle they would do their work in vain.
            self.flights.wind_down().await;
        }
        outcome
    }

    async fn work(&mut self, token: &CancellationToken) -> Result<(), Error> {
        let due = self.shared().signals.due(&self.stream().key);
        let mut paused = self.shared().signals.paused();
        let mut freed = self.shared().breakers.freed();
        let mut reader: Option<Reader> = None;
        loop {
            let is_stopping = token.is_cancelled();
            let is_paused = self.pause(paused.borrow_and_update().clone());
            self.count_pending().await?;
            if !is_stopping && !is_paused {
                self.read_prelude().await?;
                if !self.is_before_stream() {
                    self.search_pending().await?;
                    self.release_held().await?;
                }
                self.acknowledge_superseded().await?;
                self.load_aside().await?;
                self.make_room();
                self.dispatch();
            } else {
                // What nobody may start holds nobody up.
                self.held_up.end();
            }
            self.settle(is_stopping);
            if is_stopping && self.flights.is_empty() {
                return Ok(());
            }
            if reader.is_none() && self.sweep.is_none() && !is_stopping && !self.is_before_stream() {
                reader = Some(Reader::start(&self.link, self.shared(), self.ahead.clone()).await?);
            }
            let may_take = !is_stopping && !is_paused && !self.is_before_stream();
            let finds_more = may_take && self.finds_more();
            // What is new would be held behind what is still to be found or released.
            let may_read = may_take
                && !finds_more
                && !self.is_searching()
                && self.window.has_room()
                && !self.barrier.is_closed();
            let wake = self.next_wake(is_paused);
            let places = self.window.places_left();
            tokio::select! {
                () = token.cancelled(), if !is_stopping => {}
                flown = self.flights.next(), if !self.flights.is_empty() => self.landed(flown?)?,
                batch = next_batch(reader.as_mut(), places), if may_read => {
                    crash_point!(CONSUME_READ);
                    for entry in batch? {
                        self.take(entry).await?;
                    }
                }
                // Work that came back has its turn as well.
                () = std::future::ready(()), if finds_more => {}
                () = self.ahead.gap(), if self.count == Count::Asked => self.count = Count::Now,
                () = self.barrier.changed() => {
                    if let Some(from) = self.barrier.reopen() {
                        self.search_for(from, END);
                        self.prelude.iter_mut().for_each(|prelude| prelude.reopen(from));
                    }
                }
                () = due.notified(), if !is_stopping => self.lanes.look_now(Instant::now()),
                _ = paused.changed() => {}
                _ = freed.changed(), if self.held_back != Held::Nothing => {}
                () = tokio::time::sleep_until(wake.into()), if !is_stopping => self.look_around().await?,
            }
        }
    }

    /// Whether anything was finished: trouble after that is a new one.
    pub(super) fn has_progressed(&self) -> bool {
        self.has_progressed
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.place.shared
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.place.stream
    }

    fn next_wake(&self, is_paused: bool) -> Instant {
        // What nothing may be done about wakes nobody.
        let to_start = (!is_paused).then(|| [self.probe_at, self.slow_at()]);
        let to_look = self.may_look().then_some(self.look_at);
        to_start
            .into_iter()
            .flatten()
            .chain([self.flights.moves_at(), to_look])
            .flatten()
            .fold(self.lanes.look_at(), Instant::min)
    }

    /// Now and then: what is parked and due is looked for; what is pending and not in hand is searched for; what waits
    /// without hope is shown.
    async fn look_around(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        if now >= self.lanes.look_at() {
            let found = self
                .place
                .store()
                .due_lanes(&self.stream().key, Lanes::FOUND_MAX)
                .await?;
            self.lanes.found(found, now);
        }
        if now < self.look_at || !self.may_look() {
            return Ok(());
        }
        self.look_at = now + LOOK_EVERY;
        if self.barrier.is_closed() {
            return self.look_before_barrier().await;
        }
        let pending = self.link.pending_summary().await?;
        self.suspect_more(&pending);
        if !self.held.is_empty() {
            return self.concede().await;
        }
        self.close_hole().await?;
        self.look_for_missed(pending.count).await?;
        let is_quiet = pending.count == 0 && self.window.len() == 0 && self.missed.is_none();
        self.quiet = if is_quiet { self.quiet.saturating_add(1) } else { 0 };
        if self.quiet >= QUIET_LOOKS {
            self.look_at = now + LOOK_QUIET;
        }
        Ok(())
    }

    /// While it is still being found what is pending, a look would say nothing: it comes as soon as that is done.
    fn may_look(&self) -> bool {
        !self.is_searching() && !self.is_before_stream()
    }

    /// Something came: it is looked as often as at first.
    pub(super) fn stir(&mut self) {
        if std::mem::take(&mut self.quiet) > 0 {
            self.look_at = self.look_at.min(Instant::now() + LOOK_EVERY);
        }
    }

    /// What is pending behind the barrier waits there, and says nothing. What is held before it may wait for what the stream
    /// lost, and the barrier with it.
    async fn look_before_barrier(&mut self) -> Result<(), Error> {
        if !self.held.is_empty() {
            return self.concede().await;
        }
        if std::mem::take(&mut self.held_too_many) {
            self.search_for(EntryId::MIN, END);
        }
        self.close_hole().await
    }

    /// Notes whether the consumer is paused, and answers it.
    fn pause(&mut self, paused: Option<Paused>) -> bool {
        if self.paused != paused {
            self.paused = paused;
            self.stand();
        }
        self.paused.is_some()
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// Says where this stream stands.
    pub(super) fn stand(&self) {
        let breaker = self.shared().breakers.cause(&self.stream().topic);
        let cause = if let Some(paused) = &self.paused {
            Some(format!("paused by {}: {}", paused.by, paused.reason))
        } else if let Some(cause) = breaker {
            let of = match &self.held_back {
                Held::Types(types) => types.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
                _ => "all types".to_owned(),
            };
            Some(format!(
                "something that the handler needs is down ({cause}): events of {of} wait; one event is tried now and then, and no \
                 attempt counted"
            ))
        } else {
            self.hole.map(|(id, previous)| {
                format!(
                    "entry {id} is held: its predecessor {previous} is neither on its way nor applied. The relay \
                     re-issues what the stream lost; if it does not, compare both ends."
                )
            })
        };
        let standing = cause.map_or(Standing::Leading, |cause| Standing::Waiting { cause });
        self.shared().board.set(&self.stream().key, standing);
    }
}

/// A group that was there before anything was on a stream has passed its beginning, and misses the first entry like any other.
/// One that came later begins with the first entry that it finds.
async fn begin(
    shared: &Shared,
    link: &mut Link,
    stream: &str,
    lease: Lease,
) -> Result<Option<EntryId>, Error> {
    if !link.is_unwritten().await? {
        return Ok(None);
    }
    shared.store.record_passed(stream, lease, EntryId::MIN).await?;
    Ok(Some(EntryId::MIN))
}

async fn next_batch(reader: Option<&mut Reader>, most: usize) -> Result<Vec<Entry>, Error> {
    match reader {
        Some(reader) => reader.next(most).await,
        None => std::future::pending().await,
    }
}

/// Keys that waited for a member that knows the version of their first event: those that this one knows go on.
async fn wake_known_versions(place: &Place) -> Result<(), Error> {
    let (store, routes, topic) = (place.store(), &place.shared.routes, &place.stream.topic);
    let mut after = String::new();
    loop {
        let waiting = store
            .waiting_lanes(&place.stream.key, &place.flow, &after, WAITING_COUNT)
            .await?;
        let known: Vec<&str> = waiting
            .iter()
            .filter(|(_, r#type, version)| routes.knows(topic, r#type, version.as_deref()))
            .map(|(lane, _, _)| lane.as_str())
            .collect();
        if !known.is_empty() {
            store.wake_lanes(&place.flow, &known).await?;
        }
        match waiting.last() {
            Some((lane, _, _)) if waiting.len() == WAITING_COUNT => after.clone_from(lane),
            _ => return Ok(()),
        }
    }
}
