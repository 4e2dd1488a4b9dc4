//! Pure: what a new event says, for those who put it into another form before it is appended.

use serde::de::IgnoredAny;

use super::new_event::{NewEvent, Payload};

/// What an event carries.
pub(crate) enum Content<'a> {
    None,
    Json(&'a str),
    Binary(&'a [u8]),
}

impl NewEvent {
    /// What it carries; a text says why it cannot be appended at all.
    pub(crate) fn content(&self) -> Result<Content<'_>, String> {
        match &self.payload {
            Payload::None => Ok(Content::None),
            Payload::Json(text) => Ok(Content::Json(text)),
            Payload::UncheckedJson(text) => match serde_json::from_str::<IgnoredAny>(text) {
                Ok(_) => Ok(Content::Json(text)),
                Err(error) => Err(format!(
                    "data: must be valid JSON, broken at line {} column {}",
                    error.line(),
                    error.column()
                )),
            },
            Payload::Unserialisable => {
                Err("data: must have a JSON form, the value given has none".to_owned())
            }
            Payload::Binary(bytes) => Ok(Content::Binary(bytes)),
        }
    }

    /// Its media type, where one was given.
    pub(crate) fn content_type(&self) -> Option<&str> {
        self.data_content_type.as_deref()
    }

    /// Its type, and the version of its data.
    pub(crate) fn contract(&self) -> (&str, Option<&str>) {
        (
            self.r#type.as_deref().unwrap_or_default(),
            self.schema_version.as_deref(),
        )
    }
}
