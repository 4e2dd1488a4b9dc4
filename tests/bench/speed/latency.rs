//! S3: from the return of a commit until its entry is read, beside one durable commit and two round trips.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, Executor as _};
use system_tests::Result;

use super::arrivals::{Arrivals, Worker};
use super::flow::{Delays, Flow, Path};
use super::ground::{Copy, Ground, Sink};
use super::quantile::Quantiles;
use super::session::Session;
use crate::options::Options;
use crate::report::{Better, Line, Report, Series, TURNS};
use crate::turn::turns;

const RATES: [u32; 2] = [200, 1_000];
/// Threads that probe what a flow costs at least; none has to wait for another at the faster rate.
const PROBERS: usize = 16;
/// Of the probes that are thrown away.
const PROBES_WARM: Duration = Duration::from_millis(500);

/// Rounds that count.
const RUNS: usize = 5;

/// Floor and aim of what was committed in a second, as a part of what was to come. Gaps are random, so what was to come is not the
/// rate itself: that of 5,600 events varies by 1.3 % from run to run.
pub(crate) const KEPT: (f64, f64) = (0.98, 0.99);
/// Floor and aim of the part of the events that are begun within a millisecond of their moment: 95 to 99 of 100 on a machine that has
/// nothing else to do, 70 on one that has.
const ON_TIME: (f64, f64) = (0.9, 0.95);

const HEAD: &str = "Events come by a schedule of 200 and of 1,000 in a second with random gaps (Poisson), for 30 seconds (`--quick`: 3), whether or not those before
them are through; each is a transaction with one `outbox.append` over one of 32 connections, payload 200 bytes. The delay begins when
the commit returned to its client (`ReadyForQuery` is read), and ends when a reader that is blocked in `XREAD` has the entry. Producers and reader
are threads on blocking sockets, with nothing between a socket and the clock. An entry that is read before the answer to its commit is has a delay
below zero, which counts as it is. The first two seconds (one) do not count. The relay has the settings that it has by itself; Redis keeps nothing on disk, Postgres everything.

The relay cannot do with less than **one durable commit** (what is in a batch is committed before it is published), **a round trip to
Postgres** and **one to Redis**. They are measured just before each flow on the same servers with nothing else at work, by threads of the same kind, as many
in a second as the flow has and with the same gaps: an `insert` of one row that is committed, `select 1`, and `PING`, one after the other; each from
a connection of its own, prepared. What stands beside p50 is the sum of their medians.

Every run is checked: each event is read once, and those of a key in order.
";

pub(crate) async fn run(options: &Options) -> Result<Report> {
    let rates = options.of(RATES, |rate| title_of(*rate))?;
    let runs = options.runs(RUNS, 1);
    let lasts = Duration::from_secs(options.size(30, 3));
    let ground = Ground::prepare().await?;
    let facts = ground.facts().await?;
    prepare(&ground).await?;
    let mut found: Vec<Found> = rates.iter().map(|_| Found::nothing()).collect();
    let mut below_zero = 0;
    for run in options.rounds(runs) {
        for place in turns(rates.len(), run) {
            let (rate, found) = (rates[place], &mut found[place]);
            let seed = rand::random();
            let arrivals = |lasts| Arrivals { rate, lasts, seed };
            let flow = Flow {
                arrivals: arrivals(lasts),
                warms: Duration::from_secs(options.size(2, 1)),
            };
            let copy = ground.copy("flowing").await?;
            let probed = Duration::from_secs(options.size(8, 1));
            let floor = floor(&ground, &copy, arrivals(probed)).await?;
            let delays = once(&ground, &copy, flow).await?;
            ground.drop_copy(copy).await?;
            let seen = |share| delays.seen.at(share);
            eprintln!(
                "run {run} of {runs}: {rate} per s ({:.0} reached of {:.0} that were to come), seed {seed}: p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms; floor {floor:.2} ms; \
                 {:.1} % on time; {} below zero",
                delays.rate,
                delays.scheduled,
                seen(0.5),
                seen(0.99),
                seen(1.0),
                delays.on_time * 100.0,
                delays.below_zero
            );
            if run > 0 {
                found.take(&delays, floor);
                below_zero += delays.below_zero;
            }
        }
    }
    let found = rates.into_iter().zip(found);
    let below_zero = format!(
        "{below_zero} delays of all runs are below zero: the entry was read before the answer to its commit was."
    );
    Ok(Report {
        name: "latency",
        title: "How late an event is",
        head: HEAD,
        order: TURNS,
        runs: RUNS,
        lines: found.flat_map(|(rate, found)| found.lines(rate)).collect(),
        notes: vec![below_zero],
        facts,
        is_quick: options.quick,
    })
}

/// As its lines begin, and `--only` names it.
fn title_of(rate: u32) -> String {
    format!("{rate} per s")
}

