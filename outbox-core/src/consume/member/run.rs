//! A member at work: looks at the group, starts a lane for each lease it takes, and stops those that it gives or lost.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::pg::{Beat, Desk};
use super::{Card, Look};
use crate::consume::balance::{Place, State, Step};
use crate::consume::discovery::{Discovery, Known};
use crate::consume::lease::Lease;
use crate::consume::metric::MemberMeters;
use crate::consume::retry::OUTAGE;
use crate::consume::shared::Shared;
use crate::consume::stream::Stream;
use crate::consume::{Error, lane};
use crate::standing::Standing;

/// The line of the board for the member as such.
const LOOK_LINE: &str = "leases";

/// A lane at work.
struct Tenure {
    lease: Lease,
    /// Ends it after what is in hand.
    stop: CancellationToken,
    /// Ends it at once.
    lost: CancellationToken,
    is_given: bool,
}

struct Member {
    shared: Arc<Shared>,
    card: Card,
    desk: Desk,
    known: watch::Receiver<Known>,
    /// What it competes for.
    streams: BTreeMap<String, Stream>,
    lanes: HashMap<String, Tenure>,
    tasks: JoinSet<String>,
    free_since: HashMap<String, Instant>,
    unassigned: Vec<String>,
    standbys: HashSet<String>,
    renew_at: Instant,
    token: CancellationToken,
    has_left: bool,
    meters: MemberMeters,
}

/// Takes part in the group until the token is cancelled and the lanes have finished what they had in hand.
///
/// # Errors
/// When a lane ended as it never should.
pub(in crate::consume) async fn run(shared: Arc<Shared>, token: CancellationToken) -> Result<(), Error> {
    let settings = shared.settings.clone();
    let mut member = Member::new(shared, token.clone());
    let mut troubles = 0;
    let mut look_at = Instant::now();
    loop {
        if token.is_cancelled() {
            member.leave().await;
            if member.tasks.is_empty() {
                return Ok(());
            }
        }
        tokio::select! {
            () = tokio::time::sleep_until(look_at.into()) => {
                look_at = Instant::now() + match member.look().await {
                    Ok(is_moving) => {
                        troubles = 0;
                        if is_moving { settings.look_soon() } else { settings.look_every() }
                    }
                    Err(error) => {
                        troubles += 1;
                        member.report(&error, troubles);
                        OUTAGE.pause(troubles).min(settings.lease / 3)
                    }
                };
            }
            Some(ended) = member.tasks.join_next() => {
                member.ended(ended)?;
                look_at = look_at.min(Instant::now() + settings.look_soon());
            }
            Ok(()) = member.known.changed() => look_at = Instant::now(),
            () = token.cancelled(), if !member.has_left => {}
        }
    }
}

impl Member {
    fn new(shared: Arc<Shared>, token: CancellationToken) -> Self {
        Self {
            card: Card::of(&shared.settings, shared.routes.topics()),
            desk: Desk::default(),
            known: shared.discovery.watch(),
            streams: BTreeMap::new(),
            lanes: HashMap::new(),
            tasks: JoinSet::new(),
            free_since: HashMap::new(),
            unassigned: Vec::new(),
            standbys: HashSet::new(),
            renew_at: Instant::now(),
            token,
            has_left: false,
            meters: MemberMeters::new(shared.store.consumer()),
            shared,
        }
    }

    /// Looks at the group and does what follows. Returns whether streams are on their way between members.
    async fn look(&mut self) -> Result<bool, Error> {
        self.read_known();
        let (now, every) = (Instant::now(), self.shared.settings.lease / 3);
        let renews = now >= self.renew_at;
        let leases: Vec<(&str, Lease)> = self
            .lanes
            .iter()
            .map(|(stream, lane)| (stream.as_str(), lane.lease))
            .collect();
        let beat = Beat {
            card: &self.card,
            leases: &leases,
            renews,
            lives: renews && !self.has_left,
        };
        let look = self.desk.look(&self.shared.store, &beat).await?;
        if renews {
            // A look may be late by one; the third part of a lease leaves room for that.
            self.renew_at = now + every.saturating_sub(self.shared.settings.look_every());
        }
        self.shared.board.clear(LOOK_LINE);
        self.drop_lost(&look);
        self.show(&look);
        if self.has_left {
            return Ok(false);
        }
        self.add_missing(&look).await?;
        let state = self.state(&look);
        let step = state.step(&self.card.name);
        self.warn_unassigned(&step);
        let is_moving = self.act(step).await?;
        Ok(self.put_back(&look).await || is_moving)
    }

