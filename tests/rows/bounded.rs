//! Far behind, with everything else in the way, for a short time (row 34 of docs/faults.md); `cargo xtask bench bounded` is longer.

use std::time::Duration;

use system_tests::Result;
use system_tests::bounded::Bounded;

#[tokio::test]
async fn two_hundred_thousand_behind_memory_connections_and_pages_stay_flat() -> Result {
    // GIVEN 200,000 rows behind, writers at full speed, a consumer that hangs, a pinned snapshot, and some very large events
    let run = Bounded {
        rows: 200_000,
        keys: 100_000,
        large: 2,
        at_least: Duration::from_secs(20),
        at_most: Duration::from_secs(150),
    };
    // WHEN a relay catches up
    let report = run.run().await?;
    eprintln!("{}", report.page().0);
    // THEN nothing grows
    report.verdict()
}
