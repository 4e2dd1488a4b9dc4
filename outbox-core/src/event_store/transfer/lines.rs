//! Lines of a file, each of bounded length.

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

use crate::event_store::Error;

/// A payload of 16 MiB in base64, its attributes, and room.
const LINE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Reads line by line, and counts.
pub(super) struct Lines<'r, R> {
    reader: &'r mut R,
    /// Of the line read last, from 1 on.
    pub(super) number: u64,
}

impl<'r, R: AsyncBufRead + Unpin> Lines<'r, R> {
    pub(super) fn of(reader: &'r mut R) -> Self {
        Self { reader, number: 0 }
    }

    /// The next line with its end; none: the file ends.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        self.number += 1;
        let mut line = Vec::new();
        (&mut *self.reader)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
            .await
            .map_err(|error| self.refuse(format!("it cannot be read: {error}")))?;
        if line.is_empty() {
            return Ok(None);
        }
        if line.last() != Some(&b'\n') {
            let said = if line.len() as u64 >= LINE_BYTES_MAX {
                "it is longer than 32 MiB"
            } else {
                "the file ends in the middle of it"
            };
            return Err(self.refuse(said));
        }
        Ok(Some(line))
    }

    /// An error of the line read last.
    pub(super) fn refuse(&self, said: impl Into<String>) -> Error {
        Error::File {
            line: self.number,
            said: said.into(),
        }
    }
}
