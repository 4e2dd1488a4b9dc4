//! What a relay and a consumer ask Postgres while there is nothing to do: fewer statements than seconds go by. What is slow makes them
//! fewer still, so it is no matter how fast anything is.

use std::time::{Duration, Instant};

use sqlx::{Executor, PgConnection};
use system_tests::patience::until;
use system_tests::{Relay, Result, Schema, World};
use xtask::servers::{Postgres, Redis};

const LIMIT: Duration = Duration::from_secs(240);
/// So often the lease is renewed, or the group looked at, before it is judged: that is a window of at least a minute, which has what comes
/// every half a minute twice.
const BEATS: i64 = 30;

/// Statements of logins that are no superusers in a database, and those among them with these words.
async fn asked(connection: &mut PgConnection, database: &str, words: &str) -> Result<(i64, i64)> {
    let counted = sqlx::query_as(
        "select coalesce(sum(calls), 0)::bigint, coalesce(sum(calls) filter (where query like '%' || $2 || '%'), 0)::bigint
         from pg_stat_statements s join pg_database d on d.oid = s.dbid join pg_roles r on r.oid = s.userid
         where d.datname = $1 and not r.rolsuper",
    );
    Ok(counted.bind(database).bind(words).fetch_one(connection).await?)
}

/// Fails if as many statements come as `a_second` in each, with all that comes seldom.
async fn assert_at_rest(
    connection: &mut PgConnection,
    (database, beat): (&str, &str),
    a_second: f64,
) -> Result {
    let (begun, before) = (Instant::now(), asked(connection, database, beat).await?);
    let after = until("it went on", LIMIT, async || {
        let after = asked(connection, database, beat).await?;
        Ok((after.1 - before.1 >= BEATS).then_some(after))
    })
    .await?;
    let (statements, seconds) = ((after.0 - before.0) as f64, begun.elapsed().as_secs_f64());
    assert!(
        statements < a_second * seconds,
        "{statements} statements in {seconds:.1} s, {} of them {beat:?}",
        after.1 - before.1
    );
    Ok(())
}

#[tokio::test]
async fn who_has_nothing_to_do_asks_less_than_once_a_second() -> Result {
    // GIVEN a relay and a consumer with the leases that they have by themselves, and all that was appended applied
    let postgres = Postgres::options().set("shared_preload_libraries", "pg_stat_statements");
    let world = World::with_own_servers(postgres, Redis::options()).await?;
    let mut connection = world.connect().await?;
    connection.execute("create extension pg_stat_statements").await?;
    let shop = world.another_database(Schema::Inbox).await?;
    let mut effects = shop.connect().await?;
    effects
        .execute(
            "create schema shop authorization test_consumer;
             create table shop.effect (id text not null);
             alter table shop.effect owner to test_consumer;
             create function shop.apply(event json) returns void language sql as
             $$ insert into shop.effect select event ->> 'id' $$",
        )
        .await?;
    let mut relay = Relay::of(&world)
        .set("OUTBOX_TAIL_LEASE_TTL", "4s")
        .set("OUTBOX_MAINTAIN_INTERVAL", "24h")
        .start()?;
    relay.leads().await?;
    let mut consumer = Relay::command(&["consume", "--group", "g", "--topic", "t", "--call", "shop.apply"])
        .set("DATABASE_URL", shop.url())
        .set("REDIS_URL", world.redis_url())
        .start()?;
    consumer.ready().await?;
    connection.execute("select outbox.append('t', '{}')").await?;
    until("it is applied", LIMIT, async || {
        let effects: i64 = sqlx::query_scalar("select count(*) from shop.effect")
            .fetch_one(&mut effects)
            .await?;
        Ok((effects == 1).then_some(()))
    })
    .await?;
    relay.logs("pieces looked after", LIMIT).await?;
    // WHEN nobody appends, THEN neither asks more than the leases and the floor under the doorbell are worth
    let relays = (world.log().name(), "Takes the rights named");
    let members = (shop.name(), "Everything a member says and asks");
    let mut other = world.connect().await?;
    tokio::try_join!(
        assert_at_rest(&mut connection, relays, 1.0),
        assert_at_rest(&mut other, members, 0.75)
    )?;
    Ok(())
}
