//! Where in a record a value is: a column, a member, or a JSON pointer (RFC 6901). Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::value::RawValue;

/// The members to go through, outermost first; none for the whole value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selector(Vec<String>);

impl Selector {
    /// How many members it goes through.
    pub(super) fn depth(&self) -> usize {
        self.0.len()
    }

    /// The column of a row.
    pub(super) fn column(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// The value in this JSON, byte for byte; none when there is no such member.
    pub(super) fn in_json<'a>(&self, json: &'a str) -> Option<&'a str> {
        self.0.iter().try_fold(json, |json, token| member(json, token))
    }
}

/// One level is parsed, what is below it is only passed over: numbers and the order of keys stay as they are.
fn member<'a>(json: &'a str, token: &str) -> Option<&'a str> {
    if json.trim_start().starts_with('[') {
        let index = token
            .parse::<usize>()
            .ok()
            .filter(|index| index.to_string() == token)?;
        let values: Vec<&RawValue> = serde_json::from_str(json).ok()?;
        return Some(values.get(index)?.get());
    }
    let mut members: BTreeMap<Cow<'_, str>, &'a RawValue> = serde_json::from_str(json).ok()?;
    Some(members.remove(token)?.get())
}

/// A string's characters, a number's or boolean's text; nothing for null and the empty string.
///
/// Objects and arrays are no text: an error.
pub(super) fn text_of(json: &str) -> Result<Option<Cow<'_, str>>, &'static str> {
    let json = json.trim();
    let text: Cow<'_, str> = match json.bytes().next() {
        Some(b'"') => Cow::Owned(serde_json::from_str(json).map_err(|_| "is no valid string")?),
        Some(b'{' | b'[') => return Err("is an object or array, not a text or number"),
        _ if json == "null" => return Ok(None),
        _ => Cow::Borrowed(json),
    };
    Ok(Some(text).filter(|text| !text.is_empty()))
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a field must be a column, a member or a JSON pointer, got nothing".to_owned());
        }
        let Some(pointer) = text.strip_prefix('/') else {
            return Ok(Self(vec![text.to_owned()]));
        };
        let unescape = |token: &str| token.replace("~1", "/").replace("~0", "~");
        Ok(Self(pointer.split('/').map(unescape).collect()))
    }
}

/// As a JSON pointer.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|token| write!(f, "/{}", token.replace('~', "~0").replace('/', "~1")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select<'a>(selector: &str, json: &'a str) -> Option<&'a str> {
        selector.parse::<Selector>().expect("a selector").in_json(json)
    }

    #[test]
    fn a_value_comes_byte_for_byte() {
        let json = r#"{"b": {"z":1.10, "a":[10, {"n":123456789012345678901234567890}]}, "x/y":1, "~":2}"#;
        assert_eq!(
            select("/b", json),
            Some(r#"{"z":1.10, "a":[10, {"n":123456789012345678901234567890}]}"#)
        );
        assert_eq!(select("/b/a/1/n", json), Some("123456789012345678901234567890"));
        assert_eq!(select("/x~1y", json), Some("1"));
        assert_eq!(select("/~0", json), Some("2"));
        assert_eq!(select("x/y", json), Some("1"));
        for missing in ["/c", "/b/a/2", "/b/a/01", "/b/z/q"] {
            assert_eq!(select(missing, json), None, "{missing}");
        }
    }

    #[test]
    fn text_is_unescaped_and_nothing_is_nothing() {
        assert_eq!(text_of(r#""a\u00e9""#), Ok(Some("aé".into())));
        assert_eq!(text_of("12.50"), Ok(Some("12.50".into())));
        assert_eq!(text_of("null"), Ok(None));
        assert_eq!(text_of(r#""""#), Ok(None));
        assert!(text_of("{}").is_err());
    }
}
