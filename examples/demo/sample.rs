//! Looking at everything now and then, for the screen. A server that does not answer leaves its number out.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::crew::{Names, name_in};
use super::pg::{self, Summary, Table};
use super::redis;
use crate::shop::Tally;

const EVERY: Duration = Duration::from_millis(500);

/// The numbers of one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    pub(super) committed: u64,
    pub(super) at_the_till: u64,
    pub(super) rolled_back: u64,
    pub(super) held: u64,
    pub(super) held_now: u64,
    pub(super) failed: u64,
    pub(super) published: Option<u64>,
    pub(super) in_stock: Option<u64>,
    pub(super) in_loyalty: Option<u64>,
    pub(super) summary: Option<Summary>,
    pub(super) leader: Option<String>,
}

/// What is looked at.
pub(super) struct Sampler {
    pub(super) tally: Arc<Tally>,
    pub(super) shop: PgPool,
    pub(super) stock: PgPool,
    pub(super) loyalty: PgPool,
    pub(super) redis: String,
    pub(super) names: watch::Receiver<Names>,
}

impl Sampler {
    /// Looks until it is dropped.
    pub(super) async fn run(self, samples: watch::Sender<Sample>) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut connection = None;
        loop {
            ticks.tick().await;
            samples.send_replace(self.look(&mut connection).await);
        }
    }

    async fn look(&self, connection: &mut Option<::redis::aio::MultiplexedConnection>) -> Sample {
        let (summary, in_stock, in_loyalty, published) = tokio::join!(
            pg::summary(&self.shop),
            pg::count(&self.stock, Table::Movements),
            pg::count(&self.loyalty, Table::Ledger),
            self.length(connection)
        );
        let summary = summary.ok();
        let names = self.names.borrow();
        Sample {
            committed: self.tally.committed(),
            at_the_till: self.tally.at_the_till(),
            rolled_back: self.tally.rolled_back(),
            held: self.tally.held(),
            held_now: self.tally.held_now(),
            failed: self.tally.failed(),
            published,
            in_stock: in_stock.ok(),
            in_loyalty: in_loyalty.ok(),
            leader: summary
                .as_ref()
                .and_then(|summary| Some(name_in(&names, summary.leader?))),
            summary,
        }
    }

    async fn length(&self, connection: &mut Option<::redis::aio::MultiplexedConnection>) -> Option<u64> {
        if connection.is_none() {
            *connection = redis::open(&self.redis).await.ok();
        }
        let length = redis::length(connection.as_mut()?, super::STREAM).await.ok();
        if length.is_none() {
            *connection = None;
        }
        length
    }
}
