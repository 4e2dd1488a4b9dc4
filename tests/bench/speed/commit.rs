//! S2: what appending costs a producer, beside the same rows inserted without our function and trigger.

use std::time::Duration;

use sqlx::postgres::PgListener;
use sqlx::{Connection as _, Executor as _};
use system_tests::patience::until;
use system_tests::{Failure, Login, Result, stream};

use super::ground::{Copy, Ground, Sink};
use super::pgbench::{Much, repeat};
use crate::options::Options;
use crate::report::{Better, Line, Report, Series};
use crate::turn::turns;

const CLIENTS: u32 = 32;
const LIMIT: Duration = Duration::from_secs(600);
const STREAM: &str = "outbox:bench.committed";

const HEAD: &str = "`pgbench --protocol prepared` with 32 clients and two threads; each transaction is one statement that brings one event of 200 bytes, over 1,000
keys, 15 seconds at a time (`--quick`: 2). Each run has a copy of a database with an empty log. All commits are durable. The payload is bound as a
parameter, and is another one each time; ids are ordered by time, made by the same function (`outbox.new_event_id()`) for all.

* **Ours**: `select outbox.append('bench.committed', …::json, key => …)`, the function that producers call, by a login that may append and
  nothing else. No relay is there, so its lock is free and the doorbell does not ring.
* **Raw**: `insert` of the same values into a table that is not partitioned, has the same columns and defaults (position by a
  sequence, transaction id, time of the clock), and the same three indexes: unique on id and source, topic and position, transaction id and
  position. No trigger, and no function but that of the id.
* **Raw with NOTIFY**: the same, and `pg_notify` in the same statement, with one session that listens: what a poller does that wants to be
  woken.
* **Ours with the relay**: the relay runs on the same two cores and publishes into Redis meanwhile; it is beside raw inserts that have
  both cores for themselves. How much it published by the end of the time, and what was left, is told: a relay that waits costs nothing.
* Where it goes: **raw inserts into the log itself**, by a superuser, so without the function; once with its triggers off. What is left
  beside raw inserts then are the partitions.

WAL is all that the server wrote meanwhile, by the commits that came of it; full pages after a checkpoint are in it.

Every run is checked: as many rows as transactions, and with the relay as many entries.
";

const OURS: &str = r#"\set key random(1, 1000)
\set number random(1, 1000000000)
select outbox.append('bench.committed', (PAYLOAD)::json, key => 'key-' || :key::text);
"#;
/// Variables of `pgbench` are bound as parameters.
const PAYLOAD: &str = r#"'{"number":' || :number::text || ',"filling":"' || :filling::text || '"}'"#;
const RAW: &str = r#"\set key random(1, 1000)
\set number random(1, 1000000000)
insert into bench.raw (retention, topic, key, id, source, type, data_content_type, data)
values ('standard', 'bench.committed', 'key-' || :key::text, outbox.new_event_id(), '/bench', 'bench.committed', 'application/json', PAYLOAD);
"#;
const RAW_WITH_NOTIFY: &str = r#"\set key random(1, 1000)
\set number random(1, 1000000000)
with put as (
    insert into bench.raw (retention, topic, key, id, source, type, data_content_type, data)
    values ('standard', 'bench.committed', 'key-' || :key::text, outbox.new_event_id(), '/bench', 'bench.committed', 'application/json', PAYLOAD)
    returning 1
)
select pg_notify('bench', '') from put;
"#;

/// What was done in one run.
#[derive(Clone, Copy, Debug)]
struct Once {
    /// Commits in a second.
    rate: f64,
    /// Bytes that the server wrote for each.
    wal: f64,
    /// Events on the stream when the last of them was over, for a second of that time.
    published: f64,
    /// Events that were not.
    left: f64,
}

/// A transaction of producers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Ours,
    Raw,
    RawWithNotify,
    OursWithRelay,
    /// The raw insert into the log itself, whose triggers do not fire.
    Log,
    /// The same, and they do.
    LogWithTriggers,
}

impl Way {
    const ALL: [Self; 6] = [
        Self::Ours,
        Self::Raw,
        Self::RawWithNotify,
        Self::OursWithRelay,
        Self::Log,
        Self::LogWithTriggers,
    ];

