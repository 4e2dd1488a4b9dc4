//! A subscription at work.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::member::Member;
use super::pg::{PgPool, Store, listen};
use super::{Error, EventHandler, Subscription};
use crate::verdict::Verdict;

/// Looks per lease: two may be lost.
const LOOKS_PER_LEASE: u32 = 4;
const LOOK_MAX: Duration = Duration::from_secs(1);

/// A subscription with its handler, ready to run.
pub struct Runner {
    pool: PgPool,
    subscription: Arc<Subscription>,
    handler: Arc<dyn EventHandler>,
}

impl Runner {
    /// The pool is to have three connections at least, and one more for each partition that is to be applied beside others.
    pub fn new(pool: PgPool, subscription: Subscription, handler: impl EventHandler) -> Self {
        Self {
            pool,
            subscription: Arc::new(subscription),
            handler: Arc::new(handler),
        }
    }

    /// Applies until the token is cancelled; then finishes the transactions in hand and gives its partitions back. Outages of the
    /// database are waited out. Any number of processes may run the same subscription: they share its partitions.
    ///
    /// # Errors
    /// What a person must mend.
    pub async fn run(self, token: CancellationToken) -> Result<(), Error> {
        let problems = self.subscription.problems();
        if !problems.is_empty() {
            return Err(Error::Configuration { problems });
        }
        let pause = (self.subscription.lease / LOOKS_PER_LEASE).min(LOOK_MAX);
        let store = Store::new(self.pool, self.subscription)?;
        while let Err(error) = store.register().await {
            if error.verdict() != Verdict::Retry {
                return Err(error);
            }
            tracing::warn!(%error, "the database of a subscription is waited for");
            tokio::select! {
                () = token.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
        let (ring, wake) = watch::channel(0);
        let listening = CancellationToken::new();
        let _guard = listening.clone().drop_guard();
        let listener = tokio::spawn(listen(store.clone(), ring, listening.clone()));
        let mut member = Member::new(store, self.handler, wake);
        let outcome = drive(&mut member, pause, &token).await;
        member.leave().await;
        listening.cancel();
        if let Err(error) = listener.await {
            tracing::debug!(%error, "the listener ended");
        }
        outcome
    }
}

async fn drive(member: &mut Member, pause: Duration, token: &CancellationToken) -> Result<(), Error> {
    let mut looks = tokio::time::interval(pause);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = token.cancelled() => return Ok(()),
            ended = member.ended() => ended?,
            _ = looks.tick() => match member.look().await {
                Err(error) if error.verdict() != Verdict::Retry => return Err(error),
                Err(error) => tracing::warn!(%error, "a look at a subscription failed; its leases end if none succeeds"),
                Ok(()) => {}
            }
        }
    }
}
