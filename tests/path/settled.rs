//! What appends know of the settings and the topics is a constant in their plans, and follows the tables all the same.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use system_tests::{Login, Relay, Result, World};

const LIMIT: Duration = Duration::from_secs(120);

/// Prepared once in a session, and executed so often that its plan is kept.
const PREPARE: &str =
    "prepare by_view (text) as insert into outbox.outgoing (topic, data) values ($1, '{\"a\": 1}');
     prepare by_function (text) as select outbox.append($1, '{\"a\": 1}')";
const WAYS: [&str; 2] = ["by_view", "by_function"];

async fn producer(world: &World) -> Result<PgConnection> {
    let mut producer = PgConnection::connect(&Login::Producer.database_url(world.database_url())).await?;
    producer.execute(PREPARE).await?;
    for _ in 0..8 {
        append(&mut producer, "warm").await?;
    }
    Ok(producer)
}

/// By both ways.
async fn append(producer: &mut PgConnection, topic: &str) -> Result {
    for way in WAYS {
        producer
            .execute(AssertSqlSafe(format!("execute {way} ('{topic}')")))
            .await?;
    }
    Ok(())
}

/// What the events of this topic have, where both have the same.
async fn stored(owner: &mut PgConnection, column: &str, topic: &str) -> Result<Vec<String>> {
    let statement = format!("select distinct {column} from outbox.log where topic = '{topic}'");
    Ok(sqlx::query_scalar(AssertSqlSafe(statement))
        .fetch_all(owner)
        .await?)
}

/// Topic `a` is kept as `audit`, and `b` as `durable`.
async fn are_known(owner: &mut PgConnection, producer: &mut PgConnection) -> Result {
    for (topic, class) in [("a", "audit"), ("b", "durable")] {
        append(producer, topic).await?;
        assert_eq!(stored(owner, "retention", topic).await?, [class]);
    }
    Ok(())
}

#[tokio::test]
async fn the_statement_of_a_producer_looks_at_no_table_but_the_log() -> Result {
    let world = World::new().await?;
    for (view, log) in [
        ("outgoing", "Insert on outbox.log\n"),
        ("outgoing_if_plain", "Insert on outbox.log_standard\n"),
    ] {
        let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!(
            "explain (verbose, costs off) insert into outbox.{view} (id, topic, data)
             values ('01933c7e-0000-7000-8000-000000000000', 't', to_json(current_setting('search_path')))"
        )))
        .fetch_all(&mut world.connect().await?)
        .await?;
        let plan = plan.join("\n");
        assert!(
            plan.contains("'standard'::text")
                && plan.contains("262144")
                && !plan.contains("Scan on outbox.")
                && plan.starts_with(log),
            "{plan}"
        );
    }
    Ok(())
}

/// The library's way leaves out what it must not put there, also by a statement from before.
#[tokio::test]
async fn a_change_reaches_the_view_for_plain_events() -> Result {
    let world = World::new().await?;
    let mut owner = world.connect().await?;
    let mut producer = PgConnection::connect(&Login::Producer.database_url(world.database_url())).await?;
    producer
        .execute(
            "prepare short (text) as insert into outbox.outgoing_if_plain (id, topic, data) values (gen_random_uuid(), $1, '{\"a\": 1}')",
        )
        .await?;
    let mut inserted =
        async || -> Result<u64> { Ok(producer.execute("execute short ('t')").await?.rows_affected()) };
    for _ in 0..8 {
        assert_eq!(inserted().await?, 1, "warm");
    }
    for (change, rows) in [
        (
            "insert into outbox.topic (name, retention) values ('t', 'audit')",
            0,
        ),
        ("update outbox.topic set retention = 'standard'", 1),
        ("update outbox.settings set payload_limit_bytes = 1", 0),
        ("update outbox.settings set payload_limit_bytes = 1000", 1),
    ] {
        owner.execute(change).await?;
        assert_eq!(inserted().await?, rows, "{change}");
    }
    assert_eq!(stored(&mut owner, "retention", "t").await?, ["standard"]);
    Ok(())
}

