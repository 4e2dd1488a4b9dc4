//! What cannot be appended: the rules of `outbox.refusal` and of the log's types, decided before anything is sent.
//!
//! Two rules are only here, because Postgres would answer with an error of its own: no text holds a NUL, and JSON nests
//! at most [`JSON_DEPTH_MAX`] deep.

use std::collections::HashSet;
use std::fmt;

use serde::de::IgnoredAny;

use super::limits::Limits;
use super::new_event::{Destination, NewEvent, Payload};
use crate::event::{ExtensionValue, is_attribute};

const NAME_BYTES_MAX: usize = 200;
const SOURCE_BYTES_MAX: usize = 1024;
const KEY_BYTES_MAX: usize = 1024;
const TEXT_BYTES_MAX: usize = 2048;
const EXTENSION_NAME_BYTES_MAX: usize = 64;
const EXTENSION_BYTES_MAX: usize = 4096;
const EXTENSIONS_MAX: usize = 64;
const TAG_BYTES_MAX: usize = 200;
const TAGS_MAX: usize = 32;
/// Postgres parses JSON recursively; far deeper than this its stack ends.
const JSON_DEPTH_MAX: usize = 1000;
/// A refused value is quoted to this length.
const QUOTED_CHARS_MAX: usize = 100;

/// A rule that an event breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which event of the call, from 0.
    pub index: usize,
    /// The field, named as in `outbox.append`.
    pub field: &'static str,
    /// The rule, and what was there instead.
    pub rule: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.rule)
    }
}

/// What the events of a call are appended to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// The log alone: each has a topic.
    Log,
    /// Streams: each has a type, and the name of its stream for a key.
    Streams,
}

type Checked = Result<(), (&'static str, String)>;

/// Whether the events of one call can be appended together.
pub(super) fn check(events: &[NewEvent], home: Home, limits: &Limits) -> Result<(), Refusal> {
    if events.len() > limits.events_max {
        let rule = format!(
            "must be at most {} in one call, got {}",
            limits.events_max,
            events.len()
        );
        return Err(Refusal {
            index: limits.events_max,
            field: "events",
            rule,
        });
    }
    let mut ids = HashSet::with_capacity(events.len());
    let mut call_bytes = 0;
    for (index, event) in events.iter().enumerate() {
        let refuse = |(field, rule)| Refusal { index, field, rule };
        check_home(event, home).map_err(refuse)?;
        check_event(event, limits).map_err(refuse)?;
        if !ids.insert(event.id) {
            return Err(refuse((
                "id",
                format!("must differ within one call, {} comes twice", event.id),
            )));
        }
        call_bytes += event.payload_bytes();
        if call_bytes > limits.call_bytes_max {
            let rule = format!(
                "must be at most {} bytes in one call, is more from this event on",
                limits.call_bytes_max
            );
            return Err(refuse(("data", rule)));
        }
    }
    Ok(())
}

/// What is asked of an event because of where it goes.
fn check_home(event: &NewEvent, home: Home) -> Checked {
    if let Destination::Topic(topic) = &event.destination {
        name("topic", topic)?;
    }
    match home {
        Home::Log if !matches!(event.destination, Destination::Topic(_)) => Err((
            "topic",
            "must be given: only an event of a stream may have none (event_store::append)".to_owned(),
        )),
        Home::Log if !event.tags.is_empty() => Err((
            "tags",
            "are for events of a stream (event_store::append)".to_owned(),
        )),
        Home::Log => Ok(()),
        Home::Streams if event.key.is_some() => Err((
            "key",
            "must be absent: the key of a stored event is the name of its stream".to_owned(),
        )),
        Home::Streams if event.r#type.is_none() => Err((
            "type",
            "must be given: what is stored is read by its type".to_owned(),
        )),
        Home::Streams => tags(event),
    }
}

fn tags(event: &NewEvent) -> Checked {
    if event.tags.len() > TAGS_MAX {
        return Err((
            "tags",
            format!("must be at most {TAGS_MAX}, got {}", event.tags.len()),
        ));
    }
    event
        .tags
        .iter()
        .try_for_each(|tag| bounded("tags", tag, TAG_BYTES_MAX, "each must be"))
}

