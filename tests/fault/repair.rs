//! Entries that a stream lost: asked for, put out again, applied once and in order (G1, G3, G4, G8).

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use sqlx::{Executor, PgConnection};
use system_tests::arrival::{arrived, backlog, stream_of};
use system_tests::patience::until;
use system_tests::stream::{Entry, EntryId, entries};
use system_tests::{Crew, Failure, Journal, Readers, Relay, Result, Schema, Witness, Workload, World};
use uuid::Uuid;

mod partitions;

mod refused;

const LIMIT: Duration = Duration::from_secs(120);
const TOPIC: &str = "orders.placed";

struct Bench {
    world: World,
    postgres: PgConnection,
    redis: MultiplexedConnection,
    readers: Readers,
}

impl Bench {
    async fn new() -> Result<Self> {
        let world = World::with_schema(Schema::Both).await?;
        Ok(Self {
            postgres: world.connect().await?,
            redis: world.redis().await?,
            readers: Readers::new(world.log(), TOPIC).await?,
            world,
        })
    }

    /// A member of a group whose effects are noted, in the order of their commits per key.
    async fn member(&mut self, group: &str) -> Result<Relay> {
        self.readers.join(group, self.world.redis_url()).await
    }

    /// A relay that published ten events, and a group that applied them.
    async fn at_work() -> Result<(Self, Relay, Relay)> {
        let mut bench = Self::new().await?;
        let mut relay = Relay::of(&bench.world).start()?;
        relay.leads().await?;
        backlog(&bench.world, &[TOPIC.to_owned()], 1, 10, 10).await?;
        let member = bench.member("reader").await?;
        bench.effects("reader", 10).await?;
        Ok((bench, relay, member))
    }

    async fn stop(&mut self, mut member: Relay) -> Result {
        let status = member.terminate().await?;
        assert!(status.success(), "{status}; {}", member.log_tail());
        Ok(())
    }

    async fn entries(&mut self) -> Result<Vec<Entry>> {
        entries(&mut self.redis, &stream_of(TOPIC)).await
    }

    async fn delete(&mut self, ids: &[EntryId]) -> Result {
        let mut command = redis::cmd("XDEL");
        command.arg(stream_of(TOPIC));
        for id in ids {
            command.arg(id.to_string());
        }
        let deleted: usize = command.query_async(&mut self.redis).await?;
        assert_eq!(deleted, ids.len());
        Ok(())
    }

    /// What a group did, once it did as much.
    async fn effects(&mut self, group: &str, count: usize) -> Result<Vec<Uuid>> {
        self.readers.effects(group, count, LIMIT).await
    }

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

    async fn value<T>(&mut self, question: &'static str) -> Result<T>
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        Ok(sqlx::query_scalar(question).fetch_one(&mut self.postgres).await?)
    }

    /// Nothing is asked for any more, at either end.
    async fn nothing_is_missed(&mut self) -> Result {
        let redis = &mut self.redis;
        until("nobody asks", LIMIT, async || {
            let asked: i64 = redis::cmd("HLEN")
                .arg("outbox:@holes")
                .query_async(&mut *redis)
                .await?;
            Ok((asked == 0).then_some(()))
        })
        .await?;
        self.until("select not exists (select from outbox_ops.holes)")
            .await
    }
}

/// What each group did, against what the producers committed.
fn judge(journal: &Journal, done: &[(&str, Vec<Uuid>)]) -> Result {
    let mut witness = Witness::new(journal);
    for (group, ids) in done {
        witness = witness.effects(group, &[TOPIC], ids.iter().copied());
    }
    let verdict = witness.verdict();
    eprintln!("witness: {verdict}");
    verdict.clean()
}

fn committed(journal: &Journal) -> usize {
    journal.committed().count()
}

