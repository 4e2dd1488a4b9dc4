//! Runs it long, and writes the page with its pictures.

use std::time::Duration;

use system_tests::Result;
use system_tests::bounded::{Bounded, Slack};

use super::options::Options;
use super::report::cores;

const ROWS: u64 = 10_000_000;
const KEYS: u64 = 1_000_000;
const LARGE: u64 = 30;
const EVERY: Duration = Duration::from_millis(500);
/// So long a snapshot is held at least.
const PINNED: Duration = Duration::from_secs(300);
const STEADY: Duration = Duration::from_secs(60);
const AT_MOST: Duration = Duration::from_secs(3600);
/// Where the page was made, behind how many cores it has.
const MACHINE: &str = "cores that other work may share, so how long it took says little; what is compared does not depend on it";

const HEAD: &str = "# What stays flat

Repeat it with

```sh
cargo xtask bench bounded            # 10,000,000 rows behind; --rows N
```

A relay is started millions of rows behind, all of which came through the function that producers call; from the first rows on there
are events of 16 MiB among them. Meanwhile eight producers commit one event after the other without a pause, each a transaction of its
own, over as many keys, one of them an event of 16 MiB twice a minute; a consumer hangs in its first event; and when three tenths of
the backlog are published somebody takes a snapshot and holds it to the end, for five minutes or more. Twice a second memory of relay
and consumer, their connections and statements at work, and the pages that each call of the statements of the hot path looks at are
sampled.

What is compared are times at which **every** stream was behind: before the snapshot was held (the first tenth of the backlog left
out: memory comes, plans are made, caches fill), and while it was, the first half and the second. What comes when nothing is left of
these rows is compared with itself; what producers committed meanwhile may still be behind then. The run fails if the last time of those with a
backlog, or of those without, has more than an earlier one by more than a bound, which is a part and something on top; if the first half under
the snapshot, which is over while the backlog and the snapshot are there still, has more than twice that bound; if there are too few samples in one of the
times; and if one of the three statements that run for events was not run often enough in each of the times with a backlog. Pieces of the log that were
laid between two times and rows that a call returns more are no growth of its pages (`tests/src/bounded/report.rs`).

The most pages of a cut are those of the first one, which counts every row of the backlog; it happens once.

Renewing the lease is no part of the hot path: it goes by the clock, whatever is published. It is measured beside it, since it
changes the same row again and again, and so it is what a snapshot that is held makes dearest.

Statements that a session prepared are seen by that session alone, so they are not sampled: the relay prepares each of its own
texts once, and there are as many as files in `outbox-core/queries`.

";

pub(crate) async fn run(options: &Options) -> Result {
    let rows = options.events.map(u64::try_from).transpose()?.unwrap_or(ROWS);
    let report = Bounded {
        rows,
        keys: KEYS,
        large: LARGE,
        every: EVERY,
        pinned: PINNED,
        steady: STEADY,
        at_most: AT_MOST,
        slack: Slack::NARROW,
    }
    .run()
    .await?;
    let (table, pictures) = report.page();
    println!("{table}");
    let Some(folder) = options.folder(1) else {
        println!("No page: with --rows it goes where --folder says.");
        return report.verdict();
    };
    std::fs::create_dir_all(&folder)?;
    let page = folder.join("bounded.md");
    let build = if cfg!(debug_assertions) {
        "An unoptimised build"
    } else {
        "A build for speed"
    };
    let mut text = format!(
        "{HEAD}{rows} rows were behind. {build}, on {} {MACHINE}.\n\n{table}\n",
        cores()
    );
    for (name, picture) in pictures {
        text += &format!("![{}]({name})\n", name.trim_end_matches(".svg"));
        std::fs::write(page.with_file_name(name), picture)?;
    }
    std::fs::write(page, text)?;
    report.verdict()
}
