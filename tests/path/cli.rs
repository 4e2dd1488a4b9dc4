//! The commands: exit codes are a contract, JSON is a contract, and no secret is ever said.

use std::time::Duration;

use serde_json::json;
use sqlx::{Connection, PgConnection};
use system_tests::patience::until;
use system_tests::{Invocation, Relay, Result, Schema, World};
use xtask::servers::{Postgres, Redis};

use crate::arrivals::arrived;

/// Nothing on a test machine takes this long.
const LIMIT: Duration = Duration::from_secs(120);
const NO_EVENT: &str = "01a00000-0000-7000-8000-000000000000";

#[tokio::test]
async fn migrating_twice_is_safe_and_a_newer_schema_is_refused() -> Result {
    // GIVEN an empty database
    let world = World::with_schema(Schema::Empty).await?;
    let migrate = || Invocation::of(&world, &["migrate", "--output", "json"])?.ask();
    // WHEN it is migrated twice, THEN the second time finds nothing to do
    let (first, second) = (migrate()?, migrate()?);
    assert_eq!(
        (first.code, second.code),
        (0, 0),
        "{}{}",
        first.errors,
        second.errors
    );
    assert_eq!(
        first.json()?[0]["applied"][0],
        json!({ "version": 1, "name": "ground" })
    );
    assert_eq!(second.json()?[0]["applied"], json!([]));
    // WHEN a newer binary was there, THEN this one refuses and says so
    let newer = "insert into outbox.log_migration (version, description, success, checksum, execution_time) values (99, 'later', true, '', 0)";
    sqlx::query(newer).execute(&mut world.connect().await?).await?;
    let refused = migrate()?;
    assert_eq!(refused.code, 4);
    assert!(refused.errors.contains("version 99"), "{}", refused.errors);
    Ok(())
}

#[tokio::test]
async fn a_consumers_database_has_the_inbox_alone_and_status_shows_it() -> Result {
    // GIVEN an empty database
    let world = World::with_schema(Schema::Empty).await?;
    let empty = Invocation::of(&world, &["status"])?.ask()?;
    assert_eq!(empty.code, 1);
    assert!(empty.errors.contains("outbox-relay migrate"), "{}", empty.errors);
    // WHEN only the inbox is made
    let made = Invocation::of(&world, &["migrate", "--inbox"])?.ask()?;
    assert_eq!(made.code, 0, "{}", made.errors);
    // THEN status and check know that there is no log to ask for
    let status = Invocation::of(&world, &["status", "--output", "json"])?.ask()?;
    assert_eq!(status.code, 0, "{}", status.errors);
    assert_eq!(status.json()?, json!({ "inbox": [], "dead_letters": [] }));
    let check = Invocation::of(&world, &["check", "--output", "json"])?.ask()?;
    assert!(
        check.output.contains("schema.inbox") && !check.output.contains("schema.log"),
        "{}",
        check.output
    );
    Ok(())
}

#[test]
fn everything_wrong_with_the_settings_is_said_at_once() -> Result {
    let answer = Invocation::new(&["run", "--tail-lease-ttl", "4"])?
        .set("OUTBOX_PUBLISH_MODE", "yaml")
        .set("DATABASE_URL", "mysql://u:hush@host/db")
        .ask()?;
    assert_eq!(answer.code, 2);
    for part in [
        "4 problems",
        "--tail-lease-ttl",
        "OUTBOX_PUBLISH_MODE",
        "DATABASE_URL",
        "REDIS_URL",
    ] {
        assert!(answer.errors.contains(part), "{part} in {}", answer.errors);
    }
    assert!(!answer.errors.contains("hush"), "{}", answer.errors);
    Ok(())
}

#[test]
fn a_wrong_command_line_is_usage() -> Result {
    for arguments in [
        &["frobnicate"][..],
        &["topic", "set", "t"],
        &["consume", "--group", "g"],
        &["status", "--output", "xml"],
    ] {
        assert_eq!(Invocation::new(arguments)?.ask()?.code, 2, "{arguments:?}");
    }
    Ok(())
}

