//! One run of a campaign, as a line of its file.

use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use system_tests::Result;

use super::outcome::Outcome;

/// A run, and what it was a run of.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// The commit of the sources, as `git describe` tells it.
    pub commit: String,
    /// When it began, in seconds since 1970.
    pub began: u64,
    /// For how long faults came, in milliseconds.
    pub faults_ms: u64,
    /// Redis lost data as well.
    pub losses: bool,
    /// The machine had other work beside the campaign.
    pub shared: bool,
    /// With how many faults it still failed, if it failed and was minimised.
    pub fewest: Option<usize>,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Every run on file; none when there is no such file.
///
/// # Errors
/// When the file is not what a campaign wrote.
pub fn read(file: &Path) -> Result<Vec<Record>> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(file)?;
    let records = text.lines().map(serde_json::from_str);
    Ok(records.collect::<std::result::Result<_, _>>()?)
}

/// Adds a line, in one write.
///
/// # Errors
/// When the file cannot be written.
pub fn append(file: &Path, record: &Record) -> Result {
    let mut line = serde_json::to_string(record)?;
    line.push('\n');
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
    Ok(file.write_all(line.as_bytes())?)
}

/// How many faults met something in these runs.
#[must_use]
pub fn faults<'a>(records: impl IntoIterator<Item = &'a Record>) -> usize {
    records.into_iter().map(|record| record.outcome.met()).sum()
}
