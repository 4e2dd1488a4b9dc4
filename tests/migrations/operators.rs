//! Who may see and change what of dead letters, and letters from before there were lanes.

use outbox_migrations::{Set, State, status};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use system_tests::{Result, Schema, World};

/// A letter of key `customer 7` that holds it, one that does not, and an event that waits.
const LETTERS: &str = r#"
    select outbox.add_inbox_day('2026-11-20');
    insert into outbox.consumer (name) values ('stock');
    insert into outbox.inbox (consumer, source, id, recorded_at, outcome, stream, entry_id)
    values ('stock', '/shop', 'one', '2026-11-20', 'dead', 'outbox:orders', '1-1'), ('stock', '/shop', 'two', '2026-11-20', 'parked', 'outbox:orders', '1-2');
    insert into outbox.dead_letter (consumer, stream, entry_id, flow, lane, source, id, type, key, recorded_at, entry_fields, error_class, error, fingerprint,
                                    attempts, first_failed_at)
    values ('stock', 'outbox:orders', '1-1', 'orders', 'kcustomer 7', '/shop', 'one', 'orders.placed', 'customer 7', '2026-11-20',
            array['event'::bytea, '{"specversion":"1.0","id":"one","source":"/shop","type":"orders.placed","data":{}}'::bytea], 'handler', 'the payload was secret', 'f', 3, now());
    insert into outbox.parked_lane (consumer, flow, lane, state, stream) values ('stock', 'orders', 'kcustomer 7', 'dead', 'outbox:orders');
    insert into outbox.parked_event (consumer, flow, lane, stream, entry_id, source, id, type, key, recorded_at, entry_fields, attempts, history)
    values ('stock', 'orders', 'kcustomer 7', 'outbox:orders', '1-2', '/shop', 'two', 'orders.placed', 'customer 7', '2026-11-20', array['event'::bytea, '{}'::bytea], 1,
            '[{"number": 1, "failed_at": "2026-11-20T12:00:00Z", "class": "handler", "error": "the payload was secret"}]')"#;

/// Every view of consumers.
const VIEWS: [&str; 10] = [
    "inbox",
    "inbox_days",
    "consumers",
    "consumer_partitions",
    "parked_keys",
    "retries",
    "dead_letter_groups",
    "dead_letters",
    "operations",
    "audit",
];

/// A login with these roles.
async fn login(world: &World, roles: &str) -> Result<PgConnection> {
    let name = format!("{}_{}", roles.replace(", ", "_"), world.log().name());
    let in_roles = if roles.is_empty() {
        String::new()
    } else {
        format!("in role {roles}")
    };
    let create = format!("create role \"{name}\" login {in_roles}");
    world.connect().await?.execute(AssertSqlSafe(create)).await?;
    let url = world.database_url().replacen("postgres@", &format!("{name}@"), 1);
    Ok(PgConnection::connect(&url).await?)
}

async fn refused(connection: &mut PgConnection, statement: &'static str) -> Result<Option<String>> {
    let mut transaction = connection.begin().await?;
    let outcome = transaction.execute(statement).await;
    let code = outcome
        .err()
        .and_then(|error| Some(error.as_database_error()?.code()?.into_owned()));
    transaction.rollback().await?;
    Ok(code)
}

