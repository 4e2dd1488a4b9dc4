//! Events that went to a topic, were removed from their stream since, and are missing when the topic is put out again: not lost.

use std::time::Duration;

use outbox_core::append::NewEvent;
use outbox_core::event_store::{self, Error, Expected, Outcome, StreamName, keep};
use redis::aio::MultiplexedConnection;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use system_tests::patience::until;
use system_tests::stream::{Entry, EntryId, entries};
use system_tests::{Failure, Invocation, Readers, Relay, Result, Schema, World};
use uuid::Uuid;

const LIMIT: Duration = Duration::from_secs(120);
const REASON: &str = "closed long ago";
const TOPIC: &str = "points";
const KEY: &str = "outbox:points";

struct Bench {
    world: World,
    postgres: PgConnection,
    redis: MultiplexedConnection,
    relay: Relay,
}

impl Bench {
    async fn new() -> Result<Self> {
        let world = World::with_schema(Schema::Both).await?;
        let mut relay = Relay::of(&world)
            .set("OUTBOX_PUBLISH_LOOK_EVERY", "100ms")
            .start()?;
        relay.leads().await?;
        Ok(Self {
            postgres: world.connect().await?,
            redis: world.redis().await?,
            relay,
            world,
        })
    }

    /// Stores events for the topic in one transaction, and returns their ids.
    async fn store(&mut self, stream: &str, events: usize) -> Result<Vec<Uuid>> {
        let event = |n| {
            NewEvent::stored("points.earned")
                .json(&serde_json::json!({ "points": n }))
                .publish_to(TOPIC)
        };
        let events: Vec<NewEvent> = (0..events).map(event).collect();
        let mut transaction = self.postgres.begin().await?;
        let outcome = event_store::append(&mut transaction, &name(stream), Expected::Any, events).await?;
        let Outcome::Appended { positions, .. } = outcome else {
            return Err(Failure::new(format!("{outcome:?}")));
        };
        transaction.commit().await?;
        let ids = "select id from outbox.stored_event where position = any($1) order by position";
        Ok(sqlx::query_scalar(ids)
            .bind(positions)
            .fetch_all(&mut self.postgres)
            .await?)
    }

    /// Truncates a stream, or buries it, once all of it is published.
    async fn remove(&mut self, stream: &str, before: Option<u64>) -> Result<u64> {
        let (postgres, name) = (&mut self.postgres, name(stream));
        until("it may go", LIMIT, async || {
            let done = match before {
                Some(before) => keep::truncate_stream(postgres, &name, before, REASON, 100).await,
                None => keep::tombstone_stream(postgres, &name, REASON, 100).await,
            };
            match done {
                Ok(chunk) => {
                    assert!(chunk.is_finished);
                    Ok(Some(chunk.events))
                }
                Err(Error::Database { code, .. }) if code == "55000" => Ok(None),
                Err(other) => Err(other.into()),
            }
        })
        .await
    }

    async fn entries(&mut self) -> Result<Vec<Entry>> {
        entries(&mut self.redis, KEY).await
    }

    /// The last entries of the stream, once they are these events.
    async fn holds(&mut self, events: &[Uuid]) -> Result<Vec<Entry>> {
        let redis = &mut self.redis;
        let mut seen = Vec::new();
        let found = until("the stream has what is left", LIMIT, async || {
            let mut found = entries(redis, KEY).await?;
            let last = found.split_off(found.len().saturating_sub(events.len()));
            seen = last.iter().map(|entry| entry.event_id).collect();
            Ok((seen == events).then_some(last))
        })
        .await;
        found.map_err(|failure| {
            Failure::new(format!(
                "{failure}: {seen:?} and not {events:?}; {}",
                self.relay.log_tail()
            ))
        })
    }

    /// Loses entries, or all of the stream, while no relay runs: nothing is put on it before that is noticed.
    async fn lose(&mut self, ids: &[EntryId]) -> Result {
        assert!(self.relay.terminate().await?.success());
        self.delete(ids).await?;
        self.lead().await
    }

    /// Deletes entries, or all of the stream.
    async fn delete(&mut self, ids: &[EntryId]) -> Result {
        let mut command = redis::cmd(if ids.is_empty() { "DEL" } else { "XDEL" });
        command.arg(KEY);
        for id in ids {
            command.arg(id.to_string());
        }
        let gone: usize = command.query_async(&mut self.redis).await?;
        assert_eq!(gone, ids.len().max(1));
        Ok(())
    }

