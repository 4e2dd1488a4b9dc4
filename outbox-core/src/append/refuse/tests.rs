//! The rules that need no database. That the database has the same ones is tested against it (tests/path/append.rs).

use time::macros::datetime;
use uuid::Uuid;

use super::*;

fn refused(event: NewEvent) -> String {
    check(&[event], Home::Log, &Limits::default())
        .expect_err("must be refused")
        .to_string()
}

#[test]
fn an_ordinary_event_passes() {
    let event = NewEvent::new("orders.placed")
        .key("7")
        .json(&7)
        .time(datetime!(2026-11-21 04:00 UTC))
        .extension("zone", "a")
        .extension("attempt", 3);
    assert_eq!(
        check(&[event, NewEvent::new("a")], Home::Log, &Limits::default()),
        Ok(())
    );
}

#[test]
fn a_refusal_names_field_rule_and_value() {
    for (event, expected) in [
        (
            NewEvent::new("a b"),
            "topic: must be 1 to 200 of A-Z a-z 0-9 . _ -, got 'a b'",
        ),
        (
            NewEvent::new(""),
            "topic: must be 1 to 200 of A-Z a-z 0-9 . _ -, got ''",
        ),
        (
            NewEvent::new("a").event_type("it's"),
            "type: must be 1 to 200 of A-Z a-z 0-9 . _ -, got 'it''s'",
        ),
        (
            NewEvent::new("a").source(""),
            "source: must be 1 to 1024 bytes, got ''",
        ),
        (
            NewEvent::new("a").key(""),
            "key: must be absent or 1 to 1024 bytes, got ''",
        ),
        (
            NewEvent::new("a").subject("x\0y"),
            "subject: must not contain NUL, got 'x\\0y'",
        ),
        (
            NewEvent::new("a").json_text("{\"a\":\n}"),
            "data: must be valid JSON, broken at line 2 column 1",
        ),
        (
            NewEvent::new("a").json_text("\"\0\""),
            "data: must be valid JSON, broken at line 1 column 1",
        ),
        (
            NewEvent::new("a").extension("Zone", 1),
            "extensions: a name must be 1 to 64 of a-z 0-9, got 'Zone'",
        ),
        (
            NewEvent::new("a").extension("traceparent", "x"),
            "extensions: the name 'traceparent' is reserved",
        ),
        (
            NewEvent::new("a").extension("zone", "\0"),
            "extensions: zone must not contain NUL",
        ),
        (
            NewEvent::new("a").time(datetime!(-44-03-15 00:00 UTC)),
            "time: must be in the years 1 to 9999, got year -44",
        ),
    ] {
        assert_eq!(refused(event), expected);
    }
}

#[test]
fn a_value_without_a_json_form_is_refused() {
    let keyed_by_pairs = std::collections::HashMap::from([((1, 2), 3)]);
    assert_eq!(
        refused(NewEvent::new("a").json(&keyed_by_pairs)),
        "data: must have a JSON form, the value given has none"
    );
}

#[test]
fn payloads_are_bounded_alone_and_together() {
    let limits = Limits {
        payload_bytes_max: 10,
        events_max: 3,
        call_bytes_max: 16,
    };
    let of = |bytes: usize| NewEvent::new("a").binary(vec![0; bytes], "x/y");
    assert_eq!(check(&[of(10)], Home::Log, &limits), Ok(()));
    assert!(
        check(&[of(11)], Home::Log, &limits)
            .expect_err("too large")
            .rule
            .contains("at most 10 bytes")
    );
    let together = check(&[of(8), of(8), of(1)], Home::Log, &limits).expect_err("too much");
    assert_eq!((together.index, together.field), (2, "data"));
    let many = check(&[of(0), of(0), of(0), of(0)], Home::Log, &limits).expect_err("too many");
    assert_eq!(many.to_string(), "events: must be at most 3 in one call, got 4");
    let unbounded = Limits {
        payload_bytes_max: usize::MAX,
        call_bytes_max: usize::MAX,
        ..limits
    };
    let above_the_hard_stop = of(super::super::PAYLOAD_BYTES_HARD_MAX + 1);
    assert!(
        check(&[above_the_hard_stop], Home::Log, &unbounded)
            .expect_err("hard stop")
            .rule
            .contains("at most 16777216 bytes")
    );
}

#[test]
fn one_id_comes_once_in_a_call() {
    let id = Uuid::from_u128(7);
    let refusal = check(
        &[NewEvent::new("a").id(id), NewEvent::new("b").id(id)],
        Home::Log,
        &Limits::default(),
    )
    .expect_err("twice");
    assert_eq!((refusal.index, refusal.field), (1, "id"));
    assert!(
        refusal.rule.contains("00000000-0000-0000-0000-000000000007"),
        "{refusal}"
    );
}

#[test]
fn depth_counts_brackets_outside_strings() {
    assert_eq!(depth(r#"{"a[[[\"[":[1,{"b":[]}],"c":[]}"#), 4);
    let deep = format!("{}{}", "[".repeat(1001), "]".repeat(1001));
    assert_eq!(
        refused(NewEvent::new("a").json_text(deep)),
        "data: must nest at most 1000 levels, nests 1001"
    );
}
