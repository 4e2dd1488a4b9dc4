//! Drives the tail: cuts batch after batch, sleeps on the doorbell in between, and hands each cut on.
//!
//! Runs as a task of its own, so that no cut is ever abandoned half way by whoever waits for it. The channel to the
//! publisher holds one cut: when the publisher is busy, rows gather in the database and make a larger next batch.

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::batch::{Batch, Cut};
use super::doorbell::{Doorbell, Seen, Step};
use super::layout::Laid;
use super::lease::Lease;
use super::ledger::{self, Head, Refusal};
use super::look::{Found, Sight, wake_up};
use super::pg::cut::{self, CutBounds};
use super::pg::{Dial, Session, lay, reissue};
use super::reissue::Order;
use super::{Error, Kind, Options};
use crate::observe;

/// How often it is looked for topics that should have more partitions, where a notification says so at once.
const LAY_EVERY: Duration = Duration::from_secs(60);

/// A tail at the end of a ledger that was verified.
pub struct Tail {
    session: Session,
    head: Batch,
    bounds: CutBounds,
    bell: Doorbell,
    /// A ring came, and no rows so far.
    rung: bool,
    /// The doorbell's lock is to be given back: with the look that follows the ring, in the same round trip.
    waking: bool,
    sight: Sight,
    /// When to look for topics without new events that should have more partitions.
    lay_at: Instant,
    lay_every: Duration,
    /// How soon after a ring that brought rows: it may have been about a topic besides.
    lay_soon: Duration,
    /// What came with the lease: where the ledger ends, among other things.
    lease: watch::Receiver<Lease>,
    /// When this tail last wrote to the ledger.
    wrote_at: Instant,
    orders: mpsc::Receiver<Order>,
    ordered: Option<Order>,
}

impl Tail {
    /// Connects, takes re-issues from `orders`, verifies that the ledger's history is the server's, and proves that notifications arrive.
    ///
    /// # Errors
    /// No connection, or a [`super::ledger::Refusal`] as [`Kind::Refused`].
    pub async fn open(
        dial: &Dial,
        options: &Options,
        lease: watch::Receiver<Lease>,
        orders: mpsc::Receiver<Order>,
    ) -> Result<(Self, Head), Error> {
        let epoch = lease.borrow().epoch;
        let mut session = Session::open(dial, "tail", options.pooled, options.statement_limit).await?;
        let head = cut::read_head(&session).await?;
        if let Err(refusal) = verify(&session, &head, epoch).await? {
            return Err(Error::new(Kind::Refused, refusal.to_string()));
        }
        let listening = options.listen && session.listen("outbox", options.slow_poll).await?;
        if listening {
            // A lock that is not ours to take away costs sleep, and must not cost the lead: anybody may hold it.
            match cut::end_old_sleeper(&session).await {
                Err(error) if error.kind() == Kind::Statement => {
                    tracing::warn!(%error, "another role's session holds the doorbell's lock: polling until it lets go");
                }
                ended => ended?,
            }
        } else if options.listen {
            tracing::warn!("notifications do not arrive on this connection (a pooler?): polling instead");
        }
        let bounds = CutBounds {
            era: head.era,
            floor: head.position_floor,
            epoch,
            rows: options.first_rows,
            bytes: options.first_bytes,
        };
        let bell = Doorbell::new(listening, options.slow_poll, options.pace, options.doze);
        Ok((
            Self {
                session,
                head: head.batch.clone(),
                bounds,
                bell,
                rung: true,
                waking: false,
                sight: Sight::default(),
                lay_at: Instant::now(),
                lay_every: if listening {
                    options.slow_poll.max(LAY_EVERY)
                } else {
                    options.slow_poll
                },
                lay_soon: options.slow_poll,
                lease,
                wrote_at: Instant::now(),
                orders,
                ordered: None,
            },
            head,
        ))
    }

