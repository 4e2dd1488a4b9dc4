//! A consumer by the library, as a process of its own: this program under another name of a command. It applies all events of a
//! transaction by one statement (`on_batch`), with the settings that a consumer has by itself otherwise.

use futures_util::future::BoxFuture;
use outbox_core::consume::{Consumer, HandlerResult};
use outbox_core::event::Event;
use serde::Deserialize;
use sqlx::PgConnection;
use system_tests::relay::RelayOptions;
use system_tests::{Database, Failure, Login, Relay, Result, World};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What the program is told to become one.
pub(crate) const COMMAND: &str = "member";

/// With a notification of each fiftieth, as the function has them.
const APPLY: &str = "
    with written as (insert into shop.effect (key, number) select * from unnest($1::text[], $2::bigint[]))
    select pg_notify('effect', number::text) from unnest($2::bigint[]) given (number) where number % 50 = 0";

#[derive(Deserialize)]
struct Payload {
    number: i64,
}

/// How such a process is started.
pub(super) fn options(world: &World, shop: &Database, topic: &str) -> Result<RelayOptions> {
    Ok(Relay::command(&[COMMAND, topic])
        .binary(&std::env::current_exe()?)
        .login(Login::Consumer)
        .set("DATABASE_URL", shop.url())
        .set("REDIS_URL", world.redis_url()))
}

/// What the process does, until it is told to end.
pub(crate) async fn run(arguments: &[String]) -> Result {
    let [topic] = arguments else {
        return Err(Failure::new("a member takes the name of a topic"));
    };
    let consumer = Consumer::builder(topic)
        .database_url(std::env::var("DATABASE_URL")?)
        .redis(std::env::var("REDIS_URL")?)
        .on_batch(topic, apply)
        .build()?;
    let (token, mut term) = (CancellationToken::new(), signal(SignalKind::terminate())?);
    let stop = token.clone();
    tokio::spawn(async move {
        term.recv().await;
        stop.cancel();
    });
    Ok(consumer.run(token).await?)
}

fn apply<'a>(transaction: &'a mut PgConnection, events: &'a [Event]) -> BoxFuture<'a, HandlerResult> {
    Box::pin(async move {
        let (mut keys, mut numbers) = (Vec::new(), Vec::new());
        for event in events {
            keys.push(event.key.clone());
            numbers.push(event.json::<Payload>()?.number);
        }
        sqlx::query(APPLY)
            .bind(keys)
            .bind(numbers)
            .execute(transaction)
            .await?;
        Ok(())
    })
}
