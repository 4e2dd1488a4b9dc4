//! The payload: JSON byte for byte, text, or bytes.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::content_type::is_json;
use super::{Error, ErrorKind, Event};

/// A payload.
#[derive(Clone)]
pub enum Data {
    /// A JSON value, byte for byte as it was appended.
    Json(Box<RawValue>),
    /// Text of a media type that is not JSON.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

impl Data {
    /// The same payload, borrowed.
    #[must_use]
    pub fn view(&self) -> DataView<'_> {
        match self {
            Self::Json(raw) => DataView::Json(raw.get()),
            Self::Text(text) => DataView::Text(text),
            Self::Binary(bytes) => DataView::Binary(bytes),
        }
    }

    /// The bytes of the payload.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.view().as_bytes()
    }
}

impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        self.view() == other.view()
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(f)
    }
}

/// A borrowed payload: what the publisher makes of a row of the log without copying it.
#[derive(Clone, Copy, PartialEq)]
pub enum DataView<'a> {
    /// One valid JSON value. Whoever makes one vouches for that; it goes out unread. The log's column is text: what is read from it is
    /// looked at there.
    Json(&'a str),
    /// Text of a media type that is not JSON.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

impl<'a> DataView<'a> {
    /// The bytes of the payload.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        match *self {
            Self::Json(text) | Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The payload itself, outside any envelope: a JSON string under a media type that is not JSON is the text it holds.
    pub(super) fn body(&self, content_type: Option<&str>) -> Cow<'a, [u8]> {
        if let Self::Json(json) = *self
            && json.starts_with('"')
            && !is_json(content_type)
            && let Ok(text) = serde_json::from_str::<String>(json)
        {
            return Cow::Owned(text.into_bytes());
        }
        Cow::Borrowed(self.as_bytes())
    }
}

/// Kind and size, never the content.
impl fmt::Debug for DataView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Json(_) => "Json",
            Self::Text(_) => "Text",
            Self::Binary(_) => "Binary",
        };
        write!(f, "{kind}({} bytes)", self.as_bytes().len())
    }
}

impl Event {
    /// The payload as a value of yours.
    ///
    /// # Errors
    /// When there is no payload or it is not of that shape. The error says where and what was expected, not what was there.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        let bytes = self
            .data
            .as_ref()
            .map(Data::as_bytes)
            .ok_or(ErrorKind::Missing { field: "data" })?;
        serde_json::from_slice(bytes).map_err(|error| {
            let rule = format!(
                "{} at line {} column {}",
                without_content(&error),
                error.line(),
                error.column()
            );
            ErrorKind::Unfit {
                field: "data".to_owned(),
                rule,
            }
            .into()
        })
    }
}

/// The message of a JSON error without anything that came from the input: `invalid type: string "…"` quotes the value.
pub(crate) fn without_content(error: &serde_json::Error) -> String {
    let message = error.to_string();
    if !error.is_data() {
        return "must be valid JSON, broken".to_owned();
    }
    if message.starts_with("missing field ") {
        let end = message.find(" at line ").unwrap_or(message.len());
        return format!("must fit the expected type, {}", &message[..end]);
    }
    // What follows the last `, expected ` was written by the type, not by the input.
    match message.rsplit_once(", expected ") {
        Some((_, expected)) => {
            let end = expected.rfind(" at line ").unwrap_or(expected.len());
            format!("must fit the expected type, which wants {}", &expected[..end])
        }
        None => "must fit the expected type, does not".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Order {
        order: u64,
    }

    fn event(json: &str) -> Event {
        let mut event = Event::new("1", "/shop", "orders.placed");
        event.data = Some(Data::Json(
            RawValue::from_string(json.to_owned()).expect("the test writes JSON"),
        ));
        event
    }

    #[test]
    fn typed_reading_works_and_its_errors_do_not_quote_the_payload() {
        assert_eq!(event(r#"{"order": 7}"#).json::<Order>().expect("fits").order, 7);
        let wrong = event(r#"{"order": "secret"}"#)
            .json::<Order>()
            .expect_err("a string is no number")
            .to_string();
        assert_eq!(
            wrong,
            "data: must fit the expected type, which wants u64 at line 1 column 18"
        );
        let missing = event(r#"{"secret": 1}"#)
            .json::<Order>()
            .expect_err("a field is missing")
            .to_string();
        assert!(
            missing.contains("missing field `order`") && !missing.contains("secret"),
            "{missing}"
        );
    }

    #[test]
    fn debug_shows_kind_and_size_only() {
        let shown = format!("{:?}", event(r#"{"card":"4111"}"#));
        assert!(
            shown.contains("Json(15 bytes)") && !shown.contains("4111"),
            "{shown}"
        );
    }
}
