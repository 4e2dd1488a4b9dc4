//! Golden bytes, what is refused, and round trips of arbitrary events.

use serde_json::value::RawValue;
use time::macros::datetime;

use super::super::{Data, EntryId, ErrorKind, Event, ExtensionValue};
use super::*;

fn json(text: &str) -> Data {
    Data::Json(RawValue::from_string(text.to_owned()).expect("the test writes JSON"))
}

fn full() -> Event {
    let mut event = Event::new("0199", "/shop", "orders.placed");
    event.subject = Some("order/7".to_owned());
    event.time = Some(datetime!(2026-11-21 04:00 UTC));
    event.data_content_type = Some("application/json".to_owned());
    event.data_schema = Some("https://shop/orders/1".to_owned());
    event.key = Some("7".to_owned());
    event.recorded_at = Some(datetime!(2026-11-21 04:00:00.123456 UTC));
    event.schema_version = Some("1".to_owned());
    event.correlation_id = Some("c".to_owned());
    event.causation_id = Some("p".to_owned());
    event.traceparent = Some("00-a".to_owned());
    event.tracestate = Some("v=1".to_owned());
    event.previous_id = Some(EntryId::new(5, 9));
    event.extensions.insert("zone".to_owned(), "a \"b\"\n".into());
    event.extensions.insert("attempt".to_owned(), 3.into());
    event.extensions.insert("test".to_owned(), true.into());
    event.data = Some(json(r#"{"b": 1.10,  "a":123456789012345678901234567890}"#));
    event
}

const FULL: &str = concat!(
    r#"{"specversion":"1.0","id":"0199","source":"/shop","type":"orders.placed","subject":"order/7","#,
    r#""time":"2026-11-21T04:00:00.000000Z","datacontenttype":"application/json","dataschema":"https://shop/orders/1","#,
    r#""partitionkey":"7","recordedtime":"2026-11-21T04:00:00.123456Z","schemaversion":"1","correlationid":"c","#,
    r#""causationid":"p","traceparent":"00-a","tracestate":"v=1","previousid":"5-9","#,
    r#""attempt":3,"test":true,"zone":"a \"b\"\n","#,
    r#""data":{"b": 1.10,  "a":123456789012345678901234567890}}"#
);

#[test]
fn structured_bytes_are_as_documented() {
    assert_eq!(String::from_utf8(structured(&full())).expect("UTF-8"), FULL);
    assert_eq!(decode_structured(FULL.as_bytes()), Ok(full()));
}

#[test]
fn binary_fields_are_as_documented() {
    let fields = binary(&full());
    let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names.join(" "),
        "ce_specversion ce_id ce_source ce_type ce_subject ce_time content-type ce_dataschema ce_partitionkey \
         ce_recordedtime ce_schemaversion ce_correlationid ce_causationid ce_traceparent ce_tracestate ce_previousid \
         ce_attempt ce_test ce_zone data"
    );
    assert_eq!(
        fields.last().expect("data").1,
        br#"{"b": 1.10,  "a":123456789012345678901234567890}"#
    );
    // Types of extensions are lost in this mode, nothing else.
    let mut expected = full();
    for value in expected.extensions.values_mut() {
        *value = ExtensionValue::String(value.to_string());
    }
    assert_eq!(decode_entry(&entry(fields)), Ok(expected));
}

fn entry(fields: Vec<(String, Vec<u8>)>) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields
        .into_iter()
        .map(|(name, value)| (name.into_bytes(), value))
        .collect()
}

#[test]
fn bytes_travel_as_base64_and_as_they_are() {
    for size in 0..5_u8 {
        let mut event = Event::new("1", "/s", "t");
        event.data_content_type = Some("application/octet-stream".to_owned());
        event.data = Some(Data::Binary((0..size).map(|n| 250 + n).collect()));
        assert_eq!(decode_structured(&structured(&event)).as_ref(), Ok(&event));
        assert_eq!(decode_entry(&entry(binary(&event))).as_ref(), Ok(&event));
    }
}

