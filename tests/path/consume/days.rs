//! The days of the inbox, in a consumer at work: what an applying transaction locks, and events of times that no event is
//! recorded at.

use std::collections::HashSet;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use sqlx::Executor;
use system_tests::Result;
use system_tests::patience::until;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::bench::{Bench, GROUP, Member, Order, TOPIC, chain, event};
use super::service::LIMIT;

/// Entry `n` of a chain, with the event `number` as it was recorded so many days before `now`.
async fn put(bench: &mut Bench, now: OffsetDateTime, n: usize, days: i64, number: i64) -> Result {
    let (id, previous) = &chain(n as u64)[n - 1];
    let mut event = event(Some(previous), "a", number);
    let at = now - Duration::days(days);
    event["recordedtime"] = json!(at.format(&Rfc3339)?);
    bench.put_raw(id, "event", event.to_string().as_bytes()).await
}

/// The same, as somebody else puts it there: it does not say when it was recorded.
async fn put_untimed(bench: &mut Bench, n: usize, number: i64) -> Result {
    let (id, previous) = &chain(n as u64)[n - 1];
    let mut event = event(Some(previous), "a", number);
    if let Some(event) = event.as_object_mut() {
        event.remove("recordedtime");
    }
    bench.put_raw(id, "event", event.to_string().as_bytes()).await
}

async fn until_passed(bench: &mut Bench, n: usize) -> Result {
    bench
        .until_is(
            "select coalesce(max(passed_position), 0)::text from outbox.consumer_stream",
            &n.to_string(),
        )
        .await
}

#[tokio::test]
async fn who_applies_locks_the_days_around_and_no_others() -> Result {
    // GIVEN an inbox that remembers four hundred days, and a handler that counts what its transaction locks
    let (mut bench, now) = (Bench::new().await?, OffsetDateTime::now_utc());
    bench
        .pool
        .execute(
            "select outbox.add_inbox_day(now() - day * interval '1 day') from generate_series(0, 399) day;
             analyze outbox.inbox",
        )
        .await?;
    let count = bench.describe().batch(1).on(TOPIC, |tx, event| {
        Box::pin(async move {
            let order: Order = event.json()?;
            sqlx::query(
                "insert into effect (key, number, epoch)
                 select 'locks', $1, count(*) from pg_locks where pid = pg_backend_pid() and locktype = 'relation'",
            )
            .bind(order.number)
            .execute(tx)
            .await?;
            Ok(())
        })
    });
    // WHEN it applies more events than it takes until the server keeps a plan for any of them
    for n in 1..=12 {
        put(&mut bench, now, n, 0, i64::try_from(n)?).await?;
    }
    for n in 13..=24 {
        put_untimed(&mut bench, n, i64::try_from(n)?).await?;
    }
    let member = Member::start(count)?;
    bench.effects(24).await?;
    member.stop().await?;
    // THEN none of its transactions locked the others
    let locks: Vec<i64> = sqlx::query_scalar("select epoch from effect order by n")
        .fetch_all(&bench.pool)
        .await?;
    eprintln!("locks of relations: {locks:?}");
    assert!(locks.iter().all(|count| *count < 100), "{locks:?}");
    Ok(())
}

