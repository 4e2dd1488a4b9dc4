//! What `outbox-relay check` finds on real servers, and that it finds nothing where nothing is.

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use system_tests::{Answer, Invocation, Result, World};
use xtask::servers::{PgBouncer, Postgres, Redis};

/// Names of the checks that found something, with how bad it is.
fn findings(answer: &Answer) -> Result<Vec<(String, String)>> {
    let checks = answer.json()?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let found = checks
        .as_array()
        .into_iter()
        .flatten()
        .filter(|check| !check["finding"].is_null());
    Ok(found
        .map(|check| (text(&check["name"]), text(&check["finding"]["severity"])))
        .collect())
}

fn one(name: &str, severity: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), severity.to_owned())]
}

fn check(world: &World) -> Result<Invocation> {
    Invocation::of(world, &["check", "--output", "json"])
}

/// Servers as they should be.
async fn healthy() -> Result<World> {
    World::with_own_servers(Postgres::options().fsync(true), Redis::options().durable()).await
}

async fn run(connection: &mut PgConnection, statement: &str) -> Result {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
        .execute(connection)
        .await?;
    Ok(())
}

#[tokio::test]
async fn nothing_is_found_on_servers_that_are_as_they_should_be() -> Result {
    let world = healthy().await?;
    let answer = check(&world)?.ask()?;
    assert_eq!(
        (answer.code, findings(&answer)?),
        (0, vec![]),
        "{}",
        answer.output
    );
    Ok(())
}