    /// Another relay leads.
    async fn lead(&mut self) -> Result {
        self.relay = Relay::of(&self.world).start()?;
        self.relay.leads().await
    }

    /// Takes a row out of the log as no function does.
    async fn lose_row(&mut self, id: Uuid) -> Result {
        self.postgres
            .execute("set session_replication_role = replica")
            .await?;
        let gone = sqlx::query("delete from outbox.log where id = $1")
            .bind(id)
            .execute(&mut self.postgres)
            .await?;
        assert_eq!(gone.rows_affected(), 1);
        self.postgres
            .execute("set session_replication_role = origin")
            .await?;
        Ok(())
    }

    /// The events and the removed ones of each re-issue, in their order.
    async fn reissues(&mut self) -> Result<Vec<(i64, i64)>> {
        let told = "select events, removed from outbox_ops.reissues order by cut_at";
        Ok(sqlx::query_as(told).fetch_all(&mut self.postgres).await?)
    }

    async fn losses(&mut self) -> Result<Vec<(String, i64)>> {
        let told = "select why, events from outbox.loss order by number";
        Ok(sqlx::query_as(told).fetch_all(&mut self.postgres).await?)
    }

    async fn until(&mut self, condition: &'static str) -> Result {
        let postgres = &mut self.postgres;
        until(condition, LIMIT, async || {
            let is_so: bool = sqlx::query_scalar(condition).fetch_one(&mut *postgres).await?;
            Ok(is_so.then_some(()))
        })
        .await
    }

    /// A stream is put out again every ten seconds at most: what is lost from here on is looked at at once.
    async fn rests(&mut self) -> Result {
        self.until(
            "select not exists (select from outbox.reissue where cut_at > clock_timestamp() - interval '11 seconds')",
        )
        .await
    }
}

fn name(stream: &str) -> StreamName {
    stream.parse().expect("a good name")
}

/// Each entry names the one before it.
fn is_chain(found: &[Entry], before: Option<EntryId>) {
    let named: Vec<Option<EntryId>> = found.iter().map(|entry| entry.previous_id).collect();
    let wanted: Vec<Option<EntryId>> = std::iter::once(before)
        .chain(found.iter().map(|entry| Some(entry.id)))
        .take(found.len())
        .collect();
    assert_eq!(named, wanted);
}

#[tokio::test]
async fn what_was_removed_is_not_lost_when_its_topic_is_put_out_again() -> Result {
    // GIVEN a topic of which some events were truncated, and some buried
    let mut bench = Bench::new().await?;
    let first = bench.store("points-1", 5).await?;
    bench.store("points-2", 4).await?;
    let third = bench.store("points-3", 1).await?;
    assert_eq!(bench.remove("points-1", Some(4)).await?, 3);
    assert_eq!(bench.remove("points-2", None).await?, 4);
    let ranges: Vec<(i64,)> = sqlx::query_as(
        "select last_position - first_position + 1 from outbox.removed order by first_position",
    )
    .fetch_all(&mut bench.postgres)
    .await?;
    assert_eq!(ranges, [(3,), (4,)], "a transaction is a row");
    // WHEN the stream is lost
    bench.lose(&[]).await?;
    // THEN what is left is put out, one behind the other, and nothing is given up
    let there = bench.holds(&[&first[3..], &third[..]].concat()).await?;
    is_chain(&there, None);
    assert_eq!(bench.losses().await?, []);
    assert_eq!(bench.reissues().await?, [(3, 7)]);
    // WHEN more of it goes, and the end of what was put out again is lost
    bench.rests().await?;
    assert_eq!(bench.remove("points-1", Some(5)).await?, 1);
    bench.lose(&[there[1].id, there[2].id]).await?;
    // THEN the rest follows what stayed
    let again = bench.holds(&[&first[4..], &third[..]].concat()).await?;
    is_chain(&again, Some(there[0].id));
    let next = bench.store("points-3", 1).await?;
    is_chain(&bench.holds(&next).await?, Some(again[1].id));
    assert_eq!(bench.losses().await?, []);
    assert_eq!(bench.reissues().await?, [(3, 7), (2, 4)]);
    Ok(())
}

