//! Binary mode: one field of the entry per attribute, the payload as it is.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::super::content_type::is_text;
use super::super::{Data, Error, Event, ExtensionValue, View, is_json, timestamp};
use super::assembly::{Assembly, twice, unfit};

const PREFIX: &str = "ce_";
const CONTENT_TYPE: &str = "content-type";
const DATA: &str = "data";
const DATA_BASE64: &str = "data_base64";

/// The fields of an entry, in the order of the attributes.
pub(super) fn fields(event: &View<'_>) -> Vec<(String, Vec<u8>)> {
    let mut fields = Fields(Vec::with_capacity(16));
    fields.text("specversion", Some("1.0"));
    fields.text("id", Some(event.id));
    fields.text("source", Some(event.source));
    fields.text("type", Some(event.r#type));
    fields.text("subject", event.subject);
    fields.instant("time", event.time);
    if let Some(content_type) = event.data_content_type {
        fields
            .0
            .push((CONTENT_TYPE.to_owned(), content_type.as_bytes().to_vec()));
    }
    fields.text("dataschema", event.data_schema);
    fields.text("partitionkey", event.key);
    fields.instant("recordedtime", event.recorded_at);
    fields.text("schemaversion", event.schema_version);
    fields.text("correlationid", event.correlation_id);
    fields.text("causationid", event.causation_id);
    fields.text("traceparent", event.traceparent);
    fields.text("tracestate", event.tracestate);
    fields.text(
        "previousid",
        event.previous_id.map(|id| id.to_string()).as_deref(),
    );
    fields.extensions(event.extensions);
    if let Some(data) = event.data {
        fields
            .0
            .push((DATA.to_owned(), data.body(event.data_content_type).into_owned()));
    }
    fields.0
}

struct Fields(Vec<(String, Vec<u8>)>);

impl Fields {
    fn put(&mut self, name: &str, value: Vec<u8>) {
        self.0.push((format!("{PREFIX}{name}"), value));
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.put(name, value.as_bytes().to_vec());
        }
    }

    fn instant(&mut self, name: &str, value: Option<OffsetDateTime>) {
        if let Some(value) = value {
            let mut out = Vec::with_capacity(32);
            timestamp::write(&mut out, value);
            self.put(name, out);
        }
    }

    fn extensions(&mut self, extensions: Option<&BTreeMap<String, ExtensionValue>>) {
        for (name, value) in extensions.into_iter().flatten() {
            self.put(name, value.to_string().into_bytes());
        }
    }
}

/// The event that these fields are in binary mode. Fields that are neither attributes, media type nor data are not ours.
///
/// # Errors
/// When they are no event; the error names the field.
pub fn decode_binary(fields: &[(Vec<u8>, Vec<u8>)]) -> Result<Event, Error> {
    let mut assembly = Assembly::new();
    let mut data: Option<&[u8]> = None;
    for (name, value) in fields {
        if name == DATA.as_bytes() {
            if data.replace(value).is_some() {
                return Err(twice(DATA));
            }
            continue;
        }
        let Ok(name) = std::str::from_utf8(name) else {
            continue;
        };
        let attribute = match name.strip_prefix(PREFIX) {
            Some(attribute) => attribute,
            None if name == CONTENT_TYPE => "datacontenttype",
            None => continue,
        };
        // As an extension it would be written as the payload in structured mode.
        if matches!(attribute, DATA | DATA_BASE64) {
            return Err(unfit(
                name,
                "is no attribute; the payload is in the field data".to_owned(),
            ));
        }
        let value = std::str::from_utf8(value).map_err(|_| unfit(name, "must be UTF-8".to_owned()))?;
        assembly.set(attribute, ExtensionValue::from(value))?;
    }
    assembly.event.data = data.map(|bytes| payload(bytes, assembly.event.data_content_type.as_deref()));
    assembly.finish()
}

/// What kind of payload the bytes are under this media type. Bytes that are not what it promises stay bytes.
fn payload(bytes: &[u8], content_type: Option<&str>) -> Data {
    let as_bytes = || Data::Binary(bytes.to_vec());
    if is_json(content_type) {
        serde_json::from_slice::<&RawValue>(bytes)
            .map_or_else(|_| as_bytes(), |raw| Data::Json(raw.to_owned()))
    } else if is_text(content_type) {
        std::str::from_utf8(bytes).map_or_else(|_| as_bytes(), |text| Data::Text(text.to_owned()))
    } else {
        as_bytes()
    }
}
