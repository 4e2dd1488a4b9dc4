//! One topic storms (row 37 of docs/faults.md).

use system_tests::arrival::{arrived, backlog, entries_of, judge};
use system_tests::{Relay, Result, World};

use crate::scene::LIMIT;

const STORM: i32 = 150_000;

#[tokio::test]
async fn a_topic_that_storms_does_not_hold_up_the_others() -> Result {
    // GIVEN a topic with 150,000 events, of which a relay has begun to publish
    let world = World::new().await?;
    let storming = ["orders.placed".to_owned()];
    let others = ["payments.taken".to_owned(), "stock.moved".to_owned()];
    let mut journal = backlog(&world, &storming, 3, STORM / 3, 300).await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let mut before_all = 0;
    for _ in 0..5 {
        // WHEN others append a little meanwhile
        journal.merge(backlog(&world, &others, 1, 20, 300).await?);
        arrived(&world, &others, LIMIT).await?;
        // THEN theirs arrive before the storm is through
        before_all += i32::from(entries_of(&world, &storming).await? < u64::from(STORM.unsigned_abs()));
    }
    assert!(before_all > 0, "the others waited until the storm was over");
    arrived(&world, &storming, LIMIT).await?;
    assert!(relay.terminate().await?.success());
    let all = [storming.as_slice(), others.as_slice()].concat();
    judge(&world, &journal, &all).await?.clean()
}
