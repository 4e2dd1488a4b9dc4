//! S5: what an event costs a relay that is very far behind, beside one that is a little behind, and how much memory it takes.
//!
//! Both logs are on the same servers. The same number of events is measured in each, in turns: the small log is made anew for each
//! round and published whole; of the large one a slice is published, and the rest when all rounds are over. Everything is checked at
//! its end: each event is on its stream, once and in its order.

use std::time::{Duration, Instant};

use system_tests::{Failure, Relay, Result, World};

mod log;

use super::memory::peak_bytes;
use super::servers::{self, Processes};
use super::usage::Usage;
use crate::options::Options;
use crate::report::{Better, Facts, Line, Report, Series};
use crate::turn::is_second_first;
use log::Log;

/// Events behind: much, and little.
const MUCH: (u64, u64) = (10_000_000, 60_000);
const LITTLE: (u64, u64) = (100_000, 10_000);
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Rounds that count.
const RUNS: usize = 5;

/// As the page tells it.
const ORDER: &str = "the large log and the small one take turns, each round begins with the other one, the first round of all is thrown
away";

const HEAD: &str = "\
Two logs on the same servers: one has 10,000,000 events that were never published (`--quick`: 60,000), the other 100,000 (10,000), of
some 200 bytes, over four topics and 1,000 keys. Both are filled by inserts as large as 100,000 rows, and vacuumed. A relay with the
settings that it has by itself is started, and what it costs to publish the middle three fifths of the small log is measured there, and
of as many events in the large one: time by the monotonic clock, and time on a processor of the relay, of all of Postgres and of Redis, as
the kernel counts it by thread in nanoseconds. In the large log the relay is stopped then, and goes on in the next round; the small one
is published to its end and made anew. When all rounds are over, the rest of the large log is published at once.

*To the first event* is from the start of the relay's process to the first entry on a stream: where nothing of a backlog was cut into a
batch before, that has the cut in it, which counts every row. In the large log there is one such cut, in the round that is thrown away:
it is told below the table.
";

/// Costs of the slice, in microseconds per event, and what came before it.
#[derive(Clone, Copy, Debug)]
struct Cost {
    wall: f64,
    relay: f64,
    postgres: f64,
    redis: f64,
    /// Milliseconds.
    to_the_first: f64,
    /// Megabytes.
    peak: f64,
}

/// Name, unit and value of each series.
type Of = (&'static str, &'static str, fn(&Cost) -> f64);

/// What is compared; the first two have floors.
const OF: [Of; 6] = [
    ("time per event", "µs", |cost| cost.wall),
    ("CPU per event, all three", "µs", |cost| {
        cost.relay + cost.postgres + cost.redis
    }),
    ("CPU per event, relay", "µs", |cost| cost.relay),
    ("CPU per event, Postgres", "µs", |cost| cost.postgres),
    ("CPU per event, Redis", "µs", |cost| cost.redis),
    ("to the first event", "ms", |cost| cost.to_the_first),
];

pub(crate) async fn run(options: &Options) -> Result<Report> {
    options.whole("backlog")?;
    let facts = Facts::of_machine();
    let runs = options.runs(RUNS, 1);
    let mut world = servers::start(&[]).await?;
    let processes = servers::processes(&mut world)?;
    let (much, little) = (options.size(MUCH.0, MUCH.1), options.size(LITTLE.0, LITTLE.1));
    let begun = Instant::now();
    let mut large = Log::large(&world, much).await?;
    eprintln!("{much} events behind after {:.0?}", begun.elapsed());
    let mut costs: Vec<(Cost, Cost)> = Vec::new();
    for run in options.rounds(runs) {
        let (in_large, in_small) = match is_second_first(run) {
            false => {
                let in_large = of_large(&large, little, processes).await?;
                (in_large, of_small(&world, little, processes).await?)
            }
            true => {
                let in_small = of_small(&world, little, processes).await?;
                (of_large(&large, little, processes).await?, in_small)
            }
        };
        eprintln!("run {run} of {runs}: {much} behind: {in_large:.1?}; {little} behind: {in_small:.1?}");
        costs.push((in_large, in_small));
    }
    let first = *costs.first().ok_or_else(|| Failure::new("no round"))?;
    let costs = &costs[usize::from(!options.quick)..];
    let (rest, rate, peak) = rest(&mut large).await?;
    let mut lines = lines(costs, &much.to_string(), &little.to_string());
    lines.push(rest_line(
        format!("the rest of {much}: events"),
        "per s",
        Better::Higher,
        rate,
    ));
    lines.push(
        rest_line(
            format!("relay's most memory, the rest of {much}"),
            "MB",
            Better::Lower,
            peak,
        )
        .must_reach(128.0, 48.0),
    );
    let notes = vec![
        format!(
            "The first event of {much} that nothing was cut of was there {:.0} ms after the relay's start; of {little}, {:.0} ms in the same round.",
            first.0.to_the_first, first.1.to_the_first
        ),
        format!("The rest: {rest} events at once, every event of the log checked on its stream."),
    ];
    Ok(Report {
        name: "backlog",
        title: "What a backlog costs",
        head: HEAD,
        order: ORDER,
        runs: RUNS,
        lines,
        notes,
        facts: servers::tell(facts, &world).await?,
        is_quick: options.quick,
    })
}

