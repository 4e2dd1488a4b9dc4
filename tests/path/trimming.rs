//! Trimming: what is old and acknowledged by every registered group leaves the stream, and nothing else does (G1, G8, G11).

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use sqlx::{Executor, PgConnection};
use system_tests::patience::until;
use system_tests::relay::RelayOptions;
use system_tests::stream::{self, Entry, EntryId, entries};
use system_tests::{Relay, Result, World};

use crate::arrivals::arrived;
use crate::publish::append;

const LIMIT: Duration = Duration::from_secs(120);
const STREAM: &str = "outbox:t";

struct Bench {
    world: World,
    postgres: PgConnection,
    redis: MultiplexedConnection,
}

impl Bench {
    /// A topic whose entries may go after a second, if `rule` does not say otherwise.
    async fn new(rule: &str) -> Result<Self> {
        let world = World::new().await?;
        let mut postgres = world.connect().await?;
        let redis = world.redis().await?;
        postgres
            .execute(sqlx::AssertSqlSafe(format!(
                "insert into outbox.stream_setting (topic, retention, cap) values ('t', {rule})"
            )))
            .await?;
        Ok(Self {
            world,
            postgres,
            redis,
        })
    }

    fn relay(&self) -> RelayOptions {
        Relay::of(&self.world).set("OUTBOX_PUBLISH_LOOK_EVERY", "100ms")
    }

    async fn append(&mut self, events: i64) -> Result<Vec<Entry>> {
        let before = stream::length(&mut self.redis, STREAM).await?;
        for n in 0..events {
            append(&mut self.postgres, "t", n).await?;
        }
        arrived(
            &mut self.redis,
            STREAM,
            usize::try_from(before)? + usize::try_from(events)?,
        )
        .await
    }

    async fn group(&mut self, verb: &str, name: &str) -> Result {
        let mut command = redis::cmd("XGROUP");
        command.arg(verb).arg(STREAM).arg(name);
        if verb == "CREATE" {
            command.arg("0");
        }
        Ok(command.query_async::<()>(&mut self.redis).await?)
    }

    /// Delivers so many entries to a group.
    async fn deliver(&mut self, group: &str, count: usize) -> Result {
        redis::cmd("XREADGROUP")
            .arg(&["GROUP", group, "member", "COUNT"])
            .arg(count)
            .arg(&["STREAMS", STREAM, ">"])
            .query_async::<()>(&mut self.redis)
            .await?;
        Ok(())
    }

    async fn acknowledge(&mut self, group: &str, entries: &[Entry]) -> Result {
        let mut command = redis::cmd("XACK");
        command.arg(STREAM).arg(group);
        for entry in entries {
            command.arg(entry.id.to_string());
        }
        Ok(command.query_async::<()>(&mut self.redis).await?)
    }

    /// Waits until a query about the world is true.
    async fn until(&mut self, condition: &'static str) -> Result {
        let postgres = &mut self.postgres;
        until(condition, LIMIT, async || {
            let is_so: Option<bool> = sqlx::query_scalar(condition)
                .fetch_optional(&mut *postgres)
                .await?
                .flatten();
            Ok((is_so == Some(true)).then_some(()))
        })
        .await
    }

    /// Waits until the stream begins with this entry.
    async fn begins_with(&mut self, first: EntryId) -> Result {
        let redis = &mut self.redis;
        until("the stream begins there", LIMIT, async || {
            let found = entries(redis, STREAM).await?;
            Ok((found.first().map(|entry| entry.id) == Some(first)).then_some(()))
        })
        .await
    }

    /// Waits for two more looks: what the relay would do, it did.
    async fn looked_twice(&mut self) -> Result {
        self.postgres
            .execute("create temporary table if not exists looked (at timestamptz)")
            .await?;
        self.postgres.execute("delete from looked").await?;
        self.postgres
            .execute("insert into looked values (clock_timestamp())")
            .await?;
        self.until("select seen_at > (select at from looked) from outbox_ops.streams where topic = 't'")
            .await?;
        self.postgres
            .execute("update looked set at = clock_timestamp()")
            .await?;
        self.until("select seen_at > (select at from looked) from outbox_ops.streams where topic = 't'")
            .await
    }

