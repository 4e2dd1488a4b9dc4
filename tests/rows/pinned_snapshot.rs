//! A snapshot that somebody holds for long: dead rows stay, and no statement of the hot path reads more for it (row 42 of
//! docs/faults.md).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sqlx::{Connection, Executor, PgConnection};
use system_tests::{Failure, Result, World};
use xtask::servers::{Postgres, Redis};

use crate::scene::{LIMIT, Scene, moderate};

/// What is run for every batch, or several times a second, by the first words of its text.
const HOT: [&str; 4] = [
    "-- What is there to cut, where it is next to nothing",
    "-- Stores the batch whose rows look.sql brought",
    "-- How far streams have come",
    "-- Takes the rights named",
];
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(6);
/// A lease that is renewed four times a second leaves some pages of dead rows in a minute; nothing else grows at all.
const MORE_PAGES: f64 = 30.0;

type Pages = BTreeMap<&'static str, f64>;

/// Pages that one call of each hot statement looked at, on average, since the numbers were last set to zero.
async fn pages(connection: &mut PgConnection) -> Result<Pages> {
    let mut pages = Pages::new();
    for hot in HOT {
        let mean: f64 = sqlx::query_scalar(
            "select (sum(shared_blks_hit + shared_blks_read) / sum(calls))::float8
             from pg_stat_statements s join pg_database d on d.oid = s.dbid
             where d.datname = current_database() and starts_with(query, $1) having sum(calls) > 0",
        )
        .bind(hot)
        .fetch_optional(&mut *connection)
        .await?
        .ok_or_else(|| Failure::new(format!("no statement begins with {hot:?}")))?;
        pages.insert(hot, mean);
    }
    Ok(pages)
}

#[tokio::test]
async fn with_a_snapshot_pinned_no_statement_of_the_hot_path_reads_more_and_more() -> Result {
    // GIVEN a relay under load, and somebody who holds a snapshot
    let postgres = Postgres::options()
        .set("shared_preload_libraries", "pg_stat_statements")
        .set("autovacuum_naptime", "1s");
    let world = World::with_own_servers(postgres, Redis::options()).await?;
    let mut connection = world.connect().await?;
    connection.execute("create extension pg_stat_statements").await?;
    let mut scene = Scene::begin(world, 1, moderate()).await?;
    let mut holder = scene.world.connect().await?;
    let mut pinned = holder.begin_with("begin isolation level repeatable read").await?;
    pinned.execute("select count(*) from outbox.batch").await?;
    // WHEN the load goes on
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        connection.execute("select pg_stat_statements_reset()").await?;
        let begun = Instant::now();
        while begun.elapsed() < ROUND {
            scene.producers.commit_more(50, LIMIT).await?;
        }
        rounds.push(pages(&mut connection).await?);
    }
    eprintln!("pages per call: {rounds:#?}");
    // THEN what a call reads does not grow with what is dead
    for hot in HOT {
        let (first, last) = (rounds[0][hot], rounds[ROUNDS - 1][hot]);
        assert!(
            last <= first * 1.5 + MORE_PAGES,
            "{hot:?} read {first:.0} pages a call at first, {last:.0} with dead rows"
        );
    }
    pinned.rollback().await?;
    scene.ends_well().await?;
    Ok(())
}
