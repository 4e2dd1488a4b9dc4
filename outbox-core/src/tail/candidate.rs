//! Stands for the lead: waits for both leases, leads while they last, gives them back at the end.
//!
//! The database decides, on its own clock ([`super::lease`]). The lease has a connection of its own, so that neither a
//! long statement nor a full socket of the work keeps it from being renewed. A lease that could not be renewed in time
//! ends the work at once: whatever is in flight is unknown, and the next leader finds out.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::lease::{Lease, renew_after};
use super::pg::leases::{self, Instance, Shown};
use super::pg::{Dial, Session};
use super::{Error, Kind, Options};
use crate::observe;
use crate::standing::Standing;

/// The longest a standby waits between looks at the lease; and where a notification says that it was given back.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT_LISTENING: Duration = Duration::from_secs(5);
/// How often a process that stands where it stood shows itself to the others: twice in the half minute in which they count on it.
const SHOW_EVERY: Duration = Duration::from_secs(10);
/// So long after a notification the leader looks, so that many of them are one look.
const GATHER: Duration = Duration::from_millis(50);

/// What was last said to the others.
#[derive(Default)]
struct Said(Option<(Standing, Instant)>);

impl Said {
    /// Whether it is time to say it again, or something else.
    fn is_old(&self, standing: &Standing) -> bool {
        self.0
            .as_ref()
            .is_none_or(|(said, at)| said != standing || at.elapsed() >= SHOW_EVERY)
    }
}

/// A process that may lead.
pub struct Candidate {
    /// How to connect.
    pub dial: Dial,
    /// Who it is.
    pub instance: Instance,
    /// The tail's settings.
    pub options: Options,
    /// Where it stands, for health and status.
    pub standing: watch::Sender<Standing>,
}

impl Candidate {
    /// One term: waits for the lead, runs `lead` until it ends or the lease is lost, gives the lease back.
    /// Returns when `token` is cancelled or the term is over.
    ///
    /// # Errors
    /// The connection failed, the lease was lost, or `lead` failed.
    pub async fn term<F, Fut, E>(&self, token: &CancellationToken, lead: F) -> Result<(), E>
    where
        F: FnOnce(watch::Receiver<Lease>, CancellationToken) -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: From<Error>,
    {
        let mut session =
            Session::open(&self.dial, "lease", self.options.pooled, self.renewal_limit()).await?;
        let listening = self.options.listen && session.listen("outbox_lease", LONGEST_WAIT_LISTENING).await?;
        let mut said = Said::default();
        let Some(lease) = self
            .wait_for_lead(&mut session, listening, &mut said, token)
            .await?
        else {
            return Ok(());
        };
        tracing::info!(epoch = lease.epoch, instance = self.instance.name, "leading");
        metrics::gauge!(observe::TAIL_LEADER).set(1.0);
        let (granted, watched) = watch::channel(lease);
        let outcome = tokio::select! {
            outcome = lead(watched, token.clone()) => outcome,
            lost = self.keep(&mut session, listening, &mut said, &granted) => Err(E::from(lost)),
        };
        metrics::gauge!(observe::TAIL_LEADER).set(0.0);
        // Given back also after a failure, so that a standby with a better connection may lead at once.
        if let Err(error) = leases::release(&session, &self.instance.name).await {
            tracing::warn!(%error, "could not give the lease back; it runs out by itself");
        }
        outcome
    }

    /// Takes or renews both leases, and shows this process and its standing to the others when it is time to.
    async fn take(&self, session: &Session, said: &mut Said) -> Result<Option<Lease>, Error> {
        let standing = self.standing.borrow().clone();
        let shown = said.is_old(&standing).then_some(Shown {
            instance: &self.instance,
            standing: &standing,
        });
        let is_shown = shown.is_some();
        let taken = leases::take(session, &self.instance.name, self.options.lease_ttl, shown).await?;
        if is_shown {
            *said = Said(Some((standing, Instant::now())));
        }
        Ok(taken)
    }

    async fn wait_for_lead(
        &self,
        session: &mut Session,
        listening: bool,
        said: &mut Said,
        token: &CancellationToken,
    ) -> Result<Option<Lease>, Error> {
        let longest = if listening {
            LONGEST_WAIT_LISTENING
        } else {
            LONGEST_WAIT
        };
        loop {
            if token.is_cancelled() {
                return Ok(None);
            }
            if let Some(lease) = self.take(session, said).await? {
                return Ok(Some(lease));
            }
            let stands_elsewhere = self.standing.send_if_modified(|standing| {
                let changed = !matches!(standing, Standing::Standby | Standing::Refused { .. });
                if changed {
                    *standing = Standing::Standby;
                }
                changed
            });
            if stands_elsewhere {
                // What was shown with the first try is from before this was known.
                continue;
            }
            let pause = leases::remaining(session).await?.min(longest) + Duration::from_millis(5);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                ring = session.ring(), if listening => if ring.is_none() {
                    return Err(Error::new(Kind::Connection, "lost the connection to Postgres while standing by"));
                },
                () = token.cancelled() => return Ok(None),
            }
        }
    }

    /// Renews until that fails for as long as the lease is trusted. While nothing is cut it is renewed half as often; a notification,
    /// which says that a person asked for something, brings the next renewal forward.
    async fn keep(
        &self,
        session: &mut Session,
        listening: bool,
        said: &mut Said,
        granted: &watch::Sender<Lease>,
    ) -> Error {
        let mut is_idle = false;
        loop {
            tokio::select! {
                () = tokio::time::sleep(renew_after(self.options.lease_ttl, is_idle)) => {}
                ring = session.ring(), if listening => match ring {
                    Some(_) => tokio::time::sleep(GATHER).await,
                    None => return Error::new(Kind::Connection, "lost the connection to Postgres on which the lease is renewed"),
                },
            }
            match self.take(session, said).await {
                Ok(Some(lease)) if lease.epoch == granted.borrow().epoch => {
                    let before = granted.send_replace(lease);
                    is_idle = before.news.ledger_end == lease.news.ledger_end;
                }
                Ok(_) => return Error::new(Kind::Superseded, "another relay took the lease: stepping down"),
                Err(error) => return error,
            }
        }
    }

    /// A renewal that takes longer than this is as good as failed.
    fn renewal_limit(&self) -> Duration {
        self.options.lease_ttl / 2
    }
}
