//! `outbox-relay trace`: one event's way in one list, whatever became of it, by few pages, and as far as each place may be asked.

use std::time::Duration;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use system_tests::patience::until;
use system_tests::relay::RelayOptions;
use system_tests::{Invocation, Login, Relay, Result, Schema, World};
use uuid::Uuid;

use crate::arrivals::arrived;
use crate::roles::login;

const TOPIC: &str = "orders.placed";
const STREAM: &str = "outbox:orders.placed";
const LIMIT: Duration = Duration::from_secs(120);

/// Exit code and report.
fn trace(world: &World, event: Uuid, more: &[&str]) -> Result<(i32, Value)> {
    let event = event.to_string();
    let arguments = [&["trace", &event, "--output", "json"], more].concat();
    let answer = Invocation::of(world, &arguments)?.ask()?;
    assert!(!answer.output.contains("of-a-person"), "{}", answer.output);
    Ok((answer.code, answer.json()?))
}

/// The names of the steps, in order.
fn names(report: &Value) -> Vec<&str> {
    let steps = report["steps"].as_array().into_iter().flatten();
    steps.filter_map(|step| step["step"].as_str()).collect()
}

/// The first step of this name.
fn step<'a>(report: &'a Value, name: &str) -> &'a Value {
    let mut steps = report["steps"].as_array().into_iter().flatten();
    steps.find(|step| step["step"] == name).unwrap_or(&Value::Null)
}

async fn append(connection: &mut PgConnection) -> Result<Uuid> {
    let append = "select outbox.append($1, '\"payload-of-a-person\"', key => 'key-of-a-person', subject => 'subject-of-a-person', causation_id => 'the-cause')";
    Ok(sqlx::query_scalar(append)
        .bind(TOPIC)
        .fetch_one(connection)
        .await?)
}

/// A consumer without code that does what `body` says with each event.
async fn consuming(
    connection: &mut PgConnection,
    url: &str,
    world: &World,
    body: &str,
) -> Result<RelayOptions> {
    let function = format!(
        "create schema if not exists shop authorization test_service;
         create or replace function shop.apply(event json) returns void language plpgsql as $$ begin {body} end $$"
    );
    connection.execute(AssertSqlSafe(function)).await?;
    let arguments = [
        "consume",
        "--group",
        "stock",
        "--topic",
        TOPIC,
        "--call",
        "shop.apply",
    ];
    // What it does may append.
    Ok(Relay::command(&arguments)
        .login(Login::Service)
        .set("DATABASE_URL", url)
        .set("REDIS_URL", world.redis_url())
        .set("OUTBOX_CONSUME_LEASE_TTL", "1s")
        .set("OUTBOX_CONSUME_BACKOFF_MIN", "20ms")
        .set("OUTBOX_CONSUME_BACKOFF_MAX", "50ms"))
}

async fn until_true(connection: &mut PgConnection, query: &'static str) -> Result {
    until(query, LIMIT, async || {
        let is_so: bool = sqlx::query_scalar(query).fetch_one(&mut *connection).await?;
        Ok(is_so.then_some(()))
    })
    .await
}