    /// Cuts until the token is cancelled or something fails; each cut goes to `cuts`.
    ///
    /// # Errors
    /// Whatever a statement fails with; the caller reads the ledger anew before it goes on.
    pub async fn run(mut self, cuts: mpsc::Sender<Cut>, token: CancellationToken) -> Result<(), Error> {
        let mut step = Step::Look;
        loop {
            let seen = match step {
                Step::Look => self.look(&cuts, &token).await?,
                Step::TrySleep if cut::try_sleep(&self.session).await? => Seen::Locked,
                Step::TrySleep => Seen::InFlight,
                Step::Doze(pause) => self.pause(pause, &token).await?,
                Step::Sleep(floor) => self.sleep(floor, &token).await?,
            };
            if let Some(order) = self.ordered.take().or_else(|| self.orders.try_recv().ok()) {
                self.cut_again(order, &cuts, &token).await?;
            }
            if token.is_cancelled() || cuts.is_closed() {
                return Ok(());
            }
            step = self.bell.after(seen);
        }
    }

    async fn look(&mut self, cuts: &mpsc::Sender<Cut>, token: &CancellationToken) -> Result<Seen, Error> {
        let asleep = self.bell.is_asleep();
        let rung = std::mem::take(&mut self.rung);
        let waking = std::mem::take(&mut self.waking);
        let (session, head, bounds) = (&self.session, &self.head, self.bounds);
        // The lock is given back before the next look or cut, in the same round trip. Where plans are made anew it is given back behind it:
        // what that finds is the same, and who appends during it rings once more than needed.
        let (mut is_awake, mut found) = (!asleep && !waking, Ok(None));
        let seen = if rung {
            let (woken, seen) = tokio::join!(
                wake_up(session, !is_awake),
                self.sight.look(session, head, bounds, rung)
            );
            woken?;
            is_awake = true;
            seen?
        } else {
            self.sight.look(session, head, bounds, rung).await?
        };
        let is_expected = rung || !matches!(seen, Found::Nothing);
        if is_expected {
            let (woken, cut) = tokio::join!(
                wake_up(session, !is_awake),
                self.sight.cut(session, head, bounds, seen)
            );
            woken?;
            found = cut;
        }
        let found = match found {
            Err(error) if error.kind() == Kind::LayoutDue => self.lay().await?,
            Ok(None) if rung || Instant::now() >= self.lay_at => self.lay().await?,
            found => found?,
        };
        let Some(cut) = found else {
            self.compare_ledger().await?;
            // Without the lock nobody rings: it is taken again before any sleep.
            return Ok(if asleep && is_expected {
                Seen::Ring
            } else {
                Seen::Nothing
            });
        };
        if rung {
            self.lay_at = self.lay_at.min(Instant::now() + self.lay_soon);
        }
        wake_up(&self.session, asleep && !is_expected).await?;
        let events = cut.batch.event_count;
        self.sight.found(events);
        self.wrote_at = Instant::now();
        self.head = cut.batch.clone();
        metrics::counter!(observe::TAIL_BATCHES).increment(1);
        metrics::counter!(observe::TAIL_EVENTS).increment(events.unsigned_abs());
        if cut.laid.is_none() {
            metrics::histogram!(observe::TAIL_BATCH_SIZE).record(events as f64);
        }
        tokio::select! {
            sent = cuts.send(cut) => drop(sent),
            () = token.cancelled() => {}
        }
        Ok(Seen::Rows(events))
    }

    /// Whether the ledger still ends where this tail left it. A cut that is refused would say so, and where nothing is appended
    /// there is none: what a leader from before this one put in the ledger, when its lease was over, would wait for that. The lease
    /// brings where the ledger ends; only what does not fit is asked again, since this tail may have written meanwhile.
    async fn compare_ledger(&mut self) -> Result<(), Error> {
        let (ours, news) = (self.head.number, self.lease.borrow().news);
        if news.ledger_end == ours || news.asked <= self.wrote_at {
            return Ok(());
        }
        let end = cut::read_end(&self.session).await?;
        if end == ours {
            return Ok(());
        }
        Err(Error::new(
            Kind::Superseded,
            format!(
                "the ledger ends with batch {end}, and this relay knows it up to {ours}: another one that led before wrote to it; \
                 the term begins again from there"
            ),
        ))
    }

