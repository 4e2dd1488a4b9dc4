//! Pure: a stored event as a line, and back.

use std::collections::BTreeSet;

use crate::append::NewEvent;
use crate::event::envelope::{decode_structured, write_structured};
use crate::event::{Data, Event, ExtensionValue, is_json};
use crate::event_store::{StoredEvent, StreamName};

const NAME: &str = "streamname";
const VERSION: &str = "streamversion";
const TAGS: &str = "streamtags";
const TOPIC: &str = "streamtopic";
const DATA: &str = "streamdata";
const JSON: &str = "json";

/// What sets a text of an event.
type Set = fn(NewEvent, String) -> NewEvent;

/// An event of a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) stream: StreamName,
    pub(super) version: u64,
    pub(super) tags: Vec<String>,
    pub(super) topic: Option<String>,
    pub(super) event: Event,
}

impl Row {
    pub(super) fn of(stored: StoredEvent) -> Self {
        Self {
            stream: stored.stream,
            version: stored.version,
            tags: stored.tags,
            topic: stored.topic,
            event: stored.event,
        }
    }

    /// Appends the line to `out`.
    pub(super) fn write(mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let taken = [NAME, VERSION, TAGS, TOPIC, DATA]
            .into_iter()
            .find(|name| self.event.extensions.contains_key(*name));
        if let Some(name) = taken {
            return Err(format!(
                "event {} of stream {} has an extension {name}, which is taken",
                self.version, self.stream
            ));
        }
        let version = i32::try_from(self.version).map_or_else(
            |_| ExtensionValue::from(self.version.to_string()),
            ExtensionValue::from,
        );
        let mut set =
            |name: &str, value: ExtensionValue| self.event.extensions.insert(name.to_owned(), value);
        set(NAME, self.stream.as_str().into());
        set(VERSION, version);
        if let Some(topic) = self.topic {
            set(TOPIC, topic.into());
        }
        if !self.tags.is_empty() {
            set(TAGS, serde_json::Value::from(self.tags).to_string().into());
        }
        if let Some(Data::Json(raw)) = &self.event.data {
            let text = raw.get();
            if text.contains(['\n', '\r']) || !is_json(self.event.data_content_type.as_deref()) {
                self.event.extensions.insert(DATA.to_owned(), JSON.into());
                self.event.data = Some(Data::Binary(text.as_bytes().to_vec()));
            }
        }
        write_structured(&self.event.view(), out);
        out.push(b'\n');
        Ok(())
    }

    /// The event of a line.
    pub(super) fn read(line: &[u8]) -> Result<Self, String> {
        let mut event = decode_structured(line).map_err(|error| error.to_string())?;
        let mut take = |name: &str| event.extensions.remove(name).map(|value| value.to_string());
        let name = take(NAME).ok_or_else(|| format!("{NAME} is missing"))?;
        let stream: StreamName = name.parse().map_err(|error| format!("{NAME}: {error}"))?;
        let version = take(VERSION)
            .and_then(|text| text.parse().ok())
            .filter(|version| *version > 0)
            .ok_or_else(|| format!("{VERSION} is missing, or no number from 1 on"))?;
        let tags = match take(TAGS) {
            Some(text) => serde_json::from_str(&text).map_err(|_| format!("{TAGS} is no array of texts"))?,
            None => Vec::new(),
        };
        let topic = take(TOPIC);
        if take(DATA).as_deref() == Some(JSON) {
            event.data = Some(json_of(event.data.take())?);
        }
        Ok(Self {
            stream,
            version,
            tags,
            topic,
            event,
        })
    }

    /// What is compared with what is stored: not the trace, which an append may take from its own, nor what each store says itself.
    pub(super) fn is_same(&self, stored: &StoredEvent) -> bool {
        let plain = |event: &Event| Event {
            key: None,
            recorded_at: None,
            previous_id: None,
            traceparent: None,
            tracestate: None,
            ..event.clone()
        };
        self.stream == stored.stream
            && self.version == stored.version
            && set(&self.tags) == set(&stored.tags)
            && plain(&self.event) == plain(&stored.event)
    }

