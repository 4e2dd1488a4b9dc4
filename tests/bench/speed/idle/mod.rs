//! S8: what a relay and a consumer do while there is nothing to do: queries, commands, wake-ups, CPU.
//!
//! Checked: the events before it were published and applied, nothing was while it was measured, and one behind it was: who hangs does
//! nothing too.

use std::time::{Duration, Instant};

use sqlx::{Connection, Executor};
use system_tests::patience::until;
use system_tests::{Database, Failure, Relay, Result, Schema, World, stream};

mod counts;

mod told;

use super::schedule::Schedule;
use super::servers::{self, Processes};
use super::usage::Usage;
use crate::options::Options;
use crate::report::{Facts, Report};
use counts::Counts;
use told::{Minute, lines, lines_of_waking, notes};

const TOPIC: &str = "idle.steady";
const STREAM: &str = "outbox:idle.steady";
const EVENTS: u64 = 1_000;
const LIMIT: Duration = Duration::from_secs(120);
/// A window is as long as the longest of their intervals, so that each has its turn in it once.
const WINDOW: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(5));
/// Until what the last event set going is over.
const SETTLED: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(2));

/// Rounds that count.
const RUNS: usize = 3;

/// As the page tells it.
const ORDER: &str =
    "the windows follow each other, the first one is thrown away, and nothing is compared with them";

const HEAD: &str = "\
A relay and `outbox-relay consume`, both with the settings that they have by themselves, publish and apply 1,000 events. Twenty seconds
later windows of a minute begin (`--quick`: two, and five seconds long), in which nothing is appended: one that is thrown away, and one for
each run. Then the consumer is stopped, and the relay has as many windows alone, which tells their commands at Redis apart. Log and
inbox are two databases, so that queries at Postgres are told apart by database.

A query is a statement that `pg_stat_statements` counted, `begin` and `commit` too. A command is one that Redis counted, whoever sent
it, but for `INFO`, which is how it is asked. A wake-up is a switch to a thread of the process, as the kernel counts them; CPU is in
nanoseconds by thread, told in milliseconds. Everything is told for a minute. The floor of 60 queries a minute is one a second, the aim of 12 one
in five seconds: of each of the two, and of both together.

Who hangs does nothing either. So behind the windows of each one event is appended, while the processes are those that were measured: its effect
is awaited with both, its entry with the relay alone, and how long that took is a line each.
";

pub(crate) async fn run(options: &Options) -> Result<Report> {
    options.whole("idle")?;
    let facts = Facts::of_machine();
    let runs = options.runs(RUNS, 1);
    let window = options.size(WINDOW.0, WINDOW.1);
    let mut world = servers::start(&[("shared_preload_libraries", "pg_stat_statements")]).await?;
    let processes = servers::processes(&mut world)?;
    world
        .connect()
        .await?
        .execute("create extension pg_stat_statements")
        .await?;
    let shop = world.another_database(Schema::Inbox).await?;
    prepare(&shop).await?;
    let mut relay = servers::relay(world.database_url(), world.redis_url()).start()?;
    relay.leads().await?;
    let mut consumer = Relay::command(&[
        "consume",
        "--group",
        "idle",
        "--topic",
        TOPIC,
        "--call",
        "shop.apply",
    ])
    .set("DATABASE_URL", shop.url())
    .set("REDIS_URL", world.redis_url())
    .start()?;
    consumer.ready().await?;
    append(&world).await?;
    applied(&shop, EVENTS).await?;
    let mut effects = shop.connect().await?;
    let settled = options.size(SETTLED.0, SETTLED.1);
    tokio::time::sleep(settled).await;
    let mut counts = Counts::open(&world, &shop).await?;
    let (mut both, mut alone) = (Vec::new(), Vec::new());
    let ids = [relay.process_id(), consumer.process_id()];
    for run in options.rounds(runs) {
        both.push(minute(&mut counts, ids.to_vec(), processes, window).await?);
        eprintln!("run {run} of {runs}: {:.1?}", both.last());
    }
    let told = counts.texts_since_begin().await?;
    let commands = counts.commands_since_begin().await?;
    let minutes = window.as_secs_f64() * both.len() as f64 / 60.0;
    let to_the_effect = woken(&world, EVENTS, async || {
        let effects: i64 = sqlx::query_scalar("select count(*) from shop.effect")
            .fetch_one(&mut effects)
            .await?;
        Ok(effects.cast_unsigned() > EVENTS)
    })
    .await?;
    consumer.terminate().await?;
    tokio::time::sleep(settled).await;
    for run in 0..runs {
        alone.push(minute(&mut counts, ids[..1].to_vec(), processes, window).await?);
        eprintln!("run {} of {runs}, the relay alone: {:.1?}", run + 1, alone[run]);
    }
    let mut redis = world.redis().await?;
    let before = stream::length(&mut redis, STREAM).await?;
    let to_the_entry = woken(&world, EVENTS + 1, async || {
        Ok(stream::length(&mut redis, STREAM).await? > before)
    })
    .await?;
    relay.terminate().await?;
    applied(&shop, EVENTS + 1).await?;
    let mut lines = lines(&both[usize::from(!options.quick)..], &alone);
    lines.extend(lines_of_waking(to_the_effect, to_the_entry));
    Ok(Report {
        name: "idle",
        title: "What they do when there is nothing to do",
        head: HEAD,
        order: ORDER,
        runs: RUNS,
        lines,
        notes: notes(&told, &commands, minutes),
        facts: servers::tell(facts, &world).await?,
        is_quick: options.quick,
    })
}

