//! What came of a run: every fault with what it met and how long it took until something moved again, and what was found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::fault::Kind;
use super::load::Bank;
use super::verdict::Findings;

/// How a run says that.
const UNMET: &str = "faults that met nothing";

/// A fault that was done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Done {
    /// What.
    pub kind: Kind,
    /// For how long, in milliseconds.
    pub lasted_ms: u64,
    /// It met something.
    pub has_met: bool,
    /// From its end to the effect of the first event committed after it; none if there was no such event.
    pub recovered_ms: Option<u64>,
}

/// How a run went.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// Every fault.
    pub done: Vec<Done>,
    /// Events that were committed.
    pub committed: usize,
    /// Events whose commit was not answered.
    pub unknown: usize,
    /// Effects at both consumers.
    pub applied: usize,
    /// Events given up, as they must be.
    pub dead: usize,
    /// Events that wait behind those.
    pub parked: usize,
    /// Committed and missing somewhere.
    pub lost: usize,
    /// There, and never committed.
    pub phantom: usize,
    /// With two effects.
    pub doubled: usize,
    /// Twice on a stream, while Redis kept its data.
    pub doubled_on_stream: usize,
    /// Twice on a stream, after Redis lost data.
    pub put_out_again: usize,
    /// Before an earlier event of the same key.
    pub reordered: usize,
    /// How often the lead changed hands.
    pub takeovers: u64,
    /// Processes that were started.
    pub started: usize,
    /// How long it took until all had arrived, in milliseconds.
    pub quiet_ms: u64,
    /// Why it failed; none if it did not.
    pub failed: Option<String>,
}

/// How long after each fault something committed after it had its effect.
pub(super) fn recovered(done: Vec<(Done, OffsetDateTime)>, bank: &Bank, findings: &Findings) -> Vec<Done> {
    let beats: BTreeMap<OffsetDateTime, OffsetDateTime> = bank
        .beats
        .iter()
        .filter_map(|(id, at)| Some((*at, *findings.beats.get(id)?)))
        .collect();
    done.into_iter()
        .map(|(mut done, over)| {
            let first = beats.range(over..).next();
            done.recovered_ms = first
                .and_then(|(_, applied)| u64::try_from((*applied - over).whole_milliseconds().max(0)).ok());
            done
        })
        .collect()
}

impl Outcome {
    /// How many faults met something.
    #[must_use]
    pub fn met(&self) -> usize {
        self.done.iter().filter(|done| done.has_met).count()
    }

    /// Whether it failed for anything but faults that met nothing.
    #[must_use]
    pub fn has_findings(&self) -> bool {
        let lines = self.failed.iter().flat_map(|failed| failed.lines());
        lines.into_iter().any(|line| !line.starts_with(UNMET))
    }

    /// Which faults met nothing: they did not happen.
    #[must_use]
    pub fn unmet(&self) -> Option<String> {
        let unmet = self.done.iter().filter(|done| !done.has_met);
        let unmet: Vec<String> = unmet.map(|done| done.kind.to_string()).collect();
        (!unmet.is_empty()).then(|| format!("{UNMET}: {}", unmet.join(", ")))
    }
}