    /// The event to append.
    pub(super) fn to_append(&self, keeps_topic: bool) -> Result<NewEvent, String> {
        let event = &self.event;
        let id = event.id.parse().map_err(|_| "id: must be a UUID".to_owned())?;
        let mut new = NewEvent::stored(&event.r#type).id(id).source(&event.source);
        new = match &self.topic {
            Some(topic) if keeps_topic => new.publish_to(topic),
            _ => new.private(),
        };
        new = match &event.data {
            None => new,
            Some(Data::Json(raw)) => new.raw_json(raw.clone()),
            Some(Data::Binary(bytes)) => new.binary(bytes.clone(), "application/octet-stream"),
            Some(Data::Text(_)) => return Err("data: text that is no JSON is not of an export".to_owned()),
        };
        for tag in &self.tags {
            new = new.tag(tag);
        }
        for (name, value) in &event.extensions {
            new = new.extension(name, value.clone());
        }
        if let Some(time) = event.time {
            new = new.time(time);
        }
        let texts: [(&Option<String>, Set); 8] = [
            (&event.subject, NewEvent::subject),
            (&event.data_content_type, NewEvent::data_content_type),
            (&event.data_schema, NewEvent::data_schema),
            (&event.schema_version, NewEvent::schema_version),
            (&event.correlation_id, NewEvent::correlation_id),
            (&event.causation_id, NewEvent::causation_id),
            (&event.traceparent, NewEvent::traceparent),
            (&event.tracestate, NewEvent::tracestate),
        ];
        Ok(texts.into_iter().fold(new, |new, (text, set)| match text {
            Some(text) => set(new, text.clone()),
            None => new,
        }))
    }
}

/// Tags are in the order of the database that stored them, and each is there once.
fn set(tags: &[String]) -> BTreeSet<&str> {
    tags.iter().map(String::as_str).collect()
}

fn json_of(data: Option<Data>) -> Result<Data, String> {
    let refuse = || format!("{DATA} says {JSON}, and data_base64 is none");
    let Some(Data::Binary(bytes)) = data else {
        return Err(refuse());
    };
    let text = String::from_utf8(bytes).map_err(|_| refuse())?;
    serde_json::value::RawValue::from_string(text)
        .map(Data::Json)
        .map_err(|_| refuse())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(data: Option<Data>, content_type: Option<&str>) -> Row {
        let mut event = Event::new("0199e0c5-0000-7000-8000-000000000001", "/shop", "order.paid");
        event.data = data;
        event.data_content_type = content_type.map(str::to_owned);
        event.extensions.insert("weight".to_owned(), 7.into());
        Row {
            stream: "order-é/7".parse().expect("a name"),
            version: 5_000_000_000,
            tags: vec!["a,\"b".to_owned(), "c".to_owned()],
            topic: Some("orders".to_owned()),
            event,
        }
    }

    fn json(text: &str) -> Option<Data> {
        Some(Data::Json(
            serde_json::value::RawValue::from_string(text.to_owned()).expect("JSON"),
        ))
    }

    #[test]
    fn a_line_says_all_of_it_byte_for_byte() {
        for row in [
            row(None, None),
            row(
                json("{ \"b\": 1.10,\n \"a\": 123456789012345678901234567890 }"),
                Some("application/json"),
            ),
            row(json("{\"b\": 1.10}"), None),
            row(json("null"), Some("application/json")),
            row(json("\"text\""), Some("text/plain")),
            row(json("null"), Some("text/plain")),
            row(Some(Data::Binary(vec![0, 10, 255])), Some("application/json")),
        ] {
            let mut line = Vec::new();
            row.clone().write(&mut line).expect("written");
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
            assert_eq!(Row::read(&line[..line.len() - 1]).expect("read"), row);
        }
    }

    #[test]
    fn tags_are_the_same_in_the_order_of_another_database() {
        let tagged = |tags: &[&str]| Row {
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            ..row(None, None)
        };
        let stored = |tags| {
            let row = tagged(tags);
            StoredEvent {
                stream: row.stream,
                version: row.version,
                position: 1,
                recorded_at: time::OffsetDateTime::UNIX_EPOCH,
                tags: row.tags,
                topic: None,
                is_archived: false,
                event: row.event,
            }
        };
        let of_a_file = tagged(&["Zoo", "apple", "éclair"]);
        assert!(of_a_file.is_same(&stored(&["apple", "éclair", "Zoo"])));
        assert!(!of_a_file.is_same(&stored(&["apple", "éclair"])));
        assert!(!of_a_file.is_same(&stored(&["apple", "zoo", "éclair"])));
    }

    #[test]
    fn what_is_no_event_of_a_stream_says_why() {
        let line =
            |members: &str| format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"t"{members}}}"#);
        for (line, part) in [
            ("no JSON".to_owned(), ""),
            (line(""), "streamname is missing"),
            (line(r#","streamname":"order""#), "no dash"),
            (line(r#","streamname":"order-7""#), "streamversion"),
            (
                line(r#","streamname":"order-7","streamversion":0"#),
                "streamversion",
            ),
            (
                line(r#","streamname":"order-7","streamversion":1,"streamtags":"x""#),
                "streamtags",
            ),
            (
                line(r#","streamname":"order-7","streamversion":1,"streamdata":"json""#),
                "streamdata",
            ),
        ] {
            let said = Row::read(line.as_bytes()).expect_err("refused");
            assert!(said.contains(part), "{line}: {said}");
        }
        let mut taken = row(None, None);
        taken.event.extensions.insert("streamname".to_owned(), 1.into());
        assert!(taken.write(&mut Vec::new()).is_err());
    }
}