/// What was measured at one rate: delays and what they are beside, commits, and how well the schedule was kept.
struct Found {
    seen: [Series; 4],
    floor: Series,
    commits: [Series; 2],
    reached: Series,
    scheduled: Series,
    on_time: Series,
}

impl Found {
    fn nothing() -> Self {
        Self {
            seen: std::array::from_fn(|_| Series::delay()),
            floor: Series::delay(),
            commits: std::array::from_fn(|_| Series::delay()),
            reached: Series::rate(),
            scheduled: Series::rate(),
            on_time: Series::new("of 1", Better::Higher),
        }
    }

    fn take(&mut self, delays: &Delays, floor: f64) {
        for (series, share) in self.seen.iter_mut().zip([0.5, 0.99, 0.999, 1.0]) {
            series.push(delays.seen.at(share));
        }
        for (series, share) in self.commits.iter_mut().zip([0.5, 0.99]) {
            series.push(delays.committed.at(share));
        }
        self.floor.push(floor);
        self.reached.push(delays.rate);
        self.scheduled.push(delays.scheduled);
        self.on_time.push(delays.on_time);
    }

    /// Delays say something only where the events came: their rate and their moments are judged too.
    fn lines(self, rate: u32) -> Vec<Line> {
        let ([p50, p99, p999, most], [commit_p50, commit_p99]) = (self.seen, self.commits);
        let title = |what: &str| format!("{}: {what}", title_of(rate));
        vec![
            Line::new(title("p50"), p50)
                .against("a commit and two round trips", self.floor)
                .must_reach(3.0, 1.5),
            Line::new(title("p99"), p99).must_reach(10.0, 3.0),
            Line::new(title("p99.9"), p999),
            Line::new(title("most"), most),
            Line::new(
                title("from its moment to the return of its commit, p50"),
                commit_p50,
            ),
            Line::new(title("the same, p99"), commit_p99),
            Line::new(title("committed"), self.reached)
                .against("what was to come by the schedule", self.scheduled)
                .must_reach(KEPT.0, KEPT.1),
            Line::new(
                title("begun within a millisecond of their moment, part"),
                self.on_time,
            )
            .must_reach(ON_TIME.0, ON_TIME.1),
        ]
    }
}

/// The lines of its page, of which nothing was measured.
#[cfg(test)]
pub(crate) fn lines_of_nothing() -> Vec<Line> {
    let of = |rate| Found::nothing().lines(rate);
    RATES.into_iter().flat_map(of).collect()
}

/// One flow through a relay that was started for it.
async fn once(ground: &Ground, copy: &Copy, flow: Flow) -> Result<Delays> {
    ground.empty(Sink::Memory).await?;
    let mut relay = ground.relay(copy.url(), Sink::Memory).start()?;
    relay.leads().await?;
    let path = Path::ours(copy.url(), ground.redis_url(Sink::Memory));
    let delays = flow.run(path).await?;
    relay.terminate().await?;
    delays.in_order_and_once()
}

/// A thread that does what a relay cannot do without.
struct Prober {
    committing: Session,
    asking: Session,
    redis: redis::Connection,
}

impl Worker for Prober {
    type Took = [Duration; 3];

    fn ready(&mut self, _number: u64) {}

    fn go(&mut self) -> Result<Self::Took> {
        let began = Instant::now();
        self.committing.execute(&[])?;
        let committed = Instant::now();
        self.asking.execute(&[])?;
        let asked = Instant::now();
        redis::cmd("PING").query::<()>(&mut self.redis)?;
        Ok([committed - began, asked - committed, asked.elapsed()])
    }
}

/// The sum of the medians of a durable commit, a round trip to Postgres, and one to Redis, in milliseconds.
async fn floor(ground: &Ground, copy: &Copy, arrivals: Arrivals) -> Result<f64> {
    let (url, redis_url) = (copy.url().to_owned(), ground.redis_url(Sink::Memory));
    let probe = move || {
        let client = redis::Client::open(redis_url)?;
        let probers: Vec<Prober> = (0..PROBERS)
            .map(|_| {
                Ok(Prober {
                    committing: Session::open(&url, "insert into bench.probe (n) values (1)")?,
                    asking: Session::open(&url, "select 1")?,
                    redis: client.get_connection()?,
                })
            })
            .collect::<Result<_>>()?;
        let begins = Instant::now();
        let mut done = arrivals.run(begins, probers)?;
        done.retain(|probe| probe.due >= begins + PROBES_WARM);
        let median = |part: usize| {
            let times = done.iter().map(|probe| probe.took[part].as_secs_f64() * 1e3);
            Quantiles::of(times).at(0.5)
        };
        Ok((0..3).map(median).sum())
    };
    tokio::task::spawn_blocking(probe).await?
}

/// The table of the probes.
pub(super) async fn prepare(ground: &Ground) -> Result {
    let mut connection = ground.connect().await?;
    connection
        .execute("create schema bench; create table bench.probe (n integer not null)")
        .await?;
    Ok(connection.close().await?)
}
