//! Pure: a value as an event to append.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::event_type::TypedEvent;
use crate::append::NewEvent;
use crate::event_store::Error;

/// What an adjacently tagged enum is in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tagged<'a> {
    #[serde(rename = "type", borrow)]
    name: Cow<'a, str>,
    /// A `null` is data as well.
    #[serde(default, borrow, deserialize_with = "present")]
    data: Option<&'a RawValue>,
}

fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The event to append, with its type, the version that is written, and its data as serde wrote it.
///
/// # Errors
/// When the value has no JSON form, is not of an adjacently tagged enum, or is of a type that [`TypedEvent::TYPES`] leaves out.
pub fn encode<E: TypedEvent>(event: &E) -> Result<NewEvent, Error> {
    let kind = std::any::type_name::<E>();
    let json = serde_json::to_string(event).map_err(|_| {
        Error::refused(format!(
            "an event of {kind} has no JSON form: a map's keys must be texts"
        ))
    })?;
    let tagged: Tagged<'_> = serde_json::from_str(&json).map_err(|_| {
        Error::refused(format!(
            "{kind} is not adjacently tagged: put #[serde(tag = \"type\", content = \"data\")] on the enum"
        ))
    })?;
    let known = E::TYPES
        .iter()
        .find(|known| known.name == tagged.name)
        .ok_or_else(|| {
            Error::refused(format!(
                "{kind} has a variant {:?} that its TYPES leave out: add it with its version",
                tagged.name
            ))
        })?;
    let new_event = NewEvent::stored(known.name).schema_version(known.version.to_string());
    Ok(match tagged.data {
        Some(data) => new_event.raw_json(data.to_owned()),
        None => new_event,
    })
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;
    use crate::event_store::typed::EventType;

    #[derive(Serialize, Deserialize)]
    #[serde(tag = "type", content = "data")]
    enum Good {
        #[serde(rename = "order.placed")]
        Placed { customer: String },
        #[serde(rename = "order.closed")]
        Closed,
        #[serde(rename = "order.noted")]
        Noted(Option<u8>),
        #[serde(rename = "order.left_out")]
        LeftOut,
    }

    impl TypedEvent for Good {
        const TYPES: &'static [EventType] = &[
            EventType::new("order.placed", 3),
            EventType::new("order.closed", 1),
            EventType::new("order.noted", 1),
        ];
    }

    #[derive(Serialize, Deserialize)]
    #[serde(tag = "type")]
    enum Internally {
        #[serde(rename = "order.placed")]
        Placed { customer: String },
    }

    impl TypedEvent for Internally {
        const TYPES: &'static [EventType] = &[EventType::new("order.placed", 1)];
    }

    #[test]
    fn type_version_and_data_are_what_serde_says() {
        let placed = Good::Placed {
            customer: "a \"b\" é".to_owned(),
        };
        let event = encode(&placed).expect("encoded");
        assert_eq!(
            event.told(),
            ("order.placed", "3", Some(r#"{"customer":"a \"b\" é"}"#))
        );
        let closed = encode(&Good::Closed).expect("encoded");
        assert_eq!(closed.told(), ("order.closed", "1", None));
        let noted = encode(&Good::Noted(None)).expect("encoded");
        assert_eq!(noted.told(), ("order.noted", "1", Some("null")));
    }

    #[test]
    fn what_is_not_declared_is_refused_and_says_what_to_do() {
        let error = encode(&Good::LeftOut).expect_err("left out").to_string();
        assert!(
            error.contains("order.left_out") && error.contains("TYPES"),
            "{error}"
        );
        let internally = Internally::Placed {
            customer: "secret".to_owned(),
        };
        let error = encode(&internally).expect_err("tagged otherwise").to_string();
        assert!(
            error.contains("content = \"data\"") && !error.contains("secret"),
            "{error}"
        );
    }
}
