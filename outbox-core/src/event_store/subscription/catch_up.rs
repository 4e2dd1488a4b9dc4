//! Bringing generations to the same snapshot, within a transaction that has taken all their partitions.

use std::sync::Arc;

use super::pg::{PgConnection, PgPool, Store};
use super::step::{Care, Place, apply_page};
use super::{Error, EventHandler, Subscription};
use crate::tail::snapshot::Snapshot;

/// Begun before the transaction has an id: see `checkpoint.rs`.
pub(in crate::event_store) struct CatchUp {
    drawn: i64,
}

/// What is caught up with.
pub(in crate::event_store) struct CommonGoal {
    drawn: i64,
    seen: Snapshot,
    through: i64,
}

impl CatchUp {
    pub(in crate::event_store) async fn begin(tx: &mut PgConnection) -> Result<Self, Error> {
        Ok(Self {
            drawn: Store::drawn(tx).await?,
        })
    }

    pub(in crate::event_store) async fn goal(&self, tx: &mut PgConnection) -> Result<CommonGoal, Error> {
        let (seen, through) = Store::take_goal(tx).await?;
        Ok(CommonGoal {
            drawn: self.drawn,
            seen,
            through,
        })
    }
}

impl CommonGoal {
    /// Applies what lies before these partitions. Otherwise why that is not to be now: the transaction is to be rolled back.
    ///
    /// # Errors
    /// When the database does not do what it is asked.
    pub(in crate::event_store) async fn reach(
        &self,
        tx: &mut PgConnection,
        pool: &PgPool,
        subscription: &Subscription,
        handler: &Arc<dyn EventHandler>,
        partitions: &[(i32, i64)],
    ) -> Result<Option<&'static str>, Error> {
        let store = Store::new(pool.clone(), Arc::new(subscription.clone()))?;
        for &(partition, epoch) in partitions {
            let place = Place {
                store: store.clone(),
                handler: Arc::clone(handler),
                partition,
                epoch,
            };
            let fenced = store.fence(tx, partition, epoch).await?;
            if fenced.next_era.is_some() {
                return Ok(Some("an era was opened, which has not been come to yet"));
            }
            if fenced.is_paused {
                return Ok(Some("it is paused: resume it"));
            }
            let mut checkpoint = fenced.checkpoint;
            let (mut is_last, mut events, mut newest) = (false, 0, None);
            loop {
                if checkpoint.goal.is_none() {
                    if is_last {
                        break;
                    }
                    let begun = checkpoint.begin(self.seen.clone(), self.through, fenced.own);
                    if begun.is_err() {
                        return Ok(Some(
                            "the database went back in time: see outbox-relay recover inspect",
                        ));
                    }
                    is_last = true;
                }
                let (Some(goal), Some(bounds)) = (checkpoint.goal.clone(), checkpoint.bounds()) else {
                    break;
                };
                let page = store
                    .read_page(tx, partition, &checkpoint, &goal, &bounds, u32::MAX)
                    .await?;
                if apply_page(&place, tx, &page, Care::Whole).await.is_err() {
                    return Ok(Some(
                        "an event failed while both were brought to the same events: it is tried again there, and then here",
                    ));
                }
                events += page.events.len();
                newest = newest.max(page.events.iter().map(|(_, event)| event.recorded_at).max());
                checkpoint.pass(page.last_position, page.is_all, None);
            }
            checkpoint.drawn = self.drawn;
            store
                .advance(tx, (partition, fenced.own), &checkpoint, events, newest)
                .await?;
        }
        Ok(None)
    }
}
