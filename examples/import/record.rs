//! A record of the input, and its digest. Pure.

use std::borrow::Cow;
use std::sync::Arc;

use csv::ByteRecord;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::selector::{Selector, text_of};

/// A longer line is a bad one. Twice the hard limit of a payload, for what is around it.
pub const LINE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What a record holds.
#[derive(Debug)]
pub(super) enum Content {
    /// A line of NDJSON, valid JSON.
    Json(String),
    /// A row of CSV with the names of its columns.
    Row {
        header: Arc<[String]>,
        fields: Vec<String>,
    },
}

impl Content {
    /// The line must be one JSON value.
    pub(super) fn of_line(line: Vec<u8>) -> Result<Self, String> {
        let line = String::from_utf8(line).map_err(|_| "is not UTF-8".to_owned())?;
        match serde_json::from_str::<&RawValue>(&line) {
            Ok(_) => Ok(Self::Json(line)),
            Err(error) => Err(format!("is not JSON: column {}", error.column())),
        }
    }

    /// The row must have a field per column.
    pub(super) fn of_row(header: &Arc<[String]>, row: &ByteRecord) -> Result<Self, String> {
        if row.len() != header.len() {
            return Err(format!("must have {} columns, has {}", header.len(), row.len()));
        }
        let field = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| "is not UTF-8".to_owned());
        Ok(Self::Row {
            header: header.clone(),
            fields: row.iter().map(field).collect::<Result<_, _>>()?,
        })
    }

    /// The text of a field; none when it is missing, null or empty.
    pub(super) fn text(&self, selector: &Selector) -> Result<Option<Cow<'_, str>>, String> {
        match self {
            Self::Json(line) => match selector.in_json(line) {
                Some(json) => text_of(json).map_err(|why| format!("{selector} {why}")),
                None => Ok(None),
            },
            Self::Row { .. } => Ok(self
                .column(selector)?
                .filter(|text| !text.is_empty())
                .map(Cow::Borrowed)),
        }
    }

    /// A field as JSON, byte for byte; without a selector the whole record.
    pub(super) fn json(&self, selector: Option<&Selector>) -> Result<String, String> {
        match (self, selector) {
            // Spaces around a value are no part of it.
            (Self::Json(line), None) => Ok(line.trim().to_owned()),
            (Self::Json(line), Some(selector)) => selector
                .in_json(line)
                .map(str::to_owned)
                .ok_or_else(|| format!("{selector} is missing")),
            (Self::Row { header, fields }, None) => Ok(object(header, fields)),
            (Self::Row { .. }, Some(selector)) => {
                let text = self.column(selector)?.unwrap_or_default();
                match serde_json::from_str::<&RawValue>(text) {
                    Ok(_) => Ok(text.trim().to_owned()),
                    Err(_) => Err(format!("{selector} is not JSON")),
                }
            }
        }
    }

    fn column(&self, selector: &Selector) -> Result<Option<&str>, String> {
        let Self::Row { header, fields } = self else {
            return Ok(None);
        };
        let place = header.iter().position(|name| name == selector.column());
        let place = place.ok_or_else(|| format!("there is no column {:?}", selector.column()))?;
        Ok(fields.get(place).map(String::as_str))
    }
}

/// The row as an object, its members in the order of the columns. A CSV knows texts only.
fn object(header: &[String], fields: &[String]) -> String {
    let quoted = |text: &String| serde_json::Value::from(text.as_str()).to_string();
    let members: Vec<String> = header
        .iter()
        .zip(fields)
        .map(|(name, field)| format!("{}:{}", quoted(name), quoted(field)))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// The digest of all records so far: what a second run compares with the beginning of its input.
#[derive(Clone, Default)]
pub(super) struct Digest(Sha256);

impl Digest {
    pub(super) fn add_line(&mut self, line: &[u8]) {
        self.0.update(line);
        self.0.update(b"\n");
    }

    /// Lengths go before the fields: `a,bc` and `ab,c` differ.
    pub(super) fn add_row(&mut self, row: &ByteRecord) {
        self.0.update(row.len().to_le_bytes());
        for field in row {
            self.0.update(field.len().to_le_bytes());
            self.0.update(field);
        }
    }

    pub(super) fn value(&self) -> Vec<u8> {
        self.0.clone().finalize().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fields: &[&str]) -> ByteRecord {
        ByteRecord::from(fields.to_vec())
    }

    #[test]
    fn a_row_is_an_object_in_the_order_of_its_columns() {
        let header: Arc<[String]> = ["z".to_owned(), "a \"b\"".to_owned()].into();
        let content = Content::of_row(&header, &row(&["1.10", "é\n"])).expect("a row");
        assert_eq!(
            content.json(None).expect("an object"),
            r#"{"z":"1.10","a \"b\"":"é\n"}"#
        );
        assert!(Content::of_row(&header, &row(&["1"])).is_err());
    }

    #[test]
    fn a_column_that_is_not_there_is_said_and_an_empty_one_is_nothing() {
        let header: Arc<[String]> = ["id".to_owned()].into();
        let content = Content::of_row(&header, &row(&[""])).expect("a row");
        assert_eq!(content.text(&"id".parse().expect("a selector")), Ok(None));
        assert!(content.text(&"no".parse().expect("a selector")).is_err());
    }

    #[test]
    fn a_line_that_is_no_json_is_refused_without_being_quoted() {
        let why = Content::of_line(br#"{"secret": tru}"#.to_vec()).expect_err("no JSON");
        assert!(why.contains("column") && !why.contains("secret"), "{why}");
    }

    #[test]
    fn where_a_field_ends_is_part_of_the_digest() {
        let (mut one, mut other) = (Digest::default(), Digest::default());
        one.add_row(&row(&["a", "bc"]));
        other.add_row(&row(&["ab", "c"]));
        assert_ne!(one.value(), other.value());
    }
}
