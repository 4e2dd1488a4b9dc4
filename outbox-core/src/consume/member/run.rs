//! A member at work: looks at the group, starts a lane for each lease it takes, and stops those that it gives or lost.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::pg::{Beat, Desk};
use super::tenures::Tenures;
use super::vacancies::Vacancies;
use super::{Card, Look};
use crate::consume::Error;
use crate::consume::balance::Step;
use crate::consume::discovery::{Discovery, Known};
use crate::consume::metric::MemberMeters;
use crate::consume::retry::OUTAGE;
use crate::consume::shared::Shared;
use crate::consume::stream::Stream;
use crate::standing::Standing;

/// The line of the board for the member as such.
const LINE: &str = "leases";
/// So many leases long a member gives nothing to others after one of them did not take what was its own.
const GRUDGE: u32 = 10;

/// How soon a member looks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// Streams are on their way from one member to another.
    Moving,
    Steady,
    /// It is alone, and nothing waits.
    Quiet,
}

struct Member {
    shared: Arc<Shared>,
    card: Card,
    desk: Desk,
    known: watch::Receiver<Known>,
    /// What it competes for.
    streams: BTreeMap<String, Stream>,
    tenures: Tenures,
    vacancies: Vacancies,
    /// Streams that the board shows as somebody else's.
    standbys: HashSet<String>,
    unassigned: Vec<String>,
    renew_at: Instant,
    give_from: Instant,
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
            if member.tenures.is_empty() {
                return Ok(());
            }
        }
        tokio::select! {
            () = tokio::time::sleep_until(look_at.into()) => {
                look_at = Instant::now() + match member.look().await {
                    Ok(pace) => {
                        troubles = 0;
                        match pace {
                            Pace::Moving => settings.look_soon(),
                            Pace::Steady => settings.look_every(),
                            Pace::Quiet => settings.look_at_rest(),
                        }
                    }
                    Err(error) => {
                        troubles += 1;
                        member.report(&error, troubles);
                        OUTAGE.pause(troubles).min(settings.lease / 3)
                    }
                };
            }
            ended = member.tenures.ended() => {
                member.ended(ended?);
                look_at = look_at.min(Instant::now() + settings.look_soon());
            }
            Ok(()) = member.known.changed() => look_at = Instant::now(),
            () = token.cancelled(), if !member.has_left => {}
        }
    }
}

impl Member {
    fn new(shared: Arc<Shared>, token: CancellationToken) -> Self {
        let now = Instant::now();
        Self {
            card: Card::of(&shared.settings, shared.routes.topics()),
            desk: Desk::default(),
            known: shared.discovery.watch(),
            streams: BTreeMap::new(),
            tenures: Tenures::default(),
            vacancies: Vacancies::default(),
            standbys: HashSet::new(),
            unassigned: Vec::new(),
            renew_at: now,
            give_from: now,
            token,
            has_left: false,
            meters: MemberMeters::new(shared.store.consumer()),
            shared,
        }
    }

    /// Looks at the group and does what follows. Returns how soon it is to look again.
    async fn look(&mut self) -> Result<Pace, Error> {
        self.read_known();
        let (now, settings) = (Instant::now(), &self.shared.settings);
        let renews = now >= self.renew_at;
        let beat = Beat {
            card: &self.card,
            leases: &self.tenures.leases(),
            renews,
            lives: renews && !self.has_left,
        };
        let look = self.desk.look(&self.shared.store, &beat).await?;
        if renews {
            // A look may be late by one; the third part of a lease leaves room for that.
            self.renew_at = now + (settings.lease / 3).saturating_sub(settings.look_at_rest());
        }
        self.shared.board.clear(LINE);
        self.tenures.drop_lost(&look);
        self.show(&look);
        if self.has_left {
            return Ok(Pace::Steady);
        }
        self.add_missing(&look).await?;
        let times = (now, self.shared.settings.lease);
        let is_ours = |stream: &str| self.tenures.has(stream);
        let state = self
            .vacancies
            .state(&look, &self.card, &self.streams, is_ours, times);
        let step = state.step(&self.card.name);
        self.warn_unassigned(&step, now);
        let is_moving = self.act(step, now).await?;
        let has_more = self.put_back(&look).await;
        Ok(if has_more || is_moving {
            Pace::Moving
        } else if look.is_quiet(&self.card) && self.streams.keys().all(|key| self.tenures.has(key)) {
            Pace::Quiet
        } else {
            Pace::Steady
        })
    }

