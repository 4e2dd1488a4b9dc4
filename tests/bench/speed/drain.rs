//! S1: a backlog into Redis, beside the very same entries sent by `redis-cli --pipe`.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, Executor as _, PgConnection};
use system_tests::patience::until;
use system_tests::{Login, Relay, Result};
use tempfile::NamedTempFile;

use super::ground::{Copy, Ground, Sink};
use super::memory::peak_bytes;
use super::pgbench::repeat;
use super::resp;
use super::usage::Usage;
use crate::options::Options;
use crate::report::{Better, Line, Report, Series, TURNS};
use crate::turn::{is_second_first, turns};

pub(super) const TOPIC: &str = "bench.drained";
const LIMIT: Duration = Duration::from_secs(900);
/// Rows that one transaction fills in.
const FILLED_AT_ONCE: i64 = 20_000;
/// Who fills in one event to a transaction, all at the same time. A key belongs to one of them, and its numbers rise.
const CLIENTS: u32 = 32;
const APPEND: &str = r#"\set key random(1, 31)
select outbox.append('bench.drained', json_build_object('number', nextval('bench.number'), 'filling', :filling::text),
    key => 'key-' || :client_id::text || '-' || :key::text);
"#;

/// Rounds that count.
const RUNS: usize = 5;

const HEAD: &str = "1,000,000 events (`--quick`: 10,000) of one topic and 1,000 keys, each with a payload of 200 bytes, are in the log, and nothing of them is on a
stream; once with one partition, once with eight. The log was filled as services fill it: by 32 clients at the same time, each event by
`outbox.append` in a transaction of its own, so that positions and transaction ids are out of step, and nobody vacuumed or analysed it. A line
of its own has a log that 50 transactions of 20,000 rows each filled, vacuumed and analysed. Each run has a copy of that database whose pages
are not in the memory of Postgres, an empty Redis, and a relay that starts then, with the settings that it has by itself. Time counts from
the start of its process, and once more from the moment at which its `/readyz` says that it leads, until the streams have as many entries as
there are events.

Beside it: the very same entries, read back from the streams with their ids and fields in the order of their positions, put into a file,
and sent by `redis-cli --pipe` into the same Redis after it was emptied; from the start of that process to its end, which is after
the last answer. It reads a file where a relay reads a database, asks for no answer before it goes on, and keeps nothing in mind. It is sent
behind the relay's run in one round, and before it, with the entries of the round before, in the next.

Every run is checked: as many entries as events, in each stream the numbers of each key rise, and their sum is right.

Seconds of CPU are those of the whole relay process, of Postgres with all of its processes, and of Redis, for a million events; beside those of Redis
what it used for the entries of `redis-cli`. They share the cores of this machine, each of which can do one second of CPU in a second.
";

/// What one run took.
pub(super) struct Drained {
    /// Seconds, since it led and since its process was started.
    pub(super) since_leading: f64,
    since_start: f64,
    relay_cpu: f64,
    postgres_cpu: f64,
    redis_cpu: f64,
    peak_bytes: u64,
}

/// How the log was filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filled {
    /// By many clients, an event to a transaction.
    Singly,
    /// By a few large transactions.
    AtOnce,
}

/// What is measured of one number of partitions, one Redis, and one way to fill the log.
struct Case {
    partitions: u32,
    sink: Sink,
    filled: Filled,
    /// Those of the round before.
    entries: Option<NamedTempFile>,
    rate: Series,
    rate_since_start: Series,
    raw: Series,
    relay_cpu: Series,
    postgres_cpu: Series,
    redis_cpu: Series,
    raw_cpu: Series,
    peak: Series,
}

pub(crate) async fn run(options: &Options) -> Result<Report> {
    let events = options.events.unwrap_or(options.size(1_000_000, 10_000));
    let events = in_equal_parts(events);
    let runs = options.runs(RUNS, 1);
    let mut lines = Vec::new();
    let mut facts = None;
    let mut wanted = options.of(Case::all(), Case::title)?;
    while let Some(first) = wanted.first() {
        let (partitions, filled) = (first.partitions, first.filled);
        let (mut cases, others): (Vec<Case>, Vec<Case>) = wanted
            .into_iter()
            .partition(|case| (case.partitions, case.filled) == (partitions, filled));
        wanted = others;
        let ground = Ground::prepare().await?;
        let known = ground.facts().await?;
        facts.get_or_insert(known);
        if partitions > 1 {
            ground.partitions(TOPIC, partitions)?;
        }
        match filled {
            Filled::Singly => fill_singly(ground.connect().await?, ground.log_url(), events).await?,
            Filled::AtOnce => fill(ground.connect().await?, events).await?,
        }
        for run in options.rounds(runs) {
            for place in turns(cases.len(), run) {
                let case = &mut cases[place];
                case.once(&ground, events, run).await?;
                eprintln!("run {run} of {runs}: {}", case.title());
            }
        }
        lines.extend(cases.into_iter().flat_map(Case::lines));
    }
    Ok(Report {
        name: "drain",
        title: "How fast a backlog is published",
        head: HEAD,
        order: TURNS,
        runs: RUNS,
        lines,
        notes: Vec::new(),
        facts: facts.unwrap_or_default(),
        is_quick: options.quick,
    })
}