#[tokio::test]
async fn one_list_leads_from_the_append_to_the_effect_and_to_what_it_caused() -> Result {
    // GIVEN an event that was applied by a handler that appended another one
    let world = World::with_schema(Schema::Both).await?;
    let mut connection = world.connect().await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let body = "perform outbox.append('invoices.made', '{}', causation_id => event ->> 'id');";
    let mut consumer = consuming(&mut connection, world.database_url(), &world, body)
        .await?
        .start()?;
    let event = append(&mut connection).await?;
    append(&mut connection).await?;
    until_true(
        &mut connection,
        "select count(*) = 2 from outbox.inbox where outcome = 'applied'",
    )
    .await?;
    let mut redis = world.redis().await?;
    let entries = arrived(&mut redis, STREAM, 2).await?;
    assert!(consumer.terminate().await?.success() && relay.terminate().await?.success());
    // WHEN it is traced THEN the list is complete, in order, and says where and why
    let (code, report) = trace(&world, event, &[])?;
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(
        names(&report),
        ["appended", "cut", "published", "applied", "caused"]
    );
    assert_eq!(step(&report, "appended")["detail"]["causation_id"], "the-cause");
    let published = &step(&report, "published")["detail"];
    assert_eq!(published["entry_id"], entries[0].id.to_string());
    assert_eq!(
        (&published["stream"], &published["presence"]),
        (&STREAM.into(), &"present".into())
    );
    let applied = step(&report, "applied");
    assert_eq!(
        (&applied["consumer"], &applied["detail"]["entry_id"]),
        (&"stock".into(), &published["entry_id"])
    );
    let caused = step(&report, "caused");
    let appended: Uuid = sqlx::query_scalar("select id from outbox.log where causation_id = $1")
        .bind(event.to_string())
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(
        (&caused["consumer"], &caused["detail"]["id"]),
        (&"stock".into(), &appended.to_string().into())
    );
    // AND people get it as a table
    let answer = Invocation::of(&world, &["trace", &event.to_string()])?.ask()?;
    assert!(
        answer.output.contains("caused by event the-cause") && answer.output.contains("it is there"),
        "{}",
        answer.output
    );
    // WHEN its entry leaves the stream from below, and the whole stream is lost, THEN that is told apart
    for (command, presence) in [
        (vec!["XTRIM", STREAM, "MAXLEN", "1"], "trimmed"),
        (vec!["DEL", STREAM], "missing"),
    ] {
        let mut change = redis::cmd(command[0]);
        change.arg(&command[1..]);
        change.query_async::<()>(&mut redis).await?;
        let (_, report) = trace(&world, event, &[])?;
        assert_eq!(step(&report, "published")["detail"]["presence"], presence);
    }
    Ok(())
}

