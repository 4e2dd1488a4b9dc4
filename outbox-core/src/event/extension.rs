//! Extension attributes: values that CloudEvents knows, and the names that are taken.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Error, ErrorKind};

/// The value of an extension attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ExtensionValue {
    /// Text; also what the wire says of a value that is of no type CloudEvents knows (a fraction, an object).
    String(String),
    /// True or false.
    Boolean(bool),
    /// A whole number of 32 bits.
    Integer(i32),
}

/// The canonical text, as binary mode writes it.
impl fmt::Display for ExtensionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => f.write_str(text),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
        }
    }
}

impl From<&str> for ExtensionValue {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for ExtensionValue {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<bool> for ExtensionValue {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i32> for ExtensionValue {
    fn from(value: i32) -> Self {
        Self::Integer(value)
    }
}

impl ExtensionValue {
    /// What a JSON value means as an attribute; `null` means that the attribute is absent.
    pub(super) fn from_json(raw: &RawValue) -> Result<Option<Self>, serde_json::Error> {
        let text = raw.get();
        Ok(Some(match text.as_bytes().first() {
            Some(b'n') => return Ok(None),
            Some(b'"') => Self::String(serde_json::from_str(text)?),
            Some(b't') => Self::Boolean(true),
            Some(b'f') => Self::Boolean(false),
            _ => text
                .parse()
                .map_or_else(|_| Self::String(text.to_owned()), Self::Integer),
        }))
    }
}

/// Whether the name is an attribute that an event has a field of its own for, so that it cannot name an extension.
#[must_use]
pub fn is_attribute(name: &str) -> bool {
    matches!(
        name,
        "id" | "source"
            | "type"
            | "specversion"
            | "subject"
            | "time"
            | "datacontenttype"
            | "dataschema"
            | "data"
            | "data_base64"
            | "partitionkey"
            | "recordedtime"
            | "previousid"
            | "schemaversion"
            | "correlationid"
            | "causationid"
            | "traceparent"
            | "tracestate"
    )
}

/// Extensions as the log keeps them: one JSON object.
///
/// # Errors
/// When the text is no JSON object. Names that are attributes are left out: the event has them elsewhere.
pub fn extensions_from_json(json: &str) -> Result<BTreeMap<String, ExtensionValue>, Error> {
    let unfit = |error: serde_json::Error| {
        let rule = format!(
            "must be a JSON object, broken at line {} column {}",
            error.line(),
            error.column()
        );
        Error::from(ErrorKind::Unfit {
            field: "extensions".to_owned(),
            rule,
        })
    };
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(json).map_err(unfit)?;
    let mut extensions = BTreeMap::new();
    for (name, raw) in members {
        if !is_attribute(&name)
            && let Some(value) = ExtensionValue::from_json(raw).map_err(unfit)?
        {
            extensions.insert(name, value);
        }
    }
    Ok(extensions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_values_become_attribute_values() {
        let extensions = extensions_from_json(
            r#"{"b":true,"i":-7,"s":"x\ny","n":null,"f":1.50,"big":9000000000,"traceparent":"t"}"#,
        )
        .expect("an object");
        let expected: BTreeMap<String, ExtensionValue> = [
            ("b", ExtensionValue::Boolean(true)),
            ("i", ExtensionValue::Integer(-7)),
            ("s", "x\ny".into()),
            ("f", "1.50".into()),
            ("big", "9000000000".into()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        assert_eq!(extensions, expected);
    }

    #[test]
    fn anything_but_an_object_is_refused() {
        let error = extensions_from_json("[1]").expect_err("an array").to_string();
        assert!(error.starts_with("extensions: must be a JSON object"), "{error}");
    }
}