#[tokio::test]
async fn events_of_other_times_make_no_days_and_have_one_effect() -> Result {
    // GIVEN events that say they were recorded long ago or are still to come, each of them twice
    let (mut bench, now) = (Bench::new().await?, OffsetDateTime::now_utc());
    for (n, (days, number)) in [(4000, 1), (-5, 2), (-90_000, 3), (4000, 1), (-5, 2), (-90_000, 3)]
        .into_iter()
        .enumerate()
    {
        put(&mut bench, now, n + 1, days, number).await?;
    }
    // WHEN they are consumed
    let member = bench.start()?;
    bench.effects(3).await?;
    until_passed(&mut bench, 6).await?;
    member.stop().await?;
    // THEN there are no days for them
    let days = "select count(*) from outbox_ops.inbox_days where day not between current_date - 1 and current_date + 2";
    assert_eq!(bench.value::<i64>(days).await?, 0);
    // AND WHEN what was to come is now, and comes once more, THEN each of them had one effect
    bench
        .pool
        .execute("select outbox.add_inbox_day(now() + interval '5 days')")
        .await?;
    put(&mut bench, now, 7, -5, 2).await?;
    put(&mut bench, now, 8, 0, 4).await?;
    let member = bench.start()?;
    let effects = bench.effects(4).await?;
    until_passed(&mut bench, 8).await?;
    member.stop().await?;
    let numbers: Vec<i64> = effects.iter().map(|(_, number)| *number).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    Ok(())
}

#[tokio::test]
async fn an_event_that_comes_again_without_its_time_has_no_second_effect() -> Result {
    // GIVEN events that were recorded some days ago, and come once with their time and once without, in either order
    let (mut bench, now) = (Bench::new().await?, OffsetDateTime::now_utc());
    put(&mut bench, now, 1, 20, 1).await?;
    put_untimed(&mut bench, 2, 1).await?;
    put_untimed(&mut bench, 3, 2).await?;
    put(&mut bench, now, 4, 20, 2).await?;
    // WHEN they are applied, and come once more without it
    let member = bench.start()?;
    until_passed(&mut bench, 4).await?;
    put_untimed(&mut bench, 5, 1).await?;
    put_untimed(&mut bench, 6, 2).await?;
    put_untimed(&mut bench, 7, 3).await?;
    until_passed(&mut bench, 7).await?;
    member.stop().await?;
    // THEN each had one effect
    let numbers: Vec<i64> = sqlx::query_scalar("select number from effect order by number")
        .fetch_all(&bench.pool)
        .await?;
    assert_eq!(numbers, [1, 2, 3]);
    Ok(())
}

#[tokio::test]
async fn an_event_without_a_day_is_too_old_when_its_id_was_forgotten() -> Result {
    // GIVEN an event from years ago that was applied, and whose id was forgotten since
    let (mut bench, now) = (Bench::new().await?, OffsetDateTime::now_utc());
    put(&mut bench, now, 1, 4000, 1).await?;
    let member = bench.start()?;
    bench.effects(1).await?;
    member.stop().await?;
    // First it is said up to when ids are forgotten, and then they are. In one transaction: a member that has just ended may still have
    // asked the server for the same.
    let mut forgetting = bench.pool.begin().await?;
    forgetting
        .execute(
            "set local session_replication_role = 'replica';
             update outbox.inbox_foreign set applied_at = applied_at - interval '60 days';
             set local session_replication_role = 'origin'",
        )
        .await?;
    for forgotten in [0, 1] {
        let now: i32 = sqlx::query_scalar("select outbox.forget_foreign()")
            .fetch_one(&mut *forgetting)
            .await?;
        assert_eq!(now, forgotten);
    }
    forgetting.commit().await?;
    // WHEN it comes again, before a new one
    put(&mut bench, now, 2, 4000, 1).await?;
    put(&mut bench, now, 3, 0, 2).await?;
    let member = bench.start()?;
    let effects = bench.effects(2).await?;
    until_passed(&mut bench, 3).await?;
    member.stop().await?;
    // THEN it has no second effect, and a dead letter says why
    assert_eq!(effects, [("a".to_owned(), 1), ("a".to_owned(), 2)]);
    let kinds: Vec<String> = sqlx::query_scalar("select error_kind from outbox.dead_letter")
        .fetch_all(&bench.pool)
        .await?;
    assert_eq!(kinds, ["too_old"]);
    Ok(())
}