#[tokio::test]
async fn what_would_lose_or_reorder_events_is_refused_with_exit_code_4() -> Result {
    // GIVEN healthy servers WHEN one thing at a time is wrong THEN exactly that is refused
    let world = healthy().await?;
    let mut connection = world.connect().await?;
    let cases = [
        ("log.sequence", "alter sequence outbox.log_position cache 10", "alter sequence outbox.log_position cache 1"),
        (
            "log.identity",
            "update outbox.era set system_identifier = system_identifier + 1",
            "update outbox.era set system_identifier = system_identifier - 1",
        ),
        (
            "schema.log",
            "create table kept as select version, checksum from outbox.log_migration;
             update outbox.log_migration set checksum = 'other' where version = 2",
            "update outbox.log_migration m set checksum = kept.checksum from kept where kept.version = m.version",
        ),
        (
            "log.history",
            "insert into outbox.batch (number, batch_id, era, epoch, snapshot, event_count, first_position, last_position)
             values (1, 1, 1, 1, '900000:900000:', 0, 1, 1)",
            "select 1",
        ),
    ];
    for (name, harm, remedy) in cases {
        run(&mut connection, harm).await?;
        let answer = check(&world)?.ask()?;
        assert_eq!(
            (answer.code, findings(&answer)?),
            (4, one(name, "refusal")),
            "{}",
            answer.output
        );
        run(&mut connection, remedy).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_mark_ahead_of_the_ledger_is_refused() -> Result {
    // GIVEN a topic whose mark says that a batch was published which the ledger does not have
    let world = healthy().await?;
    let mut connection = world.connect().await?;
    run(&mut connection, "insert into outbox.topic (name) values ('t')").await?;
    let query = "select database_id::text || '/' || (select oid from pg_database where datname = current_database()) from outbox.settings";
    let identity: String = sqlx::query_scalar(query).fetch_one(&mut connection).await?;
    let mut mark = redis::cmd("XADD");
    mark.arg("outbox:@mark:t")
        .arg("77-0")
        .arg("database")
        .arg(identity)
        .arg("epoch")
        .arg(1);
    mark.query_async::<()>(&mut world.redis().await?).await?;
    // WHEN it is checked, also after the ledger went on beyond the mark, THEN it is refused
    for go_on in [
        "select 1",
        "insert into outbox.batch (number, batch_id, era, epoch, snapshot, event_count, first_position, last_position)
         values (1, 78, 1, 1, '4:4:', 0, 1, 1)",
    ] {
        run(&mut connection, go_on).await?;
        let answer = check(&world)?.ask()?;
        assert_eq!(
            (answer.code, findings(&answer)?),
            (4, one("log.marks", "refusal")),
            "{}",
            answer.output
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_forgets_commits_is_refused() -> Result {
    let world = World::with_own_servers(Postgres::options().fsync(false), Redis::options().durable()).await?;
    let answer = check(&world)?.ask()?;
    assert_eq!(
        (answer.code, findings(&answer)?),
        (4, one("postgres.durability", "refusal")),
        "{}",
        answer.output
    );
    Ok(())
}

#[tokio::test]
async fn what_is_weaker_than_it_should_be_is_found_with_exit_code_3() -> Result {
    let world = healthy().await?;
    let mut connection = world.connect().await?;
    let cases = [
        (
            "log.doorbell",
            "alter table outbox.log disable trigger doorbell",
            "alter table outbox.log enable trigger doorbell",
        ),
        (
            "log.producers",
            "grant insert on outbox.log to outbox_producer",
            "revoke insert on outbox.log from outbox_producer",
        ),
    ];
    for (name, harm, remedy) in cases {
        run(&mut connection, harm).await?;
        let answer = check(&world)?.ask()?;
        assert_eq!(
            (answer.code, findings(&answer)?),
            (3, one(name, "finding")),
            "{}",
            answer.output
        );
        run(&mut connection, remedy).await?;
    }
    let mut redis = world.redis().await?;
    let cases = [
        (
            "redis.eviction",
            ["maxmemory-policy", "allkeys-lru"],
            ["maxmemory-policy", "noeviction"],
        ),
        ("redis.memory", ["maxmemory", "1100000"], ["maxmemory", "0"]),
        ("redis.persistence", ["appendonly", "no"], ["appendonly", "yes"]),
    ];
    for (name, harm, remedy) in cases {
        redis::cmd("CONFIG")
            .arg("SET")
            .arg(&harm)
            .query_async::<()>(&mut redis)
            .await?;
        let answer = check(&world)?.ask()?;
        redis::cmd("CONFIG")
            .arg("SET")
            .arg(&remedy)
            .query_async::<()>(&mut redis)
            .await?;
        let found = findings(&answer)?;
        assert!(
            answer.code == 3 && found.contains(&one(name, "finding")[0]),
            "{name} in {found:?}: {}",
            answer.output
        );
    }
    Ok(())
}

#[tokio::test]
async fn roles_that_lack_something_are_told_what() -> Result {
    // GIVEN logins in nobody's role, in the observers' and in the relays'
    let world = healthy().await?;
    let mut connection = world.connect().await?;
    for (login, role) in [
        ("stranger", None),
        ("watcher", Some("outbox_observer")),
        ("mover", Some("outbox_relay")),
    ] {
        run(&mut connection, &format!("create role {login} login")).await?;
        if let Some(role) = role {
            run(&mut connection, &format!("grant {role} to {login}")).await?;
        }
        // WHEN each checks
        let url = world.database_url().replace("postgres@", &format!("{login}@"));
        let answer = check(&world)?.set("DATABASE_URL", url).ask()?;
        // THEN the log's role is found wanting, and nothing is changed or refused for it
        assert!(
            findings(&answer)?.contains(&one("log.role", "finding")[0]),
            "{login}: {}",
            answer.output
        );
        assert_eq!(answer.code, 3, "{login}");
    }
    // WHEN a relay's login may also maintain THEN nothing is found
    run(&mut connection, "grant outbox_maintainer to mover").await?;
    let url = world.database_url().replace("postgres@", "mover@");
    let answer = check(&world)?.set("DATABASE_URL", url).ask()?;
    assert_eq!(
        (answer.code, findings(&answer)?),
        (0, vec![]),
        "{}",
        answer.output
    );
    Ok(())
}

#[tokio::test]
async fn a_redis_user_without_rights_is_told_which() -> Result {
    // GIVEN a user that may look but not write
    let world = healthy().await?;
    let mut redis = world.redis().await?;
    let user = [
        "SETUSER",
        "reader",
        "on",
        ">hush",
        "~*",
        "+@read",
        "+@connection",
        "+info",
        "+time",
        "+multi",
        "+exec",
        "+xrange",
    ];
    redis::cmd("ACL").arg(&user).query_async::<()>(&mut redis).await?;
    // WHEN it checks THEN the command it lacks is named and its password is not
    let invocation = check(&world)?
        .set("OUTBOX_REDIS_USERNAME", "reader")
        .set("OUTBOX_REDIS_PASSWORD", "hush");
    let answer = invocation.ask()?;
    assert_eq!(
        (answer.code, findings(&answer)?),
        (3, one("redis.permission", "finding")),
        "{}",
        answer.output
    );
    assert!(answer.output.contains("XADD") && !answer.output.contains("hush"));
    Ok(())
}

#[tokio::test]
async fn a_pooler_in_transaction_mode_is_noticed() -> Result {
    // GIVEN a pooler between us and the log
    let mut world = healthy().await?;
    let name = world.log().name().to_owned();
    let pooler = PgBouncer::start(world.postgres()?, 5)?;
    let through = |listen: &str| {
        check(&world)?
            .set("DATABASE_URL", pooler.url(&name))
            .set("OUTBOX_POSTGRES_LISTEN", listen)
            .ask()
    };
    // WHEN we would listen THEN it is found; when we would not, all is well
    let listening = through("true")?;
    assert_eq!(
        (listening.code, findings(&listening)?),
        (3, one("postgres.notifications", "finding")),
        "{}",
        listening.output
    );
    let polling = through("false")?;
    assert_eq!(
        (polling.code, findings(&polling)?),
        (0, vec![]),
        "{}",
        polling.output
    );
    Ok(())
}

#[tokio::test]
async fn nothing_is_written_by_looking() -> Result {
    // GIVEN a world nobody has published to WHEN it is checked THEN Redis has no key and the log no row more
    let world = World::new().await?;
    check(&world)?.ask()?;
    let keys: i64 = redis::cmd("DBSIZE")
        .query_async(&mut world.redis().await?)
        .await?;
    let mut connection = world.connect().await?;
    let batches: i64 = sqlx::query_scalar("select count(*) from outbox.batch")
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    assert_eq!((keys, batches), (0, 1));
    Ok(())
}

#[tokio::test]
async fn a_standby_is_refused() -> Result {
    let mut world = healthy().await?;
    world.postgres()?.restart_as_standby()?;
    let answer = check(&world)?.ask()?;
    assert_eq!(answer.code, 4, "{}", answer.output);
    assert!(answer.output.contains("standby"), "{}", answer.output);
    Ok(())
}
