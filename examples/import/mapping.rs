//! Which events a record becomes. Pure.

use std::fmt;

use outbox_core::append::NewEvent;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::record::Content;
use super::selector::Selector;

/// A value for all events, or one from each record.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Constant(String),
    From(Selector),
}

/// The events of one record.
#[derive(Clone, Debug)]
pub(super) enum Kinds {
    /// One, of this type; none: the topic's name.
    One(Option<Value>),
    /// One of each type whose field is not empty, in this order.
    Each(Vec<(String, Option<Selector>)>),
}

/// How a record becomes events.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    pub(super) topic: Value,
    pub(super) kinds: Kinds,
    pub(super) key: Option<Value>,
    pub(super) id: Option<Selector>,
    pub(super) data: Option<Selector>,
    pub(super) source: Option<String>,
}

impl Mapping {
    /// The events of a record, or what is wrong with it. No value of the record is in that text.
    pub(super) fn events(&self, content: &Content) -> Result<Vec<NewEvent>, String> {
        let kinds = self.kinds(content)?;
        if kinds.is_empty() {
            return Ok(Vec::new());
        }
        let topic = required("topic", &self.topic, content)?;
        let key = self
            .key
            .as_ref()
            .map(|key| required("key", key, content))
            .transpose()?;
        let data = content.json(self.data.as_ref())?;
        let data = RawValue::from_string(data).map_err(|_| "the payload is not JSON".to_owned())?;
        let id = self.id.as_ref().map(|id| id_of(id, content)).transpose()?;
        let event = |kind: Option<String>| {
            let mut event = NewEvent::new(&topic).raw_json(data.clone());
            if let Some(kind) = kind {
                event = event.event_type(kind);
            }
            if let Some(key) = &key {
                event = event.key(key);
            }
            if let Some(id) = id {
                event = event.id(id);
            }
            if let Some(source) = &self.source {
                event = event.source(source);
            }
            event
        };
        Ok(kinds.into_iter().map(event).collect())
    }

    fn kinds(&self, content: &Content) -> Result<Vec<Option<String>>, String> {
        match &self.kinds {
            Kinds::One(None) => Ok(vec![None]),
            Kinds::One(Some(value)) => Ok(vec![Some(required("type", value, content)?)]),
            Kinds::Each(each) => {
                let mut kinds = Vec::new();
                for (kind, field) in each {
                    let is_there = match field {
                        Some(field) => content.text(field)?.is_some(),
                        None => true,
                    };
                    if is_there {
                        kinds.push(Some(kind.clone()));
                    }
                }
                Ok(kinds)
            }
        }
    }

    /// Every field it looks at.
    pub(super) fn selectors(&self) -> impl Iterator<Item = &Selector> {
        let values = [
            Some(&self.topic),
            self.key.as_ref(),
            match &self.kinds {
                Kinds::One(value) => value.as_ref(),
                Kinds::Each(_) => None,
            },
        ];
        let from = values.into_iter().flatten().filter_map(|value| match value {
            Value::From(selector) => Some(selector),
            Value::Constant(_) => None,
        });
        let each = match &self.kinds {
            Kinds::Each(each) => each.as_slice(),
            Kinds::One(_) => &[],
        };
        from.chain(each.iter().filter_map(|(_, field)| field.as_ref()))
            .chain(&self.id)
            .chain(&self.data)
    }
}

fn required(what: &str, value: &Value, content: &Content) -> Result<String, String> {
    match value {
        Value::Constant(text) => Ok(text.clone()),
        Value::From(selector) => content
            .text(selector)?
            .map(|text| text.into_owned())
            .ok_or_else(|| format!("{what}: {selector} is missing or empty")),
    }
}

fn id_of(selector: &Selector, content: &Content) -> Result<Uuid, String> {
    let text = content
        .text(selector)?
        .ok_or_else(|| format!("id: {selector} is missing or empty"))?;
    Uuid::parse_str(&text).map_err(|_| format!("id: {selector} is no UUID"))
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(text) => write!(f, "{text:?}"),
            Self::From(selector) => write!(f, "{selector}"),
        }
    }
}

/// The same for the same mapping: an import is known by it.
impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic {}", self.topic)?;
        match &self.kinds {
            Kinds::One(None) => {}
            Kinds::One(Some(value)) => write!(f, ", type {value}")?,
            Kinds::Each(each) => {
                for (kind, field) in each {
                    write!(f, ", event {kind:?}")?;
                    field.iter().try_for_each(|field| write!(f, " if {field}"))?;
                }
            }
        }
        self.key.iter().try_for_each(|key| write!(f, ", key {key}"))?;
        self.id.iter().try_for_each(|id| write!(f, ", id {id}"))?;
        self.data.iter().try_for_each(|data| write!(f, ", data {data}"))?;
        self.source
            .iter()
            .try_for_each(|source| write!(f, ", source {source:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(selector: &str) -> Value {
        Value::From(selector.parse().expect("a selector"))
    }

    fn line(json: &str) -> Content {
        Content::of_line(json.as_bytes().to_vec()).expect("JSON")
    }

    #[test]
    fn a_record_has_an_event_for_each_field_that_is_there_in_the_order_of_the_options() {
        let each = [
            ("paid", Some("paid_at")),
            ("placed", None),
            ("sent", Some("sent_at")),
        ];
        let each = each.map(|(kind, field)| {
            (
                kind.to_owned(),
                field.map(|field| field.parse().expect("a selector")),
            )
        });
        let mapping = Mapping {
            topic: Value::Constant("orders".to_owned()),
            kinds: Kinds::Each(each.to_vec()),
            key: Some(from("/id")),
            id: None,
            data: None,
            source: None,
        };
        let content = line(r#"{"id":7,"paid_at":"now","sent_at":""}"#);
        assert_eq!(
            mapping.kinds(&content),
            Ok(vec![Some("paid".to_owned()), Some("placed".to_owned())])
        );
        assert_eq!(mapping.events(&content).map(|events| events.len()), Ok(2));
        let why = mapping
            .events(&line(r#"{"paid_at":"now"}"#))
            .expect_err("has no key");
        assert_eq!(why, "key: /id is missing or empty");
        assert_eq!(
            mapping.to_string(),
            r#"topic "orders", event "paid" if /paid_at, event "placed", event "sent" if /sent_at, key /id"#
        );
    }

    #[test]
    fn an_id_must_be_a_uuid() {
        let mapping = Mapping {
            topic: from("topic"),
            kinds: Kinds::One(None),
            key: None,
            id: Some("id".parse().expect("a selector")),
            data: Some("/data".parse().expect("a selector")),
            source: None,
        };
        let good = r#"{"topic":"t","id":"018f4e2a-0000-7000-8000-000000000001","data":[1.10]}"#;
        let events = mapping.events(&line(good)).expect("an event");
        assert_eq!(
            events[0].event_id().to_string(),
            "018f4e2a-0000-7000-8000-000000000001"
        );
        assert!(
            mapping
                .events(&line(r#"{"topic":"t","id":"7","data":1}"#))
                .is_err()
        );
        assert!(
            mapping
                .events(&line(
                    r#"{"topic":"t","id":"018f4e2a-0000-7000-8000-000000000001"}"#
                ))
                .is_err()
        );
        assert_eq!(mapping.selectors().count(), 3);
    }
}