    fn script(self) -> String {
        let script = match self {
            Self::Ours | Self::OursWithRelay => OURS,
            Self::Raw => RAW,
            Self::RawWithNotify => RAW_WITH_NOTIFY,
            Self::Log | Self::LogWithTriggers => &RAW.replace("bench.raw", "outbox.log"),
        };
        script.replace("PAYLOAD", PAYLOAD)
    }

    fn count(self) -> &'static str {
        match self {
            Self::Ours | Self::OursWithRelay | Self::Log | Self::LogWithTriggers => {
                "select count(*) from outbox.log"
            }
            Self::Raw | Self::RawWithNotify => "select count(*) from bench.raw",
        }
    }

    async fn once(self, ground: &Ground, seconds: u32) -> Result<Once> {
        let copy = ground.copy("committed").await?;
        let url = match self {
            // A producer may not insert by itself, and triggers are turned off by a superuser.
            Self::Log => format!("{}?options=-csession_replication_role%3Dreplica", copy.url()),
            Self::LogWithTriggers => copy.url().to_owned(),
            _ => Login::Producer.database_url(copy.url()),
        };
        let listener = match self {
            Self::RawWithNotify => {
                let mut listener = PgListener::connect(copy.url()).await?;
                listener.listen("bench").await?;
                Some(tokio::spawn(
                    async move { while listener.recv().await.is_ok() {} },
                ))
            }
            _ => None,
        };
        let mut relay = None;
        if self == Self::OursWithRelay {
            ground.empty(Sink::Memory).await?;
            let started = relay.insert(ground.relay(copy.url(), Sink::Memory).start()?);
            started.leads().await?;
        }
        let filling = ("filling", "x".repeat(170));
        let written = wal(ground).await?;
        let done = repeat(&url, &self.script(), &[filling], CLIENTS, Much::Seconds(seconds)).await?;
        let written = wal(ground).await? - written;
        let mut published = 0;
        if let Some(listener) = listener {
            listener.abort();
        }
        if let Some(mut relay) = relay {
            let mut redis = ground.redis(Sink::Memory).await?;
            published = i64::try_from(stream::length(&mut redis, STREAM).await?)?;
            until("all that was committed is published", LIMIT, async || {
                let length = stream::length(&mut redis, STREAM).await?;
                Ok((i64::try_from(length)? == done.transactions).then_some(()))
            })
            .await?;
            relay.terminate().await?;
        }
        self.check(&copy, done.transactions).await?;
        ground.drop_copy(copy).await?;
        Ok(Once {
            rate: done.rate,
            wal: written / done.transactions as f64,
            published: published as f64 / f64::from(seconds),
            left: (done.transactions - published) as f64,
        })
    }

    async fn check(self, copy: &Copy, transactions: i64) -> Result {
        let mut connection = copy.connect().await?;
        let rows: i64 = sqlx::query_scalar(self.count())
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        match rows == transactions {
            true => Ok(()),
            false => Err(Failure::new(format!(
                "{self:?}: {rows} rows of {transactions} transactions"
            ))),
        }
    }
}

/// A line of the table.
#[derive(Clone, Copy)]
struct Comparison {
    title: &'static str,
    ours: Way,
    limit: Way,
    /// As the table names what it is beside.
    beside: &'static str,
    bounds: Option<(f64, f64)>,
}

impl Comparison {
    const ALL: [Self; 6] = [
        Self {
            bounds: Some((0.85, 0.95)),
            ..Self::beside_raw("commits that append, no relay", Way::Ours)
        },
        Self {
            title: "commits that append, no relay",
            ours: Way::Ours,
            limit: Way::RawWithNotify,
            beside: "raw inserts with NOTIFY",
            bounds: Some((3.0, 4.0)),
        },
        Self {
            bounds: Some((0.6, 0.75)),
            ..Self::beside_raw(
                "commits that append, the relay publishes meanwhile",
                Way::OursWithRelay,
            )
        },
        Self::beside_raw(
            "raw inserts with NOTIFY, which are nothing of ours",
            Way::RawWithNotify,
        ),
        Self::beside_raw("raw inserts into the log itself, its triggers off", Way::Log),
        Self::beside_raw("raw inserts into the log itself", Way::LogWithTriggers),
    ];

