//! The operators' views: public, without payloads, cheap on a long log, and right.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use system_tests::patience::until;
use system_tests::{Relay, Result, World};
use xtask::servers::{Postgres, Redis};

/// The columns are public: changing one is a breaking change.
const COLUMNS: &[(&str, &str)] = &[
    (
        "backlog",
        "topic, partition, events, exact, oldest_recorded_at, oldest_age, stream",
    ),
    (
        "batches",
        "number, batch_id, kind, era, epoch, event_count, first_position, last_position, cut_at",
    ),
    ("causes", "cause, severity, subject, since, reason"),
    (
        "event_streams",
        "stream, category, version, first_version, created_at, last_recorded_at, archived_through, removed_through, is_buried",
    ),
    (
        "holes",
        "topic, partition, stream, group_name, missing, held, passed, since, state, reason, changed_at, reissued_at, events, published",
    ),
    (
        "losses",
        "topic, partition, stream, after_entry, through_entry, events, why, missed_by, found_at",
    ),
    (
        "parked_streams",
        "subscription, generation, partition, stream_id, stream, version, state, attempts, error_class, first_failed_at, failed_at, retry_at",
    ),
    (
        "projections",
        "projection, kind, generation, state, lag_events, rebuild, rebuild_state, rebuild_generation, rebuild_reason, \
         rebuild_actor, rebuild_ordered_at, rebuild_finished_at, rebuilt_events, rebuilt_share, rebuilt_per_second, \
         rebuild_left_seconds, rebuild_said",
    ),
    (
        "recoveries",
        "number, strategy, state, era, reason, actor, entries_removed, entries_accepted, begun_at, opened_at, done_at, removing_at, \
         abandoned_at, abandoned_by, abandoned_because",
    ),
    (
        "refusals",
        "number, code, said, epoch, refused_at, closed_at, recovery",
    ),
    (
        "reissue_orders",
        "number, topic, partition, from_entry, to_entry, is_preview, state, answer, kept, wanted, events, actor, reason, ordered_at, \
         answered_at, stream, removed",
    ),
    (
        "reissues",
        "topic, partition, stream, kept, missing, asked_by, cut_at, events, published, state, remaining, removed",
    ),
    (
        "relays",
        "instance, host, process_id, version, started_at, seen_at, live, state, reason, leases",
    ),
    (
        "stream_groups",
        "topic, partition, group_name, state, state_since, actor, reason, last_delivered, pending, lowest_pending, stream, seen_at",
    ),
    (
        "streams",
        "topic, partition, stream, length, memory_bytes, first_entry, last_entry, retention, cap, floor, trimmed_at, held_by, \
         held_since, lost_unread, seen_at",
    ),
    (
        "subscriptions",
        "subscription, generation, state, partitions, held_partitions, categories, types, lag_events, lag_exact, lag_seconds, \
         retrying_streams, parked_streams, applied_events, last_recorded_at, moved_at, paused_at, paused_by, paused_reason, created_at",
    ),
    (
        "summary",
        "as_of, verdict, reason, backlog, backlog_exact, oldest_unpublished_age, leader, epoch, lease_expires_at, live_relays, \
         topics_set_aside, topics_blocked, last_batch, last_batch_events, last_batch_at, events_skipped, notification_queue_usage",
    ),
    (
        "topics",
        "topic, partition, retention, keep, seen_since, state, stopped_since, reason, event_id, passed_batch, passed_position, \
         last_entry, passed_at, stream",
    ),
    (
        "waiting_transactions",
        "pid, kind, user_name, application, state, started_at, age, query_started_at, waits_for, prepared_name, holds_back",
    ),
];

/// Pages of a warm session that a question may read, however long the log is.
const PAGES: i64 = 1000;

#[tokio::test]
async fn the_views_have_the_columns_they_are_documented_with() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let columns: Vec<(String, String)> = sqlx::query_as(
        "select c.relname::text, string_agg(a.attname, ', ' order by a.attnum)
         from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
         where c.relnamespace = 'outbox_ops'::regnamespace and c.relkind = 'v' group by c.relname order by c.relname",
    )
    .fetch_all(&mut connection)
    .await?;
    let columns: Vec<(&str, &str)> = columns
        .iter()
        .map(|(view, columns)| (view.as_str(), columns.as_str()))
        .collect();
    assert_eq!(columns, COLUMNS);
    let silent: Vec<String> = sqlx::query_scalar(
        "select format('%s.%s', c.relname, a.attname) from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum >= 0
         where c.relnamespace = 'outbox_ops'::regnamespace and c.relkind = 'v' and col_description(c.oid, a.attnum) is null
         union all
         select c.relname::text from pg_class c
         where c.relnamespace = 'outbox_ops'::regnamespace and c.relkind = 'v' and obj_description(c.oid, 'pg_class') is null",
    )
    .fetch_all(&mut connection)
    .await?;
    assert_eq!(silent, Vec::<String>::new(), "without a comment");
    Ok(())
}

