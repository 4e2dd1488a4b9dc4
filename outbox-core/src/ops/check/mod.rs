//! What a server must be like. Pure: facts in, one line per check out, each finding with what it means and what to do.

mod postgres;

mod redis;

mod mark;

mod clock;

mod letters;

use serde::Serialize;

pub use self::clock::clocks;
pub use self::letters::dead_letters;
pub use self::mark::marks;
pub use self::postgres::{LogFacts, ServerFacts, log, schema, server};
pub use self::redis::{RedisFacts, redis};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something is weaker than it should be, or will fail.
    Finding,
    /// Publishing would lose, double or reorder events, so the relay refuses.
    Refusal,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it means.
    pub means: String,
    /// What to do.
    pub advice: String,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at; a stable name.
    pub name: &'static str,
    /// What was seen.
    pub seen: String,
    /// What is wrong with it; nothing when it is as it should be.
    pub finding: Option<Finding>,
}

impl Check {
    /// As it should be.
    pub fn passed(name: &'static str, seen: impl Into<String>) -> Self {
        Self {
            name,
            seen: seen.into(),
            finding: None,
        }
    }

    /// Weaker than it should be.
    pub fn found(
        name: &'static str,
        seen: impl Into<String>,
        means: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        let finding = Finding {
            severity: Severity::Finding,
            means: means.into(),
            advice: advice.into(),
        };
        Self {
            name,
            seen: seen.into(),
            finding: Some(finding),
        }
    }

    /// Not to be published from, or to.
    pub fn refused(
        name: &'static str,
        seen: impl Into<String>,
        means: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        let finding = Finding {
            severity: Severity::Refusal,
            means: means.into(),
            advice: advice.into(),
        };
        Self {
            name,
            seen: seen.into(),
            finding: Some(finding),
        }
    }
}

/// The worst of several checks; nothing when all passed.
#[must_use]
pub fn worst(checks: &[Check]) -> Option<Severity> {
    checks
        .iter()
        .filter_map(|check| check.finding.as_ref())
        .map(|finding| finding.severity)
        .max()
}

#[cfg(test)]
mod tests;
