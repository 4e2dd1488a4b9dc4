//! Order per key while topics grow, under load, with leaders killed and stopped.

use sqlx::Executor;
use system_tests::arrival::{arrived, backlog, entries_of, events_of, judge};
use system_tests::journal::Outcome;
use system_tests::patience::until;
use system_tests::plain_reader::{PlainReader, layout, names};
use system_tests::stream::{self, EntryId};
use system_tests::witness::Verdict;
use system_tests::{Crew, Journal, Members, Relay, Result, Schema, Witness, Workload, World};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{LIMIT, set_partitions};

const TOPIC: &str = "orders";

/// A reader that follows the topic until it is told to stop, and has read so much then.
struct Following {
    stop: CancellationToken,
    reader: JoinHandle<Result<PlainReader>>,
}

impl Following {
    async fn start(world: &World) -> Result<Self> {
        let stop = CancellationToken::new();
        let (until, mut redis) = (stop.clone(), world.redis().await?);
        let reader = tokio::spawn(async move {
            let mut reader = PlainReader::new(TOPIC);
            while !until.is_cancelled() {
                reader.turn(&mut redis).await?;
            }
            Ok(reader)
        });
        Ok(Self { stop, reader })
    }

    /// Reads to the end and lets the witness judge the order.
    async fn judge(self, world: &World, journal: &Journal) -> Result {
        self.stop.cancel();
        let mut reader = self.reader.await??;
        let (mut redis, expected) = (world.redis().await?, events_of(world, &[TOPIC.to_owned()]).await?);
        until("the reader is through", LIMIT, async || {
            reader.turn(&mut redis).await?;
            Ok((reader.read().len() as u64 >= expected).then_some(()))
        })
        .await?;
        let verdict = Witness::new(journal)
            .effects("plain reader", &[TOPIC], reader.read().iter().copied())
            .verdict();
        eprintln!("plain reader: {verdict}");
        verdict.clean()
    }
}

