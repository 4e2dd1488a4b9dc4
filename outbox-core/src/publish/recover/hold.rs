//! Holds the leases while a recovery is at work: a task renews them on a connection of its own, however long a step takes.
//!
//! **Invariants.** The epoch is the same from the first step to the last. Whoever writes the era checks it there once more, under a
//! lock: what is known here is only known as of the last renewal.
//!
//! **How it fails.** Not renewed in time, the work is refused its next step; a process that ends lets them run out.

use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::inspect::Ends;
use super::pg;
use crate::publish::{Error, Kind};
use crate::tail;
use crate::tail::pg::{Dial, Session, leases};

/// How long the leases run: what a recovery that was killed keeps others waiting.
const LEASE: Duration = Duration::from_secs(20);
/// How often they are renewed.
const RENEW_EVERY: Duration = Duration::from_secs(4);
/// The longest that one renewal may take.
const RENEW_LIMIT: Duration = Duration::from_secs(5);
/// A relay that refuses takes the leases for a moment every few seconds. One that leads keeps them.
const PATIENCE: Duration = Duration::from_secs(10);
/// How a holder's name begins that is a recovery.
pub(super) const HOLDER: &str = "recover/";

/// The leases, held.
pub(super) struct Hold {
    /// Of both leases.
    pub(super) epoch: i64,
    lost: watch::Receiver<Option<String>>,
    end: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Hold {
    /// Takes the leases, and waits for who lets go of them soon: a relay that refuses, or a recovery that was killed.
    pub(super) async fn take(ends: &Ends, holder: &str) -> Result<Self, Error> {
        let session = ends.session(RENEW_LIMIT).await?;
        let begun = Instant::now();
        let epoch = loop {
            if let Some(lease) = leases::take(&session, holder, LEASE, None).await? {
                break lease.epoch;
            }
            let holders = pg::holders(&session).await?;
            let patience = if holders.starts_with(HOLDER) {
                LEASE + RENEW_EVERY
            } else {
                PATIENCE
            };
            if begun.elapsed() >= patience {
                return Err(Error::new(
                    Kind::Refused,
                    format!(
                        "a relay leads, or another recovery is at work ({holders}): stop every relay of this database first"
                    ),
                ));
            }
            let remaining = leases::remaining(&session).await?;
            tokio::time::sleep(remaining.clamp(Duration::from_millis(20), Duration::from_millis(200))).await;
        };
        let (say, lost) = watch::channel(None);
        let (end, ended) = oneshot::channel();
        let renewing = Renewing {
            dial: ends.dial.clone(),
            pooled: ends.pooled,
            holder: holder.to_owned(),
            epoch,
        };
        let task = tokio::spawn(async move { renewing.run(session, ended, &say).await });
        Ok(Self {
            epoch,
            lost,
            end: Some(end),
            task,
        })
    }

    /// Are they still ours, as far as is known?
    pub(super) fn check(&self) -> Result<(), Error> {
        match &*self.lost.borrow() {
            None => Ok(()),
            Some(why) => Err(Error::new(Kind::Tail(tail::Kind::Superseded), why.clone())),
        }
    }

    /// Gives them back. Where that fails they run out by themselves.
    pub(super) async fn release(mut self) {
        drop(self.end.take());
        if let Err(error) = (&mut self.task).await {
            tracing::warn!(%error, "could not give the leases back; they run out by themselves");
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Renewing {
    dial: Dial,
    pooled: bool,
    holder: String,
    epoch: i64,
}

impl Renewing {
    async fn run(
        self,
        session: Session,
        mut ended: oneshot::Receiver<()>,
        say: &watch::Sender<Option<String>>,
    ) {
        let mut session = Some(session);
        let mut renewed = Instant::now();
        loop {
            tokio::select! {
                _ = &mut ended => break,
                () = tokio::time::sleep(RENEW_EVERY) => {}
            }
            match self.renew(&mut session).await {
                Ok(true) => renewed = Instant::now(),
                Ok(false) => {
                    say.send_replace(Some(
                        "the leases ran out and another process took them: stop it, and run this again"
                            .to_owned(),
                    ));
                    return;
                }
                Err(error) if renewed.elapsed() < LEASE => {
                    tracing::warn!(%error, "could not renew the leases; tried again");
                    session = None;
                }
                Err(error) => {
                    say.send_replace(Some(format!(
                        "the leases could not be renewed and ran out ({error}): run this again"
                    )));
                    return;
                }
            }
        }
        if let Some(session) = &session
            && let Err(error) = leases::release(session, &self.holder).await
        {
            tracing::warn!(%error, "could not give the leases back; they run out by themselves");
        }
    }

    /// Whether they are still of the same epoch.
    async fn renew(&self, session: &mut Option<Session>) -> Result<bool, tail::Error> {
        let open = match session.take() {
            Some(open) => open,
            None => Session::open(&self.dial, "recover", self.pooled, RENEW_LIMIT).await?,
        };
        let lease = leases::take(&open, &self.holder, LEASE, None).await?;
        *session = Some(open);
        Ok(lease.is_some_and(|lease| lease.epoch == self.epoch))
    }
}