    /// Takes over which streams there are. What is no longer read is finished and given back.
    fn read_known(&mut self) {
        let prefix = &self.shared.settings.prefix;
        let streams = Discovery::streams(&self.known.borrow_and_update(), prefix);
        self.streams = streams
            .into_iter()
            .map(|stream| (stream.key.clone(), stream))
            .collect();
        self.tenures.keep_only(&self.streams);
        let (board, streams) = (&self.shared.board, &self.streams);
        self.standbys.retain(|key| {
            let is_known = streams.contains_key(key);
            if !is_known {
                board.clear(key);
            }
            is_known
        });
    }

    /// Tells the lanes and the board what a look showed.
    fn show(&mut self, look: &Look) {
        let shared = &self.shared;
        for key in self.streams.keys().filter(|key| !self.tenures.has(key)) {
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
        self.meters.streams.set(self.tenures.len() as f64);
        self.meters.members.set(look.live(&self.card).len() as f64);
    }

    /// Makes the rows of streams that nobody competed for before, and reads the writers that another member found.
    async fn add_missing(&mut self, look: &Look) -> Result<(), Error> {
        let shared = &self.shared;
        let rows: HashSet<&str> = look.leases.iter().map(|row| row.stream.as_str()).collect();
        if shared.settings.discovery.is_some() {
            let topics = shared.routes.topics();
            let found = rows
                .iter()
                .filter_map(|key| Stream::parse(&shared.settings.prefix, &topics, key));
            for flow in found.map(|stream| stream.flow()) {
                shared.discovery.add(flow);
            }
        }
        let keys = self.streams.keys();
        let missing: Vec<String> = keys.filter(|key| !rows.contains(key.as_str())).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        self.desk.add_leases(&shared.store, &missing).await
    }

    /// Gives and takes. Returns whether streams are on their way between members.
    async fn act(&mut self, step: Step, now: Instant) -> Result<bool, Error> {
        if let Some(stream) = step.give.filter(|_| now >= self.give_from)
            && self.tenures.give(&stream)
        {
            self.meters.rebalances.increment(1);
            tracing::info!(stream, "giving a stream to a member that has fewer");
        }
        // A lane that ends has its lease to give back first.
        let free = step.take.into_iter().filter(|key| !self.tenures.has(key));
        let free: Vec<String> = free.collect();
        if free.is_empty() {
            return Ok(step.is_moving);
        }
        let name = &self.card.name;
        for (key, lease) in self.desk.take(&self.shared.store, name, &free).await? {
            if step.left.contains(&key) {
                tracing::warn!(stream = key, "taking a stream that was another member's to take");
                self.give_from = now + GRUDGE * self.shared.settings.lease;
            }
            if let Some(stream) = self.streams.get(&key).cloned() {
                self.standbys.remove(&key);
                self.tenures.start(&self.shared, stream, lease, &self.token);
            }
        }
        Ok(true)
    }

    /// Carries redrives on: whoever applies something does. Returns whether there may be more to put back at once. What fails
    /// is tried again with the next look; it costs no lease, and where the server said why, it stops no other redrive.
    async fn put_back(&mut self, look: &Look) -> bool {
        let mut released = 0;
        for operation in look.redrives.iter().filter(|_| !self.tenures.is_empty()) {
            match self.desk.release_redrive(&self.shared.store, *operation).await {
                Ok(letters) => released += letters,
                Err(error) => {
                    tracing::warn!(%error, operation, "could not put dead letters back");
                    if !error.is_answered() {
                        break;
                    }
                }
            }
        }
        if released > 0 {
            tracing::info!(released, "dead letters are going back");
            for stream in self.tenures.streams() {
                self.shared.signals.ring(stream);
            }
        }
        released > 0
    }

    fn ended(&mut self, key: String) {
        if self.streams.contains_key(&key) {
            self.shared.board.set(&key, Standing::Standby);
            self.standbys.insert(key);
        } else {
            self.shared.board.clear(&key);
        }
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
        self.shared.board.set(LINE, Standing::Waiting { cause });
        tracing::warn!(%error, advice = error.advice(), troubles, "could not look at the group; the leases were not renewed");
    }

    /// Partitions that nobody names are not read by anybody.
    fn warn_unassigned(&mut self, step: &Step, now: Instant) {
        let patience = self.shared.settings.lease;
        let is_left = |key: &&String| self.vacancies.is_left(key, now, patience);
        let unassigned: Vec<String> = step.unassigned.iter().filter(is_left).cloned().collect();
        self.meters.unassigned.set(unassigned.len() as f64);
        if unassigned != self.unassigned && !unassigned.is_empty() {
            let first = unassigned.iter().take(10).map(String::as_str);
            tracing::warn!(
                count = unassigned.len(),
                streams = first.collect::<Vec<_>>().join(", "),
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
