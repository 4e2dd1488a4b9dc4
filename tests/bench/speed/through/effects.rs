//! The end of the way: a function that writes a row for each event, and when its commit was recorded and heard of.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use sqlx::postgres::PgListener;
use sqlx::{Executor, PgConnection};
use system_tests::patience::until;
use system_tests::relay::RelayOptions;
use system_tests::{Database, Failure, Relay, Result, World};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const CHANNEL: &str = "effect";

/// Makes table and function. A notification holds a lock that all commits with one share until their flush, so few have one.
pub(super) async fn prepare(shop: &Database) -> Result {
    shop.connect()
        .await?
        .execute(
            "create schema shop authorization test_consumer;
             create table shop.effect (n bigint generated always as identity, key text not null, number bigint not null);
             alter table shop.effect owner to test_consumer;
             create function shop.apply(event json) returns void language plpgsql as $$
             declare
                 number constant bigint := event -> 'data' ->> 'number';
             begin
                 insert into shop.effect (key, number) values (event ->> 'partitionkey', number);
                 if number % 50 = 0 then
                     perform pg_notify('effect', number::text);
                 end if;
             end $$",
        )
        .await?;
    Ok(())
}

/// `outbox-relay consume` with the settings that it has by itself.
pub(super) fn consumer(world: &World, shop: &Database, topic: &str) -> RelayOptions {
    let arguments = [
        "consume",
        "--group",
        topic,
        "--topic",
        topic,
        "--call",
        "shop.apply",
    ];
    Relay::command(&arguments)
        .set("DATABASE_URL", shop.url())
        .set("REDIS_URL", world.redis_url())
}

/// Waits until there are so many effects.
pub(super) async fn all_there(connection: &mut PgConnection, events: u64, limit: Duration) -> Result {
    let events = i64::try_from(events)?;
    until("every event has its effect", limit, async || {
        // The sequence tells cheaply when it is worth counting: a transaction that is repeated draws again.
        let drawn: i64 = sqlx::query_scalar("select last_value from shop.effect_n_seq")
            .fetch_one(&mut *connection)
            .await?;
        if drawn < events {
            return Ok(None);
        }
        let count: i64 = sqlx::query_scalar("select count(*) from shop.effect")
            .fetch_one(&mut *connection)
            .await?;
        Ok((count >= events).then_some(()))
    })
    .await
}

/// By event: when the commit of its effect was recorded, in microseconds since 1970. Each event has one, and those of a key are in
/// order.
pub(super) async fn read(connection: &mut PgConnection, events: u64) -> Result<HashMap<i64, i64>> {
    let rows: Vec<(i64, i64, Option<bool>)> = sqlx::query_as(
        "select number, (extract(epoch from pg_xact_commit_timestamp(xmin)) * 1000000)::bigint,
                number > lag(number) over (partition by key order by n)
         from shop.effect",
    )
    .fetch_all(connection)
    .await?;
    let (count, mut recorded) = (rows.len(), HashMap::new());
    for (number, at, is_behind) in rows {
        if is_behind == Some(false) {
            return Err(Failure::new(format!(
                "event {number} has its effect before an earlier one of its key"
            )));
        }
        recorded.insert(number, at);
    }
    if count as u64 != events || recorded.len() != count {
        return Err(Failure::new(format!(
            "{count} effects, of {} of {events} events",
            recorded.len()
        )));
    }
    Ok(recorded)
}

/// A client that is told of effects.
pub(super) struct Hearing {
    stop: CancellationToken,
    task: JoinHandle<Result<HashMap<i64, i64>>>,
}

/// Begins to listen.
pub(super) async fn hear(shop: &Database) -> Result<Hearing> {
    let stop = CancellationToken::new();
    let mut listener = PgListener::connect(shop.url()).await?;
    listener.listen(CHANNEL).await?;
    let stopped = stop.clone();
    let task = tokio::spawn(async move {
        let mut heard = HashMap::new();
        loop {
            tokio::select! {
                told = listener.recv() => {
                    let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
                    heard.insert(told?.payload().parse()?, i64::try_from(at.as_micros())?);
                }
                () = stopped.cancelled() => return Ok(heard),
            }
        }
    });
    Ok(Hearing { stop, task })
}

impl Hearing {
    /// By event: when it was heard of, in microseconds since 1970. What is still on its way is not among them.
    pub(super) async fn stop(self) -> Result<HashMap<i64, i64>> {
        self.stop.cancel();
        self.task.await?
    }
}