/// What a role may do with each statement: nothing in the way, or the code of what is.
async fn answers(connection: &mut PgConnection, statements: &[&'static str]) -> Result<Vec<Option<String>>> {
    let mut answers = Vec::new();
    for statement in statements {
        answers.push(refused(connection, statement).await?);
    }
    Ok(answers)
}

const READS: [&str; 3] = [
    "select outbox.select_dead_letters('{\"consumer\": \"stock\"}')",
    "select error, entry_fields from outbox.dead_letter",
    "select outbox.preview_redrive('{\"fingerprint\": \"f\"}')",
];
const CHANGES: [&str; 5] = [
    "select outbox.redrive('{\"fingerprint\": \"f\"}', 'mended')",
    "select outbox.edit_dead_letter(1, '{}', 'typo')",
    "select outbox.discard_dead_letters('{\"fingerprint\": \"f\"}', 'test data')",
    "select outbox.cancel_operation(1, 'stop')",
    "select outbox.resume_operation(1, 'go')",
];
/// What nobody but the functions may do.
const INSIDES: [&str; 9] = [
    "select outbox.put_back(1)",
    "select outbox.redrivable('{}')",
    "update outbox.dead_letter set entry_fields = '{}'",
    "delete from outbox.dead_letter",
    "insert into outbox.consumer_audit (action, consumer, reason) values ('redrive', 'stock', 'I was not here')",
    "delete from outbox.consumer_audit",
    "insert into outbox.operation (kind, consumer, reason, total) values ('redrive', 'stock', 'x', 0)",
    "insert into outbox.operation_item (operation, place, dead_letter) values (1, 1, 1)",
    "select outbox.let_lane_go_on(l, true, 1) from outbox.parked_lane l",
];

#[tokio::test]
async fn an_observer_sees_every_view_and_neither_keys_nor_payloads_nor_what_handlers_said() -> Result {
    // GIVEN dead letters and an operation on a key
    let world = World::with_schema(Schema::Inbox).await?;
    world.connect().await?.execute(LETTERS).await?;
    world
        .connect()
        .await?
        .execute("select outbox.redrive('{\"key\": \"customer 7\"}', 'mended')")
        .await?;
    // WHEN an observer reads every view
    let mut observer = login(&world, "outbox_observer").await?;
    let mut rows = 0;
    for view in VIEWS {
        let read = format!("select row_to_json(v)::text from outbox_ops.{view} v");
        let shown: Vec<String> = sqlx::query_scalar(AssertSqlSafe(read))
            .fetch_all(&mut observer)
            .await?;
        rows += shown.len();
        // THEN nothing of business data is in it
        let text = shown.join("\n");
        assert!(
            !text.contains("customer 7") && !text.contains("secret"),
            "{view}: {text}"
        );
    }
    assert!(rows > 6, "only {rows} rows were seen: nothing was shown");
    // AND a filter by key finds nothing, one by group does
    let by_key: i64 =
        sqlx::query_scalar("select count(*) from outbox.select_dead_letters('{\"key\": \"customer 7\"}')")
            .fetch_one(&mut observer)
            .await?;
    let by_group: i64 =
        sqlx::query_scalar("select count(*) from outbox.select_dead_letters('{\"fingerprint\": \"f\"}')")
            .fetch_one(&mut observer)
            .await?;
    assert_eq!((by_key, by_group), (0, 1));
    // AND it changes nothing and reads no letter whole
    let denied = Some("42501".to_owned());
    assert_eq!(
        answers(&mut observer, &READS).await?,
        [None, denied.clone(), denied.clone()]
    );
    assert_eq!(answers(&mut observer, &CHANGES).await?, vec![denied.clone(); 5]);
    assert_eq!(answers(&mut observer, &INSIDES).await?, vec![denied; 9]);
    Ok(())
}

#[tokio::test]
async fn an_operator_sees_keys_and_changes_letters_through_the_functions_alone() -> Result {
    // GIVEN dead letters
    let world = World::with_schema(Schema::Inbox).await?;
    world.connect().await?.execute(LETTERS).await?;
    // WHEN an operator looks, THEN keys are there in every view that has them
    let mut operator = login(&world, "outbox_operator").await?;
    for view in ["dead_letters", "parked_keys", "retries"] {
        let read = format!("select key from outbox_ops.{view}");
        let keys: Vec<Option<String>> = sqlx::query_scalar(AssertSqlSafe(read))
            .fetch_all(&mut operator)
            .await?;
        assert_eq!(keys, [Some("customer 7".to_owned())], "{view}");
    }
    for view in VIEWS {
        operator
            .execute(AssertSqlSafe(format!("select * from outbox_ops.{view}")))
            .await?;
    }
    // AND each function does its work, while the tables themselves are out of reach
    let denied = Some("42501".to_owned());
    assert_eq!(answers(&mut operator, &READS).await?, [None, None, None]);
    let (nothing, no_such) = (None, Some("P0002".to_owned()));
    assert_eq!(
        answers(&mut operator, &CHANGES).await?,
        [
            nothing.clone(),
            nothing.clone(),
            nothing,
            no_such.clone(),
            no_such
        ]
    );
    assert_eq!(answers(&mut operator, &INSIDES).await?, vec![denied.clone(); 9]);
    assert_eq!(
        refused(&mut operator, "select outbox.release_redrive_items(1)").await?,
        denied
    );
    // AND the audit names the login, not the owner of the function
    operator
        .execute("select outbox.redrive('{\"fingerprint\": \"f\"}', 'mended')")
        .await?;
    let who: (String, String) = sqlx::query_as("select actor, session_user::text from outbox_ops.audit")
        .fetch_one(&mut operator)
        .await?;
    assert_eq!(who.0, who.1);
    Ok(())
}

#[tokio::test]
async fn a_consumer_carries_redrives_out_and_begins_none() -> Result {
    // GIVEN a redrive that an operator asked for
    let world = World::with_schema(Schema::Inbox).await?;
    world.connect().await?.execute(LETTERS).await?;
    let mut consumer = login(&world, "outbox_consumer").await?;
    let denied = Some("42501".to_owned());
    assert_eq!(answers(&mut consumer, &CHANGES).await?, vec![denied.clone(); 5]);
    world
        .connect()
        .await?
        .execute("select outbox.redrive('{\"fingerprint\": \"f\"}', 'mended')")
        .await?;
    // WHEN a member puts back and settles
    let released: i32 = sqlx::query_scalar("select outbox.release_redrive_items(1)")
        .fetch_one(&mut consumer)
        .await?;
    consumer
        .execute(
            "update outbox.dead_letter set state = 'applied', changed_at = now() where number = 1;
             update outbox.operation_item set state = 'applied' where dead_letter = 1 and state = 'released';
             select outbox.release_redrive_items(1)",
        )
        .await?;
    // THEN the operation is finished, and the insides are out of its reach too
    assert_eq!(released, 1);
    let state: String = sqlx::query_scalar("select state from outbox_ops.operations")
        .fetch_one(&mut consumer)
        .await?;
    assert_eq!(state, "finished");
    assert_eq!(answers(&mut consumer, &INSIDES).await?, vec![denied; 9]);
    Ok(())
}

#[tokio::test]
async fn a_login_without_a_role_sees_nothing() -> Result {
    // GIVEN dead letters and a login that nobody granted anything
    let world = World::with_schema(Schema::Inbox).await?;
    world.connect().await?.execute(LETTERS).await?;
    let mut nobody = login(&world, "").await?;
    // WHEN it looks and changes, THEN all of it is refused
    let denied = Some("42501".to_owned());
    assert_eq!(answers(&mut nobody, &READS).await?, vec![denied.clone(); 3]);
    assert_eq!(answers(&mut nobody, &CHANGES).await?, vec![denied.clone(); 5]);
    assert_eq!(answers(&mut nobody, &INSIDES).await?, vec![denied.clone(); 9]);
    assert_eq!(
        refused(&mut nobody, "select * from outbox_ops.dead_letters").await?,
        denied
    );
    Ok(())
}

#[tokio::test]
async fn letters_of_an_older_version_get_a_lane_a_place_and_a_group() -> Result {
    // GIVEN a database of the version before, with letters
    let world = World::with_schema(Schema::Empty).await?;
    let mut connection = world.connect().await?;
    connection.execute("create schema outbox").await?;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations/sql/inbox");
    let mut files: Vec<_> = std::fs::read_dir(folder)?.collect::<std::result::Result<Vec<_>, _>>()?;
    files.sort_by_key(std::fs::DirEntry::file_name);
    let steps: Vec<String> = files
        .iter()
        .map(|file| std::fs::read_to_string(file.path()))
        .collect::<std::result::Result<_, _>>()?;
    for step in &steps[..2] {
        connection.execute(AssertSqlSafe(step.clone())).await?;
    }
    connection
        .execute(
            "insert into outbox.dead_letter (consumer, stream, entry_id, source, id, type, key, entry_fields, error_class, error, attempts, first_failed_at)
             values ('stock', 'outbox:orders.placed', '1-1', '/shop', 'one', 'orders.placed', 'a', '{}', 'handler', 'no item 1', 3, now()),
                    ('stock', 'live:outbox:orders.placed@north', '1-2', '/shop', 'two', 'orders.placed', null, '{}', 'handler', 'no item 2', 3, now()),
                    ('stock', 'outbox:orders.placed', '1-3', null, null, null, null, '{}', 'unreadable', 'no JSON', 1, now());
             insert into outbox.consumer_lease (consumer, stream) values ('stock', 'outbox:orders.placed')",
        )
        .await?;
    // WHEN the later steps are applied
    for step in &steps[2..] {
        connection.execute(AssertSqlSafe(step.clone())).await?;
    }
    // THEN each knows its topic, its lane, its turn and what it died of
    let rows: Vec<(String, String, String)> =
        sqlx::query_as("select flow, lane, error_kind from outbox.dead_letter order by place")
            .fetch_all(&mut connection)
            .await?;
    let row = |flow: &str, lane: &str, kind: &str| (flow.to_owned(), lane.to_owned(), kind.to_owned());
    assert_eq!(
        rows,
        [
            row("orders.placed", "ka", "transient"),
            row("orders.placed@north", "e1-2", "transient"),
            row("orders.placed", "e1-3", "unreadable")
        ]
    );
    let groups: Vec<i64> =
        sqlx::query_scalar("select letters from outbox_ops.dead_letter_groups order by letters")
            .fetch_all(&mut connection)
            .await?;
    assert_eq!(groups, [1, 2]);
    // AND the first one can go back, its key having gone on without it
    connection
        .execute("select outbox.redrive('{\"numbers\": [1]}', 'mended')")
        .await?;
    let released: i32 = sqlx::query_scalar("select outbox.release_redrive_items(1)")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(released, 1);
    // AND the record of migrations is not of this: nobody used it
    let state = status(&mut connection, Set::Inbox).await?.state();
    assert_eq!(state, State::Absent);
    Ok(())
}
