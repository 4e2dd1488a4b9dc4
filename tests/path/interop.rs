//! The CloudEvents SDK for Python reads what we write, and we read what it writes: structured and binary, JSON, text and
//! bytes. The SDK comes from PyPI into a virtual environment under the target folder; without a network the test fails.
//!
//! Known differences of that SDK (2.2), each asserted below:
//! * it gives an event without a time the time of reading;
//! * in binary mode it writes booleans as `True` and `False`, and numbers lose their type as they do with us;
//! * it parses JSON data and writes it again: spaces go, `1.10` becomes `1.1`;
//! * in binary mode it reads bytes that are UTF-8 as text, whatever their media type.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outbox_core::event::{Data, EntryId, Event, ExtensionValue, envelope};
use serde::Deserialize;
use serde_json::value::RawValue;
use system_tests::{Failure, Result};
use time::macros::datetime;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

const SDK: &str = "cloudevents==2.2.0";
const INSTALL_LIMIT: Duration = Duration::from_secs(240);
const RUN_LIMIT: Duration = Duration::from_secs(120);

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// What the SDK saw in one entry, and what it makes of it.
#[derive(Deserialize)]
struct Answer {
    attributes: BTreeMap<String, String>,
    data: Seen,
    structured: String,
    binary: Vec<(String, String)>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Seen {
    Bytes(String),
    Value(serde_json::Value),
}

impl Answer {
    fn structured(&self) -> Result<Event> {
        Ok(envelope::decode_structured(&STANDARD.decode(&self.structured)?)?)
    }

    fn binary(&self) -> Result<Event> {
        let mut fields = Fields::new();
        for (name, value) in &self.binary {
            fields.push((name.clone().into_bytes(), STANDARD.decode(value)?));
        }
        Ok(envelope::decode_entry(&fields)?)
    }
}

/// The Python of the virtual environment that has the SDK; made once.
async fn python() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-cloudevents");
    let (python, ready) = (folder.join("bin/python"), folder.join(SDK));
    if !ready.exists() {
        run(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&folder),
            "python3 -m venv",
        )
        .await?;
        let mut pip = Command::new(&python);
        run(
            pip.args(["-m", "pip", "install", "--quiet", SDK]),
            "pip install cloudevents (needs PyPI)",
        )
        .await?;
        std::fs::write(&ready, "")?;
    }
    Ok(python)
}

async fn run(command: &mut Command, what: &str) -> Result {
    let output = tokio::time::timeout(INSTALL_LIMIT, command.kill_on_drop(true).output()).await??;
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{what} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    )))
}

/// Has the SDK read these entries.
async fn ask(entries: &[Fields]) -> Result<Vec<Answer>> {
    let mut lines = String::new();
    for fields in entries {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (String::from_utf8_lossy(name), STANDARD.encode(value)))
            .collect();
        lines += &serde_json::to_string(&fields)?;
        lines.push('\n');
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("path/interop.py");
    let mut child = Command::new(python().await?)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = child
        .stdin
        .take()
        .ok_or_else(|| Failure::new("no standard input"))?;
    let writing = async {
        stdin.write_all(lines.as_bytes()).await?;
        drop(stdin);
        Result::Ok(())
    };
    let both = async { tokio::join!(writing, child.wait_with_output()) };
    let (written, output) = tokio::time::timeout(RUN_LIMIT, both).await?;
    let output = output?;
    if !output.status.success() {
        return Err(Failure::new(format!(
            "the SDK refused: {}",
            String::from_utf8_lossy(&output.stderr)
        )));
    }
    written?;
    String::from_utf8(output.stdout)?
        .lines()
        .map(|line| Ok(serde_json::from_str(line)?))
        .collect()
}

fn in_structured_mode(event: &Event) -> Fields {
    vec![(b"event".to_vec(), envelope::structured(event))]
}

fn in_binary_mode(event: &Event) -> Fields {
    envelope::binary(event)
        .into_iter()
        .map(|(name, value)| (name.into_bytes(), value))
        .collect()
}

fn json(text: &str) -> Result<Data> {
    Ok(Data::Json(RawValue::from_string(text.to_owned())?))
}

fn event(content_type: &str, data: Option<Data>) -> Event {
    let mut event = Event::new("0199", "/shop", "orders.placed");
    event.subject = Some("order/é 7".to_owned());
    event.time = Some(datetime!(2026-11-21 04:00:00.123456 UTC));
    event.data_content_type = Some(content_type.to_owned());
    event.data_schema = Some("https://shop/orders/1".to_owned());
    event.key = Some("7".to_owned());
    event.recorded_at = Some(datetime!(2026-11-21 04:00:00.5 UTC));
    event.schema_version = Some("1".to_owned());
    event.correlation_id = Some("c".to_owned());
    event.causation_id = Some("p".to_owned());
    event.traceparent = Some("00-a".to_owned());
    event.tracestate = Some("v=1".to_owned());
    event.previous_id = Some(EntryId::new(5, 9));
    event.extensions.insert("zone".to_owned(), "a \"b\" é".into());
    event.extensions.insert("attempt".to_owned(), 3.into());
    event.extensions.insert("test".to_owned(), true.into());
    event.data = data;
    event
}

