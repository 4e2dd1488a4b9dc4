//! S4: a consumer whose effect is one row, order per key kept, beside raw inserts of the same rows: those of the effects and those of
//! the inbox, in transactions of as many events.
//!
//! Every run is checked: each event has its effect and its row in the inbox, once, and the effects of a key are in the order of its
//! events.

use std::time::Instant;

use sqlx::{Executor, PgPool};
use system_tests::patience::until;
use system_tests::{Database, Failure, Result};
use uuid::Uuid;

mod members;

mod raw;

use super::servers;
use crate::case::TABLE;
use crate::ground::Ground;
use crate::options::Options;
use crate::report::{Facts, Line, Report, Series, TURNS};
use crate::turn::{is_second_first, turns};

/// Events of one run.
const EVENTS: usize = 100_000;
const QUICK: usize = 2_000;
const LIMIT: std::time::Duration = std::time::Duration::from_secs(300);

/// Rounds that count.
const RUNS: usize = 5;

const HEAD: &str = "\
A real relay publishes 100,000 events of some 200 bytes and 1,000 keys (`--quick`: 2,000) on a topic of one partition and on one of
eight. Then they are applied again and again, with the settings that a consumer has by itself (32 events to a transaction, up to 64
where one call takes all of them, four transactions of a stream at a time, order per key kept, ten connections to a member), each time
by a new group in a database of its own, which is on a Postgres that writes to disk and has an inbox with thirty days before that of the
events, as of a group that has been at work for a month. Ids are those that `append` gives. **One member** applies the topic of one partition; **four members**, each with a pool
of its own, share the topic of eight. The effect is one row, written by a handler that is called for each event (one statement each), or
by one that is called for all events of a transaction (`on_batch`, one statement for all).

The clock is the monotonic one of the machine, from the start of the members to the last commit: with their first connections, their
leases, and the time in which four of them share the streams.

The limit is what Postgres can do without us, into the same two tables: transactions of 32 events, or of 64 beside `on_batch`, each with one statement for the
rows of the inbox and as many statements for the effects as the handler makes, over four connections beside one member and eight beside
four. It reads nothing, keeps no order, holds no lease, and would have every effect twice if it were run twice. How batch sizes,
concurrency and partitions change what a consumer does shows `cargo xtask bench matrix`.
";

