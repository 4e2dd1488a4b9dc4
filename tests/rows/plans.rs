//! Statistics that were made of a piece of the log while it was empty, as `vacuumdb --analyze` or a restore leaves them (row 42 of
//! docs/faults.md); and what a plan costs on paper.

use sqlx::{Executor, PgConnection};
use system_tests::patience::until;
use system_tests::{Relay, Result, World, stream};
use xtask::servers::{Postgres, Redis};

use crate::scene::LIMIT;

const STREAM: &str = "outbox:orders.placed";
/// The next event is the last one of the first piece of the log.
const BEFORE_THE_LAST: i64 = 262_143;
/// Rows of the piece that the plan was not made for.
const ROWS: i64 = 60_000;
/// The 28 pieces there are, in two arms and twice, and what a batch writes: a few hundred.
const FEW_PAGES: f64 = 800.0;

const CUT: &str = "Stores the batch whose rows look.sql brought";
const LOOK: &str = "What is there to cut, where it is next to nothing";

/// Calls of the statement that begins like this, and pages they looked at.
async fn calls(connection: &mut PgConnection, text: &str) -> Result<(i64, i64)> {
    Ok(sqlx::query_as(
        "select coalesce(sum(calls), 0)::bigint, coalesce(sum(shared_blks_hit + shared_blks_read), 0)::bigint
         from pg_stat_statements where query like '%' || $1 || '%'",
    )
    .bind(text)
    .fetch_one(connection)
    .await?)
}

#[tokio::test]
async fn a_plan_that_was_made_while_a_piece_was_empty_is_made_anew() -> Result {
    // GIVEN a leader that has laid the pieces, statistics of a log whose second piece is empty, and nobody who makes others
    let postgres = Postgres::options()
        .set("shared_preload_libraries", "pg_stat_statements")
        .set("autovacuum", "off");
    let world = World::with_own_servers(postgres, Redis::options()).await?;
    let mut connection = world.connect().await?;
    connection.execute("create extension pg_stat_statements").await?;
    sqlx::query("select setval('outbox.log_position', $1)")
        .bind(BEFORE_THE_LAST)
        .execute(&mut connection)
        .await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    relay.logs("pieces looked after", LIMIT).await?;
    connection.execute("analyze").await?;
    let mut redis = world.redis().await?;
    let append = "select outbox.append('orders.placed', '{}', key => n::text) from generate_series(1, $1) n";
    sqlx::query(append).bind(1_i64).execute(&mut connection).await?;
    let mut published = async |wanted: i64| {
        until("it is published", LIMIT, async || {
            Ok((i64::try_from(stream::length(&mut redis, STREAM).await?)? == wanted).then_some(()))
        })
        .await
    };
    published(1).await?;
    // WHEN the second piece fills
    sqlx::query(append).bind(ROWS).execute(&mut connection).await?;
    // THEN a batch of one event reads no more for it, as soon as the plan is made again
    let mut appended = ROWS + 1;
    published(appended).await?;
    let mut most: f64 = 0.0;
    until(
        "a cut and a look that read what is new and nothing else",
        LIMIT,
        async || {
            let before = [
                calls(&mut connection, CUT).await?,
                calls(&mut connection, LOOK).await?,
            ];
            sqlx::query(append).bind(1_i64).execute(&mut connection).await?;
            appended += 1;
            until("it is published", LIMIT, async || {
                Ok((i64::try_from(stream::length(&mut redis, STREAM).await?)? == appended).then_some(()))
            })
            .await?;
            let after = [
                calls(&mut connection, CUT).await?,
                calls(&mut connection, LOOK).await?,
            ];
            let pages =
                |n: usize| (after[n].1 - before[n].1) as f64 / (after[n].0 - before[n].0).max(1) as f64;
            most = most.max(pages(1));
            let is_narrow = |n: usize| after[n].0 > before[n].0 && pages(n) < FEW_PAGES;
            Ok((is_narrow(0) && is_narrow(1)).then_some(()))
        },
    )
    .await?;
    eprintln!("{most:.0} pages for one event before");
    assert!(most > FEW_PAGES, "{most:.0} pages at most: nothing was shown");
    Ok(())
}

/// A scan that is off costs ten thousand millions on paper. With jit, which servers have on, each call then compiles its plans first: that
/// made an append of 0.2 ms one of 9 ms.
#[tokio::test]
async fn functions_that_turn_scans_off_turn_jit_off_too() -> Result {
    let world = World::new().await?;
    let functions: Vec<(String, bool)> = sqlx::query_as(
        "select p.oid::regprocedure::text, 'jit=off' = any(p.proconfig) from pg_proc p
         where p.pronamespace = 'outbox'::regnamespace
           and exists (select from unnest(p.proconfig) s where s ~ '^enable_[a-z]+=off$')",
    )
    .fetch_all(&mut world.connect().await?)
    .await?;
    assert!(functions.len() > 3, "{functions:?}");
    let compiled: Vec<_> = functions.iter().filter(|(_, is_off)| !is_off).collect();
    assert!(compiled.is_empty(), "{compiled:?}");
    Ok(())
}
