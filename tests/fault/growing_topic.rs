//! A topic grows from one partition to four to six under load, while members of its group are killed, stopped and woken, and
//! leaders of the relay are killed.

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use sqlx::Executor;
use system_tests::journal::Outcome;
use system_tests::patience::until;
use system_tests::{Crew, Invocation, Members, Relay, Result, Schema, Witness, Workload, World};
use uuid::Uuid;

const TOPIC: &str = "orders";
const LIMIT: Duration = Duration::from_secs(120);
const STORM: Duration = Duration::from_secs(15);

fn set_partitions(world: &World, partitions: &str) -> Result {
    let answer = Invocation::of(world, &["topic", "set", TOPIC, "--partitions", partitions])?.ask()?;
    assert_eq!(answer.code, 0, "{}{}", answer.output, answer.errors);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_grows_while_members_and_leaders_die_is_applied_once_and_in_order() -> Result {
    // GIVEN writers, two relays, and three members of a group with a lease of a second
    let world = World::with_schema(Schema::Both).await?;
    let mut connection = world.connect().await?;
    connection
        .execute(
            "create table effect (n bigint generated always as identity, id uuid);
             create function public.note(event json) returns void language sql as
                 $$ insert into public.effect (id) values ((event ->> 'id')::uuid) $$",
        )
        .await?;
    let workload = Workload {
        topics: vec![TOPIC.to_owned()],
        keys: 200,
        writers: 4,
        pause: Duration::from_millis(10),
        ..Workload::default()
    };
    let seed = workload.seed;
    eprintln!("seed {seed}");
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
        .set("REDIS_URL", world.redis_url())
        .set("OUTBOX_CONSUME_LEASE_TTL", "1s");
    let mut members = Members::start(member, 3).await?;
    let mut producers = workload.start(world.log()).await?;
    producers.commit_more(100, LIMIT).await?;
    // WHEN it grows twice, while a member dies every second and a leader each time
    let mut random = StdRng::seed_from_u64(seed);
    let growth = async {
        for partitions in ["4", "6"] {
            producers.commit_more(200, LIMIT).await?;
            set_partitions(&world, partitions)?;
            producers.commit_more(50, LIMIT).await?;
            let leader = crew.leader().await?;
            crew.replace(leader)?;
            crew.leader().await?;
        }
        Ok::<_, system_tests::Failure>(())
    };
    let (stormed, grown) = tokio::join!(members.storm(STORM, &mut random), growth);
    stormed?;
    grown?;
    producers.commit_more(100, LIMIT).await?;
    let journal = producers.stop().await?;
    let committed = i64::try_from(journal.count(Outcome::Committed))?;
    until("every effect", LIMIT, async || {
        let effects: i64 = sqlx::query_scalar("select count(*) from effect")
            .fetch_one(&mut connection)
            .await?;
        Ok((effects >= committed).then_some(()))
    })
    .await?;
    // THEN all of it was applied once, each key in its order, and the streams are shared two by two
    until("a fair share", LIMIT, async || {
        let shares: Vec<i64> = sqlx::query_scalar(
            "select count(*) from outbox.consumer_lease where expires_at > clock_timestamp() group by holder",
        )
        .fetch_all(&mut connection)
        .await?;
        Ok((shares == [2, 2, 2]).then_some(()))
    })
    .await?;
    let tally = members.tally();
    assert!(tally.kills >= 10 && tally.continued > 0, "{tally:?}");
    members.terminate().await?;
    let effects: Vec<Uuid> = sqlx::query_scalar("select id from effect order by n")
        .fetch_all(&mut connection)
        .await?;
    let verdict = Witness::new(&journal)
        .effects("stock", &[TOPIC], effects)
        .verdict();
    eprintln!("{tally:?}, {verdict}");
    verdict.clean()?;
    crew.terminate().await
}
