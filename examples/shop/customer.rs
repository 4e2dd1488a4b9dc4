//! A customer: comes, orders, pays, changes their mind, leaves a transaction open; again and again.

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;

use super::order::Errand;
use super::pg::{Sale, Shop};
use super::tally::Tally;
use super::visit::{Ending, Visit};
use crate::Result;

/// One customer. Different customers visit at the same time, and the same orders.
#[derive(Debug)]
pub struct Customer {
    number: i32,
    shop: Shop,
    tally: Arc<Tally>,
    dice: StdRng,
}

impl Customer {
    /// A customer of this shop.
    #[must_use]
    pub fn new(number: i32, shop: Shop, tally: Arc<Tally>) -> Self {
        Self {
            number,
            shop,
            tally,
            dice: StdRng::from_os_rng(),
        }
    }

    /// Visits the shop until it closes.
    pub async fn visit_until(mut self, closing: CancellationToken) {
        while !closing.is_cancelled() {
            let visit = Visit::draw(&mut self.dice);
            if let Err(error) = self.visit(&visit, &closing).await {
                self.tally.fail(error);
            }
            closing.run_until_cancelled(tokio::time::sleep(visit.think)).await;
        }
    }

    async fn visit(&self, visit: &Visit, closing: &CancellationToken) -> Result {
        let Some(sale) = self.begin(visit).await? else {
            return Ok(());
        };
        match visit.ending {
            Ending::RollBack => {
                sale.roll_back().await?;
                self.tally.roll_back();
                return Ok(());
            }
            Ending::HoldAndCommit(time) => {
                self.tally.hold();
                closing.run_until_cancelled(tokio::time::sleep(time)).await;
                self.tally.let_go();
            }
            Ending::Commit => {}
        }
        sale.commit().await?;
        self.tally.commit();
        Ok(())
    }

    /// None when there is no order for this errand.
    async fn begin(&self, visit: &Visit) -> Result<Option<Sale>> {
        if visit.errand == Errand::Place {
            return Ok(Some(self.shop.place(self.number, visit.lines.clone()).await?));
        }
        match self.shop.pick_open(visit.pass_over).await? {
            Some(order) => self.shop.change(order, visit.errand).await,
            None => Ok(None),
        }
    }
}
