//! How long ids are remembered: the floor is computed from what is configured, refused when set lower, and days that anybody
//! may still need stay.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use system_tests::{Failure, Result, Schema, World};

/// Floor, what is kept, state and reason of the consumer `c`, as texts.
type Window = (Option<String>, Option<String>, String, String);

async fn window(connection: &mut PgConnection) -> Result<Window> {
    Ok(sqlx::query_as(
        "select floor::text, kept::text, state, reason from outbox_ops.inbox_window where consumer = 'c'",
    )
    .fetch_one(connection)
    .await?)
}

async fn refused(connection: &mut PgConnection, statement: &'static str) -> Result<String> {
    let refused = connection.execute(statement).await.err();
    let said = refused.as_ref().and_then(|error| error.as_database_error());
    let said = said.ok_or_else(|| Failure::new(format!("not refused: {statement}")))?;
    assert_eq!(said.code().as_deref(), Some("22023"), "{statement}: {said}");
    Ok(said.message().to_owned())
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

#[tokio::test]
async fn the_floor_is_the_longest_time_after_which_an_event_can_come_again() -> Result {
    // GIVEN a consumer, and settings as they come
    let world = World::with_schema(Schema::Inbox).await?;
    let mut connection = world.connect().await?;
    connection
        .execute("insert into outbox.consumer (name) values ('c')")
        .await?;
    let (floor, kept, state, reason) = window(&mut connection).await?;
    assert_eq!(
        (floor, kept, state.as_str()),
        (text("14 days"), text("30 days"), "ok")
    );
    assert!(reason.contains("redrive_age"), "{reason}");
    // WHEN streams keep their entries for longer than that, THEN so are the ids, whatever was set
    connection
        .execute(
            "insert into outbox.stream_mark (consumer, stream, retention_seconds, published_batch)
                 values ('c', 'outbox:a', 3456000, 1), ('c', 'outbox:b', 60, 1), ('c', 'outbox:old-relay', null, 1)",
        )
        .await?;
    let (floor, kept, state, reason) = window(&mut connection).await?;
    assert_eq!(
        (floor, kept, state.as_str()),
        (text("40 days"), text("40 days"), "raised")
    );
    assert_eq!(reason, "stream outbox:a keeps its entries for 40 days");
    // AND for ever where a stream is never trimmed
    connection
        .execute("update outbox.stream_mark set retention_seconds = 0 where stream = 'outbox:b'")
        .await?;
    let (floor, kept, state, reason) = window(&mut connection).await?;
    assert_eq!((floor, kept, state.as_str()), (None, None, "raised"));
    assert!(reason.contains("outbox:b is never trimmed"), "{reason}");
    Ok(())
}

#[tokio::test]
async fn setting_ids_to_be_kept_for_less_than_the_floor_is_refused_unless_forced() -> Result {
    // GIVEN an operator, and a floor of two weeks
    let world = World::with_schema(Schema::Inbox).await?;
    let mut owner = world.connect().await?;
    owner
        .execute("insert into outbox.consumer (name) values ('c')")
        .await?;
    let name = format!("login_{}", world.log().name());
    owner
        .execute(AssertSqlSafe(format!(
            "create role {name} login in role outbox_operator"
        )))
        .await?;
    let url = world.database_url().replacen("postgres@", &format!("{name}@"), 1);
    let mut operator = PgConnection::connect(&url).await?;
    // WHEN they set less, THEN it is refused with the reason, by the function and by the table itself
    let said = refused(
        &mut operator,
        "select outbox.set_inbox_keep('3 days', 'disk full')",
    )
    .await?;
    assert!(said.contains("14 days") && said.contains("redrive_age"), "{said}");
    refused(&mut owner, "update outbox.inbox_settings set keep = '13 days'").await?;
    refused(&mut operator, "select outbox.set_inbox_keep('90 days', '')").await?;
    // WHEN they force it, THEN it holds, and is kept with who and why
    operator
        .execute("select outbox.set_inbox_keep('3 days', 'disk full', force => true)")
        .await?;
    let (_, kept, state, _) = window(&mut owner).await?;
    assert_eq!((kept, state.as_str()), (text("3 days"), "forced"));
    refused(&mut owner, "update outbox.inbox_settings set keep = '2 days'").await?;
    let audit: (String, String, String) = sqlx::query_as(
        "select actor, action, reason from outbox.consumer_audit order by number desc limit 1",
    )
    .fetch_one(&mut owner)
    .await?;
    assert_eq!(audit, (name, "set inbox keep".to_owned(), "disk full".to_owned()));
    // AND back above the floor nothing is forced any more
    operator
        .execute("select outbox.set_inbox_keep('20 days', 'disk larger')")
        .await?;
    let (_, kept, state, _) = window(&mut owner).await?;
    assert_eq!((kept, state.as_str()), (text("20 days"), "ok"));
    Ok(())
}

/// Days 90 to 60 of consumer `c`, and one of consumer `other`.
const DAYS: &str = "
    insert into outbox.consumer (name) values ('c'), ('other'), ('new');
    select outbox.add_inbox_day(now() - day * interval '1 day') from unnest(array[90, 80, 70, 60]) day;
    insert into outbox.inbox (consumer, source, id, recorded_at, outcome, stream, entry_id, applied_at)
        select 'c', 's', day::text, now() - day * interval '1 day', 'applied', 'x', '1-1', now() - day * interval '1 day'
        from unnest(array[90, 80, 70, 60]) day;
    insert into outbox.inbox (consumer, source, id, recorded_at, outcome, stream, entry_id, applied_at)
        values ('other', 's', 'o', now() - interval '90 days', 'applied', 'x', '1-1', now() - interval '90 days')";

async fn left(connection: &mut PgConnection) -> Result<Vec<String>> {
    Ok(
        sqlx::query_scalar("select id from outbox.inbox where consumer = 'c' order by id")
            .fetch_all(connection)
            .await?,
    )
}

/// Forgets until there is nothing left to forget. Returns how many days went.
async fn forget_all(connection: &mut PgConnection) -> Result<i32> {
    let mut dropped = 0;
    loop {
        match sqlx::query_scalar("select outbox.forget_inbox()")
            .fetch_one(&mut *connection)
            .await?
        {
            0 => return Ok(dropped),
            days => dropped += days,
        }
    }
}

#[tokio::test]
async fn days_of_open_events_stay_and_those_of_closed_letters_go() -> Result {
    // GIVEN old days with a closed letter, an open one and an event that waits
    let world = World::with_schema(Schema::Inbox).await?;
    let mut connection = world.connect().await?;
    connection.execute(DAYS).await?;
    connection
        .execute(
            "insert into outbox.dead_letter (consumer, stream, entry_id, source, id, recorded_at, entry_fields, error_class, error, attempts,
                                             first_failed_at, state)
                 select 'c', 'x', '1-' || day, 's', day::text, now() - day * interval '1 day', '{}', 'handler', 'no', 3, now(), state
                 from (values (80, 'discarded'), (70, 'redriving')) letter (day, state);
             insert into outbox.parked_event (consumer, flow, lane, stream, entry_id, source, id, type, recorded_at, entry_fields)
                 values ('c', 't', 'ka', 'x', '1-60', 's', '60', 't', now() - interval '60 days', '{}')",
        )
        .await?;
    // WHEN what is old is forgotten
    let dropped = forget_all(&mut connection).await?;
    // THEN the days of what is open stay, and each consumer that had ids in a dropped day knows up to when it forgot
    assert_eq!(
        (dropped, left(&mut connection).await?),
        (2, vec!["60".to_owned(), "70".to_owned()])
    );
    let forgotten: Vec<(String, Option<f64>)> = sqlx::query_as(
        "select name, extract(epoch from (date_trunc('day', now() at time zone 'UTC') - (forgotten_until at time zone 'UTC')))::float8 / 86400
         from outbox.consumer order by name",
    )
    .fetch_all(&mut connection)
    .await?;
    let expected = [("c", Some(79.0)), ("new", None), ("other", Some(89.0))];
    assert_eq!(forgotten, expected.map(|(name, days)| (name.to_owned(), days)));
    Ok(())
}