#[test]
fn what_needs_no_server_asks_none() -> Result {
    let version = Invocation::new(&["version", "--output", "json"])?.ask()?;
    assert_eq!(
        version.json()?["log_schema"],
        json!(outbox_migrations::LOG_VERSION)
    );
    let completions = Invocation::new(&["completions", "bash"])?.ask()?;
    assert!(completions.code == 0 && completions.output.contains("skip-event"));
    let config = Invocation::new(&["config", "--output", "json"])?
        .set("REDIS_URL", "redis://:hush@host")
        .ask()?;
    let lines = config.json()?;
    let url = lines
        .as_array()
        .and_then(|lines| lines.iter().find(|line| line["key"] == "redis.url"))
        .cloned();
    let expected = json!({ "key": "redis.url", "value": null, "secret": true, "origin": "REDIS_URL" });
    assert_eq!((config.code, url), (0, Some(expected)));
    assert!(!config.output.contains("hush"));
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_its_password() -> Result {
    let world = World::new().await?;
    let urls = [
        ("DATABASE_URL", "postgres://u:hush@127.0.0.1:1/d"),
        ("REDIS_URL", "redis://u:hush@127.0.0.1:1"),
    ];
    for (variable, url) in urls {
        let answer = Invocation::of(&world, &["check"])?.set(variable, url).ask()?;
        assert!(matches!(answer.code, 3 | 4));
        assert!(
            answer.output.contains("reachable") && answer.output.contains("refused"),
            "{}",
            answer.output
        );
        assert!(!answer.output.contains("hush") && !answer.errors.contains("hush"));
    }
    Ok(())
}

#[tokio::test]
async fn a_password_comes_from_a_file() -> Result {
    // GIVEN a Redis that asks for a password
    let world = World::with_own_servers(
        Postgres::options(),
        Redis::options().set("requirepass", "from-file"),
    )
    .await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("redis");
    std::fs::write(&file, "from-file\n")?;
    // WHEN it is in a file THEN we are let in
    let right = Invocation::of(&world, &["check"])?
        .set("OUTBOX_REDIS_PASSWORD_FILE", file.display())
        .ask()?;
    assert!(!right.output.contains("reachable"), "{}", right.output);
    // WHEN it is wrong THEN we are not, and it is not said
    let wrong = Invocation::of(&world, &["check"])?
        .set("OUTBOX_REDIS_PASSWORD", "wrong-one")
        .ask()?;
    assert_eq!(wrong.code, 4, "the test's Postgres has fsync off");
    assert!(wrong.output.contains("redis.reachable"), "{}", wrong.output);
    assert!(!wrong.output.contains("wrong-one") && !wrong.errors.contains("wrong-one"));
    Ok(())
}

#[tokio::test]
async fn status_says_whether_work_moves() -> Result {
    // GIVEN a database without a relay
    let world = World::new().await?;
    let status = || Invocation::of(&world, &["status", "--output", "json"])?.ask();
    let verdict = |answer: &system_tests::Answer| Result::Ok(answer.json()?["summary"][0]["verdict"].clone());
    let before = status()?;
    assert_eq!(
        (before.code, verdict(&before)?),
        (3, json!("degraded")),
        "{}",
        before.errors
    );
    // WHEN something waits, THEN nothing moves
    sqlx::query("select outbox.append('orders.placed', '{}')")
        .execute(&mut world.connect().await?)
        .await?;
    let waiting = status()?;
    assert_eq!((waiting.code, verdict(&waiting)?), (3, json!("stalled")));
    assert_eq!(waiting.json()?["backlog"][0]["events"], json!(1));
    // WHEN a relay leads and has published it, THEN all is well, for people too
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    arrived(&mut world.redis().await?, "outbox:orders.placed", 1).await?;
    settled(&mut world.connect().await?).await?;
    let after = status()?;
    assert_eq!(
        (after.code, verdict(&after)?),
        (0, json!("ok")),
        "{}",
        after.output
    );
    let page = Invocation::of(&world, &["status"])?.ask()?;
    assert!(
        page.output.starts_with("ok\nbacklog 0 events") && !page.output.contains("leader none"),
        "{}",
        page.output
    );
    Ok(())
}

/// Progress is recorded a moment after the entry is on the stream.
async fn settled(connection: &mut PgConnection) -> Result {
    until("an empty backlog", LIMIT, async || {
        let waiting: i64 = sqlx::query_scalar("select count(*) from outbox_ops.backlog")
            .fetch_one(&mut *connection)
            .await?;
        Ok((waiting == 0).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_topic_that_was_set_aside_goes_on_when_a_person_gives_up_its_event() -> Result {
    // GIVEN a topic whose first event is larger than the sink takes
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let large: String =
        sqlx::query_scalar("select outbox.append('t', json_build_object('x', repeat('x', 5000)))::text")
            .fetch_one(&mut connection)
            .await?;
    sqlx::query("select outbox.append('t', '{}')")
        .execute(&mut connection)
        .await?;
    let mut relay = Relay::of(&world)
        .set("OUTBOX_PUBLISH_MAX_ENTRY_BYTES", "2 KiB")
        .start()?;
    relay.leads().await?;
    waits(&mut connection).await?;
    let status = Invocation::of(&world, &["status"])?.ask()?;
    assert!(
        status.code == 3 && status.output.contains("STOPPED"),
        "{}",
        status.output
    );
    // WHEN somebody tries without saying yes, or names another event, THEN nothing is given up
    let skip = |event: &str, yes: &[&str]| {
        let arguments = [
            &[
                "topic",
                "skip-event",
                "t",
                "--event",
                event,
                "--reason",
                "too large, told the shop",
            ],
            yes,
        ]
        .concat();
        Invocation::of(&world, &arguments)?.ask()
    };
    let asked = skip(&large, &[])?;
    assert_eq!(asked.code, 4);
    assert!(
        asked.errors.contains(&large) && asked.errors.contains("--yes"),
        "{}",
        asked.errors
    );
    assert_eq!(skip(NO_EVENT, &["--yes"])?.code, 4);
    // WHEN it is given up, THEN the next event goes out and the given up one is kept, with who and why
    let skipped = skip(&large, &["--yes"])?;
    assert_eq!(skipped.code, 0, "{}", skipped.errors);
    let entries = arrived(&mut world.redis().await?, "outbox:t", 1).await?;
    assert_eq!(entries.len(), 1);
    let kept: (String, String) = sqlx::query_as("select id::text, reason from outbox.unpublished")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(kept, (large, "too large, told the shop".to_owned()));
    assert_eq!(skip(NO_EVENT, &["--yes"])?.code, 4, "it does not wait any more");
    Ok(())
}

/// Until the relay has set the topic aside.
async fn waits(connection: &mut PgConnection) -> Result {
    until("a topic set aside", LIMIT, async || {
        let states: Vec<String> = sqlx::query_scalar("select state from outbox_ops.topics")
            .fetch_all(&mut *connection)
            .await?;
        Ok((states == ["set_aside"]).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_topics_retention_is_set_and_a_class_that_is_not_there_is_refused() -> Result {
    let world = World::new().await?;
    let set = |class: &str| {
        Invocation::of(
            &world,
            &["topic", "set", "bills.sent", "--retention", class, "-o", "json"],
        )?
        .ask()
    };
    let audit = set("audit")?;
    assert_eq!(
        audit.json()?,
        json!({ "topic": "bills.sent", "retention": "audit", "partitions": 1 })
    );
    let unknown = set("forever")?;
    assert_eq!(unknown.code, 1);
    assert!(
        unknown.errors.contains("outbox.retention_class"),
        "{}",
        unknown.errors
    );
    let list = Invocation::of(&world, &["topic", "list"])?.ask()?;
    assert!(
        list.output.contains("bills.sent") && list.output.contains("audit"),
        "{}",
        list.output
    );
    Ok(())
}

#[tokio::test]
async fn events_are_applied_once_by_an_sql_function_of_the_consumers_database() -> Result {
    // GIVEN a consumer's database with a function, and a relay
    let world = World::new().await?;
    let shop = world.another_database(Schema::Inbox).await?;
    let mut database = shop.connect().await?;
    let consume = |function: &str| {
        Relay::command(&[
            "consume",
            "--group",
            "stock",
            "--topic",
            "orders.placed",
            "--call",
            function,
        ])
        .set("DATABASE_URL", shop.url())
        .set("REDIS_URL", world.redis_url())
    };
    // WHEN the function is not there, THEN it says so and ends
    let mut missing = consume("shop.apply").start()?;
    let ended = missing.ended(Duration::from_secs(120)).await?;
    assert_eq!(ended.code(), Some(1), "{}", missing.log_tail());
    // WHEN it is, THEN each event is applied, and a graceful stop ends with 0
    for statement in [
        "create schema shop authorization test_consumer",
        "alter default privileges in schema shop grant all on tables to test_consumer",
        "create table shop.seen (id text, n int)",
        "create function shop.apply(event json) returns void language sql as
         $$ insert into shop.seen values (event ->> 'id', (event -> 'data' ->> 'n')::int); notify seen $$",
    ] {
        sqlx::query(statement).execute(&mut database).await?;
    }
    let mut listener = sqlx::postgres::PgListener::connect(shop.url()).await?;
    listener.listen("seen").await?;
    let mut relay = Relay::of(&world).start()?;
    let mut consumer = consume("shop.apply").start()?;
    relay.leads().await?;
    consumer.ready().await?;
    sqlx::query(
        "select outbox.append('orders.placed', json_build_object('n', n)) from generate_series(1, 100) n",
    )
    .execute(&mut world.connect().await?)
    .await?;
    let mut seen = (0_i64, 0_i64);
    while seen.0 < 100 {
        tokio::time::timeout(Duration::from_secs(120), listener.recv()).await??;
        seen = sqlx::query_as("select count(*), coalesce(sum(n), 0) from shop.seen")
            .fetch_one(&mut database)
            .await?;
    }
    assert_eq!(seen, (100, 5050));
    assert_eq!(
        consumer.terminate().await?.code(),
        Some(0),
        "{}",
        consumer.log_tail()
    );
    let status = Invocation::of(&world, &["status"])?
        .set("DATABASE_URL", shop.url())
        .ask()?;
    assert!(
        status.code == 0 && status.output.contains("outbox:orders.placed"),
        "{}",
        status.output
    );
    database.close().await?;
    Ok(())
}