#[tokio::test]
async fn holes_under_load_are_re_issued_and_every_event_has_one_effect_in_order() -> Result {
    // GIVEN writers, a relay, a group that is up and one that is down now and then
    let mut bench = Bench::new().await?;
    let workload = Workload {
        topics: vec![TOPIC.to_owned()],
        pause: Duration::from_millis(5),
        ..Workload::default()
    };
    eprintln!("seed {}", workload.seed);
    let mut relay = Relay::of(&bench.world).start()?;
    relay.leads().await?;
    let steady = bench.member("steady").await?;
    let mut shaky = bench.member("shaky").await?;
    let mut producers = workload.start(bench.world.log()).await?;
    for _ in 0..2 {
        producers.commit_more(100, LIMIT).await?;
        bench.stop(shaky).await?;
        let before = bench.entries().await?.len();
        producers.commit_more(150, LIMIT).await?;
        arrived_since(&mut bench, before + 100).await?;
        // WHEN entries vanish that the second group has not read
        let found = bench.entries().await?;
        let victims: Vec<EntryId> = [10, 11, 60].iter().map(|n| found[before + n].id).collect();
        bench.delete(&victims).await?;
        shaky = bench.member("shaky").await?;
        // The group holds what comes after them until they are there again; the next round waits for that, and for the
        // pause between two re-issues.
        bench.until("select exists (select from outbox.reissue where cut_at > clock_timestamp() - interval '9 seconds')").await?;
        bench.until("select not exists (select from outbox.reissue where cut_at > clock_timestamp() - interval '11 seconds')").await?;
    }
    producers.commit_more(50, LIMIT).await?;
    let journal = producers.stop().await?;
    // THEN both groups did everything once, in order
    let done = [
        ("steady", bench.effects("steady", committed(&journal)).await?),
        ("shaky", bench.effects("shaky", committed(&journal)).await?),
    ];
    bench.nothing_is_missed().await?;
    bench.stop(steady).await?;
    bench.stop(shaky).await?;
    judge(&journal, &done)?;
    assert_eq!(
        bench
            .value::<i64>("select count(*) from outbox.stream_action")
            .await?,
        0
    );
    assert!(bench.value::<i64>("select count(*) from outbox.reissue").await? >= 2);
    assert!(relay.metric("outbox_publish_reissues_total").await? >= 2.0);
    Ok(())
}

