//! Editing, the audit, and states that only go forward.

use outbox_core::dead_letter;
use serde_json::value::RawValue;
use sqlx::Executor;
use system_tests::{Failure, Result};

use super::desk::{Desk, of_key, refused};

fn data(json: &str) -> Result<Box<RawValue>> {
    Ok(RawValue::from_string(json.to_owned())?)
}

#[tokio::test]
async fn an_edit_changes_the_data_and_nothing_else_of_the_entry() -> Result {
    // GIVEN letters of entries in both modes, with members that are not ours and numbers that must not be touched
    let desk = Desk::new().await?;
    desk.run(
        r#"select die(1, 'a'); select die(2, 'b'); select die(3, 'c'); select die(4, 'd');
         alter table outbox.dead_letter disable trigger entry_stays;
         update outbox.dead_letter set entry_fields = array['event'::bytea, convert_to(
             '{ "specversion":"1.0", "id":"event-1","source":"/shop", "type":"orders.placed","weight": 1.500, "data": {"old": true},"note":"a"}', 'UTF8'),
             'other'::bytea, '\xff'::bytea] where number = 1;
         update outbox.dead_letter set entry_fields = array['ce_id'::bytea, 'event-2'::bytea, 'data'::bytea, 'old'::bytea, 'content-type'::bytea, 'text/plain'::bytea,
             'ce_type'::bytea, 'orders.placed'::bytea] where number = 2;
         update outbox.dead_letter set entry_fields = array['event'::bytea, convert_to(
             '{"specversion":"1.0","id":"event-3","source":"/shop","type":"t","datacontenttype":"application/octet-stream","data_base64":"AAE="}', 'UTF8')] where number = 3;
         update outbox.dead_letter set entry_fields = array['event'::bytea, convert_to(
             '{"specversion":"1.0","id":"event-4","source":"/shop","type":"t","datacontenttype":"application/vnd.order+json; v=2"}', 'UTF8')] where number = 4;
         alter table outbox.dead_letter enable trigger entry_stays"#,
    )
    .await?;
    // WHEN each gets other data
    let mut connection = desk.pool.acquire().await?;
    for number in 1..=4 {
        dead_letter::edit(&mut connection, number, &data(r#"{"new":  1.10}"#)?, "typo").await?;
    }
    // THEN the rest is as it was, byte for byte, and a media type that is not JSON is gone
    let fields: Vec<Vec<Vec<u8>>> =
        sqlx::query_scalar("select edited_fields from outbox.dead_letter order by number")
            .fetch_all(&desk.pool)
            .await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(
        text(&fields[0][1]),
        r#"{"specversion":"1.0","id":"event-1","source":"/shop","type":"orders.placed","weight":1.500,"note":"a","data":{"new":  1.10}}"#
    );
    assert_eq!(fields[0][2..], [b"other".to_vec(), vec![0xff]]);
    let binary: Vec<String> = fields[1].iter().map(|field| text(field)).collect();
    assert_eq!(
        binary,
        [
            "ce_id",
            "event-2",
            "ce_type",
            "orders.placed",
            "data",
            r#"{"new":  1.10}"#
        ]
    );
    assert_eq!(
        text(&fields[2][1]),
        r#"{"specversion":"1.0","id":"event-3","source":"/shop","type":"t","data":{"new":  1.10}}"#
    );
    assert!(text(&fields[3][1]).contains("application/vnd.order+json; v=2"));
    // AND the library reads both, what came and what it became
    let letter = dead_letter::whole(&mut connection, 3)
        .await?
        .ok_or_else(|| Failure::new("no letter 3"))?;
    let edited = letter.edited_event().transpose().ok().flatten();
    assert!(edited.is_some_and(|event| event.id == "event-3") && letter.event().is_ok());
    Ok(())
}

#[tokio::test]
async fn only_a_dead_letter_that_is_an_event_can_be_edited() -> Result {
    // GIVEN a letter on its way back, one that is no event, and none
    let desk = Desk::new().await?;
    desk.run(
        "select die(1, 'a');
         insert into outbox.dead_letter (consumer, stream, entry_id, flow, lane, entry_fields, error_class, error, error_kind, attempts, first_failed_at)
         values ('stock', 'outbox:orders.placed', '1-9', 'orders.placed', 'e1-9', array['event'::bytea, 'x'::bytea], 'unreadable', 'no JSON', 'unreadable', 1, now())",
    )
    .await?;
    let operation = desk.redrive(&of_key("a")).await?;
    desk.release(operation).await?;
    // WHEN they are edited, THEN each is refused with its reason and nothing is audited
    let mut connection = desk.pool.acquire().await?;
    for (number, code, word) in [
        (1, "55000", "redriving"),
        (2, "55000", "no event"),
        (3, "P0002", "no dead letter 3"),
    ] {
        let (seen, said) = refused(dead_letter::edit(&mut connection, number, &data("{}")?, "typo").await)?;
        assert!(seen == code && said.contains(word), "{said}");
    }
    let edits: i64 = desk
        .value("select count(*) from outbox.consumer_audit where action = 'edit'")
        .await?;
    assert_eq!(edits, 0);
    Ok(())
}

#[tokio::test]
async fn every_change_is_audited_with_who_and_why_and_the_audit_stays() -> Result {
    // GIVEN one of each change
    let desk = Desk::new().await?;
    desk.run("select die(1, 'a'); select die(2, 'b')").await?;
    let mut connection = desk.pool.acquire().await?;
    dead_letter::edit(&mut connection, 1, &data("{}")?, "a typo").await?;
    let operation = desk.redrive(&of_key("a")).await?;
    dead_letter::cancel(&mut connection, operation, "too early").await?;
    dead_letter::resume(&mut connection, operation, "now").await?;
    dead_letter::discard(&mut connection, &of_key("b"), "test data", false).await?;
    // WHEN the audit is read
    let rows: Vec<(String, String, String)> =
        sqlx::query_as("select actor, action, reason from outbox_ops.audit order by number")
            .fetch_all(&desk.pool)
            .await?;
    // THEN it says all of it
    let said: Vec<(&str, &str)> = rows
        .iter()
        .map(|(_, action, reason)| (action.as_str(), reason.as_str()))
        .collect();
    assert_eq!(
        said,
        [
            ("edit", "a typo"),
            ("redrive", "mended"),
            ("cancel", "too early"),
            ("resume", "now"),
            ("discard", "test data")
        ]
    );
    assert!(rows.iter().all(|(actor, ..)| actor == "postgres"));
    // AND nobody changes it, not even its owner
    for statement in [
        "update outbox.consumer_audit set reason = 'other'",
        "delete from outbox.consumer_audit",
    ] {
        let error = desk
            .pool
            .execute(statement)
            .await
            .err()
            .ok_or_else(|| Failure::new(statement))?;
        assert!(error.to_string().contains("append-only"), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn states_only_go_forward() -> Result {
    // GIVEN a letter that was applied, one that was discarded, and a finished operation
    let desk = Desk::new().await?;
    desk.run("select die(1, 'a'); select die(2, 'b')").await?;
    let operation = desk.redrive(&of_key("a")).await?;
    desk.release(operation).await?;
    desk.drain(&[]).await?;
    desk.release(operation).await?;
    let mut connection = desk.pool.acquire().await?;
    dead_letter::discard(&mut connection, &of_key("b"), "test data", false).await?;
    // WHEN someone turns them back, even the owner, THEN the database refuses
    for statement in [
        "update outbox.dead_letter set state = 'redriving' where number = 1",
        "update outbox.dead_letter set state = 'redriving' where number = 2",
        "update outbox.dead_letter set state = 'applied' where number = 2",
        "update outbox.dead_letter set entry_fields = '{}' where number = 1",
        "update outbox.operation set state = 'running'",
        "update outbox.operation set state = 'cancelled'",
        "update outbox.operation_item set state = 'waiting'",
        "update outbox.operation_item set state = 'released'",
    ] {
        let error = desk
            .pool
            .execute(statement)
            .await
            .err()
            .ok_or_else(|| Failure::new(statement))?;
        let code = error.as_database_error().and_then(|error| error.code());
        assert_eq!(code.as_deref(), Some("23514"), "{statement}: {error}");
    }
    Ok(())
}