/// Each stream of a generation that is over has its end, once, and one that ended for good has nothing behind it.
async fn ends_are_ends(world: &World) -> Result {
    let mut redis = world.redis().await?;
    let generations = layout(&mut redis, TOPIC).await?;
    for pair in generations.windows(2) {
        let ((partitions, _), (next, batch)) = (pair[0], pair[1]);
        let kept = names(TOPIC, next);
        for key in names(TOPIC, partitions) {
            let entries = stream::entries(&mut redis, &key).await?;
            let end = entries.iter().position(|entry| entry.id == EntryId(batch, 0));
            let end = end.ok_or_else(|| system_tests::Failure::new(format!("{key} has no end {batch}-0")))?;
            assert!(entries[end].is_control(), "{key}");
            assert!(
                kept.contains(&key) || end + 1 == entries.len(),
                "{key} goes on behind its end"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_topic_that_grows_under_load_with_leaders_killed_and_stopped_keeps_the_order_of_every_key() -> Result
{
    // GIVEN eight writers, three relays, and a reader that knows the wire format
    let world = World::new().await?;
    let workload = Workload {
        topics: vec![TOPIC.to_owned()],
        keys: 60,
        ..Workload::default()
    };
    let topics = workload.topics.clone();
    let mut crew = Crew::start(Relay::of(&world), 3).await?;
    let mut producers = workload.start(world.log()).await?;
    let following = Following::start(&world).await?;
    producers.commit_more(100, LIMIT).await?;
    // WHEN the topic grows from one to four to eight to nine, and each time a leader is killed or stopped beyond its lease
    for (partitions, kills) in [(4, true), (8, false), (9, true)] {
        let leader = crew.leader().await?;
        if kills {
            set_partitions(&world, TOPIC, partitions)?;
            crew.replace(leader)?;
        } else {
            crew.relay(leader).pause()?;
            set_partitions(&world, TOPIC, partitions)?;
        }
        if kills {
            crew.leader().await?;
        } else {
            crew.leader_other_than(&[leader]).await?;
            producers.commit_more(100, LIMIT).await?;
            crew.relay(leader).resume()?;
        }
        producers.commit_more(100, LIMIT).await?;
    }
    let journal = producers.stop().await?;
    arrived(&world, &topics, LIMIT).await?;
    crew.leader().await?;
    // THEN the streams together hold each event once, in order, and so does what the reader read
    judge(&world, &journal, &topics).await?.clean()?;
    assert_eq!(
        entries_of(&world, &topics).await?,
        events_of(&world, &topics).await?
    );
    assert_eq!(layout(&mut world.redis().await?, TOPIC).await?.len(), 4);
    ends_are_ends(&world).await?;
    following.judge(&world, &journal).await?;
    // AND so does one that begins when all is over; who does not wait for the ends of the older streams turns keys around
    Following::start(&world).await?.judge(&world, &journal).await?;
    let turned = as_they_come(&world, &journal).await?;
    assert!(!turned.reordered.is_empty() && turned.lost.is_empty(), "{turned}");
    assert_eq!(journal.errors, Vec::<String>::new(), "producers felt it");
    Ok(())
}

/// What the witness says of a reader that takes one stream after the other, the newest first.
async fn as_they_come(world: &World, journal: &Journal) -> Result<Verdict> {
    let streams = stream::of_topic(&mut world.redis().await?, TOPIC).await?;
    let entries = streams.iter().rev().flat_map(|(_, entries)| entries);
    let ids = entries
        .filter(|entry| !entry.is_control())
        .map(|entry| entry.event_id);
    Ok(Witness::new(journal)
        .effects("as they come", &[TOPIC], ids)
        .verdict())
}

#[tokio::test]
async fn a_group_applies_a_topic_that_grows_under_load_once_and_in_order() -> Result {
    // GIVEN writers, two relays, and two members of a group, all on one topic
    let world = World::with_schema(Schema::Both).await?;
    let workload = Workload {
        topics: vec![TOPIC.to_owned()],
        keys: 60,
        writers: 4,
        ..Workload::default()
    };
    let mut connection = world.connect().await?;
    connection
        .execute(
            "create table effect (n bigint generated always as identity, id uuid);
             create function public.note(event json) returns void language sql as
                 $$ insert into public.effect (id) values ((event ->> 'id')::uuid) $$",
        )
        .await?;
    let mut crew = Crew::start(Relay::of(&world), 2).await?;
    let consume = [
        "consume",
        "--group",
        "stock",
        "--topic",
        TOPIC,
        "--call",
        "public.note",
    ];
    let member = Relay::command(&consume)
        .set("DATABASE_URL", world.database_url())
        .set("REDIS_URL", world.redis_url());
    let members = Members::start(member, 2).await?;
    let mut producers = workload.start(world.log()).await?;
    producers.commit_more(100, LIMIT).await?;
    // WHEN the topic grows twice, the second time with the leader killed
    set_partitions(&world, TOPIC, 4)?;
    producers.commit_more(100, LIMIT).await?;
    set_partitions(&world, TOPIC, 6)?;
    let leader = crew.leader().await?;
    crew.replace(leader)?;
    crew.leader().await?;
    producers.commit_more(150, LIMIT).await?;
    let journal = producers.stop().await?;
    let committed = i64::try_from(journal.count(Outcome::Committed))?;
    // THEN the group applies everything, once and in order
    until("every effect", LIMIT, async || {
        let effects: i64 = sqlx::query_scalar("select count(*) from effect")
            .fetch_one(&mut connection)
            .await?;
        Ok((effects >= committed).then_some(()))
    })
    .await?;
    members.terminate().await?;
    let effects: Vec<Uuid> = sqlx::query_scalar("select id from effect order by n")
        .fetch_all(&mut connection)
        .await?;
    let verdict = Witness::new(&journal)
        .effects("stock", &[TOPIC], effects)
        .verdict();
    eprintln!("stock: {verdict}");
    verdict.clean()
}

#[tokio::test]
async fn a_topic_grows_while_a_huge_batch_of_it_is_being_published() -> Result {
    // GIVEN one transaction of 20,000 events, a part of it on its way
    let world = World::new().await?;
    let topics = [TOPIC.to_owned()];
    let mut journal = backlog(&world, &topics, 1, 20_000, 200).await?;
    let mut relay = Relay::of(&world).start()?;
    let following = Following::start(&world).await?;
    until("a part is published", LIMIT, async || {
        Ok((entries_of(&world, &topics).await? > 1_000).then_some(()))
    })
    .await?;
    // WHEN the topic grows and more comes
    set_partitions(&world, TOPIC, 4)?;
    journal.merge(backlog(&world, &topics, 1, 1_000, 200).await?);
    let mut redis = world.redis().await?;
    until("the new streams", LIMIT, async || {
        Ok((stream::keys_of_topic(&mut redis, TOPIC).await?.len() == 5).then_some(()))
    })
    .await?;
    // THEN the new streams did not wait for the old one
    let old = stream::length(&mut redis, "outbox:orders").await?;
    assert!(old < 20_000, "the old stream had {old} entries: it was over");
    // AND in the end everything is there, and a reader has it in order
    arrived(&world, &topics, LIMIT).await?;
    judge(&world, &journal, &topics).await?.clean()?;
    ends_are_ends(&world).await?;
    following.judge(&world, &journal).await?;
    assert!(relay.terminate().await?.success());
    Ok(())
}

#[tokio::test]
async fn a_huge_batch_over_many_partitions_survives_kills_in_the_middle() -> Result {
    // GIVEN 24,000 events of one transaction, and 12 partitions
    let world = World::new().await?;
    let topics = [TOPIC.to_owned()];
    set_partitions(&world, TOPIC, 12)?;
    let mut journal = backlog(&world, &topics, 1, 24_000, 100).await?;
    let mut crew = Crew::start(Relay::of(&world), 2).await?;
    // WHEN the leader is killed while they are on their way, again and again
    for share in 1..=3 {
        let target = share * 6_000;
        until("a part is published", LIMIT, async || {
            Ok((entries_of(&world, &topics).await? >= target).then_some(()))
        })
        .await?;
        let leader = crew.leader().await?;
        crew.replace(leader)?;
    }
    journal.merge(backlog(&world, &topics, 3, 500, 100).await?);
    arrived(&world, &topics, LIMIT).await?;
    // THEN nothing is lost, doubled or turned
    judge(&world, &journal, &topics).await?.clean()
}
