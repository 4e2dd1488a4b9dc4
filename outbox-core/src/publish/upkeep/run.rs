//! Drives the upkeep of streams during a leader's term: looks now and then, until the term ends.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::holes::Judged;
use super::survey::Surveys;
use crate::publish::redis::{RedisSink, Streams};
use crate::publish::{Error, Kind, StreamName};
use crate::tail;
use crate::tail::StreamId;
use crate::tail::lease::Lease;
use crate::tail::pg::{Dial, Session};
use crate::tail::reissue::Order;

/// How often it is looked for what groups miss: one small question at the sink. What streams lost and what people ask for is known
/// without one, and asked for when there is something.
const LOOK_FOR_HOLES: Duration = Duration::from_secs(1);
/// How often it is asked all the same what streams lost: a leader from before this one may have said so late.
const LOOK_FOR_LOSSES: Duration = Duration::from_secs(60);

/// What upkeep needs.
pub struct Parts {
    /// Where the streams are.
    pub sink: RedisSink,
    /// How to connect to the database.
    pub dial: Dial,
    /// The longest that a statement may take.
    pub statement_limit: Duration,
    /// Whether a transaction pooler may be in between.
    pub pooled: bool,
    /// Prefix of keys at the sink.
    pub prefix: String,
    /// What streams and marks are called.
    pub names: StreamName,
    /// Identity of this database, as in the marks.
    pub database_id: String,
    /// The lease, as it is renewed.
    pub lease: watch::Receiver<Lease>,
    /// Whether a stream stands still, as the publisher has it.
    pub halted: watch::Receiver<bool>,
    /// Where re-issues are ordered: only the tail writes the ledger.
    pub orders: mpsc::Sender<Order>,
    /// How often streams are looked at.
    pub look_every: Duration,
}

/// What upkeep remembers from one look to the next. All of it can be found again.
pub(super) struct Upkeep {
    pub(super) parts: Parts,
    /// Streams with which something is wrong, and what: it is said once.
    pub(super) troubles: BTreeMap<String, String>,
    /// What was made of each hole: by stream and group.
    pub(super) holes: BTreeMap<(String, String), Judged>,
    /// Whether holes were forgotten that nobody asks for any more.
    pub(super) has_closed: bool,
    /// When a stream that lost its end could not be repaired.
    pub(super) refused_at: BTreeMap<StreamId, Instant>,
    /// Streams that are being measured.
    pub(super) surveys: Surveys,
    /// How often an order of a person failed.
    pub(super) failed_orders: BTreeMap<i64, u32>,
    /// A person's order waits, as far as is known: it is looked at with the holes.
    pub(super) knows_orders: bool,
    /// When it was last asked what streams lost.
    pub(super) losses_at: Option<Instant>,
    /// A re-issue may be running: one that a leader before began, or one of this term.
    pub(super) is_repairing: bool,
    /// The topics of those that were, and when that was told.
    pub(super) repairing: Vec<String>,
    pub(super) told_at: Option<Instant>,
}

/// The connections; given up when one of them fails.
pub(super) struct Round {
    pub(super) session: Session,
    pub(super) streams: Streams,
}

/// Looks after the streams until the token is cancelled. Trouble is logged and tried again.
pub async fn run(parts: Parts, token: CancellationToken) {
    let ticks = [parts.look_every, LOOK_FOR_HOLES].map(tokio::time::interval);
    let [mut look, mut holes] = ticks.map(|mut tick| {
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tick
    });
    let mut upkeep = Upkeep {
        parts,
        troubles: BTreeMap::new(),
        holes: BTreeMap::new(),
        has_closed: false,
        refused_at: BTreeMap::new(),
        surveys: Surveys::default(),
        failed_orders: BTreeMap::new(),
        knows_orders: false,
        losses_at: None,
        is_repairing: true,
        repairing: Vec::new(),
        told_at: None,
    };
    let mut round: Option<Round> = None;
    let mut news = upkeep.parts.lease.clone();
    loop {
        let is_for_holes = tokio::select! {
            _ = look.tick() => false,
            _ = holes.tick() => true,
            // Somebody asked for something: the holes are looked at with it, and no sooner again. It is known from here on, also if
            // the look fails: this would be ready again at once, and each try opens connections.
            Ok(_) = news.wait_for(|lease| lease.news.orders_wait), if !upkeep.knows_orders => {
                upkeep.knows_orders = true;
                holes.reset();
                true
            }
            () = token.cancelled() => return,
        };
        let looked = tokio::select! {
            looked = upkeep.look_once(round.take(), is_for_holes) => looked,
            () = token.cancelled() => return,
        };
        match looked {
            Ok(ready) => round = Some(ready),
            Err(error) => {
                tracing::warn!(%error, advice = error.advice(), "looking after the streams failed; tried again later");
            }
        }
    }
}

