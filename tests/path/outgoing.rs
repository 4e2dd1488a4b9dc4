//! What is inserted into `outbox.outgoing` is appended, with the rules, the defaults and the retention that `outbox.append` gives.
//!
//! That its verdicts are those of the library and the functions, for every field, is in `append_rules.rs`.

use outbox_core::append::{self, NewEvent};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use system_tests::{Login, Result, World};
use uuid::Uuid;

#[tokio::test]
async fn an_insert_is_an_append() -> Result {
    let world = World::new().await?;
    let mut owner = world.connect().await?;
    owner
        .execute(
            "update outbox.settings set source = '/shop';
             insert into outbox.topic (name, retention) values ('audited', 'audit')",
        )
        .await?;
    // GIVEN a login that may append and nothing else
    let mut producer = PgConnection::connect(&Login::Producer.database_url(world.database_url())).await?;
    // WHEN it inserts
    let id: Uuid = sqlx::query_scalar(
        r#"insert into outbox.outgoing (topic, key, extensions, data)
           values ('audited', 'k', '{"traceparent": "00-1", "zone": 7}', '{"b": 1,  "a": 2}') returning id"#,
    )
    .fetch_one(&mut producer)
    .await?;
    // THEN the row is what the function makes of it, and nothing can be read through the view
    let row: Value = sqlx::query_scalar(
        "select jsonb_build_object('topic', topic, 'type', type, 'key', key, 'source', source, 'retention', retention, 'traceparent', traceparent,
                                   'extensions', extensions, 'content', data_content_type, 'data', data, 'stored', position > 0 and transaction_id is not null)
         from outbox.log where id = $1",
    )
    .bind(id)
    .fetch_one(&mut owner)
    .await?;
    assert_eq!(
        row,
        json!({"topic": "audited", "type": "audited", "key": "k", "source": "/shop", "retention": "audit", "traceparent": "00-1",
               "extensions": {"zone": 7}, "content": "application/json", "data": "{\"b\": 1,  \"a\": 2}", "stored": true})
    );
    let seen: i64 = sqlx::query_scalar("select count(*) from outbox.outgoing")
        .fetch_one(&mut producer)
        .await?;
    assert_eq!(seen, 0);
    // AND several rows get rising positions in their order
    sqlx::query(
        "insert into outbox.outgoing (topic, key, data) select 'many', n::text, to_json(n) from generate_series(1, 100) n",
    )
    .execute(&mut producer)
    .await?;
    let order: Vec<String> =
        sqlx::query_scalar("select key from outbox.log where topic = 'many' order by position")
            .fetch_all(&mut owner)
            .await?;
    assert_eq!(order, (1..=100).map(|n| n.to_string()).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test]
async fn each_row_has_an_id_of_its_own_where_none_is_given() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    // GIVEN rows that have nothing of their own, rows of a list, and ids that are null
    connection
        .execute(
            "insert into outbox.outgoing (topic, key) select 'orders.placed', 'k' from generate_series(1, 3);
             insert into outbox.outgoing (topic) values ('orders.placed'), ('orders.placed');
             insert into outbox.outgoing (id, topic) values (null, 'orders.placed');
             insert into outbox.outgoing (id, topic) select null, 'orders.placed' from generate_series(1, 2)",
        )
        .await?;
    // THEN no two have the same
    let (rows, ids): (i64, i64) = sqlx::query_as("select count(*), count(distinct id) from outbox.log")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!((rows, ids), (8, 8));
    Ok(())
}

/// The rules in the statement are stricter than those that hold: what they stop is looked at by the function that says the sentence.
#[tokio::test]
async fn what_the_statement_does_not_let_pass_by_itself_is_looked_at_and_appended() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    // GIVEN names that are as long as they may be, and texts of which each is
    let name = "n".repeat(200);
    for (topic, r#type, key, text) in [
        (name.as_str(), Some(name.as_str()), 1, 1),
        ("short", Some("short"), 1024, 2048),
        (name.as_str(), None, 1024, 2048),
    ] {
        let done = sqlx::query(
            "insert into outbox.outgoing (topic, type, key, source, correlation_id, causation_id, schema_version, traceparent, tracestate)
             values ($1, $2, repeat('k', $3), repeat('/', $3), repeat('c', $4), repeat('d', $4), repeat('e', $4), repeat('f', $4), repeat('g', $4))",
        )
        .bind(topic)
        .bind(r#type)
        .bind(key)
        .bind(text)
        .execute(&mut connection)
        .await?;
        // THEN they are appended
        assert_eq!(done.rows_affected(), 1, "{topic} {type:?} {key} {text}");
    }
    Ok(())
}

/// Whatever plan looks cheapest: a plain join is turned around, or sorted, and gives the rows by topic.
#[tokio::test]
async fn rows_of_many_topics_keep_their_order() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    connection
        .execute(
            "insert into outbox.topic (name, retention)
             select 'topic-' || n, case when n % 3 = 0 then 'audit' else 'standard' end from generate_series(1, 3000) n;
             analyze outbox.topic;
             set enable_nestloop = off",
        )
        .await?;
    connection
        .execute("insert into outbox.outgoing (topic, key) select 'topic-' || n * 7919 % 3001, n::text from generate_series(1, 20) n")
        .await?;
    let order: Vec<String> = sqlx::query_scalar("select key from outbox.log order by position")
        .fetch_all(&mut connection)
        .await?;
    assert_eq!(order, (1..=20).map(|n| n.to_string()).collect::<Vec<_>>());
    // AND each is kept as its topic says
    let astray: i64 = sqlx::query_scalar("select count(*) from outbox.log l join outbox.topic t on t.name = l.topic where t.retention <> l.retention")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(astray, 0);
    Ok(())
}

