//! Reading one's own writes at a standby, whose snapshots do not tell which transactions are open.

use outbox_core::append::NewEvent;
use outbox_core::event_store::subscription::{
    BoxFuture, EventHandler, HandlerResult, Runner, Subscription, WaitFor, Waited, wait_for,
};
use outbox_core::event_store::{self, Expected, Outcome, StoredEvent};
use sqlx::{Connection as _, PgConnection, PgPool};
use system_tests::Result;
use system_tests::past::{LIMIT, Scene};
use tokio_util::sync::CancellationToken;
use xtask::servers::Postgres;

struct Nothing;

impl EventHandler for Nothing {
    fn handle<'a>(&'a self, _: &'a mut PgConnection, _: &'a StoredEvent) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test]
async fn a_transaction_is_not_waited_for_at_a_standby_and_positions_are() -> Result {
    // GIVEN a subscription at work at a primary, a standby of it, and a transaction that is open
    let mut scene = Scene::new(Postgres::options()).await?;
    let pool = PgPool::connect(&scene.url).await?;
    let token = CancellationToken::new();
    let running =
        tokio::spawn(Runner::new(pool.clone(), Subscription::new("all"), Nothing).run(token.clone()));
    let mut connection = scene.connect().await?;
    let name = "order-1".parse()?;
    let mut held = connection.begin().await?;
    let outcome = event_store::append(
        &mut held,
        &name,
        Expected::NoStream,
        vec![NewEvent::stored("placed")],
    )
    .await?;
    let Outcome::Appended { positions, .. } = outcome else {
        panic!("{outcome:?}");
    };
    let id: String = sqlx::query_scalar("select pg_current_xact_id()::text")
        .fetch_one(&mut *held)
        .await?;
    let later = WaitFor::positions(positions);
    let primary = scene.world.postgres()?;
    let standby = primary.standby(primary.port(), Postgres::options())?;
    scene.caught_up(&standby).await?;
    let there = PgPool::connect(&standby.url(scene.world.log().name())).await?;
    // WHEN its transaction is waited for at the standby THEN that is refused, and not told as applied
    let refused = wait_for(&there, "all", &WaitFor::transaction(id.parse()?), LIMIT).await;
    let said = refused.expect_err("the transaction is open").to_string();
    assert!(said.contains("standby"), "{said}");
    // WHEN it is committed THEN its positions can be waited for there
    held.commit().await?;
    assert_eq!(wait_for(&there, "all", &later, LIMIT).await?, Waited::Applied);
    token.cancel();
    Ok(running.await??)
}