/// So many, or some fewer, that each client appends as many.
pub(super) fn in_equal_parts(events: i64) -> i64 {
    i64::from(CLIENTS) * (events / i64::from(CLIENTS)).max(1)
}

/// Has many clients append the events, each in a transaction of its own, and closes the connection. Their commits do not wait for the
/// disk: what they leave is the same.
pub(super) async fn fill_singly(mut connection: PgConnection, log_url: &str, events: i64) -> Result {
    connection
        .execute(
            "create schema if not exists bench;
             create sequence bench.number;
             grant usage on schema bench to test_producer;
             grant usage on sequence bench.number to test_producer",
        )
        .await?;
    let url = Login::Producer.database_url(log_url) + "?options=-csynchronous_commit%3Doff";
    let each = u32::try_from(events / i64::from(CLIENTS))?;
    let began = Instant::now();
    let filling = ("filling", "x".repeat(170));
    repeat(&url, APPEND, &[filling], CLIENTS, each).await?;
    eprintln!(
        "{events} events filled in by {CLIENTS} clients: {:.0?}",
        began.elapsed()
    );
    connection.execute("checkpoint").await?;
    Ok(connection.close().await?)
}

/// Puts the events into a log by a few large transactions, and closes the connection.
async fn fill(mut connection: PgConnection, events: i64) -> Result {
    let mut filled = 0;
    while filled < events {
        let through = events.min(filled + FILLED_AT_ONCE);
        sqlx::query(
            "insert into outbox.log (retention, topic, key, id, source, type, data)
             select 'standard', $1, 'key-' || n % 1000, gen_random_uuid(), '/bench', $1,
                    json_build_object('number', n, 'filling', repeat('x', 170))
             from generate_series($2, $3) n order by n",
        )
        .bind(TOPIC)
        .bind(filled + 1)
        .bind(through)
        .execute(&mut connection)
        .await?;
        filled = through;
    }
    connection.execute("vacuum analyze").await?;
    connection.execute("checkpoint").await?;
    Ok(connection.close().await?)
}

/// The streams of the topic.
pub(super) fn streams(partitions: u32) -> Vec<String> {
    match partitions {
        1 => vec![format!("outbox:{TOPIC}")],
        _ => (0..partitions).map(|n| format!("outbox:{TOPIC}:{n}")).collect(),
    }
}

/// Lets a relay publish what is in a copy, and stops it. None of it is on a stream before.
pub(super) async fn drain(
    ground: &Ground,
    copy: &Copy,
    sink: Sink,
    events: i64,
    partitions: u32,
) -> Result<Drained> {
    let streams = streams(partitions);
    let mut redis = ground.redis(sink).await?;
    let before = ground.usage(sink)?;
    let started = Instant::now();
    let mut relay: Relay = ground.relay(copy.url(), sink).start()?;
    relay.leads().await?;
    let led = Instant::now();
    until("everything is published", LIMIT, async || {
        let mut lengths = redis::pipe();
        for stream in &streams {
            lengths.cmd("XLEN").arg(stream);
        }
        let lengths: Vec<i64> = lengths.query_async(&mut redis).await?;
        Ok((lengths.iter().sum::<i64>() >= events).then_some(()))
    })
    .await?;
    let (since_leading, since_start) = (led.elapsed().as_secs_f64(), started.elapsed().as_secs_f64());
    let after = ground.usage(sink)?;
    let process = relay.process_id();
    let (relay_cpu, peak_bytes) = (
        Usage::of(process)?.seconds_since(&Usage::default()),
        peak_bytes(process)?,
    );
    relay.terminate().await?;
    Ok(Drained {
        since_leading,
        since_start,
        relay_cpu,
        postgres_cpu: after.postgres.seconds_since(&before.postgres),
        redis_cpu: after.redis.seconds_since(&before.redis),
        peak_bytes,
    })
}

