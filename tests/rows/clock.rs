//! Clocks that are wrong and clocks that are set, forwards and backwards: of the database, of relays (row 44 of docs/faults.md).

use sqlx::{Connection, Executor};
use system_tests::patience::until;
use system_tests::{Crew, Relay, Result, Schema, World};
use xtask::servers::{Account, Clock, Postgres, Redis};

use crate::scene::{LIMIT, Scene, moderate, patient};

const HOUR: i64 = 3600;

/// Waits until the database's clock shows what it was set to.
async fn shows(world: &World, ahead: i64) -> Result {
    let mut connection = world.connect().await?;
    until("the server's clock was set", LIMIT, async || {
        let off: f64 = sqlx::query_scalar("select abs(extract(epoch from clock_timestamp()) - $1)::float8")
            .bind(f64::from(i32::try_from(now() + ahead)?))
            .fetch_one(&mut connection)
            .await?;
        Ok((off < 60.0).then_some(()))
    })
    .await?;
    connection.close().await?;
    Ok(())
}

fn now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

async fn set(scene: &mut Scene, ahead: i64) -> Result {
    scene.world.postgres()?.clock()?.set_ahead(ahead)?;
    shows(&scene.world, ahead).await
}

#[tokio::test]
async fn the_clock_of_the_database_is_set_while_leaders_die_and_nobody_waits_for_it() -> Result {
    // GIVEN two relays under load, on a database whose clock can be set
    let world = World::with_own_servers(Postgres::options().clock(), Redis::options()).await?;
    let mut scene = Scene::begin(world, 2, moderate()).await?;
    for ahead in [HOUR, -HOUR, -2 * HOUR] {
        // WHEN the clock is set while the leader can say nothing, and the leader is gone
        let leader = scene.crew.leader().await?;
        scene.crew.relay(leader).pause()?;
        set(&mut scene, ahead).await?;
        scene.crew.replace(leader)?;
        // THEN one leads although the lease of the other one, by that clock, may last for hours
        scene.crew.leader().await?;
        scene.producers.commit_more(50, LIMIT).await?;
        // AND under load, with everyone alive, the same
        set(&mut scene, ahead - HOUR).await?;
        scene.producers.commit_more(50, LIMIT).await?;
        set(&mut scene, ahead).await?;
    }
    let journal = scene.ends_well().await?;
    assert_eq!(journal.errors, Vec::<String>::new(), "producers felt it");
    Ok(())
}

#[tokio::test]
async fn relays_whose_clocks_are_two_hours_apart_and_are_set_agree() -> Result {
    // GIVEN a relay an hour ahead and one an hour behind
    let world = World::new().await?;
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
    let (mut relays, mut clocks) = (Vec::new(), Vec::new());
    for (folder, ahead) in folders.iter().zip([HOUR, -HOUR]) {
        let clock = Clock::in_folder(folder.path(), Account::Mine)?;
        clock.set_ahead(ahead)?;
        let mut options = patient(Relay::of(&world));
        for (name, value) in clock.environment() {
            options = options.set(name, value.to_string_lossy());
        }
        relays.push(options);
        clocks.push(clock);
    }
    let crew = Crew::of(relays).await?;
    let mut scene = Scene::with(world, crew, moderate()).await?;
    // WHEN the lead changes hands between them, and the leader's clock is set meanwhile
    for ahead in [-HOUR, HOUR, 0] {
        let leader = scene.crew.leader().await?;
        clocks[leader].set_ahead(ahead)?;
        scene.producers.commit_more(50, LIMIT).await?;
        scene.crew.replace(leader)?;
        scene.crew.leader().await?;
        scene.producers.commit_more(50, LIMIT).await?;
    }
    // THEN all of it is there once and in order: ids come from the ledger, and leases from the database
    let journal = scene.ends_well().await?;
    assert_eq!(journal.errors, Vec::<String>::new(), "producers felt it");
    Ok(())
}

#[tokio::test]
async fn a_member_takes_over_although_the_clock_of_its_database_was_set_back() -> Result {
    // GIVEN two members of a group, in a database whose clock can be set
    let mut world = World::with_own_servers(Postgres::options().clock(), Redis::options()).await?;
    let shop = world.another_database(Schema::Inbox).await?;
    let mut database = shop.connect().await?;
    for statement in [
        "create schema shop authorization test_consumer",
        "alter default privileges in schema shop grant all on tables to test_consumer",
        "alter default privileges in schema shop grant all on sequences to test_consumer",
        "create table shop.effect (number bigserial primary key, event json)",
        "create function shop.apply(event json) returns void language sql as 'insert into shop.effect (event) values ($1)'",
    ] {
        database.execute(statement).await?;
    }
    let arguments = [
        "consume",
        "--group",
        "stock",
        "--topic",
        "orders.placed",
        "--call",
        "shop.apply",
    ];
    let redis_url = world.redis_url().to_owned();
    let member = |name: &str| {
        Relay::command(&arguments)
            .set("DATABASE_URL", shop.url())
            .set("REDIS_URL", &redis_url)
            .set("OUTBOX_CONSUME_LEASE_TTL", "1s")
            .argument("--member")
            .argument(name)
    };
    let mut relay = patient(Relay::of(&world)).start()?;
    relay.leads().await?;
    let mut first = member("first").start()?;
    let mut applied = 0_i64;
    let mut producer = world.connect().await?;
    for (name, ahead) in [("second", -HOUR), ("third", HOUR), ("fourth", -HOUR)] {
        // WHEN one that holds the stream says nothing any more, the clock is set, and it is gone
        producer
            .execute("select outbox.append('orders.placed', '{}')")
            .await?;
        applied += 1;
        effects(&mut database, applied).await?;
        let mut next = member(name).start()?;
        first.pause()?;
        world.postgres()?.clock()?.set_ahead(ahead)?;
        shows(&world, ahead).await?;
        first.kill()?;
        // THEN the other one goes on
        producer
            .execute("select outbox.append('orders.placed', '{}')")
            .await?;
        applied += 1;
        effects(&mut database, applied).await?;
        next.ready().await?;
        first = next;
    }
    // AND each event had one effect
    let counted: (i64, i64) =
        sqlx::query_as("select count(*), count(distinct event ->> 'id') from shop.effect")
            .fetch_one(&mut database)
            .await?;
    assert_eq!(counted, (applied, applied));
    Ok(())
}

async fn effects(database: &mut sqlx::PgConnection, expected: i64) -> Result {
    until("the effect", LIMIT, async || {
        let count: i64 = sqlx::query_scalar("select count(*) from shop.effect")
            .fetch_one(&mut *database)
            .await?;
        Ok((count >= expected).then_some(()))
    })
    .await
}
