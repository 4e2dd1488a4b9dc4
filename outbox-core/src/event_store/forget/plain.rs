//! Pure: a payload as the bytes that are sealed: its kind, its media type, itself.

use serde_json::value::RawValue;

use crate::append::Content;
use crate::event::Data;

const NONE: u8 = 0;
const JSON: u8 = 1;
const BINARY: u8 = 2;

/// The bytes of a payload. The media type is part of it: a stranger learns nothing of it either.
pub(super) fn to_bytes(content: &Content<'_>, content_type: Option<&str>) -> Vec<u8> {
    let (kind, body): (u8, &[u8]) = match content {
        Content::None => (NONE, &[]),
        Content::Json(text) => (JSON, text.as_bytes()),
        Content::Binary(bytes) => (BINARY, bytes),
    };
    let content_type = content_type.unwrap_or_default().as_bytes();
    let length = u32::try_from(content_type.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(5 + content_type.len() + body.len());
    bytes.push(kind);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(content_type);
    bytes.extend_from_slice(body);
    bytes
}

/// The payload and its media type. None: that are no such bytes.
pub(super) fn from_bytes(bytes: &[u8]) -> Option<(Option<Data>, Option<String>)> {
    let (kind, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (content_type, body) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let data = match *kind {
        NONE if body.is_empty() => None,
        JSON => {
            let text = String::from_utf8(body.to_vec()).ok()?;
            Some(Data::Json(RawValue::from_string(text).ok()?))
        }
        BINARY => Some(Data::Binary(body.to_vec())),
        _ => return None,
    };
    let content_type = String::from_utf8(content_type.to_vec()).ok()?;
    Some((data, (!content_type.is_empty()).then_some(content_type)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_back_as_it_was() {
        for (content, content_type) in [
            (Content::None, None),
            (Content::Json(r#"{ "b": 1.10 }"#), None),
            (Content::Json("1"), Some("application/vnd.a+json")),
            (Content::Binary(&[0, 255]), Some("image/png")),
        ] {
            let bytes = to_bytes(&content, content_type);
            let (data, kept_type) = from_bytes(&bytes).expect("readable");
            assert_eq!(kept_type.as_deref(), content_type);
            let kept = data.as_ref().map(Data::as_bytes);
            match content {
                Content::None => assert_eq!(kept, None),
                Content::Json(text) => assert_eq!(kept, Some(text.as_bytes())),
                Content::Binary(body) => assert_eq!(kept, Some(body)),
            }
        }
    }

    #[test]
    fn other_bytes_are_refused() {
        for bytes in [
            &b""[..],
            b"\x01",
            b"\x09\0\0\0\0",
            b"\x01\0\0\0\x09a",
            b"\x01\0\0\0\0no JSON",
            b"\0\0\0\0\0x",
        ] {
            assert!(from_bytes(bytes).is_none(), "{bytes:?}");
        }
    }
}
