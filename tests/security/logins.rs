//! The harness keeps its word: what is under test, here and in every other test, connects with the rights of its work.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::PgConnection;
use system_tests::arrival::arrived;
use system_tests::patience::until;
use system_tests::shop::{Shop, TOPIC};
use system_tests::{Login, Members, Relay, Result, Workload, World};

const LIMIT: Duration = Duration::from_secs(120);

/// The logins of all sessions of the server but the test's own, and whether one of them is a superuser's.
async fn sessions(administrator: &mut PgConnection) -> Result<(BTreeSet<String>, bool)> {
    let rows: Vec<(String, bool)> = sqlx::query_as(
        "select distinct usename::text, rolsuper from pg_stat_activity join pg_roles on rolname = usename
         where backend_type = 'client backend' and (usename <> 'postgres' or application_name like 'outbox%')",
    )
    .fetch_all(administrator)
    .await?;
    let is_any = rows.iter().any(|(_, is_superuser)| *is_superuser);
    Ok((rows.into_iter().map(|(name, _)| name).collect(), is_any))
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn relay_members_and_producers_of_a_test_are_nobody_s_superuser() -> Result {
    // GIVEN a relay, members of a group and producers, as any test makes them, on servers that nobody else uses
    let world = World::with_own_servers(Default::default(), Default::default()).await?;
    let shop = Shop::open(&world, 1).await?;
    let mut relay = Relay::of(&world)
        .set("OUTBOX_PUBLISH_LOOK_EVERY", "100ms")
        .start()?;
    relay.leads().await?;
    let members = Members::start(shop.member(&world), 2).await?;
    let workload = Workload {
        topics: vec![TOPIC.to_owned()],
        ..Workload::default()
    };
    let mut producers = workload.start(world.log()).await?;
    producers.commit_more(50, LIMIT).await?;
    // WHEN all of them are at work
    let (logins, is_any_superuser) = sessions(&mut world.connect().await?).await?;
    let clients: String = redis::cmd("CLIENT")
        .arg("LIST")
        .query_async(&mut world.redis().await?)
        .await?;
    // THEN each is who it should be, at both servers
    assert_eq!(logins, names(&["test_consumer", "test_producer", "test_relay"]));
    assert!(!is_any_superuser);
    let users: BTreeSet<String> = clients
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("user="))
        .map(str::to_owned)
        .collect();
    assert_eq!(users, names(&["consumer", "default", "relay"]));
    // AND what they did arrives
    producers.stop().await?;
    arrived(&world, &[TOPIC.to_owned()], LIMIT).await?;
    // AND nothing of what they asked of Redis was refused, what is asked now and then neither
    let mut administrator = world.connect().await?;
    until("the relay saw the group", LIMIT, async || {
        let seen: bool = sqlx::query_scalar(
            "select exists (select from outbox_ops.stream_groups where seen_at is not null)",
        )
        .fetch_one(&mut administrator)
        .await?;
        Ok(seen.then_some(()))
    })
    .await?;
    world.rights_were_kept()?;
    members.terminate().await
}

/// The end of a test, seen from another thread.
fn ends_well(world: World) -> bool {
    std::thread::spawn(move || drop(world)).join().is_ok()
}

#[tokio::test]
async fn a_test_fails_when_redis_refused_something_of_what_it_ran() -> Result {
    for world in [
        World::new().await?,
        World::with_own_servers(Default::default(), Default::default()).await?,
    ] {
        // GIVEN an observer that writes, and a user of the test's own that is refused the same
        let mut redis = world.redis().await?;
        let own = [
            "SETUSER",
            "visitor",
            "on",
            ">visitor",
            "~*",
            "+@connection",
            "+select",
        ];
        redis::cmd("ACL").arg(&own).query_async::<()>(&mut redis).await?;
        let refused = async |url: String| -> Result {
            let mut redis = redis::Client::open(url)?
                .get_multiplexed_async_connection()
                .await?;
            let answer: redis::RedisResult<()> = redis::cmd("HDEL")
                .arg(&["outbox:@mark", "a"])
                .query_async(&mut redis)
                .await;
            assert!(
                answer.as_ref().is_err_and(|error| error.code() == Some("NOPERM")),
                "{answer:?}"
            );
            Ok(())
        };
        refused(world.redis_url().replacen("//", "//visitor:visitor@", 1)).await?;
        world.rights_were_kept()?;
        // WHEN it ends, all the same, THEN it fails and names the user and the command
        refused(world.redis_url_of(Login::Observer)).await?;
        let told = world.rights_were_kept().err().map(|failure| failure.to_string());
        assert!(
            told.as_ref()
                .is_some_and(|told| told.contains("observer may not use command `hdel`")),
            "{told:?}"
        );
        assert!(!ends_well(world));
    }
    Ok(())
}

#[tokio::test]
async fn a_test_fails_when_a_relay_was_a_superuser() -> Result {
    // GIVEN a relay that somebody gave more than its work needs
    let world = World::with_own_servers(Default::default(), Default::default()).await?;
    let mut relay = Relay::of(&world).login(Login::Superuser).start()?;
    relay.leads().await?;
    // WHEN the test ends THEN it fails and names the connection
    let told = world.rights_were_kept().err().map(|failure| failure.to_string());
    assert!(
        told.as_ref()
            .is_some_and(|told| told.contains("user=postgres") && told.contains("outbox-relay/tail")),
        "{told:?}"
    );
    assert_eq!(relay.terminate().await?.code(), Some(0));
    assert!(!ends_well(world));
    Ok(())
}