#[tokio::test]
async fn an_event_of_another_time_fails_and_is_put_back_as_any_other() -> Result {
    // GIVEN an event that says it is still to come, and a handler that fails at first
    let (mut bench, now) = (Bench::new().await?, OffsetDateTime::now_utc());
    bench.pool.execute("create table mended ()").await?;
    put(&mut bench, now, 1, -90_000, 1).await?;
    put(&mut bench, now, 2, 0, 2).await?;
    let member = Member::start(bench.describe().on(TOPIC, |tx, event| {
        Box::pin(async move {
            sqlx::query("select 1 / count(*) from mended")
                .execute(&mut *tx)
                .await?;
            super::bench::note(tx, event).await
        })
    }))?;
    // WHEN it is a dead letter, and is put back when that is mended
    bench
        .until("select count(*) = 1 from outbox.dead_letter where state = 'dead'")
        .await?;
    bench
        .pool
        .execute(
            "insert into mended default values; select outbox.redrive('{\"consumer\": \"stock\"}', 'mended', all_of_them => true)",
        )
        .await?;
    // THEN it is applied, and then what waited behind it
    let effects = bench.effects(2).await?;
    bench
        .until("select bool_and(state = 'applied') from outbox.dead_letter")
        .await?;
    member.stop().await?;
    assert_eq!(effects, [("a".to_owned(), 1), ("a".to_owned(), 2)]);
    Ok(())
}

#[tokio::test]
async fn events_are_looked_for_by_key_although_the_inbox_was_empty_when_it_was_planned() -> Result {
    const EVENTS: i64 = 3_000;
    // GIVEN an inbox of which the server has no statistics
    let mut bench = Bench::new().await?;
    let member = bench.start()?;
    // WHEN many events are applied
    let keys: Vec<String> = (0..EVENTS).map(|n| format!("key-{n}")).collect();
    bench
        .put_all(&keys.iter().map(String::as_str).collect::<Vec<_>>())
        .await?;
    bench.effects(EVENTS).await?;
    member.stop().await?;
    // THEN about as many rows of it are read as there were events, and not all of them by each transaction
    let read: i64 = until("the numbers of all sessions", LIMIT, async || {
        let (entered, read): (i64, i64) = sqlx::query_as(
            "select sum(pg_stat_get_tuples_inserted(indrelid))::bigint, sum(pg_stat_get_tuples_returned(indexrelid))::bigint
             from pg_index where indrelid in (select inhrelid from pg_inherits where inhparent = 'outbox.inbox'::regclass)",
        )
        .fetch_one(&bench.pool)
        .await?;
        Ok((entered >= EVENTS).then_some(read))
    })
    .await?;
    assert!(read < 3 * EVENTS, "{read}");
    Ok(())
}

