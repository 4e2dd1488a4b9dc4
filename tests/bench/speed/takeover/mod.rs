//! S9: how long nothing new is published when the leading relay ends, by SIGKILL and by SIGTERM, and another one stands by.
//!
//! Producers go on by a schedule. The clock is the machine's monotonic one: from just before the signal is sent to when a reader that
//! is blocked in XREAD has the first entry that the other relay published of what was appended after the signal. Which relay cut a
//! batch says the epoch in the ledger. Every run is checked by the witness: nothing lost, doubled or out of order.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use system_tests::arrival::{arrived, judge};
use system_tests::{Result, World};

mod evaluate;

mod read;

mod strike;

use super::schedule::{Produced, Producing, Schedule};
use super::servers;
use crate::options::Options;
use crate::report::{Better, Facts, Line, Report, Series};
use evaluate::evaluate;
use read::{Seen, read};
use strike::strike;

const TOPIC: &str = "takeover.steady";
const RATE: u64 = 200;
const CONNECTIONS: u64 = 4;
const LIMIT: Duration = Duration::from_secs(120);
/// After both are ready; and one after the other a part of the time between two renewals of the lease, a second, so that the signals
/// meet the lease at every age.
const SETTLED: Duration = Duration::from_secs(1);
const AGES: [u64; 5] = [0, 600, 200, 800, 400];

/// How the leader ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Kill,
    Term,
}

impl End {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "SIGKILL",
            Self::Term => "SIGTERM",
        }
    }
}

/// An end, with floor and aim of the first event behind it, in seconds.
type Wanted = (End, f64, f64);

const WANTED: [Wanted; 2] = [(End::Kill, 6.0, 2.0), (End::Term, 1.0, 0.2)];

/// What was seen of one takeover.
#[derive(Clone, Copy, Debug)]
struct Takeover {
    end: End,
    /// From the signal to the first event that the other relay published.
    first: Duration,
    /// The longest time between two entries from the signal on.
    silence: Duration,
}

/// Rounds that count.
const RUNS: usize = 10;

/// As the page tells it.
const ORDER: &str = "a kill and a request to end follow each other, the first one of each is thrown away, and nothing is compared with them";

const HEAD: &str = "\
Two relays with the settings that they have by themselves (a lease of four seconds, renewed every second); one leads, the other stands by.
Producers append 200 events a second, each in a transaction of its own, by a schedule that waits for nobody, and a reader is blocked in
XREAD. The leader is ended in turns by SIGKILL and by SIGTERM, ten times each (`--quick`: once), at five ages of its lease; another relay
takes its place as the one that stands by.

The clock is the monotonic one of the machine. *The first event* is from just before the signal is sent to when the reader has the first
entry that the other relay published, of what was appended after the signal: which relay cut a batch says the epoch in the ledger. *The
silence* is the longest time between two entries meanwhile, and what a reader notices. The first takeover of each kind is thrown away.
What must hold must hold for the worst of them too: it has a line of its own.
";

pub(crate) async fn run(options: &Options) -> Result<Report> {
    let facts = Facts::of_machine();
    let runs = options.runs(RUNS, 1);
    let wanted = options.of(WANTED, |(end, ..)| end.name().to_owned())?;
    let ends: Vec<End> = wanted.iter().map(|(end, ..)| *end).collect();
    let rounds = options.rounds(runs);
    let first_that_counts = 1 - rounds.start();
    let world = servers::start(&[]).await?;
    let seen = takeovers(&world, &ends, rounds.count()).await?;
    Ok(Report {
        name: "takeover",
        title: "How long a takeover takes",
        head: HEAD,
        order: ORDER,
        runs: RUNS,
        lines: lines(&wanted, &seen, first_that_counts),
        notes: Vec::new(),
        facts: servers::tell(facts, &world).await?,
        is_quick: options.quick,
    })
}

/// Of each end, without so many of the first.
fn lines(wanted: &[Wanted], seen: &[Takeover], first_that_counts: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for (end, floor, aim) in wanted.iter().copied() {
        let of = |value: fn(&Takeover) -> Duration| {
            let mut series = Series::new("s", Better::Lower);
            let takeovers = seen
                .iter()
                .filter(|takeover| takeover.end == end)
                .skip(first_that_counts);
            takeovers.for_each(|takeover| series.push(value(takeover).as_secs_f64()));
            series
        };
        let first = of(|takeover| takeover.first);
        let mut worst = Series::new("s", Better::Lower);
        if !first.values().is_empty() {
            worst.push(first.range().1);
        }
        let name = end.name();
        lines.push(Line::new(format!("{name}: the first event"), first).must_reach(floor, aim));
        lines.push(Line::new(format!("{name}: the first event, the worst"), worst).must_reach(floor, aim));
        lines.push(Line::new(
            format!("{name}: the silence"),
            of(|takeover| takeover.silence),
        ));
    }
    lines
}

/// The lines of its page, of which nothing was measured.
#[cfg(test)]
pub(crate) fn lines_of_nothing() -> Vec<Line> {
    lines(&WANTED, &[], 0)
}

/// Ends leaders in turns, each way so many times, and returns what was seen.
async fn takeovers(world: &World, ends: &[End], times: usize) -> Result<Vec<Takeover>> {
    let options = servers::relay(world.database_url(), world.redis_url());
    let mut relays = [options.start()?, options.start()?];
    for relay in &mut relays {
        relay.ready().await?;
    }
    let seen = Seen::default();
    let reader = read(world, Arc::clone(&seen)).await?;
    let producing = Schedule {
        topic: TOPIC,
        rate: RATE,
        each: 1,
        connections: CONNECTIONS,
        events: None,
    }
    .start(world)
    .await?;
    let mut signals = Vec::new();
    for turn in 0..times {
        for end in ends.iter().copied() {
            tokio::time::sleep(SETTLED + Duration::from_millis(AGES[turn % AGES.len()])).await;
            signals.push(strike(world, &mut relays, end, &seen).await?);
            for relay in &mut relays {
                if relay.has_ended()? {
                    *relay = options.start()?;
                }
                relay.ready().await?;
            }
            eprintln!("{end:?}: the other one leads, and its successor stands by");
        }
    }
    let produced = check(world, producing).await?;
    reader.abort();
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    evaluate(world, &produced, &seen, &signals).await
}

/// Everything arrived, once and in order.
async fn check(world: &World, producing: Producing) -> Result<Produced> {
    let produced = producing.stop().await?;
    let topics = [TOPIC.to_owned()];
    arrived(world, &topics, LIMIT).await?;
    judge(world, &produced.journal(TOPIC)?, &topics).await?.clean()?;
    Ok(produced)
}
