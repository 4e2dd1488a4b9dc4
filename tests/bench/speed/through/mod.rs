//! S7: from an append to its committed effect, through log, relay, stream and consumer, at 5,000 events a second; and what a million
//! events cost each of them.
//!
//! Producers go by a schedule and wait for nobody. Every run is checked: each event has its effect, once, and those of a key in order.

use std::time::Duration;

use system_tests::{Database, Relay, Result, Schema, World};

mod effects;

pub(crate) mod member;

mod run;

mod told;

use super::schedule::Schedule;
use super::servers;
use crate::options::Options;
use crate::report::{Facts, Report};
use run::once;
use told::{in_words, lines_of, sessions_note};

const RATE: u64 = 5_000;
const CONNECTIONS: u64 = 32;
const SECONDS: (u64, u64) = (60, 1);
/// Of the round that is thrown away.
const WARM_SECONDS: (u64, u64) = (10, 1);
const LIMIT: Duration = Duration::from_secs(300);

/// What is done in which way.
#[derive(Clone, Copy, Debug)]
struct Case {
    /// Of the page.
    title: &'static str,
    /// Each has one of its own, and a consumer group of that name.
    topic: &'static str,
    /// Events of a transaction of the producers.
    each: u64,
    /// Which consumer: by the library, all events of a transaction at once, or `outbox-relay consume`, an event after the other.
    at_once: bool,
}

const CASES: [Case; 3] = [
    Case {
        title: "one to a transaction, `consume --call`",
        topic: "through.one",
        each: 1,
        at_once: false,
    },
    Case {
        title: "ten to a transaction, `consume --call`",
        topic: "through.ten",
        each: 10,
        at_once: false,
    },
    Case {
        title: "ten to a transaction, `on_batch`",
        topic: "through.batch",
        each: 10,
        at_once: true,
    },
];

/// Rounds that count.
const RUNS: usize = 3;

/// As the page tells it.
const ORDER: &str = "the cases come one after the other, each with all of its rounds, since nothing is compared with them; the first round of
each is a short one and thrown away";

const HEAD: &str = "\
Producers append 5,000 events a second for 60 seconds (`--quick`: one), some 200 bytes each, over 32 connections and 800 keys, by a
schedule that waits for nobody; a relay publishes them, and a consumer in a process of its own applies them, one row to an event: either
`outbox-relay consume` with an SQL function that is called for each, or a program with the library, whose handler takes all events of a
transaction (`on_batch`). All have the settings that they have by themselves. Log and effects are two databases of one Postgres that
writes to disk. Producers append one event to a transaction, or ten.

Clocks: an event is late from the moment at which the schedule wanted its transaction to *begin*, so that a producer that had to wait
does not make the events behind it look early, and the producer's own commit is part of the time. Two ends are told: **commit record**, when
Postgres wrote the record of the effect's commit (`track_commit_timestamp`; every event; the flush of that record is not in it), and
**seen**, when another client heard of the committed effect (a notification from each fiftieth effect). All of them read the machine's
real-time clock. A timer of the schedule rings up to a millisecond late, which is counted too.

CPU is what the kernel counts by thread in nanoseconds, over the run and until the last effect, for a million events. What of Postgres'
share was whose is told below the table, by the login of the session.
";

pub(crate) async fn run(options: &Options) -> Result<Report> {
    let facts = Facts::of_machine();
    let cases = options.of(CASES, |case| case.title.to_owned())?;
    let runs = options.runs(RUNS, 1);
    let seconds = options.size(SECONDS.0, SECONDS.1);
    let warm = options.size(WARM_SECONDS.0, WARM_SECONDS.1);
    let mut world = servers::start(&[("track_commit_timestamp", "on")]).await?;
    let processes = servers::processes(&mut world)?;
    let shop = world.another_database(Schema::Inbox).await?;
    effects::prepare(&shop).await?;
    let mut relay = servers::relay(world.database_url(), world.redis_url()).start()?;
    relay.leads().await?;
    let mut lines = Vec::new();
    let mut notes = Vec::new();
    for case in cases {
        let title = case.title;
        let mut consumer = case.consumer(&world, &shop).await?;
        let mut done = Vec::new();
        for run in options.rounds(runs) {
            let seconds = if run == 0 { warm } else { seconds };
            let schedule = Schedule {
                topic: case.topic,
                rate: RATE,
                each: case.each,
                connections: CONNECTIONS,
                events: Some(RATE * seconds),
            };
            let one = once(&world, &shop, schedule, processes, [&relay, &consumer]).await?;
            eprintln!("run {run} of {runs}, {title}: {}", in_words(&one));
            done.push(one);
        }
        consumer.terminate().await?;
        let counted = &done[usize::from(!options.quick)..];
        lines.extend(lines_of(title, counted));
        notes.push(sessions_note(title, counted));
    }
    Ok(Report {
        name: "through",
        title: "From an append to its effect",
        head: HEAD,
        order: ORDER,
        runs: RUNS,
        lines,
        notes,
        facts: servers::tell(facts, &world).await?,
        is_quick: options.quick,
    })
}

impl Case {
    /// Starts it.
    async fn consumer(self, world: &World, shop: &Database) -> Result<Relay> {
        if self.at_once {
            // The round that is thrown away waits for it; in a quick run, which has none, its start is in the delays.
            return member::options(world, shop, self.topic)?.start();
        }
        let mut consumer = effects::consumer(world, shop, self.topic).start()?;
        consumer.ready().await?;
        Ok(consumer)
    }
}

/// The lines of its page, of which nothing was measured.
#[cfg(test)]
pub(crate) fn lines_of_nothing() -> Vec<crate::report::Line> {
    CASES.iter().flat_map(|case| lines_of(case.title, &[])).collect()
}