    /// Carries redrives on: whoever applies something does. Returns whether there may be more to put back at once. What fails
    /// is tried again with the next look; it costs no lease.
    async fn put_back(&mut self, look: &Look) -> bool {
        let mut released = 0;
        for operation in look.redrives.iter().filter(|_| !self.lanes.is_empty()) {
            match self.desk.release_redrive(&self.shared.store, *operation).await {
                Ok(letters) => released += letters,
                Err(error) => {
                    tracing::warn!(%error, operation, "could not put dead letters back");
                    break;
                }
            }
        }
        if released > 0 {
            tracing::info!(released, "dead letters are going back");
            for stream in self.lanes.keys() {
                self.shared.signals.ring(stream);
            }
        }
        released > 0
    }

    /// Takes over which streams there are. What is no longer read is finished and given back.
    fn read_known(&mut self) {
        let prefix = &self.shared.settings.prefix;
        let streams = Discovery::streams(&self.known.borrow_and_update(), prefix);
        self.streams = streams
            .into_iter()
            .map(|stream| (stream.key.clone(), stream))
            .collect();
        for (_, lane) in self
            .lanes
            .iter()
            .filter(|(key, _)| !self.streams.contains_key(*key))
        {
            lane.stop.cancel();
        }
        let gone: Vec<String> = self
            .standbys
            .iter()
            .filter(|key| !self.streams.contains_key(*key))
            .cloned()
            .collect();
        for key in gone {
            self.standbys.remove(&key);
            self.shared.board.clear(&key);
        }
    }

    /// A lease that another one has, or nobody: its lane stops at once.
    fn drop_lost(&self, look: &Look) {
        for (key, lane) in &self.lanes {
            let row = look.leases.iter().find(|row| row.stream == *key);
            let is_ours = row.is_some_and(|row| row.epoch == lane.lease.epoch && row.holder.is_some());
            if !is_ours {
                lane.lost.cancel();
            }
        }
    }

    /// Tells the lanes and the board what a look showed.
    fn show(&mut self, look: &Look) {
        let (shared, lanes) = (&self.shared, &self.lanes);
        for key in self.streams.keys().filter(|key| !lanes.contains_key(*key)) {
            if self.standbys.insert(key.clone()) {
                shared.board.set(key, Standing::Standby);
            }
        }
        if shared.signals.set_paused(look.paused.clone()) {
            match &look.paused {
                Some(paused) => tracing::warn!(paused.by, paused.reason, "the consumer is paused"),
                None => tracing::info!("the consumer goes on"),
            }
        }
        for stream in &look.due {
            shared.signals.ring(stream);
        }
        self.meters.streams.set(lanes.len() as f64);
        self.meters.members.set(look.live(&self.card).len() as f64);
    }

