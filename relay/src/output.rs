//! Reports: a table for people, one JSON document for programs. Only the JSON and the exit code are a contract.

use std::io::Write as _;

use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Map, Value};

/// The form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

impl Output {
    /// Writes `report` as JSON, or what `table` makes of it, to standard output.
    ///
    /// # Errors
    /// Standard output was closed.
    pub fn write<T: Serialize>(self, report: &T, table: impl FnOnce(&T) -> String) -> std::io::Result<()> {
        let text = match self {
            Self::Table => table(report),
            Self::Json => format!("{}\n", serde_json::to_string_pretty(report)?),
        };
        std::io::stdout().lock().write_all(text.as_bytes())
    }
}

/// Rows under headings, as wide as their widest cell; the last column is not padded.
#[must_use]
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut text = line(&mut headings.iter().copied());
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}

/// A value of a row for people: nothing for null.
#[must_use]
pub fn cell(row: &Map<String, Value>, column: &str) -> String {
    match row.get(column) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            vec!["a".to_owned(), "long cell".to_owned()],
            vec!["bcd".to_owned(), "x".to_owned()],
        ];
        assert_eq!(
            table(&["id", "what"], &rows),
            "id   what\na    long cell\nbcd  x\n"
        );
    }
}
