//! The till: another program that sells, in plain SQL.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::pg::Shop;
use super::tally::Tally;

const BETWEEN_SALES: Duration = Duration::from_millis(50);

/// Sells at the till until the shop closes.
pub async fn keep_till(shop: Shop, tally: Arc<Tally>, closing: CancellationToken) {
    while !closing.is_cancelled() {
        match shop.sell_at_the_till().await {
            Ok(()) => tally.sell_at_the_till(),
            Err(error) => tally.fail(error),
        }
        closing
            .run_until_cancelled(tokio::time::sleep(BETWEEN_SALES))
            .await;
    }
}
