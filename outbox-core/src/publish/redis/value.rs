//! Pure: parts of answers.

use redis::Value;

use crate::event::EntryId;

pub(super) fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes.clone()),
        Value::SimpleString(text) => Some(text.clone().into_bytes()),
        _ => None,
    }
}

pub(super) fn text(value: &Value) -> Option<String> {
    String::from_utf8(bytes(value)?).ok()
}

pub(super) fn id(value: &Value) -> Option<EntryId> {
    text(value)?.parse().ok()
}

/// The id of an entry as `[id, [name, value, …]]`.
pub(super) fn entry_id(entry: &Value) -> Option<EntryId> {
    match entry {
        Value::Array(parts) => parts.first().and_then(id),
        _ => None,
    }
}

/// A part of an answer that is told by names and values.
pub(super) fn named<'a>(answer: &'a Value, name: &str) -> Option<&'a Value> {
    let Value::Array(flat) = answer else { return None };
    flat.chunks_exact(2)
        .find(|pair| text(&pair[0]).as_deref() == Some(name))
        .map(|pair| &pair[1])
}

/// Names and values of an entry as `[id, [name, value, …]]`.
pub(super) fn fields(entry: &Value) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let Value::Array(parts) = entry else { return None };
    let [_, Value::Array(flat)] = parts.as_slice() else {
        return None;
    };
    let pairs = flat
        .chunks_exact(2)
        .filter_map(|pair| Some((bytes(&pair[0])?, bytes(&pair[1])?)));
    Some(pairs.collect())
}
