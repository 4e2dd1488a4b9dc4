//! Pure: what answers about entries say.

use redis::Value;

use super::reply::{self, Refusal};
use super::value::{bytes, text};
use crate::event::{EntryId, Event, envelope};
use crate::publish::Top;

pub(super) fn found(answer: &Value) -> Result<bool, Refusal> {
    match answer {
        Value::Array(entries) => Ok(!entries.is_empty()),
        Value::ServerError(error) => Err(reply::read(error)),
        _ => Ok(false),
    }
}

/// A stream that does not say is asked again by whatever is sent to it; an entry without a predecessor is not of a relay.
pub(super) fn read_top(answer: Value) -> Option<Top> {
    let Value::Array(mut entries) = answer else {
        return None;
    };
    let (id, event) = event_of(entries.pop()?)?;
    event.previous_id?;
    Some(Top {
        id,
        event_id: event.id,
    })
}

/// An entry with the id of its event, if it is of a relay.
pub(super) fn read_passed(entry: Value) -> Option<(EntryId, Option<String>)> {
    let id = super::value::entry_id(&entry)?;
    let event = event_of(entry).map(|(_, event)| event);
    let ours = event.filter(|event| event.previous_id.is_some());
    Some((id, ours.map(|event| event.id)))
}

pub(super) fn stored_entry(entry: Value) -> Option<(EntryId, String)> {
    event_of(entry).map(|(id, event)| (id, event.id))
}

fn event_of(entry: Value) -> Option<(EntryId, Event)> {
    let Value::Array(parts) = entry else { return None };
    let [id, Value::Array(flat)] = parts.as_slice() else {
        return None;
    };
    let fields: Vec<(Vec<u8>, Vec<u8>)> = flat
        .chunks_exact(2)
        .filter_map(|pair| Some((bytes(&pair[0])?, bytes(&pair[1])?)))
        .collect();
    let event = envelope::decode_entry(&fields).ok()?;
    Some((text(id)?.parse().ok()?, event))
}
