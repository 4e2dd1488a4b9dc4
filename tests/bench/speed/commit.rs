//! S2: what appending costs a producer, beside the same rows inserted without our function and trigger.

use std::time::Duration;

use sqlx::postgres::PgListener;
use sqlx::{Connection as _, Executor as _};
use system_tests::patience::until;
use system_tests::{Failure, Login, Result, stream};

use super::ground::{Copy, Ground, Sink};
use super::producers::{Entry, Statement, produce};
use crate::options::Options;
use crate::report::{Better, Line, Report, Series, TURNS};
use crate::turn::turns;

const CLIENTS: usize = 32;
const LIMIT: Duration = Duration::from_secs(600);
const STREAM: &str = "outbox:bench.committed";

/// Rounds that count.
const RUNS: usize = 5;

const HEAD: &str = "32 producers, a thread and a connection each, on blocking sockets; each transaction is one prepared statement that brings one event of 200 bytes,
over 1,000 keys, 15 seconds at a time (`--quick`: 1). Each run has a copy of a database with an empty log. All commits are durable. Payload, key and id are
bound as parameters and are others each time; ids are ordered by time and given by the client for all, as the library gives them. What is
reached by a bare `select` of the three, which writes nothing, is the last line: the most that these producers and this server can do.

* **The library's append**: the statement that the library prepares for an event with a key and a JSON payload, by a login that may append and nothing
  else (an event with more has a longer one). No relay is there, so its lock is free and the doorbell does not ring.
* **`outbox.append`**: `select outbox.append('bench.committed', …::json, key => …, id => …)`, the function that producers in other languages call.
* **Raw**: `insert` of the same values into a table that is not partitioned, has the same columns and defaults (position by a
  sequence, transaction id, time of the clock), and the same three indexes: unique on id and source, topic and position, transaction id and
  position. No trigger, no function.
* **Raw with NOTIFY**: the same, and `pg_notify` in the same statement, with one session that listens: what a poller does that wants to be
  woken.
* **With the relay**: the library's append, and the relay runs on the same cores and publishes into Redis meanwhile; it is beside raw inserts that have
  all of them for themselves. How much it published by the end of the time is judged beside what was committed, and what was left is told: a
  relay that waits costs nothing.
* Where it goes: **raw inserts into the log itself**, by a superuser, so without the function; once with its triggers off. What is left
  beside raw inserts then are the partitions.

WAL is all that the server wrote meanwhile, by the commits that came of it; full pages after a checkpoint are in it.

Every run is checked: as many rows with the same source, type, class and media type as transactions, and with the relay as many entries.
";

/// As the library sends it, by a service whose events have a key and a payload.
const LIBRARY: Statement = Statement {
    text: include_str!("../../../outbox-core/queries/append/short.sql"),
    bind: |entry| {
        vec![
            Some(entry.id.as_str()),
            Some("bench.committed"),
            Some(entry.key.as_str()),
            Some(entry.payload.as_str()),
        ]
    },
};
const FUNCTION: Statement = Statement {
    text: "select outbox.append('bench.committed', $3::json, key => $2, id => $1::uuid)",
    bind: all,
};
const RAW: Statement = Statement {
    text: "insert into bench.raw (retention, topic, key, id, source, type, data_content_type, data)
values ('standard', 'bench.committed', $2, $1::uuid, '/bench', 'bench.committed', 'application/json', $3)",
    bind: all,
};
const LOG: Statement = Statement {
    text: "insert into outbox.log (retention, topic, key, id, source, type, data_content_type, data)
values ('standard', 'bench.committed', $2, $1::uuid, '/bench', 'bench.committed', 'application/json', $3)",
    bind: all,
};
const RAW_WITH_NOTIFY: Statement = Statement {
    text: "with put as (
    insert into bench.raw (retention, topic, key, id, source, type, data_content_type, data)
    values ('standard', 'bench.committed', $2, $1::uuid, '/bench', 'bench.committed', 'application/json', $3)
    returning 1
)
select pg_notify('bench', '') from put",
    bind: all,
};
const BOUND: Statement = Statement {
    text: "select $1::uuid, $2::text, $3::text",
    bind: all,
};

/// The three, in the order of their numbers.
fn all(entry: &Entry) -> Vec<Option<&str>> {
    [&entry.id, &entry.key, &entry.payload]
        .map(|text| Some(text.as_str()))
        .to_vec()
}