    /// Lays the partitions of a topic that should have more than it has. A topic of which nothing is appended is not in any cut:
    /// hence also after a ring that brought no rows, and now and then.
    async fn lay(&mut self) -> Result<Option<Cut>, Error> {
        self.lay_at = Instant::now() + self.lay_every;
        let laid = lay::lay_partitions(&self.session, &self.head, self.bounds).await?;
        if let Some(Laid {
            topic,
            generation,
            before,
            ..
        }) = laid.as_ref().and_then(|cut| cut.laid.as_ref())
        {
            tracing::info!(
                topic,
                before,
                partitions = generation.partitions,
                "a topic has more partitions from here on"
            );
        }
        Ok(laid)
    }

    /// Puts a stream out again from behind an entry that was kept.
    async fn cut_again(
        &mut self,
        order: Order,
        cuts: &mpsc::Sender<Cut>,
        token: &CancellationToken,
    ) -> Result<(), Error> {
        let cut = reissue::cut_reissue(&self.session, &self.head, self.bounds, &order).await?;
        let number = cut.as_ref().map(|cut| cut.batch.number);
        if let Some(cut) = cut {
            self.wrote_at = Instant::now();
            self.head = cut.batch.clone();
            tokio::select! {
                sent = cuts.send(cut) => drop(sent),
                () = token.cancelled() => {}
            }
        }
        // Who ordered it may be gone; the ledger says that it was done.
        order.done.send(number).ok();
        Ok(())
    }

    async fn pause(&mut self, pause: Duration, token: &CancellationToken) -> Result<Seen, Error> {
        tokio::select! {
            () = nap(pause) => {}
            Some(order) = self.orders.recv() => self.ordered = Some(order),
            () = token.cancelled() => {}
        }
        Ok(Seen::Timeout)
    }

    async fn sleep(&mut self, floor: Duration, token: &CancellationToken) -> Result<Seen, Error> {
        tokio::select! {
            ring = self.session.ring() => match ring {
                Some(_) => {
                    metrics::counter!(observe::TAIL_WAKE_UPS, "cause" => "ring").increment(1);
                    (self.rung, self.waking) = (true, true);
                    Ok(Seen::Ring)
                }
                None => Err(Error::new(Kind::Connection, "lost the connection to Postgres while asleep")),
            },
            // Nobody rang: a look follows without giving the lock back.
            Some(order) = self.orders.recv() => {
                self.ordered = Some(order);
                Ok(Seen::Timeout)
            }
            () = tokio::time::sleep(floor) => {
                metrics::counter!(observe::TAIL_WAKE_UPS, "cause" => "slow_poll").increment(1);
                Ok(Seen::Timeout)
            }
            () = token.cancelled() => Ok(Seen::Timeout),
        }
    }
}

/// The runtime's timer knows whole milliseconds only and is never early: a pause of one takes two.
const COARSE: Duration = Duration::from_millis(4);

async fn nap(pause: Duration) {
    if pause >= COARSE {
        return tokio::time::sleep(pause).await;
    }
    if !pause.is_zero() {
        // Awaited for its end alone: a thread that could not be had is no pause.
        drop(tokio::task::spawn_blocking(move || std::thread::sleep(pause)).await);
    }
}

/// May this relay go on from there? What would not be seen again is kept before it is said.
async fn verify(session: &Session, head: &Head, epoch: i64) -> Result<Result<(), Refusal>, Error> {
    let keep = async |refusal: &Refusal| {
        if let Err(error) = cut::record_refusal(session, refusal, epoch).await {
            tracing::error!(%error, "the refusal could not be kept: the next term looks again");
        }
    };
    if let Err(refusal) = ledger::verify(head) {
        if ledger::is_to_be_kept(head, &refusal) {
            keep(&refusal).await;
        }
        return Ok(Err(refusal));
    }
    let Some(refusal) = cut::find_passed_over(session).await? else {
        return Ok(Ok(()));
    };
    keep(&refusal).await;
    Ok(Err(refusal))
}