/// One node beside the insert: what is below another is made ready and handed over for as much as all rules.
#[tokio::test]
async fn the_statement_of_the_library_is_an_insert_of_one_row_that_is_computed() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    connection
        .execute(
            "set plan_cache_mode = force_generic_plan;
             prepare plain (uuid, text, text, text, text, text, text, text, text, text, json) as
             insert into outbox.outgoing_if_plain (id, topic, key, type, source, schema_version, correlation_id, causation_id, traceparent, tracestate, data)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .await?;
    let plan: Vec<String> = sqlx::query_scalar(
        "explain (costs off) execute plain (gen_random_uuid(), 't', null, null, null, null, null, null, null, null, '{}')",
    )
    .fetch_all(&mut connection)
    .await?;
    let nodes: Vec<&str> = plan
        .iter()
        .map(|line| line.trim())
        .filter(|line| !line.starts_with("One-Time Filter"))
        .collect();
    assert_eq!(nodes, ["Insert on log_standard", "->  Result"], "{plan:?}");
    Ok(())
}

#[tokio::test]
async fn a_change_of_the_settings_reaches_what_is_prepared_already() -> Result {
    let world = World::new().await?;
    let mut owner = world.connect().await?;
    let mut producer = producer(&world).await?;
    // WHEN the source is another one
    owner
        .execute("update outbox.settings set source = '/it''s \\ \"another\"'")
        .await?;
    append(&mut producer, "a").await?;
    assert_eq!(stored(&mut owner, "source", "a").await?, ["/it's \\ \"another\""]);
    // AND when payloads may be no larger than a byte THEN both ways refuse, and not where that is undone
    let mut changing = owner.begin().await?;
    changing
        .execute("update outbox.settings set payload_limit_bytes = 1")
        .await?;
    append(&mut producer, "b").await?;
    changing.rollback().await?;
    append(&mut producer, "b").await?;
    owner
        .execute("update outbox.settings set payload_limit_bytes = 1")
        .await?;
    for way in WAYS {
        let refused = producer
            .execute(AssertSqlSafe(format!("execute {way} ('c')")))
            .await;
        let said = refused.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(
            said.contains("event refused: data: must be at most 1 bytes"),
            "{way}: {said}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_topic_that_is_kept_otherwise_is_known_by_what_is_prepared_already() -> Result {
    let world = World::new().await?;
    let mut owner = world.connect().await?;
    let mut producer = producer(&world).await?;
    let kept = async |owner: &mut PgConnection, producer: &mut PgConnection, topic: &str| {
        append(producer, topic).await?;
        stored(owner, "retention", topic).await
    };
    // WHEN one topic is, and then more than a plan knows by name
    for topics in [1, 8, 9, 30] {
        owner
            .execute(AssertSqlSafe(format!(
                "insert into outbox.topic (name, retention) select 'kept-' || n, case when n % 2 = 1 then 'audit' else 'durable' end
                 from generate_series(1, {topics}) n on conflict do nothing"
            )))
            .await?;
        for (name, class) in [
            ("kept-1", "audit"),
            (
                &format!("kept-{topics}"),
                if topics % 2 == 1 { "audit" } else { "durable" },
            ),
        ] {
            assert_eq!(
                kept(&mut owner, &mut producer, name).await?,
                [class],
                "{topics}: {name}"
            );
        }
        assert_eq!(kept(&mut owner, &mut producer, "plain").await?, ["standard"]);
    }
    // AND when they are not any more, but for one
    owner
        .execute("update outbox.topic set retention = 'standard' where name <> 'kept-7'")
        .await?;
    assert_eq!(kept(&mut owner, &mut producer, "kept-7").await?, ["audit"]);
    append(&mut producer, "kept-11").await?;
    assert_eq!(stored(&mut owner, "retention", "kept-11").await?, ["standard"]);
    owner
        .execute("update outbox.topic set name = 'renamed' where name = 'kept-7'")
        .await?;
    assert_eq!(kept(&mut owner, &mut producer, "renamed").await?, ["audit"]);
    Ok(())
}

#[tokio::test]
async fn of_two_who_change_topics_at_once_neither_is_forgotten_and_none_waits_for_long() -> Result {
    let world = World::new().await?;
    let (mut first, mut second) = (world.connect().await?, world.connect().await?);
    let mut producer = producer(&world).await?;
    // GIVEN one who has changed a topic and did not commit yet
    first
        .execute("begin; insert into outbox.topic (name, retention) values ('a', 'audit')")
        .await?;
    // WHEN another one changes another topic THEN it is refused soon: a new topic that waits here would keep a relay from its next batch
    let change = "insert into outbox.topic (name, retention) values ('b', 'durable')";
    let refused = second.execute(change).await.err();
    let said = refused.map(|error| error.to_string()).unwrap_or_default();
    assert!(
        said.contains("another transaction is changing outbox.settings or how long topics are kept"),
        "{said}"
    );
    // AND so is a change of the settings
    let refused = second
        .execute("update outbox.settings set source = '/b'")
        .await
        .err();
    let said = refused.map(|error| error.to_string()).unwrap_or_default();
    assert!(
        said.contains("another transaction is changing outbox.settings"),
        "{said}"
    );
    // AND when the first one is through, appends know of both
    first.execute("commit").await?;
    second.execute(change).await?;
    are_known(&mut first, &mut producer).await
}

/// Word of a change comes with a lock, and a transaction that has appended holds those of the log: its next statement may still have the
/// plan from before, the one behind that has not.
#[tokio::test]
async fn a_transaction_that_appended_before_a_change_knows_of_it_after_a_statement() -> Result {
    let world = World::new().await?;
    let mut owner = world.connect().await?;
    let mut producer = producer(&world).await?;
    producer.execute("begin").await?;
    append(&mut producer, "a").await?;
    owner
        .execute("insert into outbox.topic (name, retention) values ('a', 'audit')")
        .await?;
    append(&mut producer, "a").await?;
    append(&mut producer, "a").await?;
    producer.execute("commit").await?;
    let kept: Vec<String> = sqlx::query_scalar(
        "select retention from outbox.log where topic = 'a' order by position desc limit 2",
    )
    .fetch_all(&mut owner)
    .await?;
    assert_eq!(kept, ["audit", "audit"]);
    Ok(())
}

#[tokio::test]
async fn who_does_not_see_what_others_committed_settles_nothing_of_it() -> Result {
    let world = World::new().await?;
    let (mut first, mut second) = (world.connect().await?, world.connect().await?);
    let mut producer = producer(&world).await?;
    // GIVEN a transaction that sees the topics as they were
    second
        .execute("begin isolation level repeatable read; select count(*) from outbox.topic")
        .await?;
    // WHEN another one changes a topic, and then it does
    first
        .execute("insert into outbox.topic (name, retention) values ('a', 'audit')")
        .await?;
    second
        .execute("insert into outbox.topic (name, retention) values ('b', 'durable'); commit")
        .await?;
    // THEN appends know of both
    are_known(&mut first, &mut producer).await
}

#[tokio::test]
async fn what_was_restored_past_the_triggers_is_known_again_once_a_relay_leads() -> Result {
    let world = World::new().await?;
    let mut owner = world.connect().await?;
    let mut producer = producer(&world).await?;
    owner
        .execute("insert into outbox.topic (name, retention) values ('gone', 'audit')")
        .await?;
    // GIVEN tables that were written as `pg_restore --disable-triggers` does
    owner
        .execute(
            "alter table outbox.topic disable trigger all; alter table outbox.settings disable trigger all;
             insert into outbox.topic (name, retention) values ('a', 'audit'); update outbox.settings set source = '/restored';
             delete from outbox.topic where name = 'gone';
             alter table outbox.topic enable trigger all; alter table outbox.settings enable trigger all",
        )
        .await?;
    append(&mut producer, "a").await?;
    assert_eq!(stored(&mut owner, "retention", "a").await?, ["standard"]);
    // WHEN a relay leads THEN it says so
    let mut relay = Relay::of(&world).start()?;
    relay.logs("SETTLED-ANEW", LIMIT).await?;
    // AND appends follow the tables
    append(&mut producer, "gone").await?;
    assert_eq!(stored(&mut owner, "source", "gone").await?, ["/restored"]);
    assert_eq!(stored(&mut owner, "retention", "gone").await?, ["standard"]);
    append(&mut producer, "a").await?;
    let kept: String = sqlx::query_scalar(
        "select retention from outbox.log where topic = 'a' order by position desc limit 1",
    )
    .fetch_one(&mut owner)
    .await?;
    assert_eq!(kept, "audit");
    // AND the triggers are as they were; there is nothing to be mended any more, but what a dump brings that was made during a change: its body
    let triggers: Vec<String> = sqlx::query_scalar(
        "select distinct tgenabled::text from pg_trigger where tgname ^@ 'settles' and tgrelid in ('outbox.topic'::regclass, 'outbox.settings'::regclass)",
    )
    .fetch_all(&mut owner)
    .await?;
    assert_eq!(triggers, ["A"]);
    let again: bool = sqlx::query_scalar("select outbox.settle_anew()")
        .fetch_one(&mut owner)
        .await?;
    assert!(!again);
    Ok(())
}

#[tokio::test]
async fn a_body_that_is_not_what_its_comment_says_is_made_anew() -> Result {
    let world = World::new().await?;
    let mut owner = world.connect().await?;
    // GIVEN what a dump brings that is made during a change: the body is from behind it, table and comment are from before
    owner
        .execute("create or replace function outbox.settled_source() returns text language sql stable parallel safe return '/during'::text")
        .await?;
    // WHEN it is compared THEN the table holds, and the second time there is nothing to do
    for is_other in [true, false] {
        let settled: (bool, String) =
            sqlx::query_as("select outbox.settle_anew(), (select source from outbox.settings)")
                .fetch_one(&mut owner)
                .await?;
        assert_eq!(settled.0, is_other);
        let source: String = sqlx::query_scalar("select outbox.settled_source()")
            .fetch_one(&mut owner)
            .await?;
        assert_eq!(source, settled.1);
    }
    // AND a body that looks, since its transaction did not see what others did, becomes a constant and is nothing to be told
    owner
        .execute(
            "begin isolation level repeatable read; update outbox.settings set source = '/looked'; commit",
        )
        .await?;
    let settled: bool = sqlx::query_scalar("select outbox.settle_anew()")
        .fetch_one(&mut owner)
        .await?;
    assert!(!settled);
    let body: String =
        sqlx::query_scalar("select pg_get_function_sqlbody('outbox.settled_source()'::regprocedure)")
            .fetch_one(&mut owner)
            .await?;
    assert_eq!(body, "RETURN '/looked'::text");
    Ok(())
}

#[tokio::test]
async fn the_path_of_who_inserts_says_nothing_of_what_is_settled() -> Result {
    // GIVEN a topic that is kept for long, and a producer whose path has another idea of what is equal
    let world = World::new().await?;
    let mut owner = world.connect().await?;
    owner
        .execute(
            "insert into outbox.topic (name, retention) values ('a', 'audit');
             create schema evil;
             create function evil.never(text, text) returns boolean language sql immutable return false;
             create operator evil.= (leftarg = text, rightarg = text, function = evil.never);
             create domain evil.text as pg_catalog.text check (value <> '/');
             grant usage on schema evil to public",
        )
        .await?;
    let mut producer = PgConnection::connect(&Login::Producer.database_url(world.database_url())).await?;
    producer.execute("set search_path = evil, pg_catalog").await?;
    // WHEN it inserts THEN the topic is kept as it is to be
    producer
        .execute(
            "insert into outbox.outgoing (topic, data) values ('a', '{}'); select outbox.append('a', '{}')",
        )
        .await?;
    assert_eq!(stored(&mut owner, "retention", "a").await?, ["audit"]);
    Ok(())
}
