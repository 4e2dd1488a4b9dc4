//! Drives a leader's term: cuts come in, lanes move, progress is recorded, until the lease or a connection is lost.
//!
//! One loop owns all state; everything slow is a future in flight that answers for one topic. The sink's connection is
//! opened after the lease, and compared with the ledger before anything is sent on it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::lane::{Gate, Lane, Place, Portion};
use super::parcel::{Packed, Publisher, pack};
use super::retry::{Backoff, Breaker};
use super::sink::{Halt, Marked, Predecessor, Settled, Sink, SinkConnection, settle};
use super::work::{self, Done, Link};
use super::{Error, Kind, Options, StreamName, pg};
use crate::event::EntryId;
use crate::observe;
use crate::standing::Standing;
use crate::tail::batch::{BoundShare, Cut, Row};
use crate::tail::lease::Lease;
use crate::tail::ledger::{self, Head};
use crate::tail::pg::Session;

/// How many reads from the log may be in flight: they share one connection.
const READS_IN_FLIGHT: usize = 4;

/// What a term needs.
pub struct Term {
    /// Where to publish.
    pub sink: Arc<dyn Sink>,
    /// A connection for reading the log. Only what is in flight uses it: the loop waiting on it for something else would
    /// wait behind rows that only the loop can take.
    pub reader: Session,
    /// A connection for recording progress and decisions.
    pub session: Session,
    /// The verified end of the ledger.
    pub head: Head,
    /// Prefix of stream keys.
    pub prefix: String,
    /// Settings.
    pub options: Options,
    /// The lease, as it is renewed.
    pub lease: watch::Receiver<Lease>,
    /// Where this process stands.
    pub standing: watch::Sender<Standing>,
}

/// The state of a term.
struct Leader {
    sink: Arc<dyn Sink>,
    link: Option<Link>,
    links: u64,
    reader: Arc<Session>,
    session: Session,
    head: Head,
    publisher: Publisher,
    options: Options,
    lease: watch::Receiver<Lease>,
    standing: watch::Sender<Standing>,
    lanes: BTreeMap<String, Lane>,
    in_flight: FuturesUnordered<BoxFuture<'static, Done>>,
    reads: usize,
    /// The topic read last: the next one begins behind it, so that none waits for those before it in the alphabet.
    read_last: String,
    stopping: bool,
    backoff: Backoff,
    breaker: Breaker,
    lane_backoffs: BTreeMap<String, Backoff>,
}

/// Publishes what `cuts` brings, and what was left before, until `token` is cancelled and what is in hand is confirmed.
///
/// # Errors
/// The lease is over, the database failed, or going on would break a guarantee.
pub async fn lead(term: Term, mut cuts: mpsc::Receiver<Cut>, token: CancellationToken) -> Result<(), Error> {
    let mut leader = Leader::start(term).await?;
    let mut record = tokio::time::interval(leader.options.progress_every);
    let mut compare = tokio::time::interval(leader.options.compare_every);
    for timer in [&mut record, &mut compare] {
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    }
    let mut stop_by = Instant::now();
    loop {
        leader.check_lease()?;
        leader.move_lanes().await?;
        if leader.stopping && (leader.is_idle() || Instant::now() >= stop_by) {
            return leader.record_progress().await;
        }
        let patience = leader.until_next_try();
        // What is seldom ready comes first: under load something in flight is always done.
        tokio::select! {
            biased;
            () = token.cancelled(), if !leader.stopping => {
                cuts.close();
                leader.stopping = true;
                stop_by = Instant::now() + leader.options.drain_limit;
            }
            _ = record.tick() => leader.record_progress().await?,
            _ = compare.tick(), if !leader.stopping => leader.compare().await?,
            cut = cuts.recv(), if !leader.stopping => match cut {
                Some(cut) => leader.take(cut),
                // The tail ended: its own error says why.
                None => {
                    leader.stopping = true;
                    stop_by = Instant::now() + leader.options.drain_limit;
                }
            },
            Some(done) = leader.in_flight.next() => leader.settle(done).await?,
            () = tokio::time::sleep(patience) => {}
        }
    }
}