    async fn value<T>(&mut self, question: &'static str) -> Result<T>
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        Ok(sqlx::query_scalar(question).fetch_one(&mut self.postgres).await?)
    }
}

#[tokio::test]
async fn what_one_of_two_groups_has_not_acknowledged_stays_and_that_group_is_named() -> Result {
    // GIVEN two groups: one acknowledged everything, the other holds the fifth of ten entries
    let mut bench = Bench::new("'1 second', null").await?;
    let mut relay = bench.relay().start()?;
    relay.leads().await?;
    let found = bench.append(10).await?;
    for (group, done) in [("fast", 0..10), ("slow", 0..4)] {
        bench.group("CREATE", group).await?;
        bench.deliver(group, 10).await?;
        bench.acknowledge(group, &found[done]).await?;
    }
    // WHEN the retention is over
    bench.begins_with(found[4].id).await?;
    bench.looked_twice().await?;
    // THEN what the slow one has not acknowledged is there, it is named, and the floor is recorded
    assert_eq!(entries(&mut bench.redis, STREAM).await?.len(), 6);
    bench
        .until("select held_by = 'slow' and held_since is not null from outbox_ops.streams where topic = 't'")
        .await?;
    assert_eq!(
        bench
            .value::<String>("select floor from outbox_ops.streams where topic = 't'")
            .await?,
        found[4].id.to_string()
    );
    assert!(relay.metric("outbox_publish_held_streams").await? > 0.5);
    assert_eq!(relay.metric("outbox_publish_trimmed_total").await?, 4.0);
    // AND when it has, all but the last entry go, and the next event finds its predecessor
    bench.acknowledge("slow", &found).await?;
    bench.begins_with(found[9].id).await?;
    bench
        .until("select held_by is null from outbox_ops.streams where topic = 't'")
        .await?;
    let found = bench.append(1).await?;
    assert_eq!(found.len(), 2);
    assert_eq!(found[1].previous_id, Some(found[0].id));
    Ok(())
}

#[tokio::test]
async fn a_registered_group_that_is_missing_has_acknowledged_nothing_until_a_person_forgets_it() -> Result {
    // GIVEN a group that was seen, and is gone from the stream
    let mut bench = Bench::new("'1 second', null").await?;
    let mut relay = bench.relay().start()?;
    relay.leads().await?;
    let found = bench.append(5).await?;
    bench.group("CREATE", "gone").await?;
    bench
        .until("select count(*) = 1 from outbox_ops.stream_groups where group_name = 'gone'")
        .await?;
    bench.group("DESTROY", "gone").await?;
    bench
        .until("select state = 'missing' from outbox_ops.stream_groups where group_name = 'gone'")
        .await?;
    // WHEN the retention is over THEN nothing goes, and it is named
    bench
        .until("select held_by = 'gone' from outbox_ops.streams where topic = 't'")
        .await?;
    bench.looked_twice().await?;
    assert_eq!(entries(&mut bench.redis, STREAM).await?.len(), 5);
    // WHEN a person forgets it THEN the stream is trimmed, and who did it is kept
    bench
        .postgres
        .execute("select outbox.forget_group('t', 'gone', 'the service is gone')")
        .await?;
    bench.begins_with(found[4].id).await?;
    assert_eq!(
        bench
            .value::<String>(
                "select state || ': ' || reason from outbox_ops.stream_groups where group_name = 'gone'"
            )
            .await?,
        "forgotten: the service is gone"
    );
    let again = bench
        .postgres
        .execute("select outbox.forget_group('t', 'gone', 'again')")
        .await;
    assert!(again.is_err_and(|error| error.to_string().contains("is not registered")));
    Ok(())
}