/// What each row has, whoever inserted it.
macro_rules! same_rows {
    () => {
        "retention = 'standard' and topic = 'bench.committed' and type = topic and source = '/bench'
         and data_content_type = 'application/json' and key is not null and data is not null"
    };
}

/// What was done in one run.
#[derive(Clone, Copy, Debug)]
struct Once {
    /// Commits in a second.
    rate: f64,
    /// Bytes that the server wrote for each.
    wal: f64,
    /// Of the way with a relay.
    published: Option<Published>,
}

/// How far the relay was when the last transaction was over.
#[derive(Clone, Copy, Debug)]
struct Published {
    /// Events committed, and on the stream, for a second of the time.
    committed: f64,
    published: f64,
    /// Events that were on no stream yet.
    left: f64,
}

/// The same of all rounds.
struct Meanwhile {
    committed: Series,
    published: Series,
    left: Series,
}

/// A transaction of producers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Library,
    Function,
    Raw,
    RawWithNotify,
    LibraryWithRelay,
    /// The raw insert into the log itself, whose triggers do not fire.
    Log,
    /// The same, and they do.
    LogWithTriggers,
    /// What all of them are given, by a statement that writes nothing.
    Bound,
}

impl Way {
    const ALL: [Self; 8] = [
        Self::Library,
        Self::Function,
        Self::Raw,
        Self::RawWithNotify,
        Self::LibraryWithRelay,
        Self::Log,
        Self::LogWithTriggers,
        Self::Bound,
    ];

    fn statement(self) -> Statement {
        match self {
            Self::Library | Self::LibraryWithRelay => LIBRARY,
            Self::Function => FUNCTION,
            Self::Raw => RAW,
            Self::RawWithNotify => RAW_WITH_NOTIFY,
            Self::Bound => BOUND,
            Self::Log | Self::LogWithTriggers => LOG,
        }
    }