#[tokio::test]
async fn days_stay_that_a_group_still_has_to_read() -> Result {
    // GIVEN a group that came to where the stream was 85 days ago, and a stream that goes further
    let world = World::with_schema(Schema::Inbox).await?;
    let mut connection = world.connect().await?;
    connection.execute(DAYS).await?;
    connection
        .execute(
            "insert into outbox.stream_mark (consumer, stream, retention_seconds, published_batch)
                 values ('c', 'x', 60, (extract(epoch from now() - interval '1 day') * 1000)::bigint);
             insert into outbox.consumer_stream (consumer, stream, passed_batch, passed_position)
                 values ('c', 'x', (extract(epoch from now() - interval '85 days') * 1000)::bigint, 1)",
        )
        .await?;
    let mut forget = async || -> Result<Vec<String>> {
        forget_all(&mut connection).await?;
        left(&mut connection).await
    };
    // WHEN what is old is forgotten, THEN only what it has passed goes
    assert_eq!(forget().await?, ["60", "70", "80"]);
    // AND all of it when it has passed everything
    let mut connection = world.connect().await?;
    connection
        .execute(
            "update outbox.consumer_stream set passed_batch = (extract(epoch from now()) * 1000)::bigint",
        )
        .await?;
    forget_all(&mut connection).await?;
    assert_eq!(left(&mut connection).await?, Vec::<String>::new());
    Ok(())
}

/// A group, what it needs, and whether it holds days by that.
type Needed = (String, String, bool);

