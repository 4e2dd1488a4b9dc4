//! To and from the event of `cloudevents-sdk`, for services that use it. It is not our own type: it parses JSON data into
//! a tree, which re-orders keys and rounds long numbers, and it refuses some valid events (the tests below list what).
//!
//! Our attributes (`partitionkey`, `recordedtime`, …) are extensions there, under their names on the wire.

use cloudevents::event::{ExtensionValue as SdkValue, TryIntoTime as _, TryIntoUrl as _};
use cloudevents::{AttributesWriter as _, Event as SdkEvent};

use super::envelope::decode_structured;
use super::{Data, Error, ErrorKind, Event, ExtensionValue, is_json, timestamp};

impl TryFrom<SdkEvent> for Event {
    type Error = Error;

    /// Reads it as its own JSON says it.
    fn try_from(event: SdkEvent) -> Result<Self, Error> {
        let json = serde_json::to_vec(&event).map_err(|_| unfit("event", "must have a JSON form"))?;
        decode_structured(&json)
    }
}

impl TryFrom<&Event> for SdkEvent {
    type Error = Error;

    /// Fails where the SDK has no such value: a `dataschema` that is no absolute URL, JSON that no tree can hold.
    fn try_from(event: &Event) -> Result<Self, Error> {
        let mut sdk = Self::default();
        sdk.set_id(&event.id);
        sdk.set_source(&event.source);
        sdk.set_type(&event.r#type);
        sdk.set_subject(event.subject.clone());
        sdk.set_datacontenttype(event.data_content_type.clone());
        if let Some(schema) = &event.data_schema {
            let url = schema
                .as_str()
                .into_url()
                .map_err(|_| unfit("dataschema", "must be an absolute URL in the SDK"))?;
            sdk.set_dataschema(Some(url));
        }
        // Also when there is none: the SDK's default is the time of the call.
        let time = event.time.map(|time| rfc3339(time).into_time()).transpose();
        sdk.set_time(time.map_err(|_| unfit("time", "must be a time of the SDK"))?);
        set_extensions(&mut sdk, event);
        if let Some(data) = &event.data {
            let data = sdk_data(data, event.data_content_type.as_deref())?;
            sdk.set_data_unchecked(data);
        }
        Ok(sdk)
    }
}

fn set_extensions(sdk: &mut SdkEvent, event: &Event) {
    let recorded_at = event.recorded_at.map(rfc3339);
    let previous_id = event.previous_id.map(|id| id.to_string());
    for (name, value) in [
        ("partitionkey", &event.key),
        ("recordedtime", &recorded_at),
        ("schemaversion", &event.schema_version),
        ("correlationid", &event.correlation_id),
        ("causationid", &event.causation_id),
        ("traceparent", &event.traceparent),
        ("tracestate", &event.tracestate),
        ("previousid", &previous_id),
    ] {
        if let Some(value) = value {
            sdk.set_extension(name, value.as_str());
        }
    }
    for (name, value) in &event.extensions {
        let value = match value {
            ExtensionValue::String(text) => SdkValue::String(text.clone()),
            ExtensionValue::Boolean(value) => SdkValue::Boolean(*value),
            ExtensionValue::Integer(value) => SdkValue::Integer((*value).into()),
        };
        sdk.set_extension(name, value);
    }
}

fn sdk_data(data: &Data, content_type: Option<&str>) -> Result<cloudevents::Data, Error> {
    Ok(match data {
        Data::Text(text) => cloudevents::Data::String(text.clone()),
        Data::Binary(bytes) => cloudevents::Data::Binary(bytes.clone()),
        Data::Json(raw) => {
            let value = serde_json::from_str(raw.get()).map_err(|_| {
                unfit(
                    "data",
                    "must be JSON that the SDK can hold: numbers of a double, nesting below 128",
                )
            })?;
            match value {
                serde_json::Value::String(text) if !is_json(content_type) => cloudevents::Data::String(text),
                value => cloudevents::Data::Json(value),
            }
        }
    })
}

fn rfc3339(time: time::OffsetDateTime) -> String {
    let mut out = Vec::with_capacity(32);
    timestamp::write(&mut out, time);
    String::from_utf8_lossy(&out).into_owned()
}

fn unfit(field: &str, rule: &str) -> Error {
    ErrorKind::Unfit {
        field: field.to_owned(),
        rule: rule.to_owned(),
    }
    .into()
}

#[cfg(test)]
mod tests;
