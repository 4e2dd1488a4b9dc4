//! Failover to a synchronous standby, under the relays' feet (row 13 of docs/faults.md).

use sqlx::{Connection, Executor, PgConnection};
use system_tests::arrival::{arrived, entries_of, judge};
use system_tests::patience::until;
use system_tests::proxy::port_of;
use system_tests::{Crew, Proxy, Relay, Result, Workload, World};
use xtask::servers::{Postgres, Redis, Stop};

use crate::scene::{LIMIT, moderate, patient};

/// A standby of this server whose answer every commit waits for.
async fn synchronous_standby(world: &mut World) -> Result<Postgres> {
    let primary = world.postgres()?;
    let standby = primary.standby(primary.port(), Postgres::options())?;
    let mut connection = world.connect().await?;
    connection
        .execute("alter system set synchronous_standby_names = 'standby'")
        .await?;
    connection.execute("select pg_reload_conf()").await?;
    until("the standby is synchronous", LIMIT, async || {
        let synchronous: Option<bool> =
            sqlx::query_scalar("select sync_state = 'sync' from pg_stat_replication")
                .fetch_optional(&mut connection)
                .await?;
        Ok(synchronous.unwrap_or(false).then_some(()))
    })
    .await?;
    connection.close().await?;
    Ok(standby)
}

#[tokio::test]
async fn a_failover_to_a_synchronous_standby_is_gone_through_under_load_by_the_relays_that_run() -> Result {
    // GIVEN a standby that has whatever was committed, and a name for the primary that will lead to the standby
    let mut world = World::with_own_servers(Postgres::options(), Redis::options()).await?;
    let mut standby = synchronous_standby(&mut world).await?;
    let (primary_port, direct) = (port_of(world.database_url())?, world.database_url().to_owned());
    let name = Proxy::before(primary_port).await?;
    // AND a relay that goes by that name, another one that knows both servers, and load
    let both = format!(
        "{}?target_session_attrs=read-write",
        direct.replacen(
            &format!(":{primary_port}/"),
            &format!(":{primary_port},127.0.0.1:{}/", standby.port()),
            1
        )
    );
    let options = patient(Relay::of(&world));
    let mut crew = Crew::of(vec![
        options
            .clone()
            .set("DATABASE_URL", name.url(&direct, primary_port)),
        options.set("DATABASE_URL", both),
    ])
    .await?;
    let workload = Workload {
        url: Some(name.url(&direct, primary_port)),
        reconnect_within: LIMIT,
        ..moderate()
    };
    let topics = workload.topics.clone();
    let mut producers = workload.start(world.log()).await?;
    producers.commit_more(300, LIMIT).await?;
    arrived(&world, &topics, LIMIT).await?;
    // WHEN the primary dies in the middle of it, and the standby takes its place
    producers.commit_more(100, LIMIT).await?;
    world.postgres()?.stop(Stop::Immediate)?;
    standby.promote()?;
    name.lead_to(standby.port());
    // THEN the relays go on there by themselves: the same processes, and nobody was asked
    producers.commit_more(200, LIMIT).await?;
    for relay in 0..2 {
        crew.relay(relay).ready().await?;
    }
    crew.leader().await?;
    producers.commit_more(100, LIMIT).await?;
    let journal = producers.stop().await?;
    assert!(
        !journal.errors.is_empty(),
        "nobody noticed: the primary did not die under load"
    );
    let database = direct.rsplit_once('/').map_or("", |(_, database)| database);
    let mut connection = PgConnection::connect(&standby.url(database)).await?;
    let events: i64 = sqlx::query_scalar("select count(*) from outbox.log")
        .fetch_one(&mut connection)
        .await?;
    let events = u64::try_from(events)?;
    until("everything is on the streams", LIMIT, async || {
        Ok((entries_of(&world, &topics).await? >= events).then_some(()))
    })
    .await?;
    crew.terminate().await?;
    // AND what was committed is there once and in order, and what is there was committed or may have been
    judge(&world, &journal, &topics).await?.clean()?;
    let timelines: Vec<i32> = sqlx::query_scalar("select timeline from outbox.timeline order by 1")
        .fetch_all(&mut connection)
        .await?;
    assert_eq!(timelines, [1, 2]);
    let eras: i64 = sqlx::query_scalar("select count(*) from outbox.era")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(
        eras, 1,
        "a failover to a standby that has everything is no new history"
    );
    Ok(())
}