#[tokio::test]
async fn observers_see_the_views_and_nothing_else() -> Result {
    // GIVEN a world with an event in it
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    connection
        .execute("select outbox.append('t', '{\"card\": \"4711\"}')")
        .await?;
    // WHEN an observer looks THEN every view answers, and the payload is out of reach
    connection.execute("set role outbox_observer").await?;
    for (view, _) in COLUMNS {
        connection
            .execute(AssertSqlSafe(format!("select * from outbox_ops.{view}")))
            .await?;
    }
    for table in ["log", "unpublished"] {
        let refused = connection
            .execute(AssertSqlSafe(format!("select * from outbox.{table}")))
            .await;
        assert_eq!(code(refused), Some("42501".to_owned()), "{table}");
    }
    // WHEN a producer looks THEN it is refused
    connection.execute("set role outbox_producer").await?;
    for (view, _) in COLUMNS {
        let refused = connection
            .execute(AssertSqlSafe(format!("select * from outbox_ops.{view}")))
            .await;
        assert_eq!(code(refused), Some("42501".to_owned()), "{view}");
    }
    Ok(())
}

fn code<T>(result: std::result::Result<T, sqlx::Error>) -> Option<String> {
    result.err()?.as_database_error()?.code().map(Into::into)
}

#[tokio::test]
async fn looking_costs_the_same_however_long_the_log_is() -> Result {
    // GIVEN a log of 200,000 published events, with and without statistics
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    for statement in [
        "insert into outbox.log (retention, topic, id, source, type, data)
         select 'standard', 't', gen_random_uuid(), '/test', 't', '{}' from generate_series(1, 200000)",
        "insert into outbox.topic (name) values ('t')",
        "insert into outbox.batch (number, batch_id, era, epoch, snapshot, event_count, first_position, last_position)
         values (1, 1, 1, 1, pg_current_snapshot(), 200000, 1, 200000)",
        "insert into outbox.share (batch_number, topic, event_count, first_position, last_position) values (1, 't', 200000, 1, 200000)",
        "insert into outbox.progress (topic, batch_number, position, chain_batch_id, chain_position, epoch)
         values ('t', 1, 200000, 1, 200000, 1)",
        "select outbox.append('t', '{}') from generate_series(1, 5)",
    ] {
        connection.execute(statement).await?;
    }
    for prepare in ["select 1", "analyze"] {
        connection.execute(prepare).await?;
        for view in ["backlog", "summary", "topics"] {
            // WHEN it is asked repeatedly, so that some of the times nothing of the catalogue has to be read
            let mut read = i64::MAX;
            for _ in 0..5 {
                read = read.min(pages(&mut connection, view).await?);
            }
            // THEN few pages are
            assert!(read < PAGES, "{view} read {read} pages after {prepare}");
        }
        let backlog: (i64, bool) = sqlx::query_as("select events, exact from outbox_ops.backlog")
            .fetch_one(&mut connection)
            .await?;
        assert_eq!(backlog, (5, true));
    }
    Ok(())
}

async fn pages(connection: &mut PgConnection, view: &str) -> Result<i64> {
    let explain =
        format!("explain (analyze, buffers, timing off, format json) select * from outbox_ops.{view}");
    let plan: serde_json::Value = sqlx::query_scalar(AssertSqlSafe(explain))
        .fetch_one(connection)
        .await?;
    let top = &plan[0]["Plan"];
    let read = ["Shared Hit Blocks", "Shared Read Blocks"].map(|name| top[name].as_i64().unwrap_or(0));
    Ok(read.iter().sum())
}

#[tokio::test]
async fn the_backlog_counts_what_is_cut_and_what_is_not() -> Result {
    // GIVEN a batch of 70 of which one stream has 10 to go and the other 20, and 8 events after it
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    for statement in [
        "select outbox.append('a', '{}') from generate_series(1, 50)",
        "select outbox.append('b', '{}') from generate_series(1, 20)",
        "insert into outbox.topic (name) values ('a'), ('b')",
        "insert into outbox.batch (number, batch_id, era, epoch, snapshot, event_count, first_position, last_position)
         values (1, 1, 1, 1, pg_current_snapshot(), 70, 1, 70)",
        "insert into outbox.share (batch_number, topic, event_count, first_position, last_position) values (1, 'a', 50, 1, 50), (1, 'b', 20, 51, 70)",
        "insert into outbox.progress (topic, batch_number, position, chain_batch_id, chain_position, epoch) values ('a', 1, 40, 1, 40, 1)",
        "select outbox.append('a', '{}') from generate_series(1, 5)",
        "select outbox.append('new', '{}') from generate_series(1, 3)",
    ] {
        connection.execute(statement).await?;
    }
    // WHEN it is looked at THEN both kinds are counted, and a share half published is an estimate
    let backlog: Vec<(String, i64, bool)> =
        sqlx::query_as("select topic, events, exact from outbox_ops.backlog order by topic")
            .fetch_all(&mut connection)
            .await?;
    let expected = [("a", 15, false), ("b", 20, true), ("new", 3, true)];
    assert_eq!(
        backlog,
        expected.map(|(topic, events, exact)| (topic.to_owned(), events, exact))
    );
    let total: i64 = sqlx::query_scalar("select backlog from outbox_ops.summary")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(total, 38);
    // WHEN it is very long THEN it is a lower bound and says so
    connection
        .execute("select outbox.append('new', '{}') from generate_series(1, 12000)")
        .await?;
    let long: (i64, bool) =
        sqlx::query_as("select sum(events)::bigint, bool_or(exact) from outbox_ops.backlog")
            .fetch_one(&mut connection)
            .await?;
    assert!(long.0 >= 10_000 && !long.1, "{long:?}");
    Ok(())
}