/// Group `c` passed everything; `other` came to where the stream was 85 days ago, and has a letter, one that goes back and an
/// event that wait.
const GONE: &str = "
    insert into outbox.stream_mark (consumer, stream, retention_seconds, published_batch)
        select name, 'x', 60, (extract(epoch from now() - interval '1 day') * 1000)::bigint from unnest(array['c', 'other']) name;
    insert into outbox.consumer_stream (consumer, stream, passed_batch, passed_position)
        values ('c', 'x', (extract(epoch from now()) * 1000)::bigint, 1),
               ('other', 'x', (extract(epoch from now() - interval '85 days') * 1000)::bigint, 1);
    insert into outbox.dead_letter (consumer, stream, entry_id, source, id, recorded_at, entry_fields, error_class, error, attempts,
                                    first_failed_at, flow, lane, place, state)
        select 'other', 'x', '1-' || place, 's', 'o' || place, now() - interval '90 days', '{}', 'handler', 'no', 3, now(), 't', 'ka', place, state
        from (values (1, 'redriving'), (2, 'dead')) letter (place, state);
    insert into outbox.operation (consumer, kind, filter, reason, actor, total) values ('other', 'redrive', '{}', 'r', 'p', 2);
    insert into outbox.operation_item (operation, place, dead_letter, state)
        select o.number, d.place, d.number, case d.state when 'dead' then 'waiting' else 'released' end
        from outbox.operation o, outbox.dead_letter d;
    insert into outbox.parked_lane (consumer, flow, lane, state, stream, due_at) values ('other', 't', 'ka', 'draining', 'x', now());
    insert into outbox.inbox (consumer, source, id, recorded_at, outcome, stream, entry_id)
        values ('other', 's', 'o3', now() - interval '60 days', 'parked', 'x', '1-3');
    insert into outbox.parked_event (consumer, flow, lane, place, stream, entry_id, source, id, type, recorded_at, entry_fields, dead_letter)
        select 'other', 't', 'ka', place, 'x', '1-' || place, 's', 'o' || place, 't', now() - age, '{}', letter
        from (values (1, interval '90 days', (select number from outbox.dead_letter where place = 1)), (3, '60 days', null)) e (place, age, letter)";

#[tokio::test]
async fn a_group_that_is_gone_is_named_and_forgotten_and_holds_no_days_any_more() -> Result {
    // GIVEN two groups, one of which is gone, and days that are old enough to go
    let world = World::with_schema(Schema::Inbox).await?;
    let mut connection = world.connect().await?;
    connection.execute(DAYS).await?;
    connection.execute(GONE).await?;
    let needs = "select consumer, coalesce(needed_for, ''), holds from outbox_ops.inbox_window where consumer <> 'new' order by consumer";
    let forget = async || -> Result<(Vec<String>, Vec<Needed>)> {
        let mut connection = world.connect().await?;
        forget_all(&mut connection).await?;
        let needed = sqlx::query_as(needs).fetch_all(&mut connection).await?;
        Ok((left(&mut connection).await?, needed))
    };
    // WHEN what is old is forgotten THEN what it needs stays, and it is named
    let (days, needed) = forget().await?;
    assert_eq!(days, ["60", "70", "80", "90"]);
    let named = |name: &str, why: &str, holds| (name.to_owned(), why.to_owned(), holds);
    assert_eq!(
        needed,
        [
            named("c", "no member looked at stream x since", false),
            named("other", "dead letter 1 is open", true)
        ]
    );
    // WHEN it is to be forgotten while a member runs, or while something waits, THEN it is refused
    connection
        .execute("insert into outbox.consumer_member (consumer, member, host, process_id, version) values ('other', 'm', 'h', 1, 'v')")
        .await?;
    let said = refused(
        &mut connection,
        "select outbox.forget_consumer('other', 'the service is gone', true)",
    )
    .await?;
    assert!(said.contains("member m was seen"), "{said}");
    connection
        .execute("update outbox.consumer_member set seen_at = now() - interval '1 hour'")
        .await?;
    let said = refused(
        &mut connection,
        "select outbox.forget_consumer('other', 'the service is gone')",
    )
    .await?;
    assert!(said.contains("2 open dead letters and 1 parked events"), "{said}");
    refused(
        &mut connection,
        "select outbox.forget_consumer('other', '', true)",
    )
    .await?;
    // WHEN a person forgets it THEN what waited is given up, its letters are rows still, and all days go
    let given_up: i64 =
        sqlx::query_scalar("select outbox.forget_consumer('other', 'the service is gone', true)")
            .fetch_one(&mut connection)
            .await?;
    assert_eq!(given_up, 3);
    let states: (String, String, String) = sqlx::query_as(
        "select (select string_agg(state, ' ' order by number) from outbox.dead_letter),
                (select string_agg(state, ' ' order by place) from outbox.operation_item),
                (select outcome from outbox.inbox where id = 'o3')",
    )
    .fetch_one(&mut connection)
    .await?;
    let expected = ("discarded discarded", "dead dropped", "dead");
    assert_eq!(
        (states.0.as_str(), states.1.as_str(), states.2.as_str()),
        expected
    );
    connection
        .execute("update outbox.inbox set applied_at = recorded_at where id = 'o3'")
        .await?;
    assert_eq!(forget().await?.0, Vec::<String>::new());
    // AND who did it is kept
    let audit: (String, String) =
        sqlx::query_as("select action, target::text from outbox.consumer_audit order by number desc limit 1")
            .fetch_one(&mut connection)
            .await?;
    assert_eq!(
        audit,
        (
            "forget".to_owned(),
            r#"{"streams": 1, "dead letters": 2, "parked events": 1}"#.to_owned()
        )
    );
    Ok(())
}