async fn arrived_since(bench: &mut Bench, count: usize) -> Result {
    until("entries", LIMIT, async || {
        Ok((bench.entries().await?.len() >= count).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_reissue_goes_on_whichever_leader_is_killed_in_it() -> Result {
    // GIVEN a long stream of which a group read the beginning, and its next entry vanished
    let mut bench = Bench::new().await?;
    let topics = [TOPIC.to_owned()];
    // Small parcels, so that there is time to die between them.
    let relays = Relay::of(&bench.world).set("OUTBOX_PUBLISH_SHARE_ROWS", 10);
    let mut crew = Crew::start(relays, 2).await?;
    let mut journal = backlog(&bench.world, &topics, 1, 20, 10).await?;
    let member = bench.member("reader").await?;
    bench.effects("reader", 20).await?;
    bench.stop(member).await?;
    journal.merge(backlog(&bench.world, &topics, 3, 3_000, 200).await?);
    arrived(&bench.world, &topics, LIMIT).await?;
    let found = bench.entries().await?;
    bench.delete(&[found[20].id, found[21].id]).await?;
    // WHEN leaders are killed while they put out again what is behind it
    let member = bench.member("reader").await?;
    bench.until("select exists (select from outbox.reissue)").await?;
    let mut killed_inside = 0;
    for _ in 0..3 {
        let leader = crew.leader().await?;
        let is_inside = "select p.batch_number = r.batch_number and p.position < s.last_position
             from outbox.reissue r join outbox.share s using (batch_number),
                  lateral (select p.* from outbox.progress p order by p.batch_number desc, p.position desc limit 1) p";
        killed_inside += i32::from(bench.value::<bool>(is_inside).await?);
        crew.replace(leader)?;
        crew.leader().await?;
    }
    // THEN the group has everything once, in order, and the stream has one entry per event since
    let done = [("reader", bench.effects("reader", committed(&journal)).await?)];
    bench.nothing_is_missed().await?;
    bench.stop(member).await?;
    judge(&journal, &done)?;
    assert!(killed_inside > 0, "no leader was killed inside the re-issue");
    let kept = found[19].id;
    let again = bench.entries().await?;
    let again: Vec<&Entry> = again
        .iter()
        .filter(|entry| entry.id > found[found.len() - 1].id)
        .collect();
    assert_eq!(again.len(), 9_000, "each event behind the kept one, once");
    assert_eq!(again[0].previous_id, Some(kept));
    assert!(
        again
            .windows(2)
            .all(|pair| pair[1].previous_id == Some(pair[0].id))
    );
    assert_eq!(
        bench.value::<i64>("select count(*) from outbox.reissue").await?,
        1
    );
    crew.terminate().await
}

#[tokio::test]
async fn two_groups_that_miss_the_same_are_one_reissue() -> Result {
    // GIVEN two groups that came differently far, and an entry that both have not read
    let mut bench = Bench::new().await?;
    let topics = [TOPIC.to_owned()];
    let mut relay = Relay::of(&bench.world).start()?;
    relay.leads().await?;
    let mut journal = backlog(&bench.world, &topics, 1, 50, 10).await?;
    let (first, second) = (bench.member("a").await?, bench.member("b").await?);
    bench.effects("a", 50).await?;
    bench.effects("b", 50).await?;
    bench.stop(second).await?;
    journal.merge(backlog(&bench.world, &topics, 1, 50, 10).await?);
    bench.effects("a", 100).await?;
    bench.stop(first).await?;
    journal.merge(backlog(&bench.world, &topics, 1, 50, 10).await?);
    arrived(&bench.world, &topics, LIMIT).await?;
    let found = bench.entries().await?;
    bench.delete(&[found[120].id]).await?;
    // WHEN both come back
    let (first, second) = (bench.member("a").await?, bench.member("b").await?);
    let done = [
        ("a", bench.effects("a", 150).await?),
        ("b", bench.effects("b", 150).await?),
    ];
    bench.nothing_is_missed().await?;
    // THEN each did everything once, and the stream was put out again once
    bench.stop(first).await?;
    bench.stop(second).await?;
    judge(&journal, &done)?;
    assert_eq!(
        bench.value::<i64>("select count(*) from outbox.reissue").await?,
        1
    );
    Ok(())
}

#[tokio::test]
async fn a_hole_inside_a_reissue_and_one_before_it_are_repaired() -> Result {
    // GIVEN a group that stands at the beginning, and a stream that was put out again for another one
    let mut bench = Bench::new().await?;
    let topics = [TOPIC.to_owned()];
    let mut relay = Relay::of(&bench.world).start()?;
    relay.leads().await?;
    let mut journal = backlog(&bench.world, &topics, 1, 20, 10).await?;
    let (late, quick) = (bench.member("late").await?, bench.member("quick").await?);
    bench.effects("late", 20).await?;
    bench.effects("quick", 20).await?;
    bench.stop(late).await?;
    journal.merge(backlog(&bench.world, &topics, 2, 30, 10).await?);
    bench.effects("quick", 80).await?;
    bench.stop(quick).await?;
    journal.merge(backlog(&bench.world, &topics, 1, 20, 10).await?);
    arrived(&bench.world, &topics, LIMIT).await?;
    let first = bench.entries().await?;
    bench.delete(&[first[85].id]).await?;
    let quick = bench.member("quick").await?;
    bench.effects("quick", 100).await?;
    bench.nothing_is_missed().await?;
    // WHEN entries vanish from the re-issue, and from before what it kept
    let second = bench.entries().await?;
    let again: Vec<EntryId> = second
        .iter()
        .map(|entry| entry.id)
        .filter(|id| *id > first[99].id)
        .collect();
    assert_eq!(again.len(), 15, "what is behind entry 85");
    bench.delete(&[again[0], again[7], first[30].id]).await?;
    let late = bench.member("late").await?;
    // THEN the other group has everything as well
    let done = [
        ("late", bench.effects("late", 100).await?),
        ("quick", bench.effects("quick", 100).await?),
    ];
    bench.nothing_is_missed().await?;
    bench.stop(late).await?;
    bench.stop(quick).await?;
    judge(&journal, &done)?;
    // AND however much was missed, the stream was put out again every ten seconds at most
    let gaps: Vec<f64> = sqlx::query_scalar(
        "select extract(epoch from gap)::float8 from (select cut_at - lag(cut_at) over (order by batch_number) as gap from outbox.reissue) g
         where gap is not null",
    )
    .fetch_all(&mut bench.postgres)
    .await?;
    assert!(
        !gaps.is_empty() && gaps.iter().all(|gap| *gap >= 10.0),
        "{gaps:?}"
    );
    Ok(())
}

#[tokio::test]
async fn what_a_group_passed_need_not_be_on_the_stream_any_more() -> Result {
    // GIVEN a group that passed everything, and a stream of which the beginning vanished, up to and with what comes next
    let mut bench = Bench::new().await?;
    let topics = [TOPIC.to_owned()];
    let mut relay = Relay::of(&bench.world).start()?;
    relay.leads().await?;
    let mut journal = backlog(&bench.world, &topics, 1, 20, 10).await?;
    let member = bench.member("reader").await?;
    bench.effects("reader", 20).await?;
    bench.stop(member).await?;
    journal.merge(backlog(&bench.world, &topics, 1, 20, 10).await?);
    arrived(&bench.world, &topics, LIMIT).await?;
    let found = bench.entries().await?;
    let gone: Vec<EntryId> = found[..25].iter().map(|entry| entry.id).collect();
    bench.delete(&gone).await?;
    // WHEN it goes on
    let member = bench.member("reader").await?;
    let done = [("reader", bench.effects("reader", 40).await?)];
    bench.nothing_is_missed().await?;
    bench.stop(member).await?;
    // THEN it has everything: what is put out again begins behind what it passed
    judge(&journal, &done)?;
    let again = bench.entries().await?;
    assert_eq!(again[15].previous_id, Some(found[19].id));
    assert_eq!(
        bench
            .value::<i64>("select count(*) from outbox.stream_action")
            .await?,
        0
    );
    Ok(())
}

#[tokio::test]
async fn a_stream_that_lost_its_end_is_put_out_again_without_a_person() -> Result {
    // GIVEN a group that read most of a stream
    let mut bench = Bench::new().await?;
    let topics = [TOPIC.to_owned()];
    let mut relay = Relay::of(&bench.world).start()?;
    relay.leads().await?;
    let mut journal = backlog(&bench.world, &topics, 1, 50, 10).await?;
    let member = bench.member("reader").await?;
    bench.effects("reader", 50).await?;
    bench.stop(member).await?;
    journal.merge(backlog(&bench.world, &topics, 1, 50, 10).await?);
    arrived(&bench.world, &topics, LIMIT).await?;
    // WHEN its last entries vanish, as from a file that a crash cut short
    let found = bench.entries().await?;
    let ids: Vec<EntryId> = found[70..].iter().map(|entry| entry.id).collect();
    bench.delete(&ids).await?;
    // THEN the relay notices, and they come again behind what is left
    bench.until("select exists (select from outbox.reissue)").await?;
    journal.merge(backlog(&bench.world, &topics, 1, 50, 10).await?);
    let member = bench.member("reader").await?;
    let done = [("reader", bench.effects("reader", 150).await?)];
    bench.stop(member).await?;
    judge(&journal, &done)?;
    assert_eq!(
        bench
            .value::<String>("select string_agg(action, ', ' order by number) from outbox.stream_action")
            .await?,
        "lost, resume"
    );
    Ok(())
}

#[tokio::test]
async fn a_group_that_the_stream_lost_goes_on_behind_what_it_passed() -> Result {
    // GIVEN a group that passed a hundred events
    let mut bench = Bench::new().await?;
    let topics = [TOPIC.to_owned()];
    let mut relay = Relay::of(&bench.world).start()?;
    relay.leads().await?;
    let mut journal = backlog(&bench.world, &topics, 1, 100, 10).await?;
    let member = bench.member("reader").await?;
    bench.effects("reader", 100).await?;
    bench
        .until("select passed_entry = (select last_entry from outbox_ops.topics) from outbox_ops.inbox")
        .await?;
    // WHEN the stream loses the group, and more is appended
    redis::cmd("XGROUP")
        .arg(&["DESTROY", &stream_of(TOPIC), "reader"])
        .query_async::<()>(&mut bench.redis)
        .await?;
    journal.merge(backlog(&bench.world, &topics, 1, 20, 10).await?);
    // THEN it goes on behind what it passed: nothing of that is read again
    let done = [("reader", bench.effects("reader", 120).await?)];
    let mut read_again = 0.0;
    for metric in [
        "outbox_consume_superseded_total",
        "outbox_consume_duplicates_total",
    ] {
        read_again += member.metric(metric).await?;
    }
    bench.stop(member).await?;
    judge(&journal, &done)?;
    assert_eq!(read_again, 0.0);
    Ok(())
}

#[tokio::test]
async fn a_group_on_a_stream_made_anew_begins_at_its_beginning() -> Result {
    // GIVEN a group that passed events of a stream that was deleted and put out again, with lower ids than it passed
    let (mut bench, mut relay, member) = Bench::at_work().await?;
    bench
        .until("select passed_entry = (select last_entry from outbox_ops.topics) from outbox_ops.inbox")
        .await?;
    bench.stop(member).await?;
    relay.kill()?;
    redis::cmd("DEL")
        .arg(stream_of(TOPIC))
        .query_async::<()>(&mut bench.redis)
        .await?;
    // A stranger's entry, which the gate does not judge by its id.
    let stranger = serde_json::json!({ "specversion": "1.0", "id": Uuid::now_v7().to_string(), "source": "/elsewhere", "type": TOPIC });
    redis::cmd("XADD")
        .arg(&[&stream_of(TOPIC), "5-1", "event", &stranger.to_string()])
        .query_async::<()>(&mut bench.redis)
        .await?;
    // WHEN it comes back THEN it reads what is there
    let member = bench.member("reader").await?;
    bench.effects("reader", 11).await?;
    bench.stop(member).await
}

#[tokio::test]
async fn an_event_that_was_committed_late_is_put_out_again_and_nothing_of_what_was_kept() -> Result {
    // GIVEN a group that read a batch, and an event with a lower position that was committed after it
    let mut bench = Bench::new().await?;
    let topics = [TOPIC.to_owned()];
    let mut relay = Relay::of(&bench.world).start()?;
    relay.leads().await?;
    let member = bench.member("reader").await?;
    let mut late = bench.world.connect().await?;
    late.execute("begin").await?;
    let append = "select outbox.append($1, '{\"number\": 0}'::json, key => 'late')";
    let late_id: Uuid = sqlx::query_scalar(append)
        .bind(TOPIC)
        .fetch_one(&mut late)
        .await?;
    backlog(&bench.world, &topics, 1, 20, 10).await?;
    bench.effects("reader", 20).await?;
    bench.stop(member).await?;
    late.execute("commit").await?;
    backlog(&bench.world, &topics, 1, 10, 10).await?;
    arrived(&bench.world, &topics, LIMIT).await?;
    // WHEN the late one vanishes, and the end of the batch before it
    let found = bench.entries().await?;
    let at = found.iter().position(|entry| entry.event_id == late_id);
    let at = at.ok_or_else(|| Failure::new("the late event is not on the stream"))?;
    assert!(
        at == 20 && found[at].id.1 < found[0].id.1,
        "committed late, and appended first"
    );
    bench.delete(&[found[at - 1].id, found[at].id]).await?;
    let member = bench.member("reader").await?;
    let done = bench.effects("reader", 31).await?;
    bench.nothing_is_missed().await?;
    bench.stop(member).await?;
    // THEN it and what came behind it are there again, in one order, and nothing that was kept
    let again: Vec<Uuid> = bench
        .entries()
        .await?
        .into_iter()
        .skip(29)
        .map(|entry| entry.event_id)
        .collect();
    let behind = found[at - 1..].iter().map(|entry| entry.event_id);
    let expected: Vec<Uuid> = [late_id]
        .into_iter()
        .chain(behind.filter(|id| *id != late_id))
        .collect();
    assert_eq!(again, expected);
    assert!(done.contains(&late_id));
    Ok(())
}