impl Leader {
    async fn start(term: Term) -> Result<Self, Error> {
        let epoch = term.lease.borrow().epoch;
        let names = StreamName::new(term.prefix, term.head.writer.clone());
        let publisher = Publisher {
            names,
            database_id: term.head.database_id.clone(),
            epoch,
        };
        let session = term.session;
        let (mut lanes, mut lane_backoffs) = (BTreeMap::new(), BTreeMap::new());
        for stored in pg::load_streams(&session, None).await? {
            let mut lane = Lane::new(stored.topic.clone(), stored.progress, stored.chain, stored.target);
            match stored.latest_action.as_str() {
                "set_aside" => lane.gate = Gate::SetAside,
                // Said under a leader before: when it takes entries again, that is said too.
                "blocked" => drop(lane_backoffs.insert(stored.topic.clone(), lane_backoff())),
                _ => {}
            }
            lanes.insert(stored.topic, lane);
        }
        let backoff = Backoff::new(term.options.backoff_min, term.options.backoff_max);
        Ok(Self {
            sink: term.sink,
            link: None,
            links: 0,
            reader: Arc::new(term.reader),
            session,
            head: term.head,
            publisher,
            options: term.options,
            lease: term.lease,
            standing: term.standing,
            lanes,
            in_flight: FuturesUnordered::new(),
            reads: 0,
            read_last: String::new(),
            stopping: false,
            backoff,
            breaker: Breaker::Closed,
            lane_backoffs,
        })
    }

    fn check_lease(&self) -> Result<(), Error> {
        if self.lease.borrow().is_trusted(Instant::now()) {
            return Ok(());
        }
        Err(Error::new(
            Kind::Tail(crate::tail::Kind::Superseded),
            "the lease could not be renewed in time: stepping down, another relay may lead",
        ))
    }

    /// Takes a cut: each lane learns how far the ledger goes for it.
    fn take(&mut self, cut: Cut) {
        let mut by_topic: BTreeMap<String, std::collections::VecDeque<Row>> = BTreeMap::new();
        for row in cut.rows {
            by_topic.entry(row.topic.clone()).or_default().push_back(row);
        }
        self.head.batch = cut.batch.clone();
        for share in cut.shares {
            let target = Place {
                batch_number: cut.batch.number,
                position: share.last_position,
            };
            let rows = by_topic.remove(&share.topic).unwrap_or_default();
            let portion = Portion {
                batch_number: cut.batch.number,
                batch_id: cut.batch.batch_id,
                rows,
            };
            let room = self.room();
            let lane = self.lanes.entry(share.topic.clone()).or_insert_with(|| {
                Lane::new(
                    share.topic.clone(),
                    Place::default(),
                    EntryId::MIN,
                    Place::default(),
                )
            });
            let bound = BoundShare {
                batch_number: cut.batch.number,
                batch_id: cut.batch.batch_id,
                snapshot: cut.batch.snapshot.clone(),
                before: cut.before.clone(),
                share,
            };
            lane.follow(target, bound, portion, room);
        }
    }

    fn room(&self) -> usize {
        let held: usize = self.lanes.values().map(Lane::held_bytes).sum();
        self.options.memory_bytes.saturating_sub(held)
    }

    /// Starts whatever can start. Once stopping, only what is held in memory goes out: the rest is the next leader's.
    async fn move_lanes(&mut self) -> Result<(), Error> {
        if self.link.is_none() && !self.stopping && self.breaker_may_try() {
            self.connect().await?;
        }
        let now = Instant::now();
        for lane in self.lanes.values_mut() {
            if let Gate::Blocked(until) = lane.gate
                && now >= until
            {
                lane.gate = Gate::Open;
            }
        }
        if !self.stopping {
            self.start_reads();
        }
        self.send_parcels().await
    }

