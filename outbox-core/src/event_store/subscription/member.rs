//! A process among those that run a subscription: which partitions it has, and the task of each.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::pg::Store;
use super::step::Place;
use super::{Error, EventHandler, metric, partition};
use crate::verdict::Verdict;

/// A partition in hand.
struct Tenure {
    epoch: i64,
    token: CancellationToken,
    /// Its lease is to be given back when its task has ended.
    is_leaving: bool,
}

/// What a process has in hand.
pub(super) struct Member {
    name: String,
    store: Store,
    handler: Arc<dyn EventHandler>,
    wake: watch::Receiver<u64>,
    tenures: HashMap<i32, Tenure>,
    tasks: JoinSet<Result<(), Error>>,
    of_task: HashMap<Id, (i32, i64)>,
}

impl Member {
    pub(super) fn new(store: Store, handler: Arc<dyn EventHandler>, wake: watch::Receiver<u64>) -> Self {
        Self {
            name: uuid::Uuid::now_v7().to_string(),
            store,
            handler,
            wake,
            tenures: HashMap::new(),
            tasks: JoinSet::new(),
            of_task: HashMap::new(),
        }
    }

    /// Says that it lives, and takes or gives back.
    ///
    /// # Errors
    /// When the database cannot be asked, or the subscription is gone.
    pub(super) async fn look(&mut self) -> Result<(), Error> {
        let mine: Vec<(i32, i64)> = self
            .tenures
            .iter()
            .map(|(partition, tenure)| (*partition, tenure.epoch))
            .collect();
        let seen = self.store.look(&self.name, &mine).await?;
        let staying = mine.into_iter().filter(|(partition, _)| {
            self.tenures
                .get(partition)
                .is_some_and(|tenure| !tenure.is_leaving)
        });
        let plan = seen.plan(&staying.collect::<Vec<_>>());
        for partition in plan.lost {
            // What it still does is fenced.
            self.tell(partition, false);
        }
        for partition in plan.give_back {
            self.tell(partition, true);
        }
        if plan.take > 0 && !seen.is_paused {
            for (partition, epoch) in self.store.take(&self.name, plan.take).await? {
                self.start(partition, epoch);
            }
        }
        metric::partitions(&self.store.subscription.name).set(self.tenures.len() as f64);
        Ok(())
    }

    fn tell(&mut self, partition: i32, is_leaving: bool) {
        if let Some(tenure) = self.tenures.get_mut(&partition) {
            tenure.is_leaving = is_leaving;
            tenure.token.cancel();
        }
    }

    fn start(&mut self, partition: i32, epoch: i64) {
        let token = CancellationToken::new();
        let place = Place {
            store: self.store.clone(),
            handler: Arc::clone(&self.handler),
            partition,
            epoch,
        };
        let work = partition::apply(place, self.wake.clone(), token.clone());
        let task = self.tasks.spawn(work);
        self.of_task.insert(task.id(), (partition, epoch));
        if let Some(before) = self.tenures.insert(
            partition,
            Tenure {
                epoch,
                token,
                is_leaving: false,
            },
        ) {
            before.token.cancel();
        }
    }

    /// The next partition whose task ended. Never answers while none does.
    ///
    /// # Errors
    /// What a person must mend.
    pub(super) async fn ended(&mut self) -> Result<(), Error> {
        let Some(joined) = self.tasks.join_next_with_id().await else {
            return std::future::pending().await;
        };
        let (id, outcome) = match joined {
            Ok((id, outcome)) => (id, outcome),
            Err(error) => {
                tracing::error!(%error, "a partition's task ended by a fault of the library; it is begun again");
                (error.id(), Ok(()))
            }
        };
        let Some((partition, epoch)) = self.of_task.remove(&id) else {
            return Ok(());
        };
        // Taken again meanwhile, it is another task's.
        if self
            .tenures
            .get(&partition)
            .is_some_and(|tenure| tenure.epoch == epoch)
        {
            self.tenures.remove(&partition);
        }
        let is_fenced = matches!(outcome, Err(Error::Fenced));
        if !is_fenced && let Err(error) = self.store.release(partition, epoch).await {
            tracing::debug!(%error, "a lease was not given back: it ends by itself");
        }
        match outcome {
            Err(error) if error.verdict() != Verdict::Retry => Err(error),
            _ => Ok(()),
        }
    }

    /// Finishes the transactions in hand and gives everything back.
    pub(super) async fn leave(mut self) {
        for tenure in self.tenures.values() {
            tenure.token.cancel();
        }
        while !self.tasks.is_empty() {
            if let Err(error) = self.ended().await {
                tracing::debug!(%error, "a partition ended");
            }
        }
        if let Err(error) = self.store.leave(&self.name).await {
            tracing::debug!(%error, "the others find out by themselves that this process is gone");
        }
        metric::partitions(&self.store.subscription.name).set(0.0);
    }
}