/// Kind, application, name of a prepared one, what it holds back.
type Shown = (String, Option<String>, Option<String>, Vec<String>);

#[tokio::test]
async fn who_holds_what_back_is_shown_with_its_application_and_never_with_its_query() -> Result {
    // GIVEN an appender that idles in its transaction, a prepared transaction, and a reader of something else
    let postgres = Postgres::options().set("max_prepared_transactions", 10);
    let world = World::with_own_servers(postgres, Redis::options()).await?;
    let (mut held, mut prepared, mut other) = (
        world.connect().await?,
        world.connect().await?,
        world.connect().await?,
    );
    held.execute("set application_name = 'shop'").await?;
    let mut appending = held.begin().await?;
    appending.execute("select outbox.append('t', '{}')").await?;
    let mut transaction = other.begin().await?;
    transaction.execute("select 1 from outbox.settings").await?;
    for statement in [
        "set outbox.notify = off",
        "begin",
        "select outbox.append('t', '{}')",
        "prepare transaction 'order-7'",
    ] {
        prepared.execute(statement).await?;
    }
    // WHEN it is looked at
    let mut connection = world.connect().await?;
    let shown: Vec<Shown> = sqlx::query_as(
        "select kind, application, prepared_name, holds_back from outbox_ops.waiting_transactions order by kind desc",
    )
    .fetch_all(&mut connection)
    .await?;
    // THEN both appenders are there, the reader is not, and both keep the relay from sleeping
    let backs = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert_eq!(
        shown[0],
        (
            "transaction".to_owned(),
            Some("shop".to_owned()),
            None,
            backs(&["appends", "sleep"])
        )
    );
    assert_eq!(
        (shown[1].0.as_str(), shown[1].2.as_deref()),
        ("prepared", Some("order-7"))
    );
    assert!(shown[1].3.contains(&"appends".to_owned()), "{shown:?}");
    let text: String = sqlx::query_scalar(
        "select coalesce(string_agg(w::text, ''), '') from outbox_ops.waiting_transactions w",
    )
    .fetch_one(&mut connection)
    .await?;
    assert!(!text.contains("outbox.append"), "{text}");
    prepared.execute("rollback prepared 'order-7'").await?;
    Ok(())
}

#[tokio::test]
async fn a_relay_is_seen_while_it_leads_and_its_lease_is_free_when_it_is_gone() -> Result {
    // GIVEN a relay that leads
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let seen: (bool, String, Vec<String>) =
        until("a relay seen leading", Duration::from_secs(120), async || {
            let query = "select live, state, leases from outbox_ops.relays where state = 'leading'";
            Ok(sqlx::query_as(query).fetch_optional(&mut connection).await?)
        })
        .await?;
    assert_eq!(
        seen,
        (
            true,
            "leading".to_owned(),
            vec!["publish".to_owned(), "tail".to_owned()]
        )
    );
    // WHEN it is stopped THEN nobody leads and summary says so at once
    relay.terminate().await?;
    let (verdict, leader): (String, Option<String>) =
        sqlx::query_as("select verdict, leader from outbox_ops.summary")
            .fetch_one(&mut connection)
            .await?;
    assert_eq!((verdict.as_str(), leader), ("degraded", None));
    Ok(())
}

#[tokio::test]
async fn the_summary_says_why_nobody_leads_when_a_relay_knows() -> Result {
    // GIVEN no relay that leads
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    // WHEN one was seen a moment ago that refuses, THEN its reason is the database's
    connection
        .execute(
            "insert into outbox.relay (instance, host, process_id, version, started_at, seen_at, state, reason)
             values ('a', 'host', 1, '1', now(), now(), 'refused', 'this database went back in time')",
        )
        .await?;
    let summary = "select verdict, reason from outbox_ops.summary";
    let said: (String, String) = sqlx::query_as(summary).fetch_one(&mut connection).await?;
    assert_eq!(said.0, "stalled");
    assert_eq!(said.1, "this database went back in time");
    // WHEN it is gone for long, THEN what is missing is a relay
    connection
        .execute("update outbox.relay set seen_at = now() - interval '1 hour'")
        .await?;
    let said: (String, String) = sqlx::query_as(summary).fetch_one(&mut connection).await?;
    assert!(
        said.0 == "degraded" && said.1.contains("no relay holds the lease"),
        "{said:?}"
    );
    Ok(())
}
