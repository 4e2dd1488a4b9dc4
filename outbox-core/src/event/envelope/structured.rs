//! Structured mode: the CloudEvents JSON format, written member by member and read without building a tree.

use std::borrow::Cow;
use std::fmt;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::super::{
    Data, DataView, EntryId, Error, ErrorKind, Event, ExtensionValue, View, is_json, timestamp,
};
use super::assembly::{Assembly, twice, unfit};

/// Room for the attributes of an ordinary event, so that writing one allocates once.
const ATTRIBUTES_BYTES: usize = 512;

/// Appends the borrowed event in structured mode to `out`.
pub fn write_structured(event: &View<'_>, out: &mut Vec<u8>) {
    write_head(event, out);
    if let Some(id) = event.previous_id {
        write_previous(id, out);
    }
    write_tail(event, out);
}

/// What stands before `previousid`: it is known before the entry's place on its stream is.
pub(super) fn write_head(event: &View<'_>, out: &mut Vec<u8>) {
    out.reserve(ATTRIBUTES_BYTES + event.data.map_or(0, |data| data.as_bytes().len()));
    out.extend_from_slice(br#"{"specversion":"1.0","id":"#);
    string(out, event.id);
    text(out, br#","source":"#, Some(event.source));
    text(out, br#","type":"#, Some(event.r#type));
    text(out, br#","subject":"#, event.subject);
    instant(out, br#","time":""#, event.time);
    text(out, br#","datacontenttype":"#, event.data_content_type);
    text(out, br#","dataschema":"#, event.data_schema);
    text(out, br#","partitionkey":"#, event.key);
    instant(out, br#","recordedtime":""#, event.recorded_at);
    text(out, br#","schemaversion":"#, event.schema_version);
    text(out, br#","correlationid":"#, event.correlation_id);
    text(out, br#","causationid":"#, event.causation_id);
    text(out, br#","traceparent":"#, event.traceparent);
    text(out, br#","tracestate":"#, event.tracestate);
}

/// The member between the two.
pub(super) fn write_previous(id: EntryId, out: &mut Vec<u8>) {
    out.extend_from_slice(br#","previousid":""#);
    id.write(out);
    out.push(b'"');
}

/// What stands behind `previousid`.
pub(super) fn write_tail(event: &View<'_>, out: &mut Vec<u8>) {
    for (name, value) in event.extensions.into_iter().flatten() {
        out.push(b',');
        string(out, name);
        out.push(b':');
        match value {
            ExtensionValue::String(value) => string(out, value),
            ExtensionValue::Boolean(_) | ExtensionValue::Integer(_) => {
                write!(out, "{value}").expect("memory takes every write");
            }
        }
    }
    match event.data {
        None => {}
        Some(DataView::Json(json)) => {
            out.extend_from_slice(br#","data":"#);
            out.extend_from_slice(json.as_bytes());
        }
        Some(DataView::Text(value)) => text(out, br#","data":"#, Some(value)),
        Some(DataView::Binary(bytes)) => base64_member(out, bytes),
    }
    out.push(b'}');
}

/// A string of JSON. Most have nothing to escape, and are copied as they are.
fn string(out: &mut Vec<u8>, value: &str) {
    let needs_escape = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    // Without an end before the last byte the compiler looks at many at a time.
    if value
        .as_bytes()
        .iter()
        .fold(false, |any, byte| any | needs_escape(byte))
    {
        serde_json::to_writer(out, value).expect("memory takes every write");
        return;
    }
    out.push(b'"');
    out.extend_from_slice(value.as_bytes());
    out.push(b'"');
}

/// A member whose name is written as it is: comma, name, colon.
fn text(out: &mut Vec<u8>, name: &[u8], value: Option<&str>) {
    if let Some(value) = value {
        out.extend_from_slice(name);
        string(out, value);
    }
}

/// The same with the quote before a time.
fn instant(out: &mut Vec<u8>, name: &[u8], value: Option<time::OffsetDateTime>) {
    if let Some(value) = value {
        out.extend_from_slice(name);
        timestamp::write(out, value);
        out.push(b'"');
    }
}

fn base64_member(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(br#","data_base64":""#);
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD
        .encode_slice(bytes, &mut out[start..])
        .expect("room for four characters per three bytes");
    out.truncate(start + written);
    out.push(b'"');
}

/// The event that these bytes are in structured mode.
///
/// # Errors
/// When they are no event; the error names the field.
pub fn decode_structured(bytes: &[u8]) -> Result<Event, Error> {
    let json = std::str::from_utf8(bytes).map_err(|error| ErrorKind::NotJson {
        place: format!("no UTF-8 after byte {}", error.valid_up_to()),
    })?;
    let Members(members) = serde_json::from_str(json).map_err(|error| ErrorKind::NotJson {
        place: format!("broken at line {} column {}", error.line(), error.column()),
    })?;
    let mut assembly = Assembly::new();
    let (mut data, mut data_base64) = (None, None);
    for (Name(name), raw) in members {
        let slot = match &*name {
            "data" => &mut data,
            "data_base64" => &mut data_base64,
            _ => {
                let value = ExtensionValue::from_json(raw)
                    .map_err(|_| unfit(&name, "must be valid text".to_owned()))?;
                if let Some(value) = value {
                    assembly.set(&name, value)?;
                }
                continue;
            }
        };
        if slot.replace(raw).is_some() {
            return Err(twice(&name));
        }
    }
    assembly.event.data = payload(data, data_base64, assembly.event.data_content_type.as_deref())?;
    assembly.finish()
}

/// Which of the two members is the payload, and what kind it is under this media type.
fn payload(
    data: Option<&RawValue>,
    data_base64: Option<&RawValue>,
    content_type: Option<&str>,
) -> Result<Option<Data>, Error> {
    let encoded = data_base64.filter(|raw| raw.get() != "null");
    match (data, encoded) {
        (None, None) => Ok(None),
        (Some(raw), Some(_)) if raw.get() != "null" => Err(ErrorKind::Twice {
            field: "data and data_base64".to_owned(),
        }
        .into()),
        (_, Some(raw)) => {
            let broken = || unfit("data_base64", "must be a string in base64".to_owned());
            let text: Cow<'_, str> = serde_json::from_str(raw.get()).map_err(|_| broken())?;
            Ok(Some(Data::Binary(
                STANDARD.decode(text.as_bytes()).map_err(|_| broken())?,
            )))
        }
        // A null is a payload only where the payload is JSON.
        (Some(raw), None) if is_json(content_type) => Ok(Some(Data::Json(raw.to_owned()))),
        (Some(raw), None) if raw.get() == "null" => Ok(None),
        (Some(raw), None) if raw.get().starts_with('"') => {
            let text = serde_json::from_str(raw.get())
                .map_err(|_| unfit("data", "must be valid text".to_owned()))?;
            Ok(Some(Data::Text(text)))
        }
        (Some(raw), None) => Ok(Some(Data::Json(raw.to_owned()))),
    }
}

/// The members of an object as they come, values unread.
struct Members<'a>(Vec<(Name<'a>, &'a RawValue)>);

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Vec<(Name<'de>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some(entry) = map.next_entry()? {
                    members.push(entry);
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Object).map(Members)
    }
}