fn check_event(event: &NewEvent, limits: &Limits) -> Checked {
    event
        .r#type
        .as_deref()
        .map_or(Ok(()), |given| name("type", given))?;
    if let Some(source) = &event.source {
        bounded("source", source, SOURCE_BYTES_MAX, "must be")?;
    }
    optional("key", event.key.as_deref(), KEY_BYTES_MAX)?;
    payload(&event.payload, limits)?;
    for (field, value) in [
        ("subject", &event.subject),
        ("data_content_type", &event.data_content_type),
        ("data_schema", &event.data_schema),
        ("schema_version", &event.schema_version),
        ("correlation_id", &event.correlation_id),
        ("causation_id", &event.causation_id),
        ("traceparent", &event.traceparent),
        ("tracestate", &event.tracestate),
    ] {
        optional(field, value.as_deref(), TEXT_BYTES_MAX)?;
    }
    if let Some(time) = event.time.map(|time| time.to_offset(time::UtcOffset::UTC))
        && !(1..=9999).contains(&time.year())
    {
        return Err((
            "time",
            format!("must be in the years 1 to 9999, got year {}", time.year()),
        ));
    }
    extensions(event)
}

fn name(field: &'static str, value: &str) -> Checked {
    let fits = (1..=NAME_BYTES_MAX).contains(&value.len())
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    if fits {
        return Ok(());
    }
    Err((
        field,
        format!(
            "must be 1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 . _ -, got {}",
            quoted(value)
        ),
    ))
}

fn optional(field: &'static str, value: Option<&str>, bytes_max: usize) -> Checked {
    value.map_or(Ok(()), |value| {
        bounded(field, value, bytes_max, "must be absent or")
    })
}

fn bounded(field: &'static str, value: &str, bytes_max: usize, must_be: &str) -> Checked {
    if value.is_empty() || value.len() > bytes_max {
        return Err((
            field,
            format!("{must_be} 1 to {bytes_max} bytes, got {}", quoted(value)),
        ));
    }
    if value.contains('\0') {
        return Err((field, format!("must not contain NUL, got {}", quoted(value))));
    }
    Ok(())
}

fn payload(payload: &Payload, limits: &Limits) -> Checked {
    let bytes = match payload {
        Payload::None => return Ok(()),
        Payload::Unserialisable => {
            return Err((
                "data",
                "must have a JSON form, the value given has none".to_owned(),
            ));
        }
        Payload::Json(text) | Payload::UncheckedJson(text) => text.len(),
        Payload::Binary(bytes) => bytes.len(),
    };
    let bytes_max = limits.payload_bytes();
    if bytes > bytes_max {
        let rule = format!(
            "must be at most {bytes_max} bytes (outbox.settings.payload_limit_bytes), got {bytes} bytes"
        );
        return Err(("data", rule));
    }
    if let Payload::UncheckedJson(text) = payload
        && let Err(error) = serde_json::from_str::<IgnoredAny>(text)
    {
        let rule = format!(
            "must be valid JSON, broken at line {} column {}",
            error.line(),
            error.column()
        );
        return Err(("data", rule));
    }
    if let Payload::Json(text) | Payload::UncheckedJson(text) = payload
        && depth(text) > JSON_DEPTH_MAX
    {
        return Err((
            "data",
            format!("must nest at most {JSON_DEPTH_MAX} levels, nests {}", depth(text)),
        ));
    }
    Ok(())
}

/// How deep valid JSON nests.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn extensions(event: &NewEvent) -> Checked {
    const FIELD: &str = "extensions";
    if event.extensions.len() > EXTENSIONS_MAX {
        return Err((
            FIELD,
            format!("must be at most {EXTENSIONS_MAX}, got {}", event.extensions.len()),
        ));
    }
    for (name, value) in &event.extensions {
        let named = (1..=EXTENSION_NAME_BYTES_MAX).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if !named {
            let rule = format!(
                "a name must be 1 to {EXTENSION_NAME_BYTES_MAX} of a-z 0-9, got {}",
                quoted(name)
            );
            return Err((FIELD, rule));
        }
        if is_attribute(name) {
            return Err((FIELD, format!("the name {} is reserved", quoted(name))));
        }
        let ExtensionValue::String(text) = value else {
            continue;
        };
        if text.len() > EXTENSION_BYTES_MAX {
            return Err((
                FIELD,
                format!(
                    "{name} must be at most {EXTENSION_BYTES_MAX} bytes, got {}",
                    text.len()
                ),
            ));
        }
        if text.contains('\0') {
            return Err((FIELD, format!("{name} must not contain NUL")));
        }
    }
    Ok(())
}

/// The value as the database would quote it, cut to a length that fits a log line.
fn quoted(value: &str) -> String {
    let cut: String = value.chars().take(QUOTED_CHARS_MAX).collect();
    format!(
        "'{}'",
        cut.replace('\'', "''")
            .escape_debug()
            .to_string()
            .replace("\\'", "'")
            .replace("\\\"", "\"")
    )
}

#[cfg(test)]
mod tests;
