//! S6: a backlog and a flow while somebody holds a snapshot, and while a stranger's write transaction is open; beside the same without.

use std::time::Duration;

use sqlx::{Connection as _, Executor as _, PgConnection};
use system_tests::{Failure, Result};

use super::arrivals::Arrivals;
use super::drain::{self, drain};
use super::flow::{Flow, Path};
use super::ground::{Copy, Ground, Sink};
use super::{latency, resp};
use crate::options::Options;
use crate::report::{Line, Report, Series, TURNS};
use crate::turn::turns;

/// The end of the long flow, which is what is measured of it.
const MEASURED: Duration = Duration::from_secs(60);
/// 0.9 and 0.97 of the speed, said of a delay.
const DELAY: (f64, f64) = (1.0 / 0.9, 1.0 / 0.97);
/// The bounds of a p99 in milliseconds, whatever else goes on.
const P99: (f64, f64) = (10.0, 3.0);

/// Rounds that count.
const RUNS: usize = 3;

const BACKLOG: &str = "a backlog, events, since it leads";

const HEAD: &str = "Three things in turns, each in a copy of a database with an empty log, with a relay that has the settings that it has by itself, and a Redis that keeps
nothing on disk:

* **free**: nobody holds anything;
* **pinned**: a `REPEATABLE READ` transaction took its snapshot in that database before anything came, and stays open to the end;
* **stranger**: a transaction that wrote a row of a table of its own in that database stays open to the end.

1,000 events come in a second for five minutes (`--quick`: 2 seconds), by a schedule with random gaps as in [How late an event is](latency.md); the last
minute of them is measured. Then 200 in a second for 30 seconds (`--quick`: 2). Then the relay stops, 1,000,000 events of another topic are
filled in (`--quick`: 5,000), each in a transaction of its own, as in [How fast a backlog is published](drain.md), and a relay starts and publishes
them: the speed is that since it leads. So a backlog meets a snapshot that was held for more than five minutes.

Ratios are to the free one of the same round, whose events come at the same moments. Speed must stay at 0.9 of it (0.97 is wanted), and a delay,
p50 and p99, at 1 / 0.9; a p99 must stay below 10 ms besides. Every run is checked as those of the two other pages are.
";

/// What somebody else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Other {
    Free,
    Pinned,
    Stranger,
}

/// What was measured beside one of them: rate of the drain, p50 and p99 of both flows.
type Found = [Series; 5];

impl Other {
    /// The connection that must stay.
    async fn begin(self, copy: &Copy) -> Result<PgConnection> {
        let mut connection = copy.connect().await?;
        match self {
            Self::Free => {}
            Self::Pinned => {
                connection
                    .execute("begin isolation level repeatable read; select count(*) from bench.probe")
                    .await?;
            }
            Self::Stranger => {
                connection
                    .execute("begin; insert into bench.probe (n) values (2)")
                    .await?;
            }
        }
        Ok(connection)
    }

    /// As its lines begin.
    fn title(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Pinned => "a snapshot is held",
            Self::Stranger => "a stranger's write transaction is open",
        }
    }

    async fn once(self, ground: &Ground, sizes: Sizes, seed: u64) -> Result<[f64; 5]> {
        let copy = ground.copy("pinned").await?;
        ground.empty(Sink::Memory).await?;
        let mut other = self.begin(&copy).await?;
        let mut relay = ground.relay(copy.url(), Sink::Memory).start()?;
        relay.leads().await?;
        let mut found = Vec::new();
        for (rate, lasts, warms) in [
            (1_000, sizes.held, sizes.held.saturating_sub(MEASURED)),
            (200, sizes.calm, Duration::ZERO),
        ] {
            let flow = Flow {
                arrivals: Arrivals { rate, lasts, seed },
                warms: warms.max(sizes.warms),
            };
            let path = Path::ours(copy.url(), ground.redis_url(Sink::Memory));
            let delays = flow.run(path).await?.in_order_and_once()?;
            found.extend([delays.seen.at(0.5), delays.seen.at(0.99)]);
        }
        relay.terminate().await?;
        drain::fill_singly(copy.connect().await?, copy.url(), sizes.events).await?;
        let drained = drain(ground, &copy, Sink::Memory, sizes.events, 1).await?;
        let mut redis = ground.redis(Sink::Memory).await?;
        drop(resp::read_back(&mut redis, &drain::streams(1), sizes.events).await?);
        // It was there to the end.
        other.execute("select 1").await?;
        other.close().await?;
        ground.drop_copy(copy).await?;
        let rate = sizes.events as f64 / drained.since_leading;
        eprintln!("{self:?}: {rate:.0} per s; p50 and p99 at 1,000 per s, at 200 per s: {found:.2?} ms");
        Ok([rate, found[0], found[1], found[2], found[3]])
    }
}

