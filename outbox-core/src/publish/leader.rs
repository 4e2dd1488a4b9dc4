//! A leader's state: one lane per stream, what is in flight, and the two ends it works between.
//!
//! All of it is owned by the loop in [`super::run`]; what it does is told in `feed`, `send`, `compare` and `halt`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;

use super::lane::{Gate, Lane};
use super::opening::Openings;
use super::pace::Pace;
use super::parcel::Publisher;
use super::retry::{Backoff, Breaker};
use super::search::Search;
use super::sink::Sink;
use super::term::Term;
use super::work::{Done, Link};
use super::{Error, Kind, Options, StreamName, pg};
use crate::standing::Standing;
use crate::tail::StreamId;
use crate::tail::layout::Layout;
use crate::tail::lease::Lease;
use crate::tail::ledger::Head;
use crate::tail::pg::Session;

/// The state of a term.
pub(super) struct Leader {
    pub(super) sink: Arc<dyn Sink>,
    pub(super) link: Option<Link>,
    pub(super) links: u64,
    pub(super) reader: Arc<Session>,
    pub(super) session: Session,
    pub(super) head: Head,
    pub(super) publisher: Publisher,
    pub(super) options: Options,
    pub(super) lease: watch::Receiver<Lease>,
    pub(super) standing: watch::Sender<Standing>,
    pub(super) compared: watch::Sender<bool>,
    pub(super) halted: watch::Sender<bool>,
    pub(super) lanes: BTreeMap<StreamId, Lane>,
    pub(super) in_flight: FuturesUnordered<BoxFuture<'static, Done>>,
    pub(super) reads: usize,
    /// What the reads in flight are expected to bring, in bytes.
    pub(super) expected_bytes: usize,
    /// The most that one read brought: an event may be larger than a chunk.
    pub(super) widest: usize,
    /// The streams read and sent last: the next ones come behind them, so that none waits for those before it in the alphabet.
    pub(super) read_last: StreamId,
    pub(super) sent_last: StreamId,
    pub(super) stopping: bool,
    pub(super) backoff: Backoff,
    pub(super) breaker: Breaker,
    pub(super) lane_backoffs: BTreeMap<StreamId, Backoff>,
    /// Of each topic that has partitions.
    pub(super) layouts: BTreeMap<String, Layout>,
    /// Topics of which the sink does not say yet how many they have.
    pub(super) unannounced: BTreeSet<String>,
    /// For marks of streams that this database does not know.
    pub(super) search: Search,
    /// What must be on their streams first.
    pub(super) openings: Openings,
    /// How often quiet streams were compared, and what was read for that beyond what one round may.
    pub(super) round: u64,
    pub(super) owed: u64,
    /// Of what is put out again.
    pub(super) pace: Pace,
    /// When it was read how long entries stay.
    pub(super) retentions_at: Instant,
}

impl Leader {
    pub(super) async fn start(term: Term) -> Result<Self, Error> {
        let epoch = term.lease.borrow().epoch;
        let names = StreamName::new(term.prefix, term.head.writer.clone());
        let publisher = Publisher {
            names,
            database_id: term.head.database_id.clone(),
            epoch,
            retentions: pg::load_retentions(&term.session).await?,
        };
        let session = term.session;
        let (mut lanes, mut lane_backoffs) = (BTreeMap::new(), BTreeMap::new());
        for stored in pg::load_streams(&session, None).await? {
            let mut lane = Lane::new(
                stored.stream.clone(),
                stored.progress,
                stored.chain,
                stored.target,
            );
            lane.kept = stored.kept;
            lane.floor = stored.floor;
            match stored.latest_action.as_str() {
                "set_aside" | "lost" => lane.gate = Gate::SetAside,
                // Said under a leader before: when it takes entries again, that is said too.
                "blocked" => drop(lane_backoffs.insert(stored.stream.clone(), Backoff::of_lane())),
                _ => {}
            }
            lanes.insert(stored.stream, lane);
        }
        // Behind the streams: what they should come to was cut by a layout that is among these.
        let layouts = pg::load_layouts(&session).await?;
        let mut openings = Openings::default();
        for (topic, layout) in &layouts {
            openings.look(topic, layout, &lanes);
        }
        let pace = Pace::new(term.options.reissue_rate);
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
            compared: term.compared,
            halted: term.halted,
            lanes,
            in_flight: FuturesUnordered::new(),
            reads: 0,
            expected_bytes: 0,
            widest: 0,
            read_last: StreamId::default(),
            sent_last: StreamId::default(),
            stopping: false,
            backoff,
            breaker: Breaker::Closed,
            lane_backoffs,
            layouts,
            unannounced: BTreeSet::new(),
            search: Search::default(),
            openings,
            round: 0,
            owed: 0,
            pace,
            retentions_at: Instant::now(),
        })
    }

    pub(super) fn check_lease(&self) -> Result<(), Error> {
        if self.lease.borrow().is_trusted(Instant::now()) {
            return Ok(());
        }
        Err(Error::new(
            Kind::Tail(crate::tail::Kind::Superseded),
            "the lease could not be renewed in time: stepping down, another relay may lead",
        ))
    }

    pub(super) fn has_progress(&self) -> bool {
        self.lanes.values().any(|lane| lane.dirty)
    }

    pub(super) async fn record_progress(&mut self) -> Result<(), Error> {
        let come: Vec<pg::Come> = self
            .lanes
            .values_mut()
            .filter_map(|lane| std::mem::take(&mut lane.dirty).then(|| pg::Come::from(&*lane)))
            .collect();
        if come.is_empty() {
            return Ok(());
        }
        crash_point!(PROGRESS_BEFORE_RECORD);
        pg::record_progress(&self.session, &come, self.publisher.epoch).await?;
        crash_point!(PROGRESS_RECORDED);
        Ok(())
    }

    /// The next stream behind `last` whose lane wants something, beginning again at the end.
    pub(super) fn next_in_turn(&self, last: &StreamId, wants: impl Fn(&Lane) -> bool) -> Option<StreamId> {
        let behind = (Bound::Excluded(last), Bound::Unbounded);
        let before = (Bound::Unbounded, Bound::Included(last));
        self.lanes
            .range::<StreamId, _>(behind)
            .chain(self.lanes.range::<StreamId, _>(before))
            .find(|(_, lane)| wants(lane))
            .map(|(stream, _)| stream.clone())
    }

    /// Nothing in flight and nothing held that could move.
    pub(super) fn is_idle(&self) -> bool {
        let now = Instant::now();
        let stuck = |lane: &Lane| {
            lane.held_bytes() == 0
                || lane.gate != Gate::Open
                || !self.openings.admits(lane)
                || lane.is_again() && !self.pace.admits(now)
        };
        self.in_flight.is_empty() && (self.link.is_none() || self.lanes.values().all(stuck))
    }

    /// How long nothing can happen by itself.
    pub(super) fn until_next_try(&self) -> Duration {
        let now = Instant::now();
        let sink = match self.breaker {
            // Once stopping, nobody connects any more.
            Breaker::Open(until) if !self.stopping => Some(until),
            _ => None,
        };
        let lanes = self.lanes.values().filter_map(|lane| match lane.gate {
            Gate::Blocked(until) => Some(until),
            _ => None,
        });
        let again = self.pace.free_at().filter(|free_at| *free_at > now);
        lanes
            .chain(sink)
            .chain(again)
            .map(|until| until.saturating_duration_since(now))
            .min()
            .unwrap_or(Duration::from_secs(1))
    }
}
