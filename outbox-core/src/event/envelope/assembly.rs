//! Puts an event together attribute by attribute, whatever the mode, and checks that it is whole.

use super::super::{Error, ErrorKind, Event, ExtensionValue, timestamp};

/// An event that is being read. Empty required texts have not come yet.
pub(super) struct Assembly {
    pub(super) event: Event,
    spec_version_seen: bool,
}

impl Assembly {
    pub(super) fn new() -> Self {
        Self {
            event: Event::new("", "", ""),
            spec_version_seen: false,
        }
    }

    /// Takes one attribute by its name in CloudEvents.
    pub(super) fn set(&mut self, name: &str, value: ExtensionValue) -> Result<(), Error> {
        let event = &mut self.event;
        match name {
            "specversion" => return self.set_spec_version(value),
            "id" => set_required(name, &mut event.id, value)?,
            "source" => set_required(name, &mut event.source, value)?,
            "type" => set_required(name, &mut event.r#type, value)?,
            "subject" => set_once(name, &mut event.subject, value.into_text())?,
            "time" => set_once(name, &mut event.time, time(name, value)?)?,
            "datacontenttype" => set_once(name, &mut event.data_content_type, value.into_text())?,
            "dataschema" => set_once(name, &mut event.data_schema, value.into_text())?,
            "partitionkey" => set_once(name, &mut event.key, value.into_text())?,
            "recordedtime" => set_once(name, &mut event.recorded_at, time(name, value)?)?,
            "schemaversion" => set_once(name, &mut event.schema_version, value.into_text())?,
            "correlationid" => set_once(name, &mut event.correlation_id, value.into_text())?,
            "causationid" => set_once(name, &mut event.causation_id, value.into_text())?,
            "traceparent" => set_once(name, &mut event.traceparent, value.into_text())?,
            "tracestate" => set_once(name, &mut event.tracestate, value.into_text())?,
            "previousid" => {
                let id = value
                    .into_text()
                    .parse()
                    .map_err(|error| unfit(name, format!("must be an entry id: {error}")))?;
                set_once(name, &mut event.previous_id, id)?;
            }
            _ => {
                if event.extensions.insert(name.to_owned(), value).is_some() {
                    return Err(twice(name));
                }
            }
        }
        Ok(())
    }

    fn set_spec_version(&mut self, value: ExtensionValue) -> Result<(), Error> {
        if self.spec_version_seen {
            return Err(twice("specversion"));
        }
        let seen = value.into_text();
        if seen != "1.0" {
            return Err(ErrorKind::SpecVersion {
                seen: seen.chars().take(20).collect(),
            }
            .into());
        }
        self.spec_version_seen = true;
        Ok(())
    }

    /// The event, when everything that it must have has come.
    pub(super) fn finish(self) -> Result<Event, Error> {
        let missing = if !self.spec_version_seen {
            "specversion"
        } else if self.event.id.is_empty() {
            "id"
        } else if self.event.source.is_empty() {
            "source"
        } else if self.event.r#type.is_empty() {
            "type"
        } else {
            return Ok(self.event);
        };
        Err(ErrorKind::Missing { field: missing }.into())
    }
}

impl ExtensionValue {
    fn into_text(self) -> String {
        match self {
            Self::String(text) => text,
            other => other.to_string(),
        }
    }
}

fn set_once<T>(name: &str, slot: &mut Option<T>, value: T) -> Result<(), Error> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(twice(name)),
    }
}

fn set_required(name: &str, slot: &mut String, value: ExtensionValue) -> Result<(), Error> {
    let ExtensionValue::String(text) = value else {
        return Err(unfit(name, "must be a string".to_owned()));
    };
    if text.is_empty() {
        return Err(unfit(name, "must not be empty".to_owned()));
    }
    if !slot.is_empty() {
        return Err(twice(name));
    }
    *slot = text;
    Ok(())
}

fn time(name: &str, value: ExtensionValue) -> Result<time::OffsetDateTime, Error> {
    timestamp::read(&value.into_text()).ok_or_else(|| unfit(name, "must be a time as in RFC 3339".to_owned()))
}

pub(super) fn unfit(name: &str, rule: String) -> Error {
    // The name may come from outside: a long one must not fill the log.
    ErrorKind::Unfit {
        field: name.chars().take(64).collect(),
        rule,
    }
    .into()
}

pub(super) fn twice(name: &str) -> Error {
    ErrorKind::Twice {
        field: name.chars().take(64).collect(),
    }
    .into()
}