/// Of a slice of the large log. Its relay is stopped then.
async fn of_large(large: &Log, little: u64, processes: Processes) -> Result<Cost> {
    let (cost, mut relay) = slice(large, little, processes).await?;
    relay.terminate().await?;
    Ok(cost)
}

/// Of the middle of a small log, which is made for it and published whole.
async fn of_small(world: &World, little: u64, processes: Processes) -> Result<Cost> {
    let mut small = Log::small(world, little).await?;
    let (cost, mut relay) = slice(&small, little, processes).await?;
    small.wait_for(small.rows()).await?;
    relay.terminate().await?;
    small.check().await?;
    Ok(cost)
}

fn lines(costs: &[(Cost, Cost)], much: &str, little: &str) -> Vec<Line> {
    let series = |unit, better, value: &dyn Fn(&(Cost, Cost)) -> f64| {
        let mut series = Series::new(unit, better);
        costs.iter().for_each(|pair| series.push(value(pair)));
        series
    };
    let mut lines = Vec::new();
    for (number, (name, unit, value)) in OF.into_iter().enumerate() {
        let large = series(unit, Better::Lower, &|(large, _)| value(large));
        let small = series(unit, Better::Lower, &|(_, small)| value(small));
        let line =
            Line::new(format!("{name}, {much} behind"), large).against(format!("{little} behind"), small);
        lines.push(if number < 2 {
            line.must_reach(1.2, 1.05)
        } else {
            line
        });
    }
    let of_large = series("MB", Better::Lower, &|(large, _)| large.peak);
    let of_small = series("MB", Better::Lower, &|(_, small)| small.peak);
    for (behind, peak) in [(much, of_large), (little, of_small)] {
        lines.push(Line::new(format!("relay's most memory, {behind} behind"), peak).must_reach(128.0, 48.0));
    }
    lines
}

fn rest_line(what: String, unit: &'static str, better: Better, value: f64) -> Line {
    let mut series = Series::new(unit, better);
    series.push(value);
    Line::new(what, series)
}

/// Starts a relay, lets it publish a fifth of `behind`, and measures the next three fifths. It goes on.
async fn slice(log: &Log, behind: u64, processes: Processes) -> Result<(Cost, Relay)> {
    let before = log.published().await?;
    let begun = Instant::now();
    let relay = log.relay().start()?;
    log.wait_for(before + 1).await?;
    let to_the_first = begun.elapsed();
    let first = log.wait_for(before + behind / 5).await?;
    let looks = || -> Result<_> {
        Ok((
            Instant::now(),
            Usage::of(relay.process_id())?,
            Usage::of_family(processes.postgres)?,
            Usage::of(processes.redis)?,
        ))
    };
    let (at, of_relay, of_postgres, of_redis) = looks()?;
    let last = log.wait_for(before + behind / 5 * 4).await?;
    let after = looks()?;
    let each = |time: Duration| time.as_secs_f64() * 1e6 / (last - first) as f64;
    let cost = Cost {
        wall: each(after.0 - at),
        relay: each(after.1.ran_since(&of_relay)),
        postgres: each(after.2.ran_since(&of_postgres)),
        redis: each(after.3.ran_since(&of_redis)),
        to_the_first: to_the_first.as_secs_f64() * 1e3,
        peak: peak_bytes(relay.process_id())? as f64 / 1e6,
    };
    Ok((cost, relay))
}

/// Publishes what is left, and returns how much that was, how many a second, and the relay's most memory in megabytes.
async fn rest(large: &mut Log) -> Result<(u64, f64, f64)> {
    let before = large.published().await?;
    let mut relay = large.relay().start()?;
    let first = large.wait_for(before + 1).await?;
    let begun = Instant::now();
    large.wait_for(large.rows()).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let peak = peak_bytes(relay.process_id())? as f64 / 1e6;
    relay.terminate().await?;
    large.check().await?;
    let left = large.rows() - first;
    Ok((left, left as f64 / seconds, peak))
}
