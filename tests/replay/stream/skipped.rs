//! A person's decision about a stream, and a crash of Postgres right behind it.

use std::time::Duration;

use sqlx::{Connection, Executor};
use system_tests::patience::until;
use system_tests::{Relay, Result, World, stream};
use uuid::Uuid;
use xtask::servers::{Postgres, Redis, Stop};

const LIMIT: Duration = Duration::from_secs(120);
const APPEND: &str =
    "select outbox.append($1, json_build_object('filling', repeat('x', $2)), key => 'k', id => $3)";

/// What a person decides, and how many of two entries are there in the end.
const DECISIONS: [(&str, &str, usize); 2] = [
    (
        "skipped",
        "select outbox.skip_event('skipped', $1, 'not wanted') where $1 is not null",
        1,
    ),
    (
        "resumed",
        "select outbox.resume_topic('resumed', 'the limit is raised') where $1 is not null",
        2,
    ),
];

#[tokio::test]
async fn a_decision_about_a_stream_outlives_a_crash_right_behind_it() -> Result {
    // GIVEN a server that is asked to flush only by those who wait for it, and two streams that wait for a person
    let postgres = Postgres::options().set("wal_writer_delay", "10s");
    let mut world = World::with_own_servers(postgres, Redis::options()).await?;
    let options = Relay::of(&world);
    let mut relay = options
        .clone()
        .set("OUTBOX_PUBLISH_MAX_ENTRY_BYTES", 2_000)
        .start()?;
    relay.leads().await?;
    let mut person = world.connect().await?;
    person.execute("create table public.note (number int)").await?;
    for (topic, decision, wanted) in DECISIONS {
        let events = [Uuid::now_v7(), Uuid::now_v7()];
        for (event, bytes) in events.iter().zip([5_000, 1]) {
            sqlx::query(APPEND)
                .bind(topic)
                .bind(bytes)
                .bind(event)
                .execute(&mut person)
                .await?;
        }
        until("it is set aside", LIMIT, async || {
            let is_so: bool = sqlx::query_scalar(
                "select exists (select from outbox.stream_action where topic = $1 and action = 'set_aside')",
            )
            .bind(topic)
            .fetch_one(&mut person)
            .await?;
            Ok(is_so.then_some(()))
        })
        .await?;
        // WHEN somebody whose session does not wait for the disk decides, notes that, and the server crashes at once
        relay.kill()?;
        person.execute("set synchronous_commit = off").await?;
        sqlx::query(decision).bind(events[0]).execute(&mut person).await?;
        sqlx::query("insert into public.note values ($1)")
            .bind(i32::try_from(wanted)?)
            .execute(&mut person)
            .await?;
        world.postgres()?.restart(Stop::Immediate)?;
        person = world.connect().await?;
        // THEN the note is gone, which shows that the crash undoes what was not flushed; the decision is there
        let notes: i64 = sqlx::query_scalar("select count(*) from public.note")
            .fetch_one(&mut person)
            .await?;
        assert_eq!(notes, 0, "the crash undid nothing: nothing was shown");
        relay = options.start()?;
        relay.leads().await?;
        let mut redis = world.redis().await?;
        let entries = until("the stream goes on", LIMIT, async || {
            let entries = stream::entries(&mut redis, &format!("outbox:{topic}")).await?;
            let is_there = entries.iter().any(|entry| entry.event_id == events[1]);
            Ok(is_there.then_some(entries))
        })
        .await?;
        let brought: Vec<Uuid> = entries.iter().map(|entry| entry.event_id).collect();
        assert_eq!(brought, events[2 - wanted..], "{topic}");
        // The next one waits for a person again.
        relay.terminate().await?;
        relay = options
            .clone()
            .set("OUTBOX_PUBLISH_MAX_ENTRY_BYTES", 2_000)
            .start()?;
        relay.leads().await?;
    }
    person.close().await?;
    Ok(())
}
