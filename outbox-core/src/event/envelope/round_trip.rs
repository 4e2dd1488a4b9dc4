//! Arbitrary events survive both modes; arbitrary bytes never do harm. A failure prints its seed.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::super::{Data, EntryId, Event, ExtensionValue, is_attribute};
use super::*;

/// With microseconds, as Postgres has, in the years that RFC 3339 can say.
fn instant() -> impl Strategy<Value = OffsetDateTime> {
    (-62_135_596_800_000_000_i64..253_402_300_800_000_000).prop_map(|microseconds| {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(microseconds) * 1000)
            .expect("in the years 1 to 9999")
    })
}

fn text() -> impl Strategy<Value = Option<String>> {
    option::of(any::<String>().prop_filter("what is there is not empty", |text| !text.is_empty()))
}

fn value() -> impl Strategy<Value = ExtensionValue> {
    prop_oneof![
        any::<String>().prop_map(ExtensionValue::String),
        any::<bool>().prop_map(ExtensionValue::Boolean),
        any::<i32>().prop_map(ExtensionValue::Integer),
    ]
}

/// JSON in its awkward forms, nested.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?",
        any::<String>().prop_map(|text| serde_json::to_string(&text).expect("text has a JSON form")),
        Just(r#""\u0000\ud83d\/""#.to_owned()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let space = "[ \n\t]{0,2}";
        prop_oneof![
            (vec(inner.clone(), 0..4), space)
                .prop_map(|(items, space)| format!("[{}]", items.join(&format!(",{space}")))),
            (vec(("[a-c]", inner), 0..4), space).prop_map(|(members, space)| {
                let members: Vec<_> = members
                    .iter()
                    .map(|(key, value)| format!("\"{key}\":{space}{value}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

fn payload() -> impl Strategy<Value = (Option<String>, Option<Data>)> {
    let of_json = prop_oneof![
        Just(None),
        Just(Some("application/json".to_owned())),
        Just(Some("Application/x+JSON; charset=utf-8".to_owned())),
    ];
    let raw = json().prop_map(|json| RawValue::from_string(json).expect("the strategy writes JSON"));
    prop_oneof![
        (of_json.clone(), raw).prop_map(|(content_type, raw)| (content_type, Some(Data::Json(raw)))),
        any::<String>().prop_map(|text| (Some("text/plain".to_owned()), Some(Data::Text(text)))),
        vec(any::<u8>(), 0..200).prop_map(|bytes| (Some("image/png".to_owned()), Some(Data::Binary(bytes)))),
        of_json.prop_map(|content_type| (content_type, None)),
    ]
}

prop_compose! {
    fn event()(
        (id, source, r#type) in ("\\PC{1,20}", "\\PC{1,20}", "\\PC{1,20}"),
        (time, recorded_at) in (option::of(instant()), option::of(instant())),
        texts in proptest::array::uniform8(text()),
        previous in option::of((any::<u64>(), any::<u64>())),
        extensions in btree_map("[a-z0-9]{1,20}".prop_filter("an extension", |name| !is_attribute(name)), value(), 0..4),
        (data_content_type, data) in payload(),
    ) -> Event {
        let [subject, data_schema, key, schema_version, correlation_id, causation_id, traceparent, tracestate] = texts;
        let previous_id = previous.map(|(batch_id, position)| EntryId::new(batch_id, position));
        Event {
            id, source, r#type, subject, time, data_content_type, data_schema, key, recorded_at, schema_version,
            correlation_id, causation_id, traceparent, tracestate, previous_id, extensions, data,
        }
    }
}

fn entry(event: &Event) -> Vec<(Vec<u8>, Vec<u8>)> {
    binary(event)
        .into_iter()
        .map(|(name, value)| (name.into_bytes(), value))
        .collect()
}

/// The same, member by member by the JSON writer that escapes everything it is given: what the hand-written one is held to.
fn by_serde(event: &Event) -> String {
    let mut members = vec![r#""specversion":"1.0""#.to_owned()];
    let mut add = |name: &str, json: String| members.push(format!("{}:{json}", quoted(name)));
    let instant = |time: OffsetDateTime| {
        let mut written = Vec::new();
        super::super::timestamp::write(&mut written, time);
        quoted(&String::from_utf8_lossy(&written))
    };
    add("id", quoted(&event.id));
    add("source", quoted(&event.source));
    add("type", quoted(&event.r#type));
    let texts = [
        ("subject", event.subject.as_deref().map(quoted)),
        ("time", event.time.map(instant)),
        ("datacontenttype", event.data_content_type.as_deref().map(quoted)),
        ("dataschema", event.data_schema.as_deref().map(quoted)),
        ("partitionkey", event.key.as_deref().map(quoted)),
        ("recordedtime", event.recorded_at.map(instant)),
        ("schemaversion", event.schema_version.as_deref().map(quoted)),
        ("correlationid", event.correlation_id.as_deref().map(quoted)),
        ("causationid", event.causation_id.as_deref().map(quoted)),
        ("traceparent", event.traceparent.as_deref().map(quoted)),
        ("tracestate", event.tracestate.as_deref().map(quoted)),
        ("previousid", event.previous_id.map(|id| quoted(&id.to_string()))),
    ];
    for (name, json) in texts {
        json.into_iter().for_each(|json| add(name, json));
    }
    for (name, value) in &event.extensions {
        add(
            name,
            serde_json::to_string(value).expect("a value has a JSON form"),
        );
    }
    match &event.data {
        None => {}
        Some(Data::Json(raw)) => add("data", raw.get().to_owned()),
        Some(Data::Text(text)) => add("data", quoted(text)),
        Some(Data::Binary(bytes)) => {
            use base64::Engine as _;
            add(
                "data_base64",
                quoted(&base64::engine::general_purpose::STANDARD.encode(bytes)),
            );
        }
    }
    format!("{{{}}}", members.join(","))
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text has a JSON form")
}

proptest! {
    #[test]
    fn events_written_before_their_place_is_known_are_the_same_bytes(events in vec(event(), 1..6), previous in vec((any::<u64>(), any::<u64>()), 6)) {
        let mut page = Page::default();
        for event in &events {
            page.write(&event.view());
        }
        let written: Vec<Written> = page.take().collect();
        prop_assert_eq!(written.len(), events.len());
        for ((mut event, written), (batch_id, position)) in events.into_iter().zip(written).zip(previous) {
            let previous = EntryId::new(batch_id, position);
            event.previous_id = Some(previous);
            let bytes = written.structured(previous);
            prop_assert_eq!(String::from_utf8_lossy(&bytes), by_serde(&event));
            prop_assert_eq!(&bytes, &structured(&event));
            prop_assert_eq!(bytes.len(), written.structured_bytes(previous));
            prop_assert_eq!(event.view().to_event().expect("JSON"), event);
        }
        prop_assert!(page.take().next().is_none(), "what was taken is not on the page any more");
    }

    #[test]
    fn structured_mode_loses_nothing(event in event()) {
        let bytes = structured(&event);
        prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok(), "it is JSON");
        prop_assert_eq!(decode_entry(&[(EVENT_FIELD.as_bytes().to_vec(), bytes)]), Ok(event));
    }

    #[test]
    fn binary_mode_loses_the_types_of_extensions_only(event in event()) {
        let mut expected = event.clone();
        for value in expected.extensions.values_mut() {
            *value = ExtensionValue::String(value.to_string());
        }
        prop_assert_eq!(decode_entry(&entry(&event)), Ok(expected));
    }

    #[test]
    fn a_broken_entry_is_an_answer(bytes in vec(any::<u8>(), 0..200), event in event(), cut in any::<prop::sample::Index>()) {
        let _ = decode_structured(&bytes);
        let whole = structured(&event);
        prop_assert!(decode_structured(&whole[..cut.index(whole.len())]).is_err());
        let mut fields = entry(&event);
        fields.push((b"ce_time".to_vec(), bytes));
        prop_assert!(decode_binary(&fields).is_err(), "no time, or the second one");
    }
}
