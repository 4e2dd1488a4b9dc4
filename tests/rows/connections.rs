//! A server that has no connection left for the relays (row 12 of docs/faults.md).

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use system_tests::patience::until;
use system_tests::{Relay, Result, World};
use xtask::servers::{Postgres, Redis};

use crate::scene::{LIMIT, Scene, login, moderate, patient};

const RELAYS: usize = 4;
const WATCHED: Duration = Duration::from_secs(10);
/// What 4 relays may try in that time: six growing pauses each, then one try in 1.5 to 3 s, on a bad day in half of that.
const TRIES: usize = RELAYS * (6 + 14);

/// Takes every connection that is left for those who are no superuser.
async fn take_all(url: &str) -> Result<Vec<PgConnection>> {
    let mut taken = Vec::new();
    until("no connection is left", LIMIT, async || {
        match PgConnection::connect(url).await {
            Ok(connection) => taken.push(connection),
            Err(error) if is_full(&error) => return Ok(Some(())),
            Err(error) => return Err(error.into()),
        }
        Ok(None)
    })
    .await?;
    Ok(taken)
}

fn is_full(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|said| said.code().as_deref() == Some("53300"))
}

/// How many connections this role was refused so far, by the server's own log.
fn refusals(world: &mut World) -> Result<usize> {
    let log = std::fs::read_to_string(world.postgres()?.log_path())?;
    Ok(log
        .lines()
        .filter(|line| {
            line.contains("remaining connection slots are reserved") || line.contains("too many clients")
        })
        .count())
}

#[tokio::test]
async fn relays_without_a_connection_wait_and_say_so_and_do_not_come_back_in_a_herd() -> Result {
    // GIVEN four relays that are no superusers, under load, and somebody who takes every connection that is left
    let postgres = Postgres::options()
        .set("max_connections", 60)
        .set("superuser_reserved_connections", 20);
    let world = World::with_own_servers(postgres, Redis::options()).await?;
    let (_, relay_url) = login(&world, "outbox_relay, outbox_maintainer").await?;
    let (_, greedy_url) = login(&world, "outbox_producer").await?;
    let options = patient(Relay::of(&world)).set("DATABASE_URL", &relay_url);
    let mut scene = Scene::begin_with(world, options, RELAYS, moderate()).await?;
    let mut taken = take_all(&greedy_url).await?;
    // WHEN the relays lose theirs, and the others are faster
    let mut administrator = scene.world.connect().await?;
    let all_gone = until("the relays have no connection", LIMIT, async || {
        let left: i64 = sqlx::query_scalar(
            "with gone as (select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'outbox-relay/%')
             select count(*) from gone",
        )
        .fetch_one(&mut administrator)
        .await?;
        taken.extend(take_all(&greedy_url).await?);
        Ok((left == 0).then_some(()))
    });
    all_gone.await?;
    // THEN each says why it is not ready
    for relay in 0..RELAYS {
        scene.crew.relay(relay).not_ready_because("53300").await?;
    }
    // AND they try again in growing pauses, while producers go on with the connections they have
    let before = refusals(&mut scene.world)?;
    scene.producers.commit_more(50, LIMIT).await?;
    tokio::time::sleep(WATCHED).await;
    let tries = refusals(&mut scene.world)? - before;
    eprintln!("{tries} connections were tried in {WATCHED:?} by {RELAYS} relays");
    assert!(tries > 0, "nobody tried: nothing was shown");
    assert!(tries <= TRIES, "{tries} connections were tried in {WATCHED:?}");
    // WHEN there are connections again, THEN all are ready and one leads
    for connection in taken {
        connection.close().await?;
    }
    for relay in 0..RELAYS {
        scene.crew.relay(relay).ready().await?;
    }
    scene.crew.leader().await?;
    // AND everything arrives once and in order
    let journal = scene.ends_well().await?;
    assert_eq!(journal.errors, Vec::<String>::new(), "producers felt it");
    Ok(())
}
