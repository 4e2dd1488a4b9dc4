//! Members killed, stopped and continued every second, events that fail, and a redrive under the same fire (G3, G4).

use std::collections::HashSet;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use system_tests::journal::Outcome;
use system_tests::shop::{GROUP, Shop, TOPIC};
use system_tests::{Invocation, Journal, Members, Relay, Result, Witness, Workload, World, stream};

const PARTITIONS: usize = 6;
/// What the topic grows to while dead letters go back.
const MORE_PARTITIONS: usize = 9;
const MEMBERS: usize = 3;
const KEYS: usize = 200;
const STORM: Duration = Duration::from_secs(60);
const REDRIVE_STORM: Duration = Duration::from_secs(15);
const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test]
async fn a_minute_of_kills_parks_poisoned_keys_and_a_redrive_under_fire_applies_all_in_order() -> Result {
    // GIVEN a topic of six partitions, a consumer whose function fails on purpose, and three members
    let seed: u64 = std::env::var("OUTBOX_TEST_SEED")
        .ok()
        .map_or_else(|| Ok(rand::random()), |seed| seed.parse())?;
    eprintln!("OUTBOX_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let world = World::new().await?;
    let shop = Shop::open(&world, seed.cast_signed()).await?;
    partition(&world, PARTITIONS)?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let mut members = Members::start(shop.member(&world), MEMBERS).await?;
    // WHEN events come for a minute, and every second a member is killed and another one stopped
    let producers = workload(seed).start(world.log()).await?;
    members.storm(STORM, &mut random).await?;
    let mut journal = producers.stop().await?;
    let settled = shop.settled(journal.count(Outcome::Committed), LIMIT).await;
    // THEN each effect is there once and in order per key, each poisoned key is parked behind its first poisoned event
    let poison = shop.poison(&journal).await?;
    judge(&shop, &journal, &poison).await?;
    let seen = settled?;
    eprintln!("{:?}, {seen:?}", members.tally());
    let before = (members.tally(), seen);
    assert!(
        members.tally().kills >= 40 && members.tally().stops >= 20 && members.tally().continued >= 10,
        "too little harm was done: {:?}",
        members.tally()
    );
    assert!(
        seen.applied >= 200
            && seen.dead >= 5
            && seen.parked >= 10
            && seen.failed_attempts >= 10
            && seen.poisoned_attempts >= seen.dead
            && seen.takeovers >= 40,
        "too little happened: {seen:?}"
    );
    // AND WHEN the function is mended and the dead letters go back, while events go on to come, members to die, and
    // the topic grows
    shop.mend().await?;
    let producers = workload(seed.wrapping_add(1)).start(world.log()).await?;
    redrive(&shop, seen.dead)?;
    members.storm(REDRIVE_STORM / 3, &mut random).await?;
    partition(&world, MORE_PARTITIONS)?;
    members.storm(REDRIVE_STORM * 2 / 3, &mut random).await?;
    journal.merge(producers.stop().await?);
    let settled = shop.settled(journal.count(Outcome::Committed), LIMIT).await;
    // THEN everything is applied once, the dead events before those that waited behind them, those before newer ones
    judge(&shop, &journal, &HashSet::new()).await?;
    let seen = settled?;
    eprintln!("{:?}, {seen:?}", members.tally());
    assert_eq!(
        (seen.dead, seen.parked, seen.redriven),
        (0, 0, before.1.dead),
        "{seen:?}"
    );
    assert!(
        members.tally().kills >= before.0.kills + 10,
        "too little harm was done: {:?}",
        members.tally()
    );
    assert_eq!(journal.errors, Vec::<String>::new(), "producers felt it");
    members.terminate().await?;
    assert!(relay.terminate().await?.success());
    on_the_streams(&world, &journal).await
}

fn workload(seed: u64) -> Workload {
    Workload {
        writers: 3,
        keys: KEYS,
        topics: vec![TOPIC.to_owned()],
        seed,
        pause: Duration::from_millis(40),
        ..Workload::default()
    }
}

fn partition(world: &World, partitions: usize) -> Result {
    let partitions = partitions.to_string();
    let answer = Invocation::of(world, &["topic", "set", TOPIC, "--partitions", &partitions])?.ask()?;
    assert_eq!(answer.code, 0, "{answer:?}");
    Ok(())
}

/// Asks for all dead letters to go back, slowly enough that members die on the way.
fn redrive(shop: &Shop, dead: i64) -> Result {
    let rate = (dead / 8).max(1).to_string();
    let arguments = [
        "dead-letters",
        "redrive",
        "--consumer",
        GROUP,
        "--rate",
        &rate,
        "--reason",
        "mended",
        "--all",
        "--yes",
        "--detach",
    ];
    let answer = Invocation::new(&arguments)?
        .set("DATABASE_URL", shop.url())
        .ask()?;
    assert_eq!(answer.code, 0, "{answer:?}");
    Ok(())
}

async fn judge(shop: &Shop, journal: &Journal, poison: &HashSet<uuid::Uuid>) -> Result {
    let verdict = Witness::new(journal)
        .ending(GROUP, &[TOPIC], &shop.ending().await?, poison)
        .verdict();
    eprintln!("witness: {verdict}");
    verdict.clean()
}

/// The partitions hold every event once, in order per key, each on a chain of its own.
async fn on_the_streams(world: &World, journal: &Journal) -> Result {
    let mut redis = world.redis().await?;
    let mut streams = Vec::new();
    for partition in 0..MORE_PARTITIONS {
        let stream = format!("outbox:{TOPIC}:{partition}");
        let entries = stream::entries(&mut redis, &stream).await?;
        assert!(!entries.is_empty(), "{stream} is empty");
        streams.push((stream, entries));
    }
    Witness::new(journal)
        .partitions(TOPIC, &streams)
        .verdict()
        .clean()
}