impl Case {
    fn all() -> impl Iterator<Item = Self> {
        let all = [
            (1, Filled::Singly, Sink::ALL.as_slice()),
            (8, Filled::Singly, &Sink::ALL),
            (1, Filled::AtOnce, &Sink::ALL[..1]),
        ];
        all.into_iter().flat_map(|(partitions, filled, sinks)| {
            sinks.iter().map(move |sink| Self::new(partitions, *sink, filled))
        })
    }

    fn new(partitions: u32, sink: Sink, filled: Filled) -> Self {
        let cpu = || Series::new("s per million", Better::Lower);
        Self {
            partitions,
            sink,
            filled,
            entries: None,
            rate: Series::rate(),
            rate_since_start: Series::rate(),
            raw: Series::rate(),
            relay_cpu: cpu(),
            postgres_cpu: cpu(),
            redis_cpu: cpu(),
            raw_cpu: cpu(),
            peak: Series::new("MiB", Better::Lower),
        }
    }

    fn title(&self) -> String {
        let partitions = match self.partitions {
            1 => "1 partition".to_owned(),
            more => format!("{more} partitions"),
        };
        let filled = match self.filled {
            Filled::Singly => "",
            Filled::AtOnce => ", filled by large transactions",
        };
        format!("{partitions}, {}{filled}", self.sink.title())
    }

    /// Ours and the same entries by `redis-cli`, which is first in each second round.
    async fn once(&mut self, ground: &Ground, events: i64, run: usize) -> Result {
        let raw = match self.entries.take().filter(|_| is_second_first(run)) {
            Some(entries) => Some(self.raw(ground, &entries, events).await?),
            None => None,
        };
        let copy = ground.copy("drained").await?;
        ground.empty(self.sink).await?;
        let drained = drain(ground, &copy, self.sink, events, self.partitions).await?;
        ground.drop_copy(copy).await?;
        let mut redis = ground.redis(self.sink).await?;
        let file = resp::read_back(&mut redis, &streams(self.partitions), events).await?;
        let (raw_seconds, raw_cpu) = match raw {
            Some(raw) => raw,
            None => self.raw(ground, &file, events).await?,
        };
        self.entries = Some(file);
        eprintln!(
            "{events} events: {:.2} s since leading, {:.2} s since the start; redis-cli {raw_seconds:.2} s",
            drained.since_leading, drained.since_start
        );
        if run == 0 {
            return Ok(());
        }
        let (number, millions) = (events as f64, events as f64 / 1e6);
        self.rate.push(number / drained.since_leading);
        self.rate_since_start.push(number / drained.since_start);
        self.raw.push(number / raw_seconds);
        self.relay_cpu.push(drained.relay_cpu / millions);
        self.postgres_cpu.push(drained.postgres_cpu / millions);
        self.redis_cpu.push(drained.redis_cpu / millions);
        self.raw_cpu.push(raw_cpu / millions);
        self.peak.push(drained.peak_bytes as f64 / 1024.0 / 1024.0);
        Ok(())
    }

    /// Seconds, and those on a processor of Redis.
    async fn raw(&self, ground: &Ground, entries: &NamedTempFile, events: i64) -> Result<(f64, f64)> {
        ground.empty(self.sink).await?;
        let before = ground.usage(self.sink)?.redis;
        let seconds = resp::send(&ground.redis_url(self.sink), entries, events)?;
        let used = ground.usage(self.sink)?.redis.seconds_since(&before);
        Ok((seconds, used))
    }

    fn lines(self) -> Vec<Line> {
        let title = self.title();
        let by_cli = "`redis-cli --pipe`";
        vec![
            Line::new(
                format!("{title}: events, from the start of the process"),
                self.rate_since_start,
            )
            .against(by_cli, self.raw.clone())
            .must_reach(0.5, 0.8),
            Line::new(format!("{title}: events, since it leads"), self.rate).against(by_cli, self.raw),
            Line::new(format!("{title}: CPU of the relay"), self.relay_cpu),
            Line::new(format!("{title}: CPU of Postgres"), self.postgres_cpu),
            Line::new(format!("{title}: CPU of Redis"), self.redis_cpu).against(by_cli, self.raw_cpu),
            Line::new(format!("{title}: most memory of the relay"), self.peak),
        ]
    }
}

/// The lines of its page, of which nothing was measured.
#[cfg(test)]
pub(crate) fn lines_of_nothing() -> Vec<Line> {
    Case::all().flat_map(Case::lines).collect()
}
