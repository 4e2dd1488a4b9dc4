//! A member says when its transactions could take the locks that others need.

use system_tests::{Relay, Result, Schema, World};
use xtask::servers::Postgres;

#[tokio::test]
async fn a_batch_that_leaves_others_too_few_locks_is_said_at_the_start_and_the_default_is_none() -> Result {
    // GIVEN a server with room for 3,200 locks
    let postgres = Postgres::options().set("max_connections", 50);
    let world = World::with_own_servers(postgres, Default::default()).await?;
    let database = world.another_database(Schema::Inbox).await?;
    let pool = database.pool().await?;
    sqlx::query("create function public.apply(event json) returns void language sql as 'select'")
        .execute(&pool)
        .await?;
    let line = [
        "consume",
        "--group",
        "g",
        "--topic",
        "t",
        "--call",
        "public.apply",
    ];
    let options = |more: &[&str]| {
        Relay::command(&[&line[..], more].concat())
            .set("DATABASE_URL", database.url())
            .set("REDIS_URL", world.redis_url())
    };
    for (more, is_said) in [(&["--consume-batch", "1000"][..], true), (&[], false)] {
        // WHEN a member starts THEN it says so if its batches could take more than half of them
        let mut relay = options(more).start()?;
        relay.ready().await?;
        assert!(relay.terminate().await?.success());
        let log = relay.log();
        assert_eq!(log.contains("raise max_locks_per_transaction"), is_said, "{log}");
        assert_eq!(log.contains("wants=11000 room=3200"), is_said, "{log}");
    }
    Ok(())
}
