//! What happened, line by line as JSON, in a file: never in the database under test.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use system_tests::Result;
use system_tests::journal::{Journal, Outcome};
use tokio::time::Instant;
use uuid::Uuid;

/// One run's file.
pub(super) struct History {
    path: PathBuf,
    file: BufWriter<File>,
    began: Instant,
}

impl History {
    pub(super) fn begin(path: &Path) -> Result<Self> {
        Ok(Self {
            file: BufWriter::new(File::create(path)?),
            path: path.to_owned(),
            began: Instant::now(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// One line: when, what, and what belongs to it.
    pub(super) fn note(&mut self, what: &str, of: Value) -> Result {
        let line = json!({ "ms": self.began.elapsed().as_millis(), "what": what, "of": of });
        Ok(writeln!(self.file, "{line}")?)
    }

    /// Every fact with its outcome.
    pub(super) fn journal(&mut self, journal: &Journal) -> Result {
        for (fact, outcome) in journal.all() {
            let outcome = match outcome {
                Outcome::Committed => "committed",
                Outcome::Unknown => "unknown",
                Outcome::RolledBack => "rolled back",
            };
            let of = json!({
                "id": fact.id, "topic": fact.topic, "key": fact.key, "number": fact.number, "outcome": outcome,
            });
            self.note("append", of)?;
        }
        Ok(())
    }

    /// Ids at a place, in their order there.
    pub(super) fn place(&mut self, place: &str, ids: impl IntoIterator<Item = Uuid>) -> Result {
        for id in ids {
            self.note("seen", json!({ "place": place, "id": id }))?;
        }
        Ok(())
    }

    pub(super) fn end(&mut self) -> Result {
        Ok(self.file.flush()?)
    }
}