    fn start_reads(&mut self) {
        let (rows, bytes) = (self.options.chunk_rows, self.options.chunk_bytes);
        let mut room = self.room();
        while self.reads < READS_IN_FLIGHT && room > 0 {
            let Some(topic) = self.next_to_read() else { return };
            let Some(lane) = self.lanes.get_mut(&topic) else {
                return;
            };
            lane.reading = true;
            self.reads += 1;
            // Each read may bring this much; it counts before it arrives.
            room = room.saturating_sub(bytes.unsigned_abs() as usize);
            self.in_flight
                .push(work::read(self.reader.clone(), lane, rows, bytes));
            self.read_last = topic;
        }
    }

    /// The next topic in turn that wants rows.
    fn next_to_read(&self) -> Option<String> {
        let last = self.read_last.as_str();
        let behind = (Bound::Excluded(last), Bound::Unbounded);
        let before = (Bound::Unbounded, Bound::Included(last));
        self.lanes
            .range::<str, _>(behind)
            .chain(self.lanes.range::<str, _>(before))
            .find(|(_, lane)| lane.wants_rows())
            .map(|(topic, _)| topic.clone())
    }

    async fn send_parcels(&mut self) -> Result<(), Error> {
        let Some(link) = self.link.clone() else {
            return Ok(());
        };
        let mut too_large = Vec::new();
        for lane in self.lanes.values_mut().filter(|lane| lane.wants_to_publish()) {
            if !self.breaker.admits(Instant::now()) {
                break;
            }
            let work = if lane.vetted {
                match pack(lane, &self.publisher, &self.options) {
                    Some(Packed::Parcel(parcel)) => work::publish(link.clone(), lane, parcel),
                    Some(Packed::TooLarge { bytes }) => {
                        too_large.push((lane.topic.clone(), bytes));
                        continue;
                    }
                    None => continue,
                }
            } else {
                let key = self.publisher.names.mark(&lane.topic);
                work::vet(link.clone(), lane.topic.clone(), key)
            };
            lane.publishing = true;
            self.breaker.sent();
            self.in_flight.push(work);
        }
        for (topic, bytes) in too_large {
            let why = format!(
                "the entry has {bytes} bytes, the sink takes {} (publish.max_entry_bytes); raise the limit and resume the topic, or skip the event",
                self.options.max_entry_bytes
            );
            self.halt(&topic, Halt::Rejected(why)).await?;
        }
        Ok(())
    }

    fn breaker_may_try(&self) -> bool {
        match self.breaker {
            Breaker::Open(until) => Instant::now() >= until,
            Breaker::Closed | Breaker::HalfOpen | Breaker::Probing => true,
        }
    }