    const fn beside_raw(title: &'static str, ours: Way) -> Self {
        Self {
            title,
            ours,
            limit: Way::Raw,
            beside: "raw inserts",
            bounds: None,
        }
    }

    fn line(&self, of: impl Fn(Way, usize) -> Option<Series>) -> Option<Line> {
        let line = Line::new(self.title, of(self.ours, 0)?).against(self.beside, of(self.limit, 0)?);
        Some(match self.bounds {
            Some((floor, aim)) => line.must_reach(floor, aim),
            None => line,
        })
    }
}

pub(crate) async fn run(options: &Options) -> Result<Report> {
    let comparisons = options.of(Comparison::ALL, |comparison| comparison.title.to_owned())?;
    let is_needed = |way: &Way| {
        comparisons
            .iter()
            .any(|one| one.ours == *way || one.limit == *way)
    };
    let ways: Vec<Way> = Way::ALL.into_iter().filter(is_needed).collect();
    let runs = options.runs(5, 1);
    let seconds = options.size(15, 2);
    let ground = Ground::prepare().await?;
    let facts = ground.facts().await?;
    prepare(&ground).await?;
    let mut found: Vec<(Way, [Series; 2])> = ways
        .into_iter()
        .map(|way| (way, [Series::rate(), Series::new("bytes", Better::Lower)]))
        .collect();
    let (mut published, mut left) = (Series::rate(), Series::new("events", Better::Lower));
    for run in options.rounds(runs) {
        for place in turns(found.len(), run) {
            let (way, [rates, wals]) = &mut found[place];
            let once = way.once(&ground, seconds).await?;
            eprintln!("run {run} of {runs}: {way:?}: {once:.0?}");
            if run > 0 {
                rates.push(once.rate);
                wals.push(once.wal);
            }
            if run > 0 && *way == Way::OursWithRelay {
                published.push(once.published);
                left.push(once.left);
            }
        }
    }
    let of = |way: Way, place: usize| {
        let series = found.iter().find(|(other, _)| *other == way);
        series.map(|(_, series)| series[place].clone())
    };
    let mut lines: Vec<Line> = comparisons
        .iter()
        .filter_map(|comparison| comparison.line(of))
        .collect();
    if !left.values().is_empty() {
        lines.push(Line::new("what the relay published meanwhile", published));
        lines.push(Line::new("what was left to publish then", left));
    }
    if let (Some(ours), Some(raw)) = (of(Way::Ours, 1), of(Way::Raw, 1)) {
        lines.push(Line::new("WAL of a commit that appends", ours).against("raw inserts", raw));
    }
    Ok(Report {
        name: "commit",
        title: "What appending costs a producer",
        head: HEAD,
        lines,
        notes: Vec::new(),
        facts,
        is_quick: options.quick,
    })
}

/// The table that raw inserts go to.
async fn prepare(ground: &Ground) -> Result {
    let mut connection = ground.connect().await?;
    connection
        .execute(
            "create schema bench;
             create sequence bench.position;
             create table bench.raw (like outbox.log including defaults);
             alter table bench.raw alter position set default nextval('bench.position');
             create unique index on bench.raw (id, source);
             create index on bench.raw (topic, position);
             create index on bench.raw (transaction_id, position);
             grant execute on function outbox.new_event_id() to test_producer;
             grant usage on schema bench to test_producer;
             grant usage on sequence bench.position to test_producer;
             grant insert, select on bench.raw to test_producer",
        )
        .await?;
    Ok(connection.close().await?)
}

/// Bytes of WAL that the server has written so far.
async fn wal(ground: &Ground) -> Result<f64> {
    let mut server = ground.server().await?;
    let written: f64 = sqlx::query_scalar("select (pg_current_wal_insert_lsn() - '0/0')::float8")
        .fetch_one(&mut server)
        .await?;
    server.close().await?;
    Ok(written)
}
