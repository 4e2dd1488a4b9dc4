use serde_json::{Value, json};
use time::macros::datetime;

use super::*;

fn letter(fields: &[(&str, &[u8])]) -> Letter {
    let at = datetime!(2026-11-20 12:00 UTC);
    let fields: Vec<(Vec<u8>, Vec<u8>)> = fields
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec()))
        .collect();
    Letter {
        summary: Summary {
            number: 7,
            consumer: "stock".to_owned(),
            state: State::Dead,
            topic: "orders.placed".to_owned(),
            stream: "outbox:orders.placed".to_owned(),
            entry_id: "1-1".to_owned(),
            source: Some("/shop".to_owned()),
            id: Some("event-1".to_owned()),
            r#type: Some("orders.placed".to_owned()),
            schema_version: None,
            key: Some("7".to_owned()),
            recorded_at: Some(at),
            fingerprint: "0011223344556677".to_owned(),
            error_kind: Kind::Transient,
            error_class: "handler".to_owned(),
            attempts: 3,
            first_failed_at: at,
            dead_at: at,
            redrives: 0,
            edited_at: None,
            edited_by: None,
            holds_key: true,
            waiting_events: 2,
            last_operation: None,
            changed_at: at,
        },
        error: "no such item".to_owned(),
        history: vec![Attempt {
            number: 3,
            failed_at: at,
            seconds: Some(0.5),
            class: "handler".to_owned(),
            error: "no such item".to_owned(),
        }],
        fields,
        edited_fields: None,
    }
}

#[test]
fn an_event_is_exported_on_one_line_with_its_data_as_it_came() {
    let event = br#"{"specversion":"1.0","id":"event-1","source":"/shop","type":"orders.placed","data":{
        "price": 1.10,  "note": "a\nb" } }"#;
    let line = letter(&[("event", event)]).to_json();
    assert!(!line.contains('\n'), "{line}");
    assert!(
        line.contains(r#"{         "price": 1.10,  "note": "a\nb" }"#),
        "{line}"
    );
    let read: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(read["event"]["id"], "event-1");
    assert_eq!(read["history"][0]["error"], "no such item");
    assert_eq!(read["waiting_events"], 2);
    assert_eq!(read.get("fields"), None);
}

#[test]
fn what_is_no_event_is_exported_as_its_bytes() {
    let line = letter(&[("event", b"\xff{"), ("other", b"x")]).to_json();
    let read: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(
        read["fields"],
        json!([
            { "name_base64": "ZXZlbnQ=", "value_base64": "/3s=" },
            { "name_base64": "b3RoZXI=", "value_base64": "eA==" }
        ])
    );
    assert_eq!(read.get("event"), None);
}

#[test]
fn debugging_shows_neither_payload_nor_error() {
    let shown = format!("{:?}", letter(&[("event", b"secret")]));
    assert!(
        !shown.contains("secret") && !shown.contains("no such item"),
        "{shown}"
    );
}