#[tokio::test]
async fn a_forgotten_group_that_reads_on_is_waited_for_again() -> Result {
    // GIVEN a group that was forgotten while it stood still
    let mut bench = Bench::new("null, null").await?;
    let mut relay = bench.relay().start()?;
    relay.leads().await?;
    bench.append(5).await?;
    bench.group("CREATE", "idle").await?;
    bench.until("select count(*) = 1 from outbox_ops.stream_groups where group_name = 'idle' and seen_at is not null and state = 'reading'").await?;
    bench
        .postgres
        .execute("select outbox.forget_group('t', 'idle', 'nobody knows it')")
        .await?;
    bench.looked_twice().await?;
    assert_eq!(
        bench
            .value::<String>("select state from outbox_ops.stream_groups where group_name = 'idle'")
            .await?,
        "forgotten"
    );
    // WHEN it reads THEN the stream waits for it again
    bench.deliver("idle", 1).await?;
    bench
        .until("select state = 'reading' from outbox_ops.stream_groups where group_name = 'idle'")
        .await
}

#[tokio::test]
async fn a_floor_that_a_dead_leader_recorded_is_trimmed_to_by_the_next_one() -> Result {
    // GIVEN a leader that was killed between recording a floor and trimming
    let mut bench = Bench::new("null, null").await?;
    let mut relay = bench.relay().start()?;
    relay.leads().await?;
    let found = bench.append(10).await?;
    bench.looked_twice().await?;
    relay.kill()?;
    sqlx::query(
        "insert into outbox.trim_floor (topic, batch_id, position, cause, epoch) values ('t', $1, $2, 'retention', 1)",
    )
    .bind(i64::try_from(found[7].id.0)?)
    .bind(i64::try_from(found[7].id.1)?)
    .execute(&mut bench.postgres)
    .await?;
    // WHEN the next one leads THEN it goes on there, no further, and publishes
    let mut relay = bench.relay().start()?;
    relay.leads().await?;
    bench.begins_with(found[7].id).await?;
    assert_eq!(bench.append(1).await?.len(), 4);
    Ok(())
}

#[tokio::test]
async fn a_leader_killed_while_it_trims_leaves_what_the_next_one_finishes() -> Result {
    // GIVEN a long stream that one group has read
    let mut bench = Bench::new("'1 second', null").await?;
    let topics = ["t".to_owned()];
    system_tests::arrival::backlog(&bench.world, &topics, 4, 10_000, 10).await?;
    let mut relay = bench.relay().set("OUTBOX_PUBLISH_LOOK_EVERY", "1h").start()?;
    relay.leads().await?;
    system_tests::arrival::arrived(&bench.world, &topics, LIMIT).await?;
    bench.group("CREATE", "reader").await?;
    bench
        .until("select not exists (select from outbox_ops.backlog)")
        .await?;
    redis::cmd("XGROUP")
        .arg(&["SETID", STREAM, "reader", "$"])
        .query_async::<()>(&mut bench.redis)
        .await?;
    relay.kill()?;
    // WHEN leaders are killed as soon as they recorded a floor
    let mut killed = 0;
    while stream::length(&mut bench.redis, STREAM).await? > 1 && killed < 5 {
        let mut relay = bench.relay().start()?;
        relay.leads().await?;
        bench.until("select count(*) > 0 from outbox.trim_floor").await?;
        relay.kill()?;
        killed += 1;
    }
    // THEN the next one trims to the floor, the last entry is there, and the stream goes on
    let mut relay = bench.relay().start()?;
    relay.leads().await?;
    until("only the last entry is left", LIMIT, async || {
        Ok((stream::length(&mut bench.redis, STREAM).await? == 1).then_some(()))
    })
    .await?;
    let found = bench.append(1).await?;
    assert_eq!(found[1].previous_id, Some(found[0].id));
    assert_eq!(
        bench
            .value::<i64>("select count(*) from outbox.stream_action")
            .await?,
        0,
        "nothing was taken for a loss"
    );
    Ok(())
}

