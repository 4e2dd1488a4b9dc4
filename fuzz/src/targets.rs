//! One function per target: takes any bytes and panics where something is not as it should be.
//!
//! The fuzzer calls them, and a test over the corpus (tests/security/replay.rs).

use std::collections::BTreeMap;

use outbox_core::dead_letter::Filter;
use outbox_core::event::envelope::{binary, decode_binary, decode_entry, decode_structured, structured};
use outbox_core::event::{Data, EntryId, Error, Event, is_json};
use outbox_relay::config::{Config, Sources};

/// Errors quote an attribute at most, and that shortened.
const LONGEST_ERROR: usize = 2_000;
/// Found in a secret, and nowhere else.
const SECRET: &str = "c4n4ry-of-the-fuzzer";

/// A structured event: what is read is written and read again as the same.
pub fn envelope(bytes: &[u8]) {
    match decode_structured(bytes) {
        Ok(event) => written_and_read_again(&event),
        Err(error) => is_told_shortly(&error),
    }
}

/// The fields of an entry, separated by zero bytes; the first is its id.
pub fn entry(bytes: &[u8]) {
    let mut parts = bytes.split(|byte| *byte == 0);
    let id = parts.next().unwrap_or_default();
    if let Ok(text) = std::str::from_utf8(id)
        && let Ok(id) = text.parse::<EntryId>()
    {
        let again: EntryId = id.to_string().parse().expect("an id is written as one");
        assert_eq!(again, id);
    }
    let parts: Vec<&[u8]> = parts.collect();
    let fields: Vec<(Vec<u8>, Vec<u8>)> = parts
        .chunks(2)
        .map(|pair| {
            (
                pair[0].to_vec(),
                pair.get(1).copied().unwrap_or_default().to_vec(),
            )
        })
        .collect();
    match decode_entry(&fields) {
        Ok(event) => written_and_read_again(&event),
        Err(error) => is_told_shortly(&error),
    }
}

/// Settings: a file, and behind a line `--` variables, one per line. Whatever is wrong is told without a secret.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (file, lines) = text.split_once("\n--\n").unwrap_or((text, ""));
    let mut variables: BTreeMap<String, String> = lines
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    variables.insert("OUTBOX_REDIS_PASSWORD".to_owned(), SECRET.to_owned());
    variables.insert(
        "DATABASE_URL".to_owned(),
        format!("postgres://u:{SECRET}@h/d{lines}"),
    );
    let place = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(place.path(), file).expect("a temporary file is written");
    let sources = Sources {
        flags: BTreeMap::new(),
        variables,
        file: Some(place.path().to_owned()),
    };
    let said = match Config::load(sources, &[]) {
        Ok(config) => format!("{config:?}{:?}", config.shown()),
        Err(error) => error.to_string(),
    };
    assert!(!said.contains(SECRET), "a secret is shown: {said}");
}

/// Which dead letters are meant: what is read is written as the same, and shown without the key.
pub fn filter(bytes: &[u8]) {
    let Ok(filter) = serde_json::from_slice::<Filter>(bytes) else {
        return;
    };
    let json = serde_json::to_string(&filter).expect("a filter is written");
    let again: Filter = serde_json::from_str(&json).expect("a filter is read again");
    assert_eq!(again, filter);
    assert_eq!(again.takes_everything(), filter.takes_everything());
    let shown = format!("{filter:?}");
    let without_key = Filter {
        key: filter.key.as_ref().map(|_| "…".to_owned()),
        ..filter
    };
    assert_eq!(shown, format!("{without_key:?}"));
}

fn written_and_read_again(event: &Event) {
    let bytes = structured(event);
    match decode_structured(&bytes) {
        // Times are written to the microsecond.
        Ok(again) => assert_eq!(
            String::from_utf8_lossy(&structured(&again)),
            String::from_utf8_lossy(&bytes)
        ),
        Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&bytes)),
    }
    let fields: Vec<(Vec<u8>, Vec<u8>)> = binary(event)
        .into_iter()
        .map(|(name, value)| (name.into_bytes(), value))
        .collect();
    // Types of extensions are lost there; what the event is, is not.
    match decode_binary(&fields) {
        Ok(again) => {
            assert_eq!(
                (&again.id, &again.source, &again.r#type),
                (&event.id, &event.source, &event.r#type)
            );
            assert_eq!((&again.key, again.previous_id), (&event.key, event.previous_id));
            let (written, read) = (event.data.as_ref(), again.data.as_ref());
            assert_eq!(read.is_some(), written.is_some());
            // Under another media type a text of JSON goes out as its characters.
            if is_json(event.data_content_type.as_deref()) {
                assert_eq!(read.map(Data::as_bytes), written.map(Data::as_bytes));
            }
        }
        Err(error) => panic!("binary: {error}: {}", String::from_utf8_lossy(&bytes)),
    }
}

fn is_told_shortly(error: &Error) {
    let told = format!("{error}; {}", error.advice());
    assert!(told.len() < LONGEST_ERROR, "{told}");
}
