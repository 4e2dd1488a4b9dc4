//! The SDK as a second implementation: both directions agree, and where they do not is listed.

use cloudevents::{AttributesReader as _, EventBuilder as _, EventBuilderV10};
use serde_json::value::RawValue;
use time::macros::datetime;

use super::super::{EntryId, envelope};
use super::*;

fn json(text: &str) -> Data {
    Data::Json(RawValue::from_string(text.to_owned()).expect("the test writes JSON"))
}

fn event(content_type: Option<&str>, data: Option<Data>) -> Event {
    let mut event = Event::new("0199", "/shop", "orders.placed");
    event.data_content_type = content_type.map(str::to_owned);
    event.data = data;
    event
}

fn full(content_type: Option<&str>, data: Option<Data>) -> Event {
    let mut event = event(content_type, data);
    event.subject = Some("order/7".to_owned());
    event.time = Some(datetime!(2026-11-21 04:00:00.5 UTC));
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
    event
}

/// Payloads that the SDK holds without loss.
fn plain() -> Vec<Event> {
    vec![
        full(Some("application/json"), Some(json(r#"{"a":[1,2.5,null,"é"]}"#))),
        full(None, Some(json("7"))),
        full(Some("application/vnd.shop+json"), Some(json("\"text\""))),
        full(Some("text/plain"), Some(Data::Text("hé\n".to_owned()))),
        full(
            Some("application/octet-stream"),
            Some(Data::Binary(vec![0, 255, 7])),
        ),
        event(None, None),
    ]
}

#[test]
fn it_reads_what_we_write_as_the_conversion_says() {
    for ours in plain() {
        let read: SdkEvent = serde_json::from_slice(&envelope::structured(&ours)).expect("the SDK reads it");
        assert_eq!(SdkEvent::try_from(&ours), Ok(read), "{ours:?}");
    }
}

#[test]
fn we_read_what_it_writes() {
    for ours in plain() {
        let sdk = SdkEvent::try_from(&ours).expect("plain");
        let written = serde_json::to_vec(&sdk).expect("the SDK writes it");
        assert_eq!(envelope::decode_structured(&written).as_ref(), Ok(&ours));
        assert_eq!(Event::try_from(sdk), Ok(ours));
    }
}

#[test]
fn difference_it_refuses_valid_json_media_types() {
    for content_type in ["application/JSON", "application/vnd.x+json; charset=utf-8"] {
        let ours = event(Some(content_type), Some(json(r#"{"a":1}"#)));
        let bytes = envelope::structured(&ours);
        assert!(
            serde_json::from_slice::<SdkEvent>(&bytes).is_err(),
            "{content_type}: the SDK has learned it"
        );
        assert_eq!(envelope::decode_structured(&bytes).as_ref(), Ok(&ours));
        // The conversion is not hindered by it.
        assert!(SdkEvent::try_from(&ours).is_ok());
    }
}

#[test]
fn difference_it_changes_json_bytes() {
    let ours = event(None, Some(json(r#"{"b": 1.10, "a": 12345678901234567890123}"#)));
    let back = Event::try_from(SdkEvent::try_from(&ours).expect("it holds a double")).expect("an event");
    assert_eq!(back.data, Some(json(r#"{"a":1.2345678901234568e+22,"b":1.1}"#)));
}

#[test]
fn difference_it_cannot_hold_every_event() {
    let huge = event(None, Some(json("1e400")));
    assert_eq!(
        SdkEvent::try_from(&huge)
            .expect_err("no double")
            .to_string()
            .split(':')
            .next(),
        Some("data")
    );
    let mut relative = event(None, None);
    relative.data_schema = Some("/schemas/1".to_owned());
    let refused = SdkEvent::try_from(&relative)
        .expect_err("no absolute URL")
        .to_string();
    assert_eq!(refused, "dataschema: must be an absolute URL in the SDK");
}

#[test]
fn difference_it_builds_what_is_no_event() {
    let empty_id = EventBuilderV10::new()
        .id("")
        .source("/s")
        .ty("t")
        .build()
        .expect("the SDK takes it");
    assert_eq!(
        Event::try_from(empty_id).expect_err("empty").to_string(),
        "id: must not be empty"
    );
    let large = EventBuilderV10::new()
        .id("1")
        .source("/s")
        .ty("t")
        .extension("n", 9_000_000_000_i64);
    let ours = Event::try_from(large.build().expect("the SDK takes it")).expect("an event");
    // Above 32 bits it is no CloudEvents integer: kept as its text.
    assert_eq!(ours.extensions["n"], "9000000000".into());
}

#[test]
fn difference_it_refuses_fractional_extensions_which_we_keep_as_text() {
    let bytes = br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","level":1.5}"#;
    assert!(serde_json::from_slice::<SdkEvent>(bytes).is_err());
    assert_eq!(
        envelope::decode_structured(bytes).expect("an event").extensions["level"],
        "1.5".into()
    );
}

#[test]
fn difference_it_decodes_base64_of_json_data() {
    let ours = event(Some("application/json"), Some(Data::Binary(b"[1]".to_vec())));
    let read: SdkEvent = serde_json::from_slice(&envelope::structured(&ours)).expect("the SDK reads it");
    assert_eq!(
        read.data(),
        Some(&cloudevents::Data::Json(serde_json::json!([1])))
    );
    assert_eq!(read.id(), "0199");
}
