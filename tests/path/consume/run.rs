//! Ids that lie together are entered by a statement of their own: it is to say what the other one says, whatever the inbox has.

use std::ops::RangeInclusive;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use sqlx::{Acquire, Executor, PgConnection};
use system_tests::{Result, Schema, World};
use time::{Duration, OffsetDateTime, Time};

const ONE_BY_ONE: &str = include_str!("../../../outbox-core/queries/consume/enter_inbox.sql");
const AS_A_RUN: &str = include_str!("../../../outbox-core/queries/consume/enter_inbox_run.sql");
/// How far around its events a call looks.
const AROUND: Duration = Duration::days(31);
const CASES: usize = 400;
const NO_DAYS: &str = "
    do $$
    declare
        day regclass;
    begin
        for day in select inhrelid from pg_inherits where inhparent = 'outbox.inbox'::regclass loop
            execute format('drop table %s', day);
        end loop;
    end $$";
/// However they are planned, and whatever day it is for the session.
const SETTINGS: [&str; 3] = [
    "set local timezone = 'Asia/Kathmandu'",
    "set local plan_cache_mode = 'force_generic_plan'; set local timezone = 'America/Los_Angeles'",
    "set local plan_cache_mode = 'force_custom_plan'; set local enable_seqscan = off",
];
const IDS: [&str; 10] = [
    "",
    "A",
    "a",
    "b",
    "ä",
    "0194a000-7000",
    "0194a001-7000",
    "0194a0017000",
    "e",
    "é",
];
const SOURCES: [&str; 3] = ["/shop", "/shop2", "/desk"];

/// Source, id and when it was recorded.
type Row = (&'static str, &'static str, OffsetDateTime);

/// What a statement answered, and what it wrote.
#[derive(Debug, PartialEq)]
struct Said {
    answer: Vec<(String, bool, Option<String>)>,
    rows: Vec<(String, String, OffsetDateTime, String)>,
}

fn moment(random: &mut StdRng, midnight: OffsetDateTime, days: RangeInclusive<i64>) -> OffsetDateTime {
    let within = [
        Duration::ZERO,
        Duration::microseconds(1),
        Duration::hours(12),
        Duration::DAY - Duration::microseconds(1),
    ];
    let within = within.choose(random).copied().unwrap_or_default();
    midnight + Duration::days(random.random_range(days)) + within
}

fn row(random: &mut StdRng, midnight: OffsetDateTime, days: RangeInclusive<i64>) -> Row {
    let at = moment(random, midnight, days);
    let source = SOURCES.choose(random).copied().unwrap_or_default();
    (source, IDS.choose(random).copied().unwrap_or_default(), at)
}

/// What the consumer knows from before: of itself and of another group, with a time and without.
async fn remember(connection: &mut PgConnection, random: &mut StdRng, known: &[Row]) -> Result {
    for (source, id, at) in known {
        let group = if random.random_ratio(4, 5) {
            "stock"
        } else {
            "desk"
        };
        let statement = if random.random_ratio(9, 10) {
            "insert into outbox.inbox (consumer, source, id, recorded_at, outcome, stream, entry_id)
             values ($1, $2, $3, $4, 'applied', 'before', '1-1') on conflict do nothing"
        } else {
            "insert into outbox.inbox_foreign (consumer, source, id, outcome, stream, entry_id, recorded_at)
             values ($1, $2, $3, 'applied', 'before', '1-1', $4) on conflict do nothing"
        };
        let query = sqlx::query(statement).bind(group).bind(source).bind(id).bind(at);
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Enters these, and undoes it.
async fn enter(connection: &mut PgConnection, statement: &'static str, call: &[Row]) -> Result<Said> {
    let mut tx = connection.begin().await?;
    let first = call
        .iter()
        .map(|row| row.2)
        .min()
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let last = call
        .iter()
        .map(|row| row.2)
        .max()
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let mut query = sqlx::query_as(statement)
        .bind("stock")
        .bind("applied")
        .bind("outbox:orders.placed")
        .bind(call.iter().map(|row| row.0).collect::<Vec<_>>())
        .bind(call.iter().map(|row| row.1).collect::<Vec<_>>())
        .bind(call.iter().map(|row| row.2).collect::<Vec<_>>())
        .bind((0..call.len()).map(|n| format!("2-{n}")).collect::<Vec<_>>())
        .bind("orders.placed")
        .bind(first - AROUND)
        .bind(last + AROUND);
    if statement == AS_A_RUN {
        query = query
            .bind(first.replace_time(Time::MIDNIGHT))
            .bind(last.replace_time(Time::MIDNIGHT) + Duration::DAY);
    }
    let mut answer: Vec<(String, bool, Option<String>)> = query.fetch_all(&mut *tx).await?;
    answer.sort();
    let rows = sqlx::query_as("select source, id, recorded_at, entry_id from outbox.inbox where stream <> 'before' order by 1, 2, 3")
        .fetch_all(&mut *tx)
        .await?;
    tx.rollback().await?;
    Ok(Said { answer, rows })
}

/// Random cases against an inbox with these days. How many rows were entered, and how many refused.
async fn compare(random: &mut StdRng, days: RangeInclusive<i64>) -> Result<(usize, usize)> {
    let midnight = OffsetDateTime::now_utc().replace_time(Time::MIDNIGHT) - Duration::DAY;
    let world = World::with_schema(Schema::Inbox).await?;
    let pool = world.pool().await?;
    pool.execute(NO_DAYS).await?;
    for day in days.clone() {
        let query = sqlx::query("select outbox.add_inbox_day($1)").bind(midnight + Duration::days(day));
        query.execute(&pool).await?;
    }
    let mut connection = pool.acquire().await?;
    let (mut entered, mut refused) = (0, 0);
    for case in 0..CASES {
        // GIVEN what the group knows, and up to when it forgot
        let mut tx = connection.begin().await?;
        tx.execute(SETTINGS[case % SETTINGS.len()]).await?;
        let known: Vec<Row> = (0..random.random_range(0..12))
            .map(|_| row(random, midnight, days.clone()))
            .collect();
        remember(&mut tx, random, &known).await?;
        if random.random_ratio(1, 4) {
            sqlx::query(
                "insert into outbox.consumer (name, forgotten_until) values ('stock', $1)
                         on conflict (name) do update set forgotten_until = excluded.forgotten_until",
            )
            .bind(moment(random, midnight, days.clone()))
            .execute(&mut *tx)
            .await?;
        }
        // WHEN events of a day, or of several, are entered by the one and by the other
        let span = if random.random_ratio(1, 2) {
            0
        } else {
            30.min(-days.start())
        };
        let newest = random.random_range(days.start() + span..=*days.end());
        let call: Vec<Row> = (0..random.random_range(1..8))
            .map(|_| row(random, midnight, newest - span..=newest))
            .collect();
        let wanted = enter(&mut tx, ONE_BY_ONE, &call).await?;
        let said = enter(&mut tx, AS_A_RUN, &call).await?;
        tx.rollback().await?;
        // THEN they answered and wrote the same
        assert_eq!(said, wanted, "case {case} of {days:?}: {call:?} behind {known:?}");
        entered += wanted.rows.len();
        refused += call.len() - wanted.rows.len();
    }
    Ok((entered, refused))
}

#[tokio::test]
async fn ids_that_lie_together_are_entered_as_one_by_one() -> Result {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for days in [0..=0, -1..=0, -64..=1] {
        let (entered, refused) = compare(&mut random, days).await?;
        assert!(
            entered > CASES && refused > CASES / 2,
            "{entered} entered, {refused} refused"
        );
    }
    Ok(())
}