    /// Makes the rows of streams that nobody competed for before, and reads the writers that another member found.
    async fn add_missing(&mut self, look: &Look) -> Result<(), Error> {
        let shared = &self.shared;
        let rows: HashSet<&str> = look.leases.iter().map(|row| row.stream.as_str()).collect();
        let missing: Vec<String> = self
            .streams
            .keys()
            .filter(|key| !rows.contains(key.as_str()))
            .cloned()
            .collect();
        if shared.settings.discovery.is_some() {
            let topics = shared.routes.topics();
            let found = rows
                .iter()
                .filter_map(|key| Stream::parse(&shared.settings.prefix, &topics, key));
            for flow in found.map(|stream| stream.flow()) {
                shared.discovery.add(flow);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        self.desk.add_leases(&shared.store, &missing).await
    }

    fn state(&mut self, look: &Look) -> State {
        let rows: HashMap<&str, _> = look.leases.iter().map(|row| (row.stream.as_str(), row)).collect();
        let now = Instant::now();
        let mut places = Vec::with_capacity(self.streams.len());
        for (key, stream) in &self.streams {
            let row = rows.get(key.as_str());
            let holder = row.filter(|row| row.is_held).and_then(|row| row.holder.clone());
            // What an earlier process of this name left behind is nobody's until it runs out.
            let holder = holder.map(
                |name| match name == self.card.name && !self.lanes.contains_key(key) {
                    true => String::new(),
                    false => name,
                },
            );
            if holder.is_some() {
                self.free_since.remove(key);
            } else {
                self.free_since.entry(key.clone()).or_insert(now);
            }
            let free_for = self
                .free_since
                .get(key)
                .map_or(Duration::ZERO, |since| now - *since);
            places.push(Place {
                stream: stream.clone(),
                holder,
                is_left: free_for > self.shared.settings.lease,
            });
        }
        self.free_since.retain(|key, _| self.streams.contains_key(key));
        State {
            members: look.live(&self.card),
            places,
            loads: look.loads(),
        }
    }

    async fn act(&mut self, step: Step) -> Result<bool, Error> {
        if let Some(lane) = step.give.as_ref().and_then(|key| self.lanes.get_mut(key))
            && !lane.is_given
        {
            lane.is_given = true;
            lane.stop.cancel();
            self.meters.rebalances.increment(1);
            let stream = step.give.as_deref();
            tracing::info!(stream, "giving a stream to a member that has fewer");
        }
        // A lane that ends has its lease to give back first.
        let free = step.take.into_iter().filter(|key| !self.lanes.contains_key(key));
        let free: Vec<String> = free.collect();
        if !free.is_empty() {
            let taken = self.desk.take(&self.shared.store, &self.card.name, &free).await?;
            for (key, lease) in taken {
                self.start(&key, lease);
            }
        }
        Ok(step.is_moving)
    }

    fn start(&mut self, key: &str, lease: Lease) {
        let Some(stream) = self.streams.get(key).cloned() else {
            return;
        };
        self.standbys.remove(key);
        self.free_since.remove(key);
        let tenure = Tenure {
            lease,
            stop: self.token.child_token(),
            lost: CancellationToken::new(),
            is_given: false,
        };
        let (stop, lost, shared) = (tenure.stop.clone(), tenure.lost.clone(), self.shared.clone());
        self.lanes.insert(key.to_owned(), tenure);
        self.shared.board.set(key, Standing::Starting);
        self.tasks.spawn(async move {
            lane::run(&shared, &stream, lease, &stop, &lost).await;
            stream.key
        });
    }

    fn ended(&mut self, ended: Result<String, JoinError>) -> Result<(), Error> {
        let key = ended.map_err(|error| Error::Broken {
            source: Box::new(error),
        })?;
        self.lanes.remove(&key);
        self.shared.board.clear(&key);
        Ok(())
    }

    /// Takes nothing any more: the others share what comes free, and this one renews what it still has in hand.
    async fn leave(&mut self) {
        if self.has_left {
            return;
        }
        self.has_left = true;
        if let Err(error) = self.desk.leave(&self.shared.store, &self.card.name).await {
            tracing::warn!(%error, "could not leave the group: the others wait until the lease would have run out");
        }
    }

    fn report(&self, error: &Error, troubles: u32) {
        let cause = format!("{error}. {}", error.advice());
        self.shared.board.set(LOOK_LINE, Standing::Waiting { cause });
        tracing::warn!(%error, advice = error.advice(), troubles, "could not look at the group; the leases were not renewed");
    }

    /// Partitions that nobody names are not read by anybody.
    fn warn_unassigned(&mut self, step: &Step) {
        let is_left = |key: &&String| {
            let since = self.free_since.get(*key);
            since.is_some_and(|since| since.elapsed() > self.shared.settings.lease)
        };
        let unassigned: Vec<String> = step.unassigned.iter().filter(is_left).cloned().collect();
        self.meters.unassigned.set(unassigned.len() as f64);
        if unassigned != self.unassigned && !unassigned.is_empty() {
            let streams = unassigned
                .iter()
                .take(10)
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            tracing::warn!(
                count = unassigned.len(),
                streams,
                "no member names these partitions: nobody applies them. Start one that does, or one without a static assignment"
            );
        }
        self.unassigned = unassigned;
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.meters.let_go();
    }
}