#[tokio::test]
async fn the_hard_cap_takes_unread_entries_and_counts_each_of_them() -> Result {
    // GIVEN a cap of ten entries, and a group that acknowledged five of thirty
    let mut bench = Bench::new("null, 10").await?;
    let mut relay = bench.relay().set("OUTBOX_PUBLISH_LOOK_EVERY", "1h").start()?;
    relay.leads().await?;
    let found = bench.append(30).await?;
    bench.group("CREATE", "slow").await?;
    bench.deliver("slow", 5).await?;
    bench.acknowledge("slow", &found[..5]).await?;
    relay.kill()?;
    // WHEN a relay looks
    let mut relay = bench.relay().start()?;
    relay.leads().await?;
    bench.begins_with(found[20].id).await?;
    bench.looked_twice().await?;
    // THEN fifteen unread entries are counted, once: in the view, as a metric, in the log
    assert_eq!(
        bench
            .value::<i64>("select lost_unread from outbox_ops.streams where topic = 't'")
            .await?,
        15
    );
    assert_eq!(relay.metric("outbox_publish_lost_unread_total").await?, 15.0);
    relay.logs("the hard cap took off entries", LIMIT).await?;
    // AND the stream goes on
    assert_eq!(bench.append(1).await?.len(), 11);
    Ok(())
}

#[tokio::test]
async fn a_stream_that_another_database_writes_is_not_trimmed() -> Result {
    // GIVEN a stream of ours, and a second database that published the same topic elsewhere, later
    let mut bench = Bench::new("null, null").await?;
    let mut relay = bench.relay().start()?;
    relay.leads().await?;
    bench.append(5).await?;
    relay.terminate().await?;
    let mut other = Bench::new("'1 second', 1").await?;
    sqlx::query("update outbox.settings set database_id = gen_random_uuid()")
        .execute(&mut other.postgres)
        .await?;
    let mut elsewhere = other.relay().set("OUTBOX_PUBLISH_LOOK_EVERY", "1h").start()?;
    elsewhere.leads().await?;
    other.append(5).await?;
    elsewhere.terminate().await?;
    let mut stranger = other.relay().set("REDIS_URL", bench.world.redis_url()).start()?;
    stranger.leads().await?;
    // WHEN it has looked again and again, for longer than its retention
    let lasting = tokio::time::Instant::now() + Duration::from_millis(1_500);
    until("its retention is over", LIMIT, async || {
        Ok((tokio::time::Instant::now() > lasting).then_some(()))
    })
    .await?;
    // THEN everything is there
    assert_eq!(entries(&mut bench.redis, STREAM).await?.len(), 5);
    Ok(())
}

#[tokio::test]
async fn under_load_no_floor_is_above_what_is_recorded_as_published() -> Result {
    // GIVEN a cap of one entry, and a relay that looks again and again while events come
    let mut bench = Bench::new("null, 1").await?;
    let mut relay = bench.relay().start()?;
    relay.leads().await?;
    let mut floors = 0;
    for n in 0..20_000 {
        append(&mut bench.postgres, "t", n).await?;
        if n % 50 == 0 {
            floors = bench
                .value::<i64>("select count(*) from outbox.trim_floor")
                .await?;
        }
        if floors >= 5 {
            break;
        }
    }
    // THEN what a floor is below was recorded before the floor was
    assert!(floors >= 5, "{floors}");
    assert_eq!(
        bench
            .value::<i64>(
                "select count(*) from outbox.trim_floor f
                 where not exists (select from outbox.progress p
                                   where p.topic = f.topic and p.recorded_at <= f.recorded_at
                                     and (p.chain_batch_id, p.chain_position) >= (f.batch_id, f.position))"
            )
            .await?,
        0
    );
    // AND the last entry is there: the stream goes on
    let last = append(&mut bench.postgres, "t", 1_000_000).await?;
    let redis = &mut bench.redis;
    until("the last event arrives", LIMIT, async || {
        let found = entries(redis, STREAM).await?;
        Ok(found
            .last()
            .is_some_and(|entry| entry.event_id == last)
            .then_some(()))
    })
    .await
}