    /// What counts its rows, where it leaves some. One with other values than all have is none.
    fn count(self) -> Option<&'static str> {
        match self {
            Self::Raw | Self::RawWithNotify => {
                Some(concat!("select count(*) from bench.raw where ", same_rows!()))
            }
            Self::Bound => None,
            _ => Some(concat!("select count(*) from outbox.log where ", same_rows!())),
        }
    }

    async fn once(self, ground: &Ground, lasts: Duration) -> Result<Once> {
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
        if self == Self::LibraryWithRelay {
            ground.empty(Sink::Memory).await?;
            let started = relay.insert(ground.relay(copy.url(), Sink::Memory).start()?);
            started.leads().await?;
        }
        let mut redis = ground.redis(Sink::Memory).await?;
        let written = wal(ground).await?;
        let done =
            tokio::task::spawn_blocking(move || produce(&url, self.statement(), CLIENTS, lasts)).await??;
        let mut published = None;
        if relay.is_some() {
            // Before anything else, which would give the relay time.
            let length = i64::try_from(stream::length(&mut redis, STREAM).await?)?;
            published = Some(Published {
                committed: done.transactions as f64 / lasts.as_secs_f64(),
                published: length as f64 / lasts.as_secs_f64(),
                left: (done.transactions - length) as f64,
            });
        }
        let written = wal(ground).await? - written;
        if let Some(listener) = listener {
            listener.abort();
        }
        if let Some(mut relay) = relay {
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
            published,
        })
    }

    async fn check(self, copy: &Copy, transactions: i64) -> Result {
        let Some(count) = self.count() else {
            return Ok(());
        };
        let mut connection = copy.connect().await?;
        let rows: i64 = sqlx::query_scalar(count).fetch_one(&mut connection).await?;
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
    const ALL: [Self; 9] = [
        Self {
            bounds: Some((0.85, 0.95)),
            ..Self::beside_raw("the library's append, no relay", Way::Library)
        },
        Self {
            title: "the library's append, no relay",
            ours: Way::Library,
            limit: Way::RawWithNotify,
            beside: "raw inserts with NOTIFY",
            bounds: Some((3.0, 4.0)),
        },
        Self {
            bounds: Some((0.6, 0.75)),
            ..Self::beside_raw(
                "the library's append, the relay publishes meanwhile",
                Way::LibraryWithRelay,
            )
        },
        Self {
            bounds: Some((0.85, 0.95)),
            ..Self::beside_raw("outbox.append, no relay", Way::Function)
        },
        Self {
            title: "outbox.append, no relay",
            ours: Way::Function,
            limit: Way::RawWithNotify,
            beside: "raw inserts with NOTIFY",
            bounds: Some((3.0, 4.0)),
        },
        Self::beside_raw(
            "raw inserts with NOTIFY, which are nothing of ours",
            Way::RawWithNotify,
        ),
        Self::beside_raw("raw inserts into the log itself, its triggers off", Way::Log),
        Self::beside_raw("raw inserts into the log itself", Way::LogWithTriggers),
        Self::beside_raw(
            "a bare select of id, key and payload, which all of them are given",
            Way::Bound,
        ),
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
    let runs = options.runs(RUNS, 1);
    let lasts = Duration::from_secs(options.size(15, 1));
    let ground = Ground::prepare().await?;
    let facts = ground.facts().await?;
    prepare(&ground).await?;
    let mut found: Vec<(Way, [Series; 2])> = ways
        .into_iter()
        .map(|way| (way, [Series::rate(), Series::new("bytes", Better::Lower)]))
        .collect();
    let mut meanwhile = Meanwhile::nothing();
    for run in options.rounds(runs) {
        for place in turns(found.len(), run) {
            let (way, [rates, wals]) = &mut found[place];
            let once = way.once(&ground, lasts).await?;
            eprintln!("run {run} of {runs}: {way:?}: {once:.0?}");
            if run > 0 {
                rates.push(once.rate);
                wals.push(once.wal);
            }
            if let Some(published) = once.published.filter(|_| run > 0) {
                meanwhile.take(published);
            }
        }
    }
    let of = |way: Way, place: usize| {
        let series = found.iter().find(|(other, _)| *other == way);
        series.map(|(_, series)| series[place].clone())
    };
    let lines = lines(
        &comparisons,
        of,
        is_needed(&Way::LibraryWithRelay).then_some(meanwhile),
    );
    Ok(Report {
        name: "commit",
        title: "What appending costs a producer",
        head: HEAD,
        order: TURNS,
        runs: RUNS,
        lines,
        notes: Vec::new(),
        facts,
        is_quick: options.quick,
    })
}

fn lines(
    comparisons: &[Comparison],
    of: impl Fn(Way, usize) -> Option<Series>,
    meanwhile: Option<Meanwhile>,
) -> Vec<Line> {
    let mut lines: Vec<Line> = comparisons
        .iter()
        .filter_map(|comparison| comparison.line(&of))
        .collect();
    lines.extend(meanwhile.into_iter().flat_map(Meanwhile::lines));
    if let (Some(ours), Some(raw)) = (of(Way::Library, 1), of(Way::Raw, 1)) {
        lines.push(Line::new("WAL of a commit that appends", ours).against("raw inserts", raw));
    }
    lines
}

impl Meanwhile {
    fn nothing() -> Self {
        Self {
            committed: Series::rate(),
            published: Series::rate(),
            left: Series::new("events", Better::Lower),
        }
    }

    fn take(&mut self, once: Published) {
        self.committed.push(once.committed);
        self.published.push(once.published);
        self.left.push(once.left);
    }

    /// What was published is judged: a relay that publishes little leaves the processors to producers.
    fn lines(self) -> [Line; 2] {
        [
            Line::new("what the relay published meanwhile", self.published)
                .against("committed in the same time", self.committed)
                .must_reach(0.95, 0.99),
            Line::new("left when producers stopped", self.left),
        ]
    }
}

/// The lines of its page, of which nothing was measured.
#[cfg(test)]
pub(crate) fn lines_of_nothing() -> Vec<Line> {
    lines(
        &Comparison::ALL,
        |_, _| Some(Series::rate()),
        Some(Meanwhile::nothing()),
    )
}

/// The table that raw inserts go to.
async fn prepare(ground: &Ground) -> Result {
    let mut connection = ground.connect().await?;
    connection
        .execute(
            "update outbox.settings set source = '/bench';
             create schema bench;
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

#[cfg(test)]
mod tests {
    use super::{Meanwhile, Published};

    #[test]
    fn a_relay_that_published_little_is_below_the_floor() {
        for (published, is_met) in [(9_600.0, true), (3_000.0, false)] {
            let mut meanwhile = Meanwhile::nothing();
            meanwhile.take(Published {
                committed: 10_000.0,
                published,
                left: (10_000.0 - published) * 15.0,
            });
            let [line, left] = meanwhile.lines();
            assert_eq!(line.is_met(), is_met, "{published}");
            assert!(left.floor.is_none());
        }
    }
}