/// Events whose payload the SDK gives back as it came, and what it sees of that payload.
fn plain() -> Result<Vec<(Event, Seen)>> {
    let bytes: Vec<u8> = (0..=255).collect();
    Ok(vec![
        (
            event(
                "application/json",
                Some(json(r#"{"a": [1, 2.5, null, true], "b": "x"}"#)?),
            ),
            Seen::Value(serde_json::json!({"a": [1, 2.5, null, true], "b": "x"})),
        ),
        (
            event("application/vnd.shop+json", Some(json(r#"{"a": 1}"#)?)),
            Seen::Value(serde_json::json!({"a": 1})),
        ),
        (
            event("text/plain", Some(Data::Text("hé\n".to_owned()))),
            Seen::Value("hé\n".into()),
        ),
        (
            event("image/png", Some(Data::Binary(bytes.clone()))),
            Seen::Bytes(STANDARD.encode(&bytes)),
        ),
        (
            event("application/json", None),
            Seen::Value(serde_json::Value::Null),
        ),
    ])
}

/// What binary mode makes of the extensions of an event, there and here.
fn with_extensions_as_text(event: &Event) -> Event {
    let mut event = event.clone();
    for value in event.extensions.values_mut() {
        *value = match &*value {
            ExtensionValue::Boolean(true) => "True".into(),
            ExtensionValue::Boolean(false) => "False".into(),
            other => other.to_string().into(),
        };
    }
    event
}

fn check_attributes(answer: &Answer) {
    for (name, value) in [
        ("specversion", "1.0"),
        ("id", "0199"),
        ("source", "/shop"),
        ("type", "orders.placed"),
        ("subject", "order/é 7"),
        ("time", "2026-11-21T04:00:00.123456+00:00"),
        ("dataschema", "https://shop/orders/1"),
        ("partitionkey", "7"),
        ("recordedtime", "2026-11-21T04:00:00.500000Z"),
        ("schemaversion", "1"),
        ("correlationid", "c"),
        ("causationid", "p"),
        ("traceparent", "00-a"),
        ("tracestate", "v=1"),
        ("previousid", "5-9"),
        ("zone", "a \"b\" é"),
        ("attempt", "3"),
    ] {
        assert_eq!(
            answer.attributes.get(name).map(String::as_str),
            Some(value),
            "{name}"
        );
    }
}

/// One test, since it makes the virtual environment that all of it needs.
#[tokio::test]
async fn the_python_sdk_and_we_read_each_other() -> Result {
    let plain = plain()?;
    let structured: Vec<Fields> = plain.iter().map(|(event, _)| in_structured_mode(event)).collect();
    for ((event, data), answer) in plain.iter().zip(ask(&structured).await?) {
        check_attributes(&answer);
        assert_eq!(&answer.data, data);
        assert_eq!(&answer.structured()?, event);
        assert_eq!(answer.binary()?, with_extensions_as_text(event));
    }
    let binary: Vec<Fields> = plain.iter().map(|(event, _)| in_binary_mode(event)).collect();
    for ((event, data), answer) in plain.iter().zip(ask(&binary).await?) {
        check_attributes(&answer);
        assert_eq!(&answer.data, data);
        // It took them for text, as we wrote them: `true`, not its own `True`.
        let mut as_text = event.clone();
        as_text
            .extensions
            .values_mut()
            .for_each(|value| *value = value.to_string().into());
        assert_eq!(answer.structured()?, as_text);
        assert_eq!(answer.binary()?, as_text);
    }
    known_differences().await
}

async fn known_differences() -> Result {
    let mut timeless = Event::new("1", "/s", "t");
    timeless.data_content_type = Some("application/json".to_owned());
    timeless.data = Some(json(r#"{"b":1.10,   "a":12345678901234567890123}"#)?);
    let mut utf8_bytes = Event::new("2", "/s", "t");
    utf8_bytes.data_content_type = Some("application/octet-stream".to_owned());
    utf8_bytes.data = Some(Data::Binary(b"abc".to_vec()));
    let answers = ask(&[in_structured_mode(&timeless), in_binary_mode(&utf8_bytes)]).await?;
    let again = answers[0].structured()?;
    assert!(again.time.is_some(), "it gives a time of its own");
    assert_eq!(
        again.data,
        Some(json(r#"{"b": 1.1, "a": 12345678901234567890123}"#)?)
    );
    assert_eq!(answers[1].data, Seen::Value("abc".into()));
    // Bytes are bytes again once they come back in binary mode.
    assert_eq!(answers[1].binary()?.data, utf8_bytes.data);
    Ok(())
}