/// What a group remembers that keeps its ids as long as it does by itself, and has two events a minute; ids begin with their time, as those
/// that `append` gives.
const MONTH: &str = "
    with event as (
        select date_trunc('day', now(), 'utc') - day * interval '1 day' + n * interval '30 seconds' as at, n
        from generate_series(1, 30) day, generate_series(0, 2879) n
    )
    insert into outbox.inbox (consumer, source, id, recorded_at, outcome, stream, entry_id)
    select $1, '/bench', overlay(overlay(gen_random_uuid()::text placing '7' from 15) placing left(made.ms, 8) || '-' || right(made.ms, 4) from 1),
           at, 'applied', 'past', '1-' || n
    from event, lateral (select lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') as ms) made";

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effects {
    /// One statement for each event.
    Each,
    /// One for all of a transaction.
    Together,
}

/// What is run beside its limit.
#[derive(Clone, Copy, Debug)]
struct Case {
    members: usize,
    effects: Effects,
}

impl Case {
    const ALL: [Self; 4] = [
        Self::of(1, Effects::Each),
        Self::of(4, Effects::Each),
        Self::of(1, Effects::Together),
        Self::of(4, Effects::Together),
    ];

    const fn of(members: usize, effects: Effects) -> Self {
        Self { members, effects }
    }

    fn partitions(self) -> usize {
        if self.members == 1 { 1 } else { 8 }
    }

    fn connections(self) -> usize {
        if self.members == 1 { 4 } else { 8 }
    }

    fn title(self) -> String {
        let members = if self.members == 1 {
            "one member"
        } else {
            "four members"
        };
        match self.effects {
            Effects::Each => format!("{members}, a handler per event"),
            Effects::Together => format!("{members}, `on_batch`"),
        }
    }
}

pub(crate) async fn run(options: &Options) -> Result<Report> {
    let facts = Facts::of_machine();
    let runs = options.runs(RUNS, 1);
    let cases = options.of(Case::ALL, |case| case.title())?;
    let whole = options.events.map_or(Ok(EVENTS), usize::try_from)?;
    let ground = Ground::prepare(options.size(whole, QUICK)).await?;
    let mut series: Vec<[Series; 3]> = cases.iter().map(|_| nothing()).collect();
    for run in options.rounds(runs) {
        for place in turns(cases.len(), run) {
            let (case, [ours, limit, starts]) = (cases[place], &mut series[place]);
            let before = match is_second_first(run) {
                true => Some(raw_once(case, &ground).await?),
                false => None,
            };
            let (seconds, first) = ours_once(case, &ground).await?;
            let raw = match before {
                Some(raw) => raw,
                None => raw_once(case, &ground).await?,
            };
            eprintln!(
                "run {run} of {runs}: {}: {seconds:.2} s, raw {raw:.2} s",
                case.title()
            );
            if run > 0 {
                ours.add(ground.events(), seconds);
                limit.add(ground.events(), raw);
                starts.push(first * 1e3);
            }
        }
    }
    Ok(Report {
        name: "consume",
        title: "How fast a consumer applies",
        head: HEAD,
        order: TURNS,
        runs: RUNS,
        lines: lines(&cases, series),
        notes: Vec::new(),
        facts: servers::tell(facts, ground.world()).await?,
        is_quick: options.quick,
    })
}

/// Ours, the limit, and how long until the first effects.
fn nothing() -> [Series; 3] {
    [Series::rate(), Series::rate(), Series::delay()]
}

fn lines(cases: &[Case], series: Vec<[Series; 3]>) -> Vec<Line> {
    let mut lines = Vec::new();
    for (case, [ours, limit, _]) in cases.iter().zip(&series) {
        let beside = format!("raw, {} connections", case.connections());
        let line = Line::new(case.title(), ours.clone()).against(beside, limit.clone());
        lines.push(line.must_reach(0.5, 0.7));
    }
    for (case, [_, _, starts]) in cases.iter().zip(series) {
        lines.push(Line::new(
            format!("{}: from the start to its first effects", case.title()),
            starts,
        ));
    }
    lines
}

/// The lines of its page, of which nothing was measured.
#[cfg(test)]
pub(crate) fn lines_of_nothing() -> Vec<Line> {
    lines(&Case::ALL, Case::ALL.map(|_| nothing()).into())
}

/// Seconds from the start of the members to the last commit, and to their first effects.
async fn ours_once(case: Case, ground: &Ground) -> Result<(f64, f64)> {
    let group = Uuid::now_v7().simple().to_string();
    let (database, pool) = fresh(ground, &group).await?;
    let topic = Ground::topic(case.partitions());
    let begun = Instant::now();
    let members = members::start(
        &database,
        ground.redis_url(),
        &group,
        topic,
        case.members,
        case.effects,
    )?;
    let mut first = None;
    until("everything is applied", LIMIT, async || {
        // The sequence tells cheaply when it is worth counting: a transaction that is repeated draws again.
        let drawn: i64 = sqlx::query_scalar("select last_value from public.effect_n_seq")
            .fetch_one(&pool)
            .await?;
        if drawn > 1 {
            first.get_or_insert(begun.elapsed().as_secs_f64());
        }
        if usize::try_from(drawn)? < ground.events() {
            return Ok(None);
        }
        let count: i64 = sqlx::query_scalar("select count(*) from public.effect")
            .fetch_one(&pool)
            .await?;
        Ok((usize::try_from(count)? >= ground.events()).then_some(()))
    })
    .await?;
    let seconds = begun.elapsed().as_secs_f64();
    members.stop().await?;
    check(&case.title(), &pool, ground.events()).await?;
    pool.close().await;
    Ok((seconds, first.unwrap_or(seconds)))
}

async fn raw_once(case: Case, ground: &Ground) -> Result<f64> {
    let (_database, pool) = fresh(ground, raw::GROUP).await?;
    pool.execute("select outbox.ensure_inbox_day(clock_timestamp())")
        .await?;
    let begun = Instant::now();
    raw::insert(&pool, ground.events(), case.connections(), case.effects).await?;
    let seconds = begun.elapsed().as_secs_f64();
    check(&format!("raw: {}", case.title()), &pool, ground.events()).await?;
    pool.close().await;
    Ok(seconds)
}

async fn fresh(ground: &Ground, group: &str) -> Result<(Database, PgPool)> {
    let database = ground.database().await?;
    let pool = database.pool().await?;
    pool.execute(TABLE).await?;
    pool.execute("select outbox.add_inbox_day(now() - n * interval '1 day') from generate_series(1, 30) n")
        .await?;
    sqlx::query(MONTH).bind(group).execute(&pool).await?;
    pool.execute("vacuum analyze outbox.inbox").await?;
    Ok((database, pool))
}

/// Every event once in both tables, and the effects of each key in the order of its events.
async fn check(what: &str, pool: &PgPool, events: usize) -> Result {
    let seen: (i64, i64, i64, i64) = sqlx::query_as(
        "select count(*), count(distinct number), count(*) filter (where number < before),
                (select count(*) from outbox.inbox where outcome = 'applied' and stream <> 'past')
         from (select number, lag(number) over (partition by key order by n) as before from public.effect) effect",
    )
    .fetch_one(pool)
    .await?;
    let events = i64::try_from(events)?;
    if seen == (events, events, 0, events) {
        return Ok(());
    }
    let (effects, distinct, reordered, recorded) = seen;
    Err(Failure::new(format!(
        "{what}: of {events} events {effects} effects, of {distinct} of them; {reordered} before an earlier one of their key; {recorded} in \
         the inbox"
    )))
}