#[tokio::test]
async fn the_stream_is_the_one_that_the_event_was_cut_into() -> Result {
    // GIVEN an event that was published before its topic had partitions, and some from after
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let before = append(&mut connection).await?;
    arrived(&mut world.redis().await?, STREAM, 1).await?;
    let set = Invocation::of(&world, &["topic", "set", TOPIC, "--partitions", "4"])?.ask()?;
    assert_eq!(set.code, 0, "{}", set.errors);
    let mut events = Vec::new();
    for key in ["a", "b", "c", "d", "e", "f"] {
        let append = "select outbox.append($1, '{}', key => $2)";
        events.push(
            sqlx::query_scalar(append)
                .bind(TOPIC)
                .bind(key)
                .fetch_one(&mut connection)
                .await?,
        );
    }
    // WHEN each is traced THEN its entry is on the stream that is named
    let mut streams = std::collections::BTreeSet::new();
    for event in [vec![before], events].concat() {
        let published = until("it is published", LIMIT, async || {
            let (_, report) = trace(&world, event, &[])?;
            let published = step(&report, "published").clone();
            Ok((!published.is_null()).then_some(published))
        })
        .await?;
        assert_eq!(published["detail"]["presence"], "present", "{published:#}");
        streams.insert(
            published["detail"]["stream"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        );
    }
    assert!(streams.remove(STREAM) && streams.len() > 1, "{streams:?}");
    assert!(
        streams
            .iter()
            .all(|stream| stream.starts_with("outbox:orders.placed:")),
        "{streams:?}"
    );
    Ok(())
}

#[tokio::test]
async fn an_event_that_was_put_out_again_has_both_of_its_entries_in_the_list() -> Result {
    // GIVEN three events on a stream that lost the second one, before a group had read it
    let world = World::with_schema(Schema::Both).await?;
    let mut connection = world.connect().await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let mut events = Vec::new();
    for _ in 0..3 {
        events.push(append(&mut connection).await?);
    }
    let mut redis = world.redis().await?;
    let entries = arrived(&mut redis, STREAM, 3).await?;
    let mut lose = redis::cmd("XDEL");
    lose.arg(STREAM).arg(entries[1].id.to_string());
    lose.query_async::<()>(&mut redis).await?;
    // WHEN the group misses it, and has applied all of them in the end
    let _consumer = consuming(&mut connection, world.database_url(), &world, "")
        .await?
        .start()?;
    until_true(
        &mut connection,
        "select count(*) = 3 from outbox.inbox where outcome = 'applied'",
    )
    .await?;
    // What was confirmed is recorded when a relay ends.
    assert!(relay.terminate().await?.success());
    // THEN the lost entry is told apart from the one that came for it, with who had asked
    let (_, report) = trace(&world, events[1], &[])?;
    let steps = ["appended", "cut", "published", "reissued", "published", "applied"];
    assert_eq!(names(&report), steps, "{report:#}");
    let steps = report["steps"].as_array().cloned().unwrap_or_default();
    let (first, reissued, second) = (&steps[2]["detail"], &steps[3]["detail"], &steps[4]["detail"]);
    assert_eq!(first["entry_id"], entries[1].id.to_string());
    assert_eq!(
        (&first["presence"], &second["presence"]),
        (&"missing".into(), &"present".into())
    );
    assert_eq!(reissued["missing"], first["entry_id"]);
    assert!(
        reissued["asked_by"]
            .as_str()
            .is_some_and(|who| who.contains("stock")),
        "{reissued}"
    );
    assert_eq!(steps[5]["detail"]["entry_id"], second["entry_id"]);
    // AND an event before it has one entry
    let (_, report) = trace(&world, events[0], &[])?;
    assert_eq!(names(&report), ["appended", "cut", "published", "applied"]);
    Ok(())
}

#[tokio::test]
async fn attempts_that_failed_are_told_also_after_one_succeeded() -> Result {
    // GIVEN a handler that refuses an event twice
    let world = World::with_schema(Schema::Both).await?;
    let mut connection = world.connect().await?;
    connection.execute("create sequence tries").await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let body = "if nextval('public.tries') <= 2 then raise exception 'out of stock' using errcode = 'P0007'; end if;";
    let _consumer = consuming(&mut connection, world.database_url(), &world, body)
        .await?
        .start()?;
    let event = append(&mut connection).await?;
    // WHEN it was applied at last THEN both attempts are told with their class, and then the effect
    until_true(
        &mut connection,
        "select exists (select from outbox.inbox where outcome = 'applied')",
    )
    .await?;
    let (code, report) = trace(&world, event, &[])?;
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(names(&report)[3..], ["failed", "failed", "applied"], "{report:#}");
    let failed = &step(&report, "failed")["detail"];
    assert_eq!(
        (&failed["number"], &failed["class"]),
        (&1.into(), &"P0007".into()),
        "{report:#}"
    );
    Ok(())
}

#[tokio::test]
async fn a_dead_letter_and_its_redrive_are_told_and_its_words_only_to_who_may_read_it() -> Result {
    // GIVEN an event that was given up, one of its key behind it, and both applied after an operator put it back
    let world = World::with_own_servers(Default::default(), Default::default()).await?;
    let mut connection = world.connect().await?;
    outbox_migrations::migrate_inbox(&mut connection).await?;
    system_tests::login::make(&mut connection).await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let body = "raise exception 'no order of %', 'Ottilie' using errcode = 'P0007';";
    let _consumer = consuming(&mut connection, world.database_url(), &world, body)
        .await?
        .start()?;
    let event = append(&mut connection).await?;
    until_true(&mut connection, "select exists (select from outbox.dead_letter)").await?;
    let (_, dead) = trace(&world, event, &[])?;
    assert_eq!(
        names(&dead)[3..],
        ["failed", "failed", "failed", "dead"],
        "{dead:#}"
    );
    consuming(&mut connection, world.database_url(), &world, "").await?;
    connection
        .execute("select outbox.redrive('{\"numbers\": [1]}', 'the order is there now')")
        .await?;
    until_true(
        &mut connection,
        "select exists (select from outbox.inbox where outcome = 'applied')",
    )
    .await?;
    // WHEN somebody traces it who may read letters, and an observer
    let (code, all) = trace(&world, event, &[])?;
    let (_, url) = login(&world, "outbox_observer").await?;
    let ask = ["trace", &event.to_string(), "--output", "json"];
    let observed = Invocation::of(&world, &ask)?.set("DATABASE_URL", url).ask()?;
    // THEN both see what happened
    assert_eq!((code, observed.code), (0, 0), "{all:#} {}", observed.errors);
    let seen = observed.json()?;
    for report in [&all, &seen] {
        let mut told = names(report);
        told.sort_unstable();
        assert_eq!(
            told,
            [
                "appended",
                "applied",
                "cut",
                "dead",
                "failed",
                "failed",
                "failed",
                "published",
                "redriven"
            ],
            "{report:#}"
        );
        let redriven = &step(report, "redriven")["detail"];
        assert_eq!(
            (&redriven["reason"], &redriven["item"]),
            (&"the order is there now".into(), &"applied".into())
        );
        assert_eq!(step(report, "dead")["detail"]["state"], "applied");
    }
    // AND only one sees what the handler said
    for name in ["failed", "dead"] {
        let said = step(&all, name)["detail"]["error"].as_str().unwrap_or_default();
        assert!(said.contains("no order of Ottilie"), "{all:#}");
    }
    assert!(!observed.output.contains("Ottilie"), "{}", observed.output);
    Ok(())
}

#[tokio::test]
async fn what_keeps_an_event_from_its_stream_is_said() -> Result {
    // GIVEN an event, and no relay
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let append = "select outbox.append($1, to_json(repeat('payload-of-a-person', 100)))";
    let event: Uuid = sqlx::query_scalar(append)
        .bind(TOPIC)
        .fetch_one(&mut connection)
        .await?;
    // WHEN it is traced THEN it is in no batch
    let (code, report) = trace(&world, event, &[])?;
    assert_eq!((code, names(&report)), (0, vec!["appended", "uncut"]));
    // WHEN a relay finds it too large THEN its stream waits, with the reason
    let mut relay = Relay::of(&world)
        .set("OUTBOX_PUBLISH_MAX_ENTRY_BYTES", "1 KiB")
        .start()?;
    relay.leads().await?;
    until_true(
        &mut connection,
        "select exists (select from outbox_ops.topics where state = 'set_aside')",
    )
    .await?;
    let (_, report) = trace(&world, event, &[])?;
    assert_eq!(names(&report), ["appended", "cut", "unsent"]);
    let unsent = &step(&report, "unsent")["detail"];
    assert_eq!(
        (&unsent["state"], &unsent["stream"]),
        (&"set_aside".into(), &STREAM.into())
    );
    assert!(
        unsent["reason"]
            .as_str()
            .is_some_and(|why| why.contains("max_entry_bytes")),
        "{unsent}"
    );
    // WHEN a person gives it up THEN it says who and why, and not that it was published
    let give_up = "select outbox.skip_event($1, $2, 'test data')";
    sqlx::query(give_up)
        .bind(TOPIC)
        .bind(event)
        .execute(&mut connection)
        .await?;
    let (_, report) = trace(&world, event, &[])?;
    assert_eq!(names(&report), ["appended", "cut", "unpublished"]);
    let given_up = &step(&report, "unpublished")["detail"];
    assert_eq!(
        (&given_up["actor"], &given_up["reason"]),
        (&"postgres".into(), &"test data".into())
    );
    Ok(())
}

#[tokio::test]
async fn each_place_is_asked_for_itself_and_who_does_not_answer_is_named() -> Result {
    // GIVEN a log, a consumer's database elsewhere that applied an event, and one that is not there
    let world = World::new().await?;
    let stock = world.another_database(Schema::Inbox).await?;
    let (mut connection, mut database) = (world.connect().await?, stock.connect().await?);
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let _consumer = consuming(&mut database, stock.url(), &world, "").await?.start()?;
    let event = append(&mut connection).await?;
    until_true(
        &mut database,
        "select exists (select from outbox.inbox where outcome = 'applied')",
    )
    .await?;
    // WHEN the log's database alone is asked THEN it says whom it did not ask
    let (code, report) = trace(&world, event, &[])?;
    assert_eq!((code, names(&report)), (0, vec!["appended", "cut", "published"]));
    assert!(
        report["asked"][1]["left_out"]
            .as_str()
            .is_some_and(|why| why.contains("--consumer-url"))
    );
    // WHEN all are named, in the environment, THEN what is known is shown, and who did not answer, without a password
    let ask = ["trace", &event.to_string(), "--output", "json"];
    let urls = format!("{} postgres://u:hush@127.0.0.1:1/gone", stock.url());
    let answer = Invocation::of(&world, &ask)?
        .set("CONSUMER_DATABASE_URLS", urls)
        .ask()?;
    let report = answer.json()?;
    assert_eq!(
        (answer.code, names(&report)),
        (5, vec!["appended", "cut", "published", "applied"])
    );
    assert_eq!(report["asked"][2]["address"], "127.0.0.1:1/gone");
    assert!(
        report["asked"][2]["problem"]
            .as_str()
            .is_some_and(|why| why.contains("refused")),
        "{report:#}"
    );
    assert!(!answer.output.contains("hush") && !answer.errors.contains("hush"));
    // WHEN only the consumer's database can be asked, which does not know the source, THEN it still finds the event
    let answer = Invocation::of(&world, &ask)?
        .set("DATABASE_URL", stock.url())
        .ask()?;
    assert_eq!(
        (answer.code, names(&answer.json()?)),
        (0, vec!["applied"]),
        "{}",
        answer.errors
    );
    // WHEN nobody knows the event THEN that is said
    let nobody = Invocation::of(&world, &["trace", "nobody"])?.ask()?;
    assert!(
        nobody.code == 1 && nobody.output.contains("nobody who was asked"),
        "{}",
        nobody.output
    );
    Ok(())
}

#[tokio::test]
async fn a_login_without_rights_is_told_which_it_needs() -> Result {
    // GIVEN a login that may do nothing, on a database with both halves
    let world = World::with_own_servers(Default::default(), Default::default()).await?;
    let mut connection = world.connect().await?;
    outbox_migrations::migrate_inbox(&mut connection).await?;
    let event = append(&mut connection).await?;
    let (_, url) = login(&world, "outbox_producer").await?;
    // WHEN it traces THEN each half says what is missing
    let answer = Invocation::of(&world, &["trace", &event.to_string()])?
        .set("DATABASE_URL", url)
        .ask()?;
    assert_eq!(answer.code, 5, "{}", answer.output);
    assert_eq!(
        answer.output.matches("grant outbox_observer").count(),
        2,
        "{}",
        answer.output
    );
    Ok(())
}

#[tokio::test]
async fn tracing_costs_as_much_in_a_long_log_as_in_a_short_one() -> Result {
    /// A log of years has some more levels of indexes and pieces, and nothing else.
    const PAGES: i64 = 1_000;
    // GIVEN a log of many events and batches, and an inbox of several consumers, sources and days
    let world = World::with_schema(Schema::Both).await?;
    let mut connection = world.connect().await?;
    for statement in [
        "select outbox.append('t', '{}', key => n::text) from generate_series(1, 30000) n",
        "alter table outbox.batch disable trigger one_chain",
        // Every batch sees one transaction more than the one before: the one in the middle is the first that sees the events.
        "insert into outbox.batch (number, batch_id, era, epoch, snapshot, event_count, first_position, last_position)
         select n, n, 1, 1, format('%1$s:%1$s:', greatest(now + 1 + n - 50000, 3))::pg_snapshot, 1, n, n
         from (select max(transaction_id)::text::bigint as now from outbox.log) log, generate_series(1, 100000) n",
        "insert into outbox.progress (topic, batch_number, position, chain_batch_id, chain_position, epoch)
         select 't', number, 40000, number, 1, 1 from outbox.batch where number % 2 = 1",
        "insert into outbox.consumer (name) select 'c' || n from generate_series(1, 3) n",
        "select outbox.add_inbox_day(clock_timestamp() - d * interval '1 day') from generate_series(0, 10) d",
        "insert into outbox.inbox (consumer, source, id, recorded_at, outcome, stream, entry_id)
         select 'c' || c, '/s' || s, 'e' || n, clock_timestamp() - n % 11 * interval '1 day', 'applied', 's', '1-' || n
         from generate_series(1, 3) c, generate_series(1, 3) s, generate_series(1, 5000) n",
    ] {
        connection.execute(statement).await?;
    }
    let event: Uuid = sqlx::query_scalar("select id from outbox.log where position = 20000")
        .fetch_one(&mut connection)
        .await?;
    let log = format!("outbox.trace_log('{event}')");
    for prepare in ["select 1", "analyze"] {
        connection.execute(prepare).await?;
        for what in [
            log.as_str(),
            "outbox.trace_consumers('e4711')",
            "outbox.trace_caused('e4711', array[1234])",
        ] {
            // WHEN it is asked repeatedly, so that some of the times nothing of the catalogue has to be read
            let mut read = i64::MAX;
            for _ in 0..3 {
                read = read.min(pages(&mut connection, what).await?);
            }
            // THEN few pages are
            assert!(read < PAGES, "{what} read {read} pages after {prepare}");
        }
    }
    // AND the batch is the right one
    let (_, report) = trace(&world, event, &[])?;
    assert_eq!(step(&report, "cut")["detail"]["batch"], 50_000);
    let (_, report) = trace(&world, Uuid::nil(), &[])?;
    assert_eq!(names(&report).len(), 0);
    Ok(())
}

async fn pages(connection: &mut PgConnection, function: &str) -> Result<i64> {
    let explain = format!("explain (analyze, buffers, timing off, format json) select * from {function}");
    let plan: Value = sqlx::query_scalar(AssertSqlSafe(explain))
        .fetch_one(connection)
        .await?;
    let top = &plan[0]["Plan"];
    let read = ["Shared Hit Blocks", "Shared Read Blocks"].map(|name| top[name].as_i64().unwrap_or(0));
    Ok(read.iter().sum())
}