#[tokio::test]
async fn a_month_of_days_is_not_looked_through_for_each_event() -> Result {
    const EVENTS: i64 = 3_000;
    // GIVEN an inbox that remembers a month, whose ids begin with their time
    let (mut bench, now) = (Bench::new().await?, OffsetDateTime::now_utc());
    assert_eq!(GROUP, "stock", "whose inbox it is");
    sqlx::query(
        "with day as (select n, $1::timestamptz - n * interval '1 day' as at from generate_series(0, 30) n),
              made as materialized (select n, at, outbox.add_inbox_day(at) from day)
         select count(*) from made",
    )
    .bind(now)
    .execute(&bench.pool)
    .await?;
    sqlx::query(
        "insert into outbox.inbox (consumer, source, id, recorded_at, outcome, stream, entry_id)
         select 'stock', '/shop', overlay(gen_random_uuid()::text placing '0194a000-' || lpad(to_hex(day), 4, '0') || '-7' from 1 for 15),
                $1::timestamptz - day * interval '1 day', 'applied', 'past', '1-1'
         from generate_series(1, 30) day, generate_series(1, 1000) n",
    )
    .bind(now)
    .execute(&bench.pool)
    .await?;
    bench.pool.execute("vacuum analyze outbox.inbox").await?;
    // WHEN many events are there to be applied
    for (n, (entry, previous)) in chain(EVENTS as u64).into_iter().enumerate() {
        let mut event = event(Some(&previous), &format!("key-{n}"), n as i64);
        event["id"] = json!(format!("01a00000-0000-7000-8000-{n:012}"));
        event["recordedtime"] = json!(now.format(&Rfc3339)?);
        bench
            .put_raw(&entry, "event", event.to_string().as_bytes())
            .await?;
    }
    let member = bench.start()?;
    bench.effects(EVENTS).await?;
    member.stop().await?;
    // THEN other days are looked at by transactions and not by events
    let looks: i64 = until("the numbers of all sessions", LIMIT, async || {
        let (entered, looks): (i64, i64) = sqlx::query_as(
            "select coalesce(sum(pg_stat_get_tuples_inserted(indrelid)) filter (where indrelid = own), 0)::bigint,
                    coalesce(sum(pg_stat_get_numscans(indexrelid)) filter (where indrelid <> own), 0)::bigint
             from pg_index, to_regclass('outbox.inbox_' || to_char($1::timestamptz at time zone 'utc', 'yyyymmdd')) own
             where indrelid in (select inhrelid from pg_inherits where inhparent = 'outbox.inbox'::regclass)",
        )
        .bind(now)
        .fetch_one(&bench.pool)
        .await?;
        Ok((entered >= EVENTS).then_some(looks))
    })
    .await?;
    eprintln!("{looks} looks into other days for {EVENTS} events");
    assert!((1..8 * EVENTS).contains(&looks), "{looks}");
    Ok(())
}

/// Ids as they come: with their time in front, all within an hour, or without any order, and of letters that some collations pass over.
fn id(of: u32) -> String {
    match of % 3 {
        0 => format!("0194a{:03x}-7000-7000-8000-{of:012}", of / 3),
        1 => format!("{:08x}", of.wrapping_mul(2_654_435_761)),
        _ => format!("Ä-{of}-é{}", "-".repeat(of as usize % 4)),
    }
}

#[tokio::test]
async fn of_one_id_there_is_one_effect_whatever_ids_and_days_it_is_among() -> Result {
    const IDS: u32 = 90;
    const ENTRIES: usize = 600;
    // GIVEN events of few ids, from two sources, each recorded at several times of a month, in any order
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut bench, now) = (Bench::new().await?, OffsetDateTime::now_utc());
    let mut wanted = HashSet::new();
    for (n, (entry, previous)) in chain(ENTRIES as u64).into_iter().enumerate() {
        // Those that begin with their time come among their like, so that they are entered together.
        let kind = n as u32 / 60 % 3;
        let (of, source) = (
            random.random_range(0..IDS / 3) * 3 + kind,
            random.random_range(0..2),
        );
        let number = i64::from(of * 2 + source);
        wanted.insert(number);
        let mut event = event(Some(&previous), &format!("key-{}", n % 50), number);
        let at = now
            - Duration::days(random.random_range(0..30))
            - Duration::seconds(random.random_range(0..80_000));
        event["id"] = json!(id(of));
        event["source"] = json!(format!("/shop-{source}"));
        event["recordedtime"] = json!(at.format(&Rfc3339)?);
        if random.random_ratio(1, 20)
            && let Some(event) = event.as_object_mut()
        {
            event.remove("recordedtime");
        }
        bench
            .put_raw(&entry, "event", event.to_string().as_bytes())
            .await?;
    }
    // WHEN they are applied
    let member = bench.start()?;
    until_passed(&mut bench, ENTRIES).await?;
    member.stop().await?;
    // THEN each id of each source had one effect
    let mut numbers: Vec<i64> = sqlx::query_scalar("select number from effect")
        .fetch_all(&bench.pool)
        .await?;
    numbers.sort_unstable();
    let mut wanted: Vec<i64> = wanted.into_iter().collect();
    wanted.sort_unstable();
    assert!(wanted.len() > 100, "{}", wanted.len());
    assert_eq!(numbers, wanted, "seed {seed}");
    Ok(())
}