async fn prepare(shop: &Database) -> Result {
    shop.connect()
        .await?
        .execute(
            "create schema shop authorization test_consumer;
             create table shop.effect (number bigint not null);
             alter table shop.effect owner to test_consumer;
             create function shop.apply(event json) returns void language sql as
             $$ insert into shop.effect select (event -> 'data' ->> 'number')::bigint $$",
        )
        .await?;
    Ok(())
}

async fn append(world: &World) -> Result {
    let schedule = Schedule {
        topic: TOPIC,
        rate: EVENTS,
        each: 1,
        connections: 4,
        events: Some(EVENTS),
    };
    schedule.start(world).await?.finished().await?;
    Ok(())
}

/// Appends one event behind a long time without any, and says how long it took until what it does was seen. The processes must live.
async fn woken(
    world: &World,
    number: u64,
    mut is_seen: impl AsyncFnMut() -> Result<bool>,
) -> Result<Duration> {
    let mut connection = world.connect().await?;
    let since = Instant::now();
    sqlx::query(
        "select outbox.append($1, json_build_object('number', $2::bigint), key => 'key-of-the-last')",
    )
    .bind(TOPIC)
    .bind(number.cast_signed())
    .execute(&mut connection)
    .await?;
    until("they still work behind the windows", LIMIT, async || {
        Ok(is_seen().await?.then_some(()))
    })
    .await?;
    connection.close().await?;
    Ok(since.elapsed())
}

/// Waits for so many effects, and fails when there are more.
async fn applied(shop: &Database, events: u64) -> Result {
    let mut connection = shop.connect().await?;
    let seen = until("everything is applied", LIMIT, async || {
        let seen: (i64, i64) = sqlx::query_as("select count(*), count(distinct number) from shop.effect")
            .fetch_one(&mut connection)
            .await?;
        Ok((seen.0.cast_unsigned() >= events).then_some(seen))
    })
    .await?;
    connection.close().await?;
    match seen.0.cast_unsigned() == events && seen.0 == seen.1 {
        true => Ok(()),
        false => Err(Failure::new(format!("{seen:?} effects of {events} events"))),
    }
}

/// What they do in one window, for a minute of it. The first of the processes is the relay.
async fn minute(
    counts: &mut Counts,
    ids: Vec<u32>,
    processes: Processes,
    window: Duration,
) -> Result<Minute> {
    let look = || -> Result<Vec<Usage>> {
        let mut usage: Vec<Usage> = ids.iter().map(|id| Usage::of(*id)).collect::<Result<_>>()?;
        usage.resize(2, Usage::default());
        usage.push(Usage::of_family(processes.postgres)?);
        usage.push(Usage::of(processes.redis)?);
        Ok(usage)
    };
    let (queries, commands) = (counts.queries().await?, counts.commands().await?);
    let (before, begun) = (look()?, Instant::now());
    tokio::time::sleep(window).await;
    let (after, part) = (look()?, 60.0 / begun.elapsed().as_secs_f64());
    let (queries_after, commands_after) = (counts.queries().await?, counts.commands().await?);
    let of = |value: &dyn Fn(&Usage, &Usage) -> f64| {
        let mut values = [0.0; 4];
        for (place, (after, before)) in after.iter().zip(&before).enumerate() {
            values[place] = value(after, before) * part;
        }
        values
    };
    Ok(Minute {
        queries: [0, 1].map(|place| (queries_after[place] - queries[place]) as f64 * part),
        commands: (commands_after - commands) as f64 * part,
        wake_ups: of(&|after, before| after.switches_since(before) as f64),
        cpu: of(&|after, before| after.ran_since(before).as_secs_f64() * 1e3),
    })
}
