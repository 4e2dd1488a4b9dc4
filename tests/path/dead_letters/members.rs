//! Redrive under fire: real producers, a real relay, members as processes that are killed, and the witness as judge.

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;
use sqlx::{Executor, PgPool};
use system_tests::patience::until;
use system_tests::relay::RelayOptions;
use system_tests::{
    Invocation, Journal, Members, Producers, Relay, Result, Schema, Witness, Workload, World,
};
use uuid::Uuid;

const TOPICS: [&str; 2] = ["orders.placed", "payments.taken"];
/// Far longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(120);

/// An SQL function that refuses every seventh event of a key until it is mended.
const SHOP: &str = "
    create schema shop authorization test_consumer;
    alter default privileges in schema shop grant all on tables to test_consumer;
    create table shop.effect (n bigint generated always as identity, id uuid not null);
    create table shop.mended (at timestamptz);
    create function shop.apply(event json) returns void language plpgsql as $$
    begin
        if (event -> 'data' ->> 'number')::bigint % 7 = 0 and not exists (select from shop.mended) then
            raise exception 'order % has no price', event -> 'data' ->> 'number' using errcode = 'OB422';
        end if;
        insert into shop.effect (id) values ((event ->> 'id')::uuid);
    end $$";

struct Shop {
    world: World,
    pool: PgPool,
    _relay: Relay,
}

impl Shop {
    async fn open() -> Result<Self> {
        let world = World::with_schema(Schema::Both).await?;
        let pool = world.pool().await?;
        pool.execute(SHOP).await?;
        let mut relay = Relay::of(&world).start()?;
        relay.leads().await?;
        Ok(Self {
            world,
            pool,
            _relay: relay,
        })
    }

    async fn producers(&self) -> Result<Producers> {
        let workload = Workload {
            writers: 3,
            keys: 12,
            topics: TOPICS.map(str::to_owned).to_vec(),
            pause: Duration::from_millis(10),
            ..Workload::default()
        };
        workload.start(self.world.log()).await
    }

    fn member(&self) -> RelayOptions {
        let mut line = vec!["consume", "--group", "stock", "--call", "shop.apply"];
        line.extend(TOPICS.iter().flat_map(|topic| ["--topic", topic]));
        Relay::command(&line)
            .set("DATABASE_URL", self.world.database_url())
            .set("REDIS_URL", self.world.redis_url())
            .set("OUTBOX_CONSUME_LEASE_TTL", "1s")
    }

    /// Waits until a question about the database answers true.
    async fn until(&self, question: &'static str) -> Result {
        until(question, LIMIT, async || {
            let answer: bool = sqlx::query_scalar(question).fetch_one(&self.pool).await?;
            Ok(answer.then_some(()))
        })
        .await
    }

    /// Waits until everything that was committed had its effect, and lets the witness judge it.
    async fn judge(&self, journal: &Journal) -> Result {
        let committed = journal.committed().count() as i64;
        until("an effect of every event", LIMIT, async || {
            let effects: i64 = sqlx::query_scalar("select count(*) from shop.effect")
                .fetch_one(&self.pool)
                .await?;
            Ok((effects >= committed).then_some(()))
        })
        .await?;
        let effects: Vec<Uuid> = sqlx::query_scalar("select id from shop.effect order by n")
            .fetch_all(&self.pool)
            .await?;
        Witness::new(journal)
            .effects("stock", &TOPICS, effects)
            .verdict()
            .clean()
    }
}

#[tokio::test]
async fn a_redrive_under_fire_keeps_the_order_of_every_key() -> Result {
    // GIVEN a broken handler: every key waits behind a dead letter while producers go on
    let shop = Shop::open().await?;
    let mut producers = shop.producers().await?;
    let members = Members::start(shop.member(), 2).await?;
    shop.until("select count(*) = 12 from outbox.dead_letter").await?;
    producers.commit_more(150, LIMIT).await?;
    // WHEN it is mended and each of the two groups, one per type, is put back while events of its keys keep coming
    shop.pool
        .execute("insert into shop.mended values (now())")
        .await?;
    let groups = Invocation::of(&shop.world, &["dead-letters", "groups", "--output", "json"])?
        .ask()?
        .json()?;
    let groups: Vec<String> = groups
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|group| Some(group["fingerprint"].as_str()?.to_owned()))
        .collect();
    assert_eq!(groups.len(), 2, "one group per type");
    let redriving = groups.into_iter().map(|group| {
        let line = [
            "dead-letters",
            "redrive",
            "--group",
            &group,
            "--reason",
            "mended",
            "--yes",
            "--output",
            "json",
        ];
        let asked = Invocation::of(&shop.world, &line);
        tokio::task::spawn_blocking(move || asked?.ask())
    });
    let answers = futures_util::future::try_join_all(redriving).await?;
    producers.commit_more(50, LIMIT).await?;
    let journal = producers.stop().await?;
    // THEN both commands saw all of it applied
    for answer in answers {
        let answer = answer?;
        let operation = &answer.json()?["operation"];
        assert_eq!(
            (answer.code, &operation["dead"], &operation["state"]),
            (0, &json!(0), &json!("finished")),
            "{}",
            answer.errors
        );
    }
    // AND every event had one effect, in the order of its key
    shop.judge(&journal).await?;
    shop.until("select count(*) = 0 from outbox.parked_lane").await?;
    members.terminate().await
}

#[tokio::test]
async fn members_that_are_killed_in_the_middle_of_a_redrive_resume_it_without_a_second_effect() -> Result {
    // GIVEN a broken handler: every key waits behind a dead letter while producers go on
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let shop = Shop::open().await?;
    let mut producers = shop.producers().await?;
    let mut members = Members::start(shop.member(), 3).await?;
    shop.until("select count(*) = 12 from outbox.dead_letter").await?;
    producers.commit_more(100, LIMIT).await?;
    // WHEN it is mended and put back slowly, and members are killed and stopped meanwhile
    shop.pool
        .execute("insert into shop.mended values (now())")
        .await?;
    let line = [
        "dead-letters",
        "redrive",
        "--consumer",
        "stock",
        "--all",
        "--reason",
        "mended",
        "--rate",
        "3/s",
        "--yes",
        "--detach",
    ];
    let asked = Invocation::of(&shop.world, &line)?.ask()?;
    assert_eq!(asked.code, 0, "{}", asked.errors);
    members
        .storm(Duration::from_secs(5), &mut StdRng::seed_from_u64(seed))
        .await?;
    let journal = producers.stop().await?;
    // THEN it ends, all of it applied
    shop.until("select bool_and(state = 'finished') from outbox.operation")
        .await?;
    let (applied, dead): (i64, i64) = sqlx::query_as("select applied, dead from outbox_ops.operations")
        .fetch_one(&shop.pool)
        .await?;
    assert_eq!((applied, dead), (12, 0));
    assert!(members.tally().kills >= 4, "{:?}", members.tally());
    // AND no event has two effects or is out of its order
    shop.judge(&journal).await?;
    members.terminate().await
}
