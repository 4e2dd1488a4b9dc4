//! A consumer at work: a member of its group, a look at which streams there are, and keeping house.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::call::Function;
use super::inbox::window::keep::keep_house;
use super::pg::{self, PgConnectOptions, PgPool, Store};
use super::retry::OUTAGE;
use super::routes::Routes;
use super::settings::Settings;
use super::shared::Shared;
use super::slots::Slots;
use super::{Builder, Error, discovery, lock_room, member, sample};
use crate::standing::Standing;
use crate::verdict::Verdict;

pub(super) enum Database {
    Pool(PgPool),
    Options(Box<PgConnectOptions>),
}

/// A consumer, ready to run.
pub struct Consumer {
    pub(super) group: String,
    pub(super) database: Database,
    pub(super) connections: u32,
    pub(super) redis: ::redis::Client,
    pub(super) routes: Routes,
    pub(super) functions: Vec<Function>,
    pub(super) settings: Settings,
    pub(super) standing: watch::Sender<Standing>,
}

impl Consumer {
    /// Describes a consumer. `group` names it in Redis and in the inbox: its effects are one per group and event.
    #[must_use]
    pub fn builder(group: impl Into<String>) -> Builder {
        Builder::new(group)
    }

    /// Where this member stands, from now on: what a readiness check shows.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Consumes until the token is cancelled; then finishes the transactions in hand and gives its streams back.
    /// Outages of Postgres and Redis are waited out.
    ///
    /// # Errors
    /// What a person must mend: no inbox in the database, no such SQL function.
    pub async fn run(self, token: CancellationToken) -> Result<(), Error> {
        let pool = match self.database {
            Database::Pool(pool) => pool,
            Database::Options(options) => pg::connect(*options, self.connections),
        };
        let (has, wants) = (pg::pool_size(&pool), Slots::wanted(self.routes.topics().len()));
        if (has as usize) < wants {
            tracing::warn!(
                has,
                wants,
                "each topic should have a connection of its own, and leases two: slow handlers of one topic hold up others"
            );
        }
        let store = Store::new(
            pool,
            &self.group,
            self.settings.lease,
            self.settings.handler_limit,
        );
        if !ready(&store, &self.functions, &self.standing, &token).await? {
            return Ok(());
        }
        let mut settings = self.settings;
        mind_the_locks(&store, &mut settings, has).await;
        let shared = Arc::new(Shared::new(
            store,
            self.redis,
            self.routes,
            settings,
            Board::new(self.standing),
        ));
        supervise(shared, token).await
    }
}

/// Says if transactions on so many connections could take more than half of the server's locks, and makes those that are larger than
/// asked for as small as there is room. Without an answer the consumer works all the same.
async fn mind_the_locks(store: &Store, settings: &mut Settings, connections: u32) {
    match store.lock_room().await {
        Ok(room) => {
            settings.together = lock_room::together(settings, connections, room);
            if let Some(scarce) = lock_room::scarce(settings, connections, room) {
                tracing::warn!(
                    wants = scarce.wants,
                    room = scarce.room,
                    "transactions of this member could take more than half of the locks that the server has room for, and who needs \
                     one then fails: set a smaller batch, give it fewer connections, or raise max_locks_per_transaction"
                );
            }
        }
        Err(error) => {
            settings.together = settings.batch;
            tracing::warn!(%error, "whether the server has room for the locks of large batches is not known; the consumer goes on");
        }
    }
}

/// Waits until the database answers, and refuses what waiting does not mend. False when the token was cancelled first.
async fn ready(
    store: &Store,
    functions: &[Function],
    standing: &watch::Sender<Standing>,
    token: &CancellationToken,
) -> Result<bool, Error> {
    let mut troubles = 0;
    while !token.is_cancelled() {
        let Err(error) = check(store, functions).await else {
            return Ok(true);
        };
        if error.verdict() == Verdict::Stop {
            return Err(error);
        }
        troubles += 1;
        let cause = format!("{error}. {}", error.advice());
        standing.send_replace(Standing::Waiting { cause });
        tracing::warn!(%error, advice = error.advice(), troubles, "the consumer waits for its database");
        token
            .run_until_cancelled(tokio::time::sleep(OUTAGE.pause(troubles)))
            .await;
    }
    Ok(false)
}

async fn check(store: &Store, functions: &[Function]) -> Result<(), Error> {
    store.check().await?;
    for function in functions {
        let signature = function.signature();
        match store.is_volatile(&signature).await? {
            Some(true) => {}
            Some(false) => return Err(Error::NotVolatile { signature }),
            None => return Err(Error::NoFunction { signature }),
        }
    }
    Ok(())
}

async fn supervise(shared: Arc<Shared>, token: CancellationToken) -> Result<(), Error> {
    // When one task breaks the others still finish what they have in hand.
    let token = token.child_token();
    let mut tasks: JoinSet<Result<(), Error>> = JoinSet::new();
    tasks.spawn(member::run(shared.clone(), token.clone()));
    let (follower, stop) = (shared.clone(), token.clone());
    tasks.spawn(async move {
        discovery::follow(&follower, &stop).await;
        Ok(())
    });
    let (sampled, stop) = (shared.clone(), token.clone());
    tasks.spawn(async move {
        sample::watch(&sampled, &stop).await;
        Ok(())
    });
    let stop = token.clone();
    tasks.spawn(async move {
        keep_house(&shared, &stop).await;
        Ok(())
    });
    let mut outcome = Ok(());
    // Each ends only after the token, or as it never should.
    while let Some(ended) = tasks.join_next().await {
        let ended = ended.unwrap_or_else(|error| {
            Err(Error::Broken {
                source: Box::new(error),
            })
        });
        token.cancel();
        outcome = outcome.and(ended);
    }
    outcome
}
