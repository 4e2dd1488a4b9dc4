//! Far behind, with everything else in the way, for a short time (row 34 of docs/faults.md); `cargo xtask bench bounded` is longer.

use std::time::Duration;

use system_tests::Result;
use system_tests::bounded::{Bounded, LARGE_BYTES, Slack};

/// A time of this run is a few seconds, and what happens by chance in it shows in its mean. Two of the six largest events that meet
/// on their way more than in another time, each in memory three times, are 96 MiB: a run on a machine with other things to do had
/// 186 MiB before the snapshot and 271 after it. The consumer opens connections as it needs them, ten at most, and the relay one more
/// while it looks after pieces; the four handlers that hang are at work one moment, and wait to be tried again the next, and on a slow
/// machine each of the relay's connections may be at work at once. Nothing of this shows whether something grows with what is behind:
/// the long run does, whose slack is far less.
const SLACK: Slack = Slack {
    memory: 6 * LARGE_BYTES,
    statements: 12,
    connections: 6,
};

#[tokio::test]
async fn half_a_million_behind_memory_connections_and_pages_stay_flat() -> Result {
    // GIVEN 500,000 rows behind, events of 16 MiB among them, writers at full speed, and a consumer that hangs
    let run = Bounded {
        rows: 500_000,
        keys: 100_000,
        large: 6,
        every: Duration::from_millis(50),
        pinned: Duration::from_secs(10),
        steady: Duration::from_secs(5),
        // A judgement is of counts, and not of how fast a machine is: this one takes half a minute where nothing else runs.
        at_most: Duration::from_secs(300),
        slack: SLACK,
    };
    // WHEN a relay catches up, and somebody pins a snapshot in the middle of it
    let report = run.run().await?;
    eprintln!("{}", report.page().0);
    // THEN nothing grows while it is behind, and nothing afterwards
    report.verdict()
}
