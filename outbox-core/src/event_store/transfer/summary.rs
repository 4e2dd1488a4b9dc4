//! Pure: the last line of a file, and the check of what is before it.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::row::Row;
use crate::event_store::StreamName;

/// The format that is written, and the only one that is read.
const FORMAT: u32 = 1;

/// What the last line says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Summary {
    streamexport: u32,
    streams: u64,
    events: u64,
    sha256: String,
}

/// What the lines so far are.
#[derive(Default)]
pub(super) struct Tally {
    streams: u64,
    events: u64,
    hash: Sha256,
    last: Option<(StreamName, u64)>,
}

impl Tally {
    /// One more line, with its end.
    pub(super) fn add(&mut self, line: &[u8], stream: &StreamName, version: u64) {
        if self.last.as_ref().is_none_or(|(last, _)| last != stream) {
            self.streams += 1;
        }
        self.events += 1;
        self.hash.update(line);
        self.last = Some((stream.clone(), version));
    }

    /// What is wrong with the place of the next row.
    pub(super) fn check(&self, row: &Row) -> Result<(), String> {
        let expected = match &self.last {
            Some((stream, version)) if *stream == row.stream => version + 1,
            _ => 1,
        };
        if row.version == expected {
            return Ok(());
        }
        Err(match expected {
            1 => format!(
                "stream {} begins with version {}: what was truncated cannot be imported",
                row.stream, row.version
            ),
            _ => format!(
                "stream {} has version {} where {expected} must be",
                row.stream, row.version
            ),
        })
    }

    pub(super) fn streams(&self) -> u64 {
        self.streams
    }

    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// The last line, with its end.
    pub(super) fn line(self) -> Vec<u8> {
        let mut line = serde_json::to_vec(&self.summary()).expect("numbers and a text have a JSON form");
        line.push(b'\n');
        line
    }

    /// What is wrong with the file whose last line this is.
    pub(super) fn expect(self, line: &[u8]) -> Result<(), String> {
        let told: Summary =
            serde_json::from_slice(line).map_err(|_| "it is no last line of an export".to_owned())?;
        if told.streamexport != FORMAT {
            return Err(format!(
                "it is of format {}, and {FORMAT} is known",
                told.streamexport
            ));
        }
        let counted = self.summary();
        if (told.streams, told.events) != (counted.streams, counted.events) {
            return Err(format!(
                "it tells of {} events of {} streams, and there are {} of {}",
                told.events, told.streams, counted.events, counted.streams
            ));
        }
        if told.sha256 != counted.sha256 {
            return Err("the digest of the lines before is another: the file was changed".to_owned());
        }
        Ok(())
    }

    fn summary(self) -> Summary {
        Summary {
            streamexport: FORMAT,
            streams: self.streams,
            events: self.events,
            sha256: self
                .hash
                .finalize()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        }
    }
}

/// Whether a line is the last one, from its beginning.
pub(super) fn is_last(line: &[u8]) -> bool {
    line.starts_with(b"{\"streamexport\"")
}