#[test]
fn a_json_string_under_a_text_type_is_that_text() {
    let mut event = Event::new("1", "/s", "t");
    event.data_content_type = Some("text/plain; charset=utf-8".to_owned());
    event.data = Some(json(r#""hé\n""#));
    let text = Some(Data::Text("hé\n".to_owned()));
    assert_eq!(
        decode_structured(&structured(&event)).expect("an event").data,
        text
    );
    assert_eq!(decode_entry(&entry(binary(&event))).expect("an event").data, text);
}

#[test]
fn foreign_events_are_accepted() {
    let event = decode_structured(
        br#" {"data":null,"type":"t","id":"\u0031","source":"s","specversion":"1.0","schemaversion":2,
              "subject":null,"time":"2026-11-21T06:00:00.123456789+02:00","level":1.5,"deep":{"a":[1]}} "#,
    )
    .expect("an event");
    assert_eq!(
        (
            event.id.as_str(),
            event.schema_version.as_deref(),
            event.subject.as_deref()
        ),
        ("1", Some("2"), None)
    );
    assert_eq!(event.time, Some(datetime!(2026-11-21 04:00:00.123456789 UTC)));
    assert_eq!((event.previous_id, event.recorded_at), (None, None));
    assert_eq!(event.extensions["level"], "1.5".into());
    assert_eq!(event.extensions["deep"], r#"{"a":[1]}"#.into());
    assert_eq!(event.data, Some(json("null")));
}

#[test]
fn what_is_no_event_is_refused_by_field() {
    let cases: [(&str, &str); 12] = [
        (
            "",
            "event: must be one JSON object in UTF-8, is not: broken at line 1 column 0",
        ),
        (
            "[]",
            "event: must be one JSON object in UTF-8, is not: broken at line 1 column 0",
        ),
        (
            r#"{"id":"1","source":"s","type":"t"}"#,
            "specversion: must be present, is missing",
        ),
        (
            r#"{"specversion":"0.3","id":"1","source":"s","type":"t"}"#,
            "specversion: must be 1.0, got \"0.3\"",
        ),
        (
            r#"{"specversion":"1.0","source":"s","type":"t"}"#,
            "id: must be present, is missing",
        ),
        (
            r#"{"specversion":"1.0","id":7,"source":"s","type":"t"}"#,
            "id: must be a string",
        ),
        (
            r#"{"specversion":"1.0","id":"","source":"s","type":"t"}"#,
            "id: must not be empty",
        ),
        (
            r#"{"specversion":"1.0","id":"1","id":"2","source":"s","type":"t"}"#,
            "id: must come once, comes twice",
        ),
        (
            r#"{"specversion":"1.0","id":"1","source":"s","type":"t","time":"x"}"#,
            "time: must be a time as in RFC 3339",
        ),
        (
            r#"{"specversion":"1.0","id":"1","source":"s","type":"t","previousid":"x"}"#,
            "previousid: must be an entry id: a stream entry id is <number>-<number>, each of 64 bits",
        ),
        (
            r#"{"specversion":"1.0","id":"1","source":"s","type":"t","data":1,"data_base64":"AA=="}"#,
            "data and data_base64: must come once, comes twice",
        ),
        (
            r#"{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"?"}"#,
            "data_base64: must be a string in base64",
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(
            decode_structured(bytes.as_bytes()).expect_err(bytes).to_string(),
            expected,
            "{bytes}"
        );
    }
    // Found by the fuzzer: as an extension it became the payload when it was written again.
    for name in ["ce_data", "ce_data_base64"] {
        let fields = [
            ("ce_specversion", "1.0"),
            ("ce_id", "1"),
            ("ce_source", "s"),
            ("ce_type", "t"),
            (name, "1"),
        ];
        let fields = fields.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        let error = decode_entry(&fields).expect_err(name).to_string();
        assert_eq!(
            error,
            format!("{name}: is no attribute; the payload is in the field data")
        );
    }
    assert_eq!(decode_entry(&[]).expect_err("empty").kind, ErrorKind::NotAnEvent);
    assert_eq!(
        decode_entry(&[(b"x".to_vec(), b"y".to_vec())])
            .expect_err("strange")
            .kind,
        ErrorKind::NotAnEvent
    );
}
