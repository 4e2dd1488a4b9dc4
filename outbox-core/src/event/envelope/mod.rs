//! CloudEvents 1.0.2 on a stream entry. No Redis binding exists in the specification; this is ours.
//!
//! **Structured** (the default): one field `event`, the event in the CloudEvents JSON format. Members come in this order:
//! `specversion id source type subject time datacontenttype dataschema partitionkey recordedtime schemaversion
//! correlationid causationid traceparent tracestate previousid`, then other extensions by name, then `data` or
//! `data_base64`. Absent ones are left out. JSON data goes in byte for byte.
//!
//! **Binary**: one field per attribute, `ce_` and its name, in the same order, as UTF-8 without any further encoding
//! (fields of an entry are binary safe); the media type as `content-type`; the payload as `data`. Types of extensions
//! are lost there: numbers and booleans come back as text.
//!
//! Reading accepts what others write: any order, unknown extensions, fields of an entry that are not ours, attributes
//! that are `null`, numbers and booleans where we write text, extension values of no CloudEvents type (kept as their text).

use super::{Error, ErrorKind, Event, View};

mod assembly;

mod binary;
pub use binary::decode_binary;

mod structured;
pub use structured::{decode_structured, write_structured};

mod written;
pub use written::{Page, Written};

/// The field of an entry that holds a structured event.
pub const EVENT_FIELD: &str = "event";

/// The event in structured mode.
#[must_use]
pub fn structured(event: &Event) -> Vec<u8> {
    let mut out = Vec::new();
    write_structured(&event.view(), &mut out);
    out
}

/// The event in binary mode: the fields of an entry.
#[must_use]
pub fn binary(event: &Event) -> Vec<(String, Vec<u8>)> {
    binary::fields(&event.view())
}

/// The borrowed event in binary mode: the fields of an entry.
#[must_use]
pub fn binary_fields(event: &View<'_>) -> Vec<(String, Vec<u8>)> {
    binary::fields(event)
}

/// The event of an entry in either mode; one with a field `event` is structured.
///
/// # Errors
/// When the entry is no event; the error names the field.
pub fn decode_entry(fields: &[(Vec<u8>, Vec<u8>)]) -> Result<Event, Error> {
    match fields.iter().find(|(name, _)| name == EVENT_FIELD.as_bytes()) {
        Some((_, bytes)) => decode_structured(bytes),
        None if fields.iter().any(|(name, _)| name.starts_with(b"ce_")) => decode_binary(fields),
        None => Err(ErrorKind::NotAnEvent.into()),
    }
}

#[cfg(test)]
mod round_trip;

#[cfg(test)]
mod tests;
