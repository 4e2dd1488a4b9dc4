//! Stands for the lead: waits for both leases, leads while they last, gives them back at the end.
//!
//! The database decides, on its own clock ([`super::lease`]). The lease has a connection of its own, so that neither a
//! long statement nor a full socket of the work keeps it from being renewed. A lease that could not be renewed in time
//! ends the work at once: whatever is in flight is unknown, and the next leader finds out.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::lease::{Lease, renew_every};
use super::pg::leases::{self, Instance};
use super::pg::{Dial, Session};
use super::{Error, Kind, Options};
use crate::observe;
use crate::standing::Standing;

/// The longest a standby waits between looks at the lease.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

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
        let listening = self.options.listen && session.listen("outbox_lease").await?;
        let Some(lease) = self.wait_for_lead(&mut session, listening, token).await? else {
            return Ok(());
        };
        tracing::info!(epoch = lease.epoch, instance = self.instance.name, "leading");
        metrics::gauge!(observe::TAIL_LEADER).set(1.0);
        self.be_seen(&session).await?;
        let (granted, watched) = watch::channel(lease);
        let outcome = tokio::select! {
            outcome = lead(watched, token.clone()) => outcome,
            lost = self.keep(&session, &granted) => Err(E::from(lost)),
        };
        metrics::gauge!(observe::TAIL_LEADER).set(0.0);
        // Given back also after a failure, so that a standby with a better connection may lead at once.
        if let Err(error) = leases::release(&session, &self.instance.name).await {
            tracing::warn!(%error, "could not give the lease back; it runs out by itself");
        }
        outcome
    }

    /// Shows this process and its standing to the others.
    async fn be_seen(&self, session: &Session) -> Result<(), Error> {
        let standing = self.standing.borrow().clone();
        leases::be_seen(
            session,
            &self.instance,
            standing.word(),
            standing.cause().unwrap_or(""),
        )
        .await
    }

    async fn wait_for_lead(
        &self,
        session: &mut Session,
        listening: bool,
        token: &CancellationToken,
    ) -> Result<Option<Lease>, Error> {
        loop {
            if token.is_cancelled() {
                return Ok(None);
            }
            if let Some(lease) = leases::take(session, &self.instance.name, self.options.lease_ttl).await? {
                return Ok(Some(lease));
            }
            self.standing.send_if_modified(|standing| {
                let changed = !matches!(standing, Standing::Standby | Standing::Refused { .. });
                if changed {
                    *standing = Standing::Standby;
                }
                changed
            });
            self.be_seen(session).await?;
            let pause = leases::remaining(session).await?.min(LONGEST_WAIT) + Duration::from_millis(5);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                ring = session.ring(), if listening => if ring.is_none() {
                    return Err(Error::new(Kind::Connection, "lost the connection to Postgres while standing by"));
                },
                () = token.cancelled() => return Ok(None),
            }
        }
    }

    /// Renews until that fails for as long as the lease is trusted.
    async fn keep(&self, session: &Session, granted: &watch::Sender<Lease>) -> Error {
        let every = renew_every(self.options.lease_ttl);
        let (mut beat, mut said) = (0_u32, "");
        loop {
            tokio::time::sleep(every).await;
            match leases::take(session, &self.instance.name, self.options.lease_ttl).await {
                Ok(Some(lease)) if lease.epoch == granted.borrow().epoch => drop(granted.send(lease)),
                Ok(_) => return Error::new(Kind::Superseded, "another relay took the lease: stepping down"),
                Err(error) => return error,
            }
            beat += 1;
            // Now and then, and at once when it stands elsewhere than the others were told.
            let stands = self.standing.borrow().word();
            if beat.is_multiple_of(4) || stands != said {
                if let Err(error) = self.be_seen(session).await {
                    return error;
                }
                said = stands;
            }
        }
    }

    /// A renewal that takes longer than this is as good as failed.
    fn renewal_limit(&self) -> Duration {
        self.options.lease_ttl / 2
    }
}