impl Upkeep {
    async fn look_once(&mut self, round: Option<Round>, is_for_holes: bool) -> Result<Round, Error> {
        self.check_lease()?;
        let round = match round {
            Some(round) => round,
            None => self.open().await?,
        };
        if is_for_holes {
            let is_due = self.losses_at.is_none_or(|at| at.elapsed() >= LOOK_FOR_LOSSES);
            if is_due || *self.parts.halted.borrow() {
                self.look_at_losses(&round).await?;
                self.losses_at = Some(Instant::now());
            }
            self.look_at_holes(&round).await?;
            self.knows_orders = self.parts.lease.borrow().news.orders_wait;
            if self.knows_orders {
                self.look_at_orders(&round).await?;
            }
            self.tell_progress(&round).await?;
        } else {
            self.look_at_streams(&round).await?;
        }
        Ok(round)
    }

    async fn open(&self) -> Result<Round, Error> {
        let parts = &self.parts;
        Ok(Round {
            session: Session::open(&parts.dial, "streams", parts.pooled, parts.statement_limit).await?,
            streams: parts.sink.streams().await?,
        })
    }

    pub(super) fn epoch(&self) -> i64 {
        self.parts.lease.borrow().epoch
    }

    /// What may harm when two do it is done under the lease only.
    pub(super) fn check_lease(&self) -> Result<(), Error> {
        if self.parts.lease.borrow().is_trusted(Instant::now()) {
            return Ok(());
        }
        Err(Error::new(
            Kind::Tail(tail::Kind::Superseded),
            "the lease could not be renewed in time: the streams are the next leader's",
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::publish::redis::Limits;
    use crate::tail::lease::News;

    #[tokio::test]
    async fn an_order_that_waits_while_nothing_can_be_reached_is_no_reason_to_try_without_a_pause() {
        // GIVEN a leader whose connections are refused, and an order that waits
        let news = News {
            asked: Instant::now(),
            ledger_end: 1,
            orders_wait: true,
        };
        let (_lease, lease) = watch::channel(Lease::granted(1, news, Duration::from_secs(3_600)));
        let (_halted, halted) = watch::channel(false);
        let (orders, _orders) = mpsc::channel(1);
        let token = CancellationToken::new();
        let (tries, enough) = (Arc::new(AtomicU32::new(0)), token.clone());
        let dial: Dial = Arc::new(move |_| {
            if tries.fetch_add(1, Ordering::SeqCst) >= 5 {
                enough.cancel();
            }
            Box::pin(async { Err("refused".into()) })
        });
        let client = redis::Client::open("redis://127.0.0.1:1").expect("an address");
        let parts = Parts {
            sink: RedisSink::new(client, Limits::default()),
            dial,
            statement_limit: Duration::from_secs(30),
            pooled: false,
            prefix: "outbox:".to_owned(),
            names: StreamName::new("outbox:", None),
            database_id: "d".to_owned(),
            lease,
            halted,
            orders,
            look_every: Duration::from_secs(30),
        };
        // WHEN it has tried six times
        let began = Instant::now();
        run(parts, token).await;
        // THEN three of them are one look each, and the others came a pause apart
        let took = began.elapsed();
        assert!(took > LOOK_FOR_HOLES * 2, "{took:?}");
    }
}
