//! S3: from the return of a commit until its entry is read, beside one durable commit and two round trips.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, Executor as _};
use system_tests::Result;

use super::flow::{Delays, Flow};
use super::ground::{Copy, Ground, Sink};
use super::quantile::Quantiles;
use crate::options::Options;
use crate::report::{Line, Report, Series};

const RATES: [u32; 2] = [200, 1_000];
/// Probes of the floor are as far apart as the events of the slower flow, so that they meet processes that wait as those do.
const BETWEEN_PROBES: Duration = Duration::from_millis(5);

const HEAD: &str = "Events come by a schedule of 200 and of 1,000 in a second with random gaps (Poisson), for 30 seconds (`--quick`: 5), whether or not those before
them are through; each is a transaction with one `outbox.append` over one of 32 connections, payload 200 bytes. The delay begins when
the commit returned to its client, and ends when a reader that is blocked in `XREAD` has the entry. The first two seconds do not count. The relay
has the settings that it has by itself; Redis keeps nothing on disk, Postgres everything.

The relay cannot do with less than **one durable commit** (what is in a batch is committed before it is published), **a round trip to
Postgres** and **one to Redis**. They are measured just before each flow on the same servers with nothing else at work, 200 in a second
one after the other: an `insert` of one row that is committed, `select 1`, and `PING`; each from a connection of its own, prepared. What stands
beside p50 is the sum of their medians.

Every run is checked: each event is read once, and those of a key in order.
";

pub(crate) async fn run(options: &Options) -> Result<Report> {
    let rates = options.of(RATES, |rate| title_of(*rate))?;
    let runs = options.runs(5, 1);
    let lasts = Duration::from_secs(options.size(30, 5));
    let ground = Ground::prepare().await?;
    let facts = ground.facts().await?;
    prepare(&ground).await?;
    let mut found: Vec<[Series; 5]> = rates
        .iter()
        .map(|_| std::array::from_fn(|_| Series::delay()))
        .collect();
    let mut commits: Vec<[Series; 2]> = rates
        .iter()
        .map(|_| std::array::from_fn(|_| Series::delay()))
        .collect();
    let (mut notes, mut late) = (Vec::new(), 0.0_f64);
    for run in options.rounds(runs) {
        for ((rate, series), commits) in rates.iter().copied().zip(&mut found).zip(&mut commits) {
            let seed = rand::random();
            let flow = Flow {
                rate,
                lasts,
                warms: Duration::from_secs(2),
                seed,
            };
            let copy = ground.copy("flowing").await?;
            let floor = floor(&ground, &copy, options.size(1_000, 200)).await?;
            let delays = once(&ground, &copy, flow).await?;
            ground.drop_copy(copy).await?;
            let seen = |share| delays.seen.at(share);
            eprintln!(
                "run {run} of {runs}: {rate} per s, seed {seed}: p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms; floor {floor:.2} ms; {:.1} % on time",
                seen(0.5),
                seen(0.99),
                seen(1.0),
                delays.on_time * 100.0
            );
            if run > 0 {
                let values = [seen(0.5), seen(0.99), seen(0.999), seen(1.0), floor];
                series
                    .iter_mut()
                    .zip(values)
                    .for_each(|(series, value)| series.push(value));
                commits[0].push(delays.committed.at(0.5));
                commits[1].push(delays.committed.at(0.99));
                late = late.max(1.0 - delays.on_time);
            }
        }
    }
    let mut lines = Vec::new();
    for ((rate, series), commits) in rates.into_iter().zip(found).zip(commits) {
        lines.extend(lines_of(rate, series, commits));
    }
    notes.push(format!(
        "In the worst run {:.1} % of the events were begun more than a millisecond after their moment.",
        late * 100.0
    ));
    Ok(Report {
        name: "latency",
        title: "How late an event is",
        head: HEAD,
        lines,
        notes,
        facts,
        is_quick: options.quick,
    })
}

/// As its lines begin, and `--only` names it.
fn title_of(rate: u32) -> String {
    format!("{rate} per s")
}

fn lines_of(rate: u32, [p50, p99, p999, most, floor]: [Series; 5], commits: [Series; 2]) -> Vec<Line> {
    let [commit_p50, commit_p99] = commits;
    let title = |what: &str| format!("{}: {what}", title_of(rate));
    vec![
        Line::new(title("p50"), p50)
            .against("a commit and two round trips", floor)
            .must_reach(3.0, 1.5),
        Line::new(title("p99"), p99).must_reach(10.0, 3.0),
        Line::new(title("p99.9"), p999),
        Line::new(title("most"), most),
        Line::new(
            title("from its moment to the return of its commit, p50"),
            commit_p50,
        ),
        Line::new(title("the same, p99"), commit_p99),
    ]
}

/// One flow through a relay that was started for it.
async fn once(ground: &Ground, copy: &Copy, flow: Flow) -> Result<Delays> {
    ground.empty(Sink::Memory).await?;
    let mut relay = ground.relay(copy.url(), Sink::Memory).start()?;
    relay.leads().await?;
    let delays = flow.run(ground, copy.url(), Sink::Memory).await?;
    relay.terminate().await?;
    Ok(delays)
}

/// The sum of the medians of a durable commit, a round trip to Postgres, and one to Redis, in milliseconds.
async fn floor(ground: &Ground, copy: &Copy, probes: usize) -> Result<f64> {
    let connect = async || -> Result<tokio_postgres::Client> {
        let (client, connection) = tokio_postgres::connect(copy.url(), tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    };
    let (committing, asking) = (connect().await?, connect().await?);
    let mut redis = ground.redis(Sink::Memory).await?;
    let insert = committing
        .prepare("insert into bench.probe (n) values (1)")
        .await?;
    let select = asking.prepare("select 1").await?;
    let mut took: [Vec<f64>; 3] = std::array::from_fn(|_| Vec::new());
    for _ in 0..probes {
        tokio::time::sleep(BETWEEN_PROBES).await;
        let began = Instant::now();
        committing.execute(&insert, &[]).await?;
        let committed = Instant::now();
        asking.query_one(&select, &[]).await?;
        let asked = Instant::now();
        redis::cmd("PING").query_async::<()>(&mut redis).await?;
        let pinged = Instant::now();
        let times = [committed - began, asked - committed, pinged - asked];
        took.iter_mut()
            .zip(times)
            .for_each(|(all, time)| all.push(time.as_secs_f64() * 1e3));
    }
    Ok(took.into_iter().map(|all| Quantiles::of(all).at(0.5)).sum())
}

/// The table of the probes.
pub(super) async fn prepare(ground: &Ground) -> Result {
    let mut connection = ground.connect().await?;
    connection
        .execute("create schema bench; create table bench.probe (n integer not null)")
        .await?;
    Ok(connection.close().await?)
}