    /// Connects to the sink and compares every stream with the ledger, before anything is sent.
    async fn connect(&mut self) -> Result<(), Error> {
        match self.connect_and_compare().await {
            Ok(()) => Ok(()),
            Err(error) if matches!(error.kind(), Kind::SinkDown | Kind::SinkUnfit) => {
                self.sink_failed(&error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn connect_and_compare(&mut self) -> Result<(), Error> {
        let sink: Arc<dyn SinkConnection> = self.sink.connect().await?.into();
        self.check_marks(sink.as_ref()).await?;
        self.links += 1;
        self.link = Some(Link {
            number: self.links,
            sink,
        });
        self.breaker.half_open();
        self.compare_chains().await?;
        if self.link.is_some() {
            self.standing.send_replace(Standing::Leading);
            metrics::gauge!(observe::PUBLISH_SINK_UP).set(1.0);
        }
        Ok(())
    }

    async fn check_marks(&mut self, connection: &dyn SinkConnection) -> Result<(), Error> {
        let topics: Vec<String> = self.lanes.keys().cloned().collect();
        let keys: Vec<String> = topics
            .iter()
            .map(|topic| self.publisher.names.mark(topic))
            .collect();
        if keys.is_empty() {
            return Ok(());
        }
        let marks = connection.marks(&keys).await?;
        self.compare_marks(topics.into_iter().zip(marks).collect()).await
    }

    /// A stream has one writing database, and its mark is of a batch that the ledger knows.
    async fn compare_marks(&mut self, marks: Vec<(String, Marked)>) -> Result<(), Error> {
        let ours = |marked: &Marked| match marked {
            Marked::By(mark) if mark.database_id == self.publisher.database_id => Some(mark.batch_id),
            _ => None,
        };
        let batches: Vec<u64> = marks.iter().filter_map(|(_, marked)| ours(marked)).collect();
        let unknown = pg::unknown_batches(&self.session, &batches).await?;
        for (topic, marked) in &marks {
            if let Some(batch_id) = ours(marked) {
                let key = self.publisher.names.mark(topic);
                ledger::verify_mark(&self.head, &key, batch_id, !unknown.contains(&batch_id))
                    .map_err(|refusal| Error::new(Kind::Refused, refusal.to_string()))?;
            }
        }
        for (topic, marked) in marks {
            self.vet(&topic, marked).await?;
        }
        Ok(())
    }

    /// Lets a stream move if it is ours or nobody's.
    async fn vet(&mut self, topic: &str, marked: Marked) -> Result<(), Error> {
        let Some(lane) = self.lanes.get_mut(topic) else {
            return Ok(());
        };
        lane.vetted = !matches!(marked, Marked::Unreadable(_));
        match marked {
            _ if lane.gate == Gate::SetAside => Ok(()),
            Marked::Never => Ok(()),
            Marked::By(mark) if mark.database_id == self.publisher.database_id => Ok(()),
            Marked::By(mark) => {
                let why = format!(
                    "stream {} is written by database {}, this is database {}: set outbox.settings.writer in one of them so that each has its own stream",
                    self.publisher.names.key(topic),
                    mark.database_id,
                    self.publisher.database_id
                );
                self.halt(topic, Halt::Rejected(why)).await
            }
            Marked::Unreadable(why) => self.halt(topic, Halt::Blocked(why)).await,
        }
    }

    /// Whether each quiet stream still holds the entry last confirmed.
    async fn compare_chains(&mut self) -> Result<(), Error> {
        let Some(link) = self.link.clone() else {
            return Ok(());
        };
        let quiet: Vec<(String, (String, EntryId))> = self
            .lanes
            .values()
            .filter(|lane| lane.gate == Gate::Open && !lane.publishing && lane.chain > EntryId::MIN)
            .map(|lane| {
                (
                    lane.topic.clone(),
                    (self.publisher.names.key(&lane.topic), lane.chain),
                )
            })
            .collect();
        if quiet.is_empty() {
            return Ok(());
        }
        let (topics, entries): (Vec<String>, Vec<(String, EntryId)>) = quiet.into_iter().unzip();
        let answers = match link.sink.holds(&entries).await {
            Ok(answers) => answers,
            Err(error) => {
                self.sink_failed(&error);
                return Ok(());
            }
        };
        for ((topic, (stream, id)), answer) in topics.iter().zip(&entries).zip(answers) {
            match answer {
                Predecessor::Present => {}
                Predecessor::Missing => {
                    let why =
                        format!("stream {stream} no longer holds entry {id}, which was confirmed before");
                    self.halt(topic, Halt::Lost(why)).await?;
                }
                Predecessor::Unreadable(why) => self.halt(topic, Halt::Blocked(why)).await?,
            }
        }
        Ok(())
    }

    /// The schedule: compares quiet streams, and looks for decisions of people.
    async fn compare(&mut self) -> Result<(), Error> {
        self.compare_chains().await?;
        let halted: Vec<String> = self
            .lanes
            .values()
            .filter(|lane| lane.gate != Gate::Open)
            .map(|lane| lane.topic.clone())
            .collect();
        metrics::gauge!(observe::PUBLISH_HALTED).set(halted.len() as f64);
        if halted.is_empty() {
            return Ok(());
        }
        for (topic, action) in pg::latest_actions(&self.session, &halted).await? {
            if action == "resume" || action == "skip" {
                self.reopen(&topic).await?;
            }
        }
        Ok(())
    }

    async fn reopen(&mut self, topic: &str) -> Result<(), Error> {
        let stored = pg::load_streams(&self.session, Some(topic)).await?;
        if let (Some(stored), Some(lane)) = (stored.into_iter().next(), self.lanes.get_mut(topic)) {
            tracing::info!(topic, action = stored.latest_action, "the stream goes on");
            lane.reopen(stored.progress, stored.chain);
            lane.vetted = false;
        }
        Ok(())
    }

    async fn settle(&mut self, done: Done) -> Result<(), Error> {
        match done {
            Done::Read {
                topic,
                stretch,
                found,
            } => {
                self.reads -= 1;
                self.take_rows(&topic, stretch, found?).await
            }
            Done::Vetted { topic, link, mark } => {
                if let Some(lane) = self.lanes.get_mut(&topic) {
                    lane.publishing = false;
                }
                match mark {
                    // Another connection has compared every stream since.
                    _ if !self.is_current(link) => Ok(()),
                    Ok(Some(mark)) => {
                        // The probe of a sink that had failed is answered as well.
                        self.breaker.half_open();
                        self.compare_marks(vec![(topic, mark)]).await
                    }
                    Ok(None) => {
                        self.sink_failed(&Error::new(Kind::SinkDown, "no answer about a mark"));
                        Ok(())
                    }
                    Err(error) => {
                        self.sink_failed(&error);
                        Ok(())
                    }
                }
            }
            Done::Published {
                topic,
                stretch,
                link,
                receipt,
            } => {
                if let Some(lane) = self.lanes.get_mut(&topic) {
                    lane.publishing = false;
                }
                match receipt {
                    Ok(receipt) => {
                        if self.is_current(link) {
                            self.breaker = Breaker::Closed;
                            self.backoff.reset();
                        }
                        self.confirm(&topic, stretch, settle(receipt)).await
                    }
                    Err(error) => {
                        metrics::counter!(observe::PUBLISH_RETRIES).increment(1);
                        // The others that were in flight with the first one to fail say nothing new: they neither end the
                        // connection made since nor make the pause longer.
                        if self.is_current(link) {
                            self.sink_failed(&error);
                        }
                        Ok(())
                    }
                }
            }
        }
    }

    fn is_current(&self, number: u64) -> bool {
        self.link.as_ref().is_some_and(|link| link.number == number)
    }

    async fn take_rows(
        &mut self,
        topic: &str,
        stretch: u64,
        found: Option<(BoundShare, Portion)>,
    ) -> Result<(), Error> {
        let Some(lane) = self.lanes.get_mut(topic) else {
            return Ok(());
        };
        lane.reading = false;
        if lane.gate != Gate::Open || lane.stretch() != stretch {
            return Ok(());
        }
        match found {
            Some((share, portion)) if !portion.rows.is_empty() => {
                lane.hold(portion);
                lane.reading_share = Some(share);
                Ok(())
            }
            _ => {
                let why = format!(
                    "the ledger has events of {topic} up to batch {} position {}, the log does not: rows are gone",
                    lane.target.batch_number, lane.target.position
                );
                self.halt(topic, Halt::Rejected(why)).await
            }
        }
    }

    async fn confirm(&mut self, topic: &str, stretch: u64, settled: Settled) -> Result<(), Error> {
        let Some(lane) = self.lanes.get_mut(topic).filter(|lane| lane.stretch() == stretch) else {
            return Ok(());
        };
        let confirmed = lane.confirm(settled.confirmed);
        metrics::counter!(observe::PUBLISH_EVENTS, "topic" => topic.to_owned())
            .increment(confirmed.len() as u64);
        if settled.repeated > 0 {
            metrics::counter!(observe::PUBLISH_REPEATED, "topic" => topic.to_owned())
                .increment(settled.repeated as u64);
        }
        if let Some(recorded) = confirmed.first().and_then(|row| row.event.recorded_at) {
            let delay = (time::OffsetDateTime::now_utc() - recorded)
                .as_seconds_f64()
                .max(0.0);
            metrics::histogram!(observe::PUBLISH_DELAY).record(delay);
        }
        match settled.halt {
            Some(halt) => self.halt(topic, halt).await,
            None => {
                if !confirmed.is_empty() && self.lane_backoffs.remove(topic).is_some() {
                    tracing::info!(topic, "the stream takes entries again");
                    pg::block(
                        &self.session,
                        topic,
                        "unblocked",
                        "the stream takes entries again",
                    )
                    .await?;
                }
                Ok(())
            }
        }
    }

    /// The sink as a whole failed: everything in flight is unknown, the next connection finds out.
    fn sink_failed(&mut self, error: &Error) {
        if self.link.take().is_some() || matches!(self.breaker, Breaker::Closed) {
            tracing::warn!(%error, advice = error.advice(), "the sink failed; everything waits");
        }
        let pause = self.backoff.pause();
        self.breaker = Breaker::Open(Instant::now() + pause);
        metrics::gauge!(observe::PUBLISH_SINK_UP).set(0.0);
        self.standing.send_replace(Standing::Waiting {
            cause: format!("{error}; {}", error.advice()),
        });
    }

    /// One stream stops; the others go on.
    async fn halt(&mut self, topic: &str, halt: Halt) -> Result<(), Error> {
        // A refused entry means loss only to the present leader: a zombie sees its successor's entries.
        self.check_lease()?;
        let epoch = self.publisher.epoch;
        let Some(lane) = self.lanes.get_mut(topic) else {
            return Ok(());
        };
        match halt {
            Halt::Blocked(why) => {
                let backoff = self
                    .lane_backoffs
                    .entry(topic.to_owned())
                    .or_insert_with(lane_backoff);
                lane.halt(Gate::Blocked(Instant::now() + backoff.pause()));
                tracing::warn!(
                    topic,
                    why,
                    "the stream refuses entries; tried again by itself, the others go on"
                );
                pg::block(&self.session, topic, "blocked", &why).await?;
            }
            Halt::Rejected(why) | Halt::Lost(why) => {
                metrics::counter!(observe::PUBLISH_REJECTED, "topic" => topic.to_owned()).increment(1);
                let next = lane
                    .next_event()
                    .map(|(place, row)| (place, row.event.id.clone()));
                let (at, event_id) = next.map_or((lane.progress, None), |(place, id)| (place, Some(id)));
                let come = pg::Come::from(&*lane);
                lane.halt(Gate::SetAside);
                lane.dirty = false;
                tracing::error!(
                    topic,
                    why,
                    "the topic is set aside until a person decides; the others go on"
                );
                pg::set_aside(&self.session, &come, epoch, at, event_id.as_deref(), &why).await?;
            }
        }
        Ok(())
    }

    async fn record_progress(&mut self) -> Result<(), Error> {
        let come: Vec<pg::Come> = self
            .lanes
            .values_mut()
            .filter_map(|lane| std::mem::take(&mut lane.dirty).then(|| pg::Come::from(&*lane)))
            .collect();
        if come.is_empty() {
            return Ok(());
        }
        pg::record_progress(&self.session, &come, self.publisher.epoch).await?;
        Ok(())
    }

    /// Nothing in flight and nothing held that could move.
    fn is_idle(&self) -> bool {
        let stuck = |lane: &Lane| lane.held_bytes() == 0 || lane.gate != Gate::Open;
        self.in_flight.is_empty() && (self.link.is_none() || self.lanes.values().all(stuck))
    }

    /// How long nothing can happen by itself.
    fn until_next_try(&self) -> Duration {
        let now = Instant::now();
        let sink = match self.breaker {
            Breaker::Open(until) => Some(until),
            _ => None,
        };
        let lanes = self.lanes.values().filter_map(|lane| match lane.gate {
            Gate::Blocked(until) => Some(until),
            _ => None,
        });
        lanes
            .chain(sink)
            .map(|until| until.saturating_duration_since(now))
            .min()
            .unwrap_or(Duration::from_secs(1))
    }
}

/// For a stream that refuses entries: it was asked a moment ago, and what is wrong is mended by people.
fn lane_backoff() -> Backoff {
    Backoff::new(Duration::from_secs(1), Duration::from_secs(30))
}