/// It would be looked at with one value and stored with another.
#[tokio::test]
async fn an_expression_that_changes_is_evaluated_once() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    connection
        .execute(
            "create temporary sequence topics;
             insert into outbox.outgoing (topic, key) values (case nextval('topics') when 1 then 'good' else 'not good' end, 'one');
             insert into outbox.outgoing (topic, key)
             select case nextval('topics') % 2 when 0 then 'good' else 'also.good' end, n::text from generate_series(1, 10) n",
        )
        .await?;
    let (rows, good, drawn): (i64, i64, i64) = sqlx::query_as(
        "select count(*), count(*) filter (where topic in ('good', 'also.good')), (select last_value from topics) from outbox.log",
    )
    .fetch_one(&mut connection)
    .await?;
    assert_eq!((rows, good, drawn), (11, 11, 11));
    Ok(())
}

/// A plan per append would cost more than the append. The tables that it looks at were never analysed here, and never are by
/// themselves: they are too small.
#[tokio::test]
async fn what_the_library_sends_is_planned_once() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    for number in 0..20 {
        append::append(
            &mut connection,
            NewEvent::new("planned").key("k").json_text(number.to_string()),
        )
        .await?;
    }
    // Postgres plans five times for the values at hand before it may decide for one plan.
    let (custom, generic): (i64, i64) = sqlx::query_as(
        "select custom_plans, generic_plans from pg_prepared_statements where statement like 'insert into outbox.outgoing_if_plain%'",
    )
    .fetch_one(&mut connection)
    .await?;
    assert_eq!(
        (custom, generic),
        (5, 14),
        "the first append is a call of the function"
    );
    Ok(())
}

/// What the library's shortest ways do not take, they leave to the next one: nothing is lost, and what is refused is refused with the same words.
#[tokio::test]
async fn what_the_library_does_not_get_in_by_its_short_ways_goes_by_the_others() -> Result {
    let world = World::new().await?;
    let mut owner = world.connect().await?;
    owner
        .execute("insert into outbox.topic (name, retention) values ('kept.otherwise', 'audit')")
        .await?;
    let mut producer = PgConnection::connect(&Login::Producer.database_url(world.database_url())).await?;
    // GIVEN events of each kind, several times: the first is a call, the next ones are planned, and a topic that is kept otherwise is known
    let json = |topic: &str| NewEvent::new(topic).key("k").json_text("{}");
    for _ in 0..3 {
        for event in [
            json("short"),
            json("plain").event_type("with.type").traceparent("00-1"),
            json("kept.otherwise"),
            json("kept.otherwise").event_type("with.type"),
            NewEvent::new("no.payload"),
            json("long").correlation_id("c".repeat(2048)),
            json(&"n".repeat(200)).event_type("t".repeat(200)),
            json("subject").subject("s"),
        ] {
            append::append(&mut producer, event).await?;
        }
    }
    // THEN each is there, and where it belongs
    let stored: Vec<(String, String, i64)> = sqlx::query_as(
        "select left(topic, 14), retention, count(*) from outbox.log group by 1, 2 order by left(topic, 14) collate \"C\"",
    )
    .fetch_all(&mut owner)
    .await?;
    let stored: Vec<(&str, &str, i64)> = stored
        .iter()
        .map(|(topic, retention, count)| (topic.as_str(), retention.as_str(), *count))
        .collect();
    assert_eq!(
        stored,
        [
            ("kept.otherwise", "audit", 6),
            ("long", "standard", 3),
            ("nnnnnnnnnnnnnn", "standard", 3),
            ("no.payload", "standard", 3),
            ("plain", "standard", 3),
            ("short", "standard", 3),
            ("subject", "standard", 3),
        ]
    );
    // AND where the database takes less than the library thinks, the words are those of the database
    owner
        .execute("update outbox.settings set payload_limit_bytes = 1024")
        .await?;
    let large = json("short").json_text(format!("\"{}\"", "x".repeat(2000)));
    let refused = append::append(&mut producer, large).await.expect_err("too large");
    assert!(
        refused.to_string().contains("data: must be at most 1024 bytes"),
        "{refused}"
    );
    Ok(())
}

/// What docs/sql.md says that it is not for: refused, and nothing is half done.
#[tokio::test]
async fn what_is_not_possible_there_is_refused() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    connection
        .execute("create table public.orders (id bigint)")
        .await?;
    for statement in [
        "insert into outbox.outgoing (topic) values ('orders.placed') on conflict do nothing",
        "copy outbox.outgoing (topic) from program 'true'",
        "with placed as (insert into public.orders values (1) returning id)
         insert into outbox.outgoing (topic, key) select 'orders.placed', id::text from placed",
        "set session_replication_role = replica; insert into outbox.outgoing (topic) values ('orders.placed')",
    ] {
        let refused = sqlx::raw_sql(statement).execute(&mut connection).await;
        assert!(
            matches!(refused, Err(sqlx::Error::Database(_))),
            "{statement}: {refused:?}"
        );
        connection.execute("reset session_replication_role").await?;
    }
    // AND the way that it says instead is one
    connection
        .execute(
            "with placed as (insert into public.orders values (1) returning id),
                  told as (insert into outbox.outgoing (topic, key) select 'orders.placed', '1' returning id)
             select count(*) from placed, told",
        )
        .await?;
    let rows: (i64, i64) =
        sqlx::query_as("select (select count(*) from outbox.log), (select count(*) from public.orders)")
            .fetch_one(&mut connection)
            .await?;
    assert_eq!(rows, (1, 1));
    Ok(())
}