#[tokio::test]
async fn what_is_lost_beside_what_was_removed_is_still_told() -> Result {
    // GIVEN a re-issue of what is left, of which one more was removed since, and one row the log lost
    let mut bench = Bench::new().await?;
    let first = bench.store("points-1", 8).await?;
    assert_eq!(bench.remove("points-1", Some(4)).await?, 3);
    bench.lose(&[]).await?;
    let there = bench.holds(&first[3..]).await?;
    assert_eq!(bench.reissues().await?, [(5, 3)]);
    bench.rests().await?;
    assert_eq!(bench.remove("points-1", Some(5)).await?, 1);
    bench.lose_row(first[5]).await?;
    // WHEN all but the first entry of it is lost
    let gone: Vec<EntryId> = there[1..].iter().map(|entry| entry.id).collect();
    bench.lose(&gone).await?;
    // THEN the one that the log lacks is not taken for removed: what is before it is given up, and said
    bench.until("select exists (select from outbox.loss)").await?;
    let why: Vec<String> = bench.losses().await?.into_iter().map(|loss| loss.0).collect();
    assert_eq!(why, ["log"]);
    assert_eq!(bench.reissues().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn an_era_has_nothing_of_what_was_removed_before_it() -> Result {
    // GIVEN an event that was removed, two that are in no batch, and a server that is another one, on which all is put out again
    let mut bench = Bench::new().await?;
    let first = bench.store("points-1", 2).await?;
    let second = bench.store("points-2", 3).await?;
    assert_eq!(bench.remove("points-2", Some(2)).await?, 1);
    assert!(bench.relay.terminate().await?.success());
    let third = bench.store("points-3", 2).await?;
    bench
        .postgres
        .execute("update outbox.era set system_identifier = 1")
        .await?;
    let recover = [
        "recover",
        "apply",
        "--strategy",
        "republish",
        "--reason",
        "moved",
        "--yes",
    ];
    let done = Invocation::of(&bench.world, &recover)?.ask()?;
    assert_eq!(done.code, 0, "{} {}", done.output, done.errors);
    bench.lead().await?;
    let there = bench
        .holds(&[&first[..], &second[1..], &third[..]].concat())
        .await?;
    // WHEN its last entry is lost THEN it is put out again
    bench.lose(&[there[5].id]).await?;
    let again = bench.holds(&third).await?;
    is_chain(&again, Some(there[3].id));
    assert_eq!(bench.losses().await?, []);
    // WHEN the log lacks one of those that the era began with THEN what was removed before does not stand for that
    bench.rests().await?;
    bench.lose_row(second[1]).await?;
    let gone = [&there[2..5], &again[1..]].concat();
    bench
        .lose(&gone.iter().map(|entry| entry.id).collect::<Vec<_>>())
        .await?;
    bench.until("select exists (select from outbox.loss)").await?;
    let why: Vec<String> = bench.losses().await?.into_iter().map(|loss| loss.0).collect();
    assert_eq!(why, ["log"]);
    Ok(())
}

#[tokio::test]
async fn a_topic_of_which_nothing_is_left_goes_on() -> Result {
    let mut bench = Bench::new().await?;
    bench.store("points-1", 3).await?;
    assert_eq!(bench.remove("points-1", None).await?, 3);
    let end = bench.entries().await?.last().map(|entry| entry.id);
    // WHEN the stream is lost while no relay runs
    bench.lose(&[]).await?;
    bench.until("select exists (select from outbox.loss)").await?;
    // THEN it is said why nothing is put out, and what comes next goes behind it
    let next = bench.store("points-2", 2).await?;
    is_chain(&bench.holds(&next).await?, end);
    assert_eq!(bench.losses().await?, [("removed".to_owned(), 3)]);
    assert_eq!(bench.reissues().await?, []);
    Ok(())
}

#[tokio::test]
async fn a_person_is_told_how_many_are_not_put_out_again() -> Result {
    // GIVEN a topic of three partitions, of which half was removed
    let mut bench = Bench::new().await?;
    let set = Invocation::of(&bench.world, &["topic", "set", TOPIC, "--partitions", "3"])?.ask()?;
    assert_eq!(set.code, 0, "{}", set.errors);
    for number in 0..12 {
        bench.store(&format!("points-{number}"), 2).await?;
    }
    for number in 0..12 {
        bench.remove(&format!("points-{number}"), Some(2)).await?;
    }
    let expected: Vec<(i32, i64)> = sqlx::query_as(
        "select outbox.partition_of(key, 3), count(*) from outbox.log where topic = 'points' group by 1 order by 1",
    )
    .fetch_all(&mut bench.postgres)
    .await?;
    // WHEN somebody asks for all of it
    let mut ask = vec![
        "recover", "reissue", "--topic", TOPIC, "--from", "0-0", "--reason", "rebuild", "--output", "json",
    ];
    let preview = Invocation::of(&bench.world, &ask)?.ask()?;
    assert_eq!(preview.code, 4, "{}", preview.errors);
    ask.push("--yes");
    let done = Invocation::of(&bench.world, &ask)?.ask()?;
    assert_eq!(done.code, 0, "{} {}", done.output, done.errors);
    // THEN the answers say how many are put out, and how many are not
    for answer in [preview.json()?, done.json()?] {
        let told: Vec<(i32, i64, i64)> = answer["streams"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|row| {
                let number = |name: &str| row[name].as_i64().unwrap_or(-1);
                (number("partition") as i32, number("events"), number("removed"))
            })
            .collect();
        let wanted: Vec<(i32, i64, i64)> = expected
            .iter()
            .map(|(partition, events)| (*partition, *events, *events))
            .collect();
        assert_eq!(told, wanted, "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn a_group_that_waits_for_what_was_removed_gets_what_is_left() -> Result {
    // GIVEN a group that stands behind the second of six events, of which the next two are lost and removed
    let mut bench = Bench::new().await?;
    let mut readers = Readers::new(bench.world.log(), TOPIC).await?;
    let first = bench.store("points-1", 2).await?;
    let mut member = readers.join("reader", bench.world.redis_url()).await?;
    readers.effects("reader", 2, LIMIT).await?;
    assert!(member.terminate().await?.success());
    let second = bench.store("points-2", 2).await?;
    let third = bench.store("points-3", 2).await?;
    assert_eq!(bench.remove("points-2", Some(3)).await?, 2);
    let there = bench
        .holds(&[&first[..], &second[..], &third[..]].concat())
        .await?;
    bench.lose(&[there[2].id, there[3].id]).await?;
    // WHEN it goes on
    let mut member = readers.join("reader", bench.world.redis_url()).await?;
    // THEN it applies what is left, and nobody waits
    let done = readers.effects("reader", 4, LIMIT).await?;
    assert_eq!(done, [&first[..], &third[..]].concat());
    bench
        .until("select not exists (select from outbox_ops.holes)")
        .await?;
    assert_eq!(bench.reissues().await?, [(2, 2)]);
    assert_eq!(bench.losses().await?, []);
    assert!(member.terminate().await?.success());
    Ok(())
}

#[tokio::test]
async fn a_group_reads_again_from_the_log_what_is_left() -> Result {
    let mut bench = Bench::new().await?;
    let first = bench.store("points-1", 4).await?;
    bench.store("points-2", 2).await?;
    let third = bench.store("points-3", 2).await?;
    assert_eq!(bench.remove("points-1", Some(3)).await?, 2);
    assert_eq!(bench.remove("points-2", None).await?, 2);
    // AND that is put out again, of which one more was removed since
    bench.lose(&[]).await?;
    bench.holds(&[&first[2..], &third[..]].concat()).await?;
    assert_eq!(bench.remove("points-1", Some(4)).await?, 1);
    // WHEN the stream is trimmed, and a group reads from the beginning
    let last = bench.entries().await?.last().expect("an entry").id;
    let _: i64 = redis::cmd("XTRIM")
        .arg(KEY)
        .arg("MINID")
        .arg(last.to_string())
        .query_async(&mut bench.redis)
        .await?;
    let seek = [
        "consumer", "seek", "--group", "reader", "--topic", TOPIC, "--reason", "rebuild", "--output", "json",
        "--to", "begin", "--yes",
    ];
    let answer = Invocation::of(&bench.world, &seek)?.ask()?;
    assert_eq!(answer.code, 0, "{} {}", answer.output, answer.errors);
    let told: Value = answer.json()?;
    let mut readers = Readers::new(bench.world.log(), TOPIC).await?;
    let mut member = readers.join("reader", bench.world.redis_url()).await?;
    // By key, which are applied beside each other.
    let mut done = readers.effects("reader", 3, LIMIT).await?;
    done.sort_by_key(|id| third.contains(id));
    assert_eq!(done, [&first[3..], &third[..]].concat(), "{told}");
    assert!(member.terminate().await?.success());
    Ok(())
}

#[tokio::test]
async fn what_is_cut_again_is_what_was_measured() -> Result {
    let mut bench = Bench::new().await?;
    bench.store("points-1", 2).await?;
    bench.remove("points-1", Some(2)).await?;
    let mut person = bench.world.connect().await?;
    let is_still = async |relay: &mut PgConnection, measured: &str| -> Result<bool> {
        let asked = format!("select outbox.is_still_measured('points', '{measured}')");
        Ok(sqlx::query_scalar(AssertSqlSafe(asked)).fetch_one(relay).await?)
    };
    let snapshot = "select pg_current_snapshot()::text";
    let before: String = sqlx::query_scalar(snapshot)
        .fetch_one(&mut bench.postgres)
        .await?;
    assert!(is_still(&mut bench.postgres, &before).await?);
    // WHEN somebody removes more
    let mut removal = person.begin().await?;
    let chunk = keep::truncate_stream(&mut removal, &name("points-1"), 3, REASON, 100).await?;
    assert_eq!(chunk.events, 1);
    // THEN nothing is cut meanwhile, nor afterwards by what was measured before
    assert!(!is_still(&mut bench.postgres, &before).await?);
    removal.commit().await?;
    assert!(!is_still(&mut bench.postgres, &before).await?);
    let after: String = sqlx::query_scalar(snapshot)
        .fetch_one(&mut bench.postgres)
        .await?;
    assert!(is_still(&mut bench.postgres, &after).await?);
    Ok(())
}

#[tokio::test]
async fn a_relay_that_does_not_count_what_was_removed_puts_nothing_out_again() -> Result {
    let mut bench = Bench::new().await?;
    bench.store("points-1", 2).await?;
    // How a relay of before cuts a re-issue: it names no column for what was removed. Undone, whatever comes of it.
    let as_before = async |relay: &mut PgConnection| -> Result<Option<(String, String)>> {
        let mut cut = relay.begin().await?;
        let outcome = cut
            .execute(
                "insert into outbox.reissue (batch_number, topic, partition, kept_batch_id, kept_position, kept_number, base, base_number, \
                     passed_snapshots, passed_positions, missing, asked_by) \
                 values (1000, 'points', 0, 1, 1, 1, '3:3:', 1, '{}', '{}', 'all of it', 'a person')",
            )
            .await;
        cut.rollback().await?;
        match outcome {
            Ok(_) => Ok(None),
            Err(sqlx::Error::Database(refused)) => Ok(Some((
                refused.code().unwrap_or_default().into_owned(),
                refused.message().to_owned(),
            ))),
            Err(other) => Err(other.into()),
        }
    };
    assert_eq!(as_before(&mut bench.postgres).await?, None, "nothing was removed");
    // WHEN somebody is removing events of the topic, and afterwards THEN it is refused, and told why and what to do
    let mut person = bench.world.connect().await?;
    until("it may go", LIMIT, async || {
        person.execute("begin").await?;
        match keep::truncate_stream(&mut person, &name("points-1"), 2, REASON, 100).await {
            Ok(chunk) => {
                assert_eq!(chunk.events, 1);
                Ok(Some(()))
            }
            Err(Error::Database { code, .. }) if code == "55000" => {
                person.execute("rollback").await?;
                Ok(None)
            }
            Err(other) => Err(other.into()),
        }
    })
    .await?;
    let (code, said) = as_before(&mut bench.postgres).await?.unwrap_or_default();
    assert!(
        code == "55000" && said.starts_with("stop this relay: events of topic points are being removed"),
        "{code} {said}"
    );
    person.execute("commit").await?;
    let (code, said) = as_before(&mut bench.postgres).await?.unwrap_or_default();
    assert!(
        code == "55000" && said.starts_with("stop this relay: events of topic points were removed"),
        "{code} {said}"
    );
    Ok(())
}

#[tokio::test]
async fn what_is_kept_of_a_removed_event_tells_its_partition_and_stays() -> Result {
    let mut bench = Bench::new().await?;
    let differing: i64 = sqlx::query_scalar(
        "select count(*) from generate_series(1, 300) key, generate_series(1, 40) partitions
         where outbox.key_number(key::text || 'é') % partitions <> outbox.partition_of(key::text || 'é', partitions)",
    )
    .fetch_one(&mut bench.postgres)
    .await?;
    assert_eq!(differing, 0);
    bench.store("points-1", 2).await?;
    bench.remove("points-1", None).await?;
    for change in [
        "delete from outbox.removed",
        "update outbox.removed set last_position = last_position + 1",
        "truncate outbox.removed",
    ] {
        let refused = bench.postgres.execute(change).await.expect_err(change);
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
    Ok(())
}