/// How much of everything.
#[derive(Clone, Copy)]
struct Sizes {
    events: i64,
    held: Duration,
    calm: Duration,
    /// Of each flow, at least.
    warms: Duration,
}

impl Sizes {
    fn of(events: i64, [held, calm, warms]: [u64; 3]) -> Self {
        Self {
            events: drain::in_equal_parts(events),
            held: Duration::from_secs(held),
            calm: Duration::from_secs(calm),
            warms: Duration::from_secs(warms),
        }
    }
}

pub(crate) async fn run(options: &Options) -> Result<Report> {
    // Without anybody it is what the others are compared with.
    let mut others = options.of([Other::Pinned, Other::Stranger], |other| other.title().to_owned())?;
    others.insert(0, Other::Free);
    let runs = options.runs(RUNS, 1);
    let small = Sizes::of(30_000, [5, 4, 2]);
    let whole = Sizes::of(options.events.unwrap_or(1_000_000), [300, 30, 2]);
    let quick = Sizes::of(5_000, [2, 2, 1]);
    let ground = Ground::prepare().await?;
    let facts = ground.facts().await?;
    latency::prepare(&ground).await?;
    let mut found: Vec<Found> = others.iter().map(|_| empty()).collect();
    for run in options.rounds(runs) {
        // The round that warms up need not wait for a snapshot to grow old; without it a quick one is long enough.
        let sizes = if run == 0 {
            small
        } else {
            options.size(whole, quick)
        };
        // One for all of a round: what comes, comes at the same moments.
        let seed = rand::random();
        for place in turns(others.len(), run) {
            let (other, series) = (others[place], &mut found[place]);
            eprintln!("run {run} of {runs}, seed {seed}: {other:?}");
            let values = other.once(&ground, sizes, seed).await?;
            if run > 0 {
                series
                    .iter_mut()
                    .zip(values)
                    .for_each(|(series, value)| series.push(value));
            }
        }
    }
    let mut found = others.into_iter().zip(found);
    let (_, free) = found.next().ok_or_else(|| Failure::new("nothing was measured"))?;
    let lines = found
        .flat_map(|(other, series)| lines_of(other.title(), series, &free))
        .collect();
    Ok(Report {
        name: "pinned",
        title: "While a snapshot or a transaction is held",
        head: HEAD,
        order: TURNS,
        runs: RUNS,
        lines,
        notes: Vec::new(),
        facts,
        is_quick: options.quick,
    })
}

fn empty() -> Found {
    [
        Series::rate(),
        Series::delay(),
        Series::delay(),
        Series::delay(),
        Series::delay(),
    ]
}

fn lines_of(title: &str, ours: Found, free: &Found) -> Vec<Line> {
    let what = [
        BACKLOG,
        "1,000 per s, p50",
        "1,000 per s, p99",
        "200 per s, p50",
        "200 per s, p99",
    ];
    let mut lines = Vec::new();
    for ((what, ours), free) in what.into_iter().zip(ours).zip(free) {
        let line = Line::new(format!("{title}: {what}"), ours.clone()).against("free", free.clone());
        lines.push(match what {
            BACKLOG => line.must_reach(0.9, 0.97),
            _ => line.must_reach(DELAY.0, DELAY.1),
        });
        if what.ends_with("p99") {
            lines.push(Line::new(format!("{title}: {what}, by itself"), ours).must_reach(P99.0, P99.1));
        }
    }
    lines
}
