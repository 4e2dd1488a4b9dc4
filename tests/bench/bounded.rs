//! Runs it long, and writes the page with its pictures.

use std::path::Path;
use std::time::Duration;

use system_tests::Result;
use system_tests::bounded::Bounded;

const ROWS: u64 = 10_000_000;
const KEYS: u64 = 1_000_000;
const LARGE: u64 = 6;
/// So long a snapshot is held at least.
const AT_LEAST: Duration = Duration::from_secs(300);
const AT_MOST: Duration = Duration::from_secs(3600);
const PAGE: &str = "docs/benchmarks/bounded.md";

const HEAD: &str = "# What stays flat

Repeat it with

```sh
cargo xtask bench bounded            # 10,000,000 rows behind; --rows N
```

A relay is started millions of rows behind. Meanwhile eight writers commit at full speed, a consumer hangs in its first event, a
snapshot from the beginning is held to the end, and among the rows are events of 15 MiB. Twice a second memory of relay and
consumer, their connections and statements at work, and the pages that each call of the statements of the hot path looks at are
sampled. The second third of the run is compared with the last; it fails if something grows.

Statements that a session prepared are seen by that session alone, so they are not sampled: the relay prepares each of its own
texts once, and there are as many as files in `outbox-core/queries`.

";

pub(crate) async fn run(rows: Option<u64>) -> Result {
    let rows = rows.unwrap_or(ROWS);
    let report = Bounded {
        rows,
        keys: KEYS,
        large: LARGE,
        at_least: AT_LEAST,
        at_most: AT_MOST,
    }
    .run()
    .await?;
    let (table, pictures) = report.page();
    println!("{table}");
    let page = Path::new(PAGE);
    let build = if cfg!(debug_assertions) {
        "An unoptimised build: "
    } else {
        ""
    };
    let mut text = format!("{HEAD}{build}{table}\n");
    for (name, picture) in pictures {
        text += &format!("![{}]({name})\n", name.trim_end_matches(".svg"));
        std::fs::write(page.with_file_name(name), picture)?;
    }
    std::fs::write(page, text)?;
    report.verdict()
}
