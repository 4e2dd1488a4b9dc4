//! What the page starts from: lines of the reports that the other measures wrote, defaults of the code, and assumptions.
//!
//! Authoritative for what was measured are the JSON files of docs/benchmarks. A file that is missing is told, and stood in for, so that the
//! page can be made at any time; a file without a line that is wanted of it is an error.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use system_tests::{Failure, Result};

use super::quantity::{Quantity, Source};
use super::wanted::{WANTED, Wanted};

/// Of the machine whose figures stand in.
const CORES: f64 = 2.0;

/// What was read.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) relay: Quantity,
    pub(super) postgres: Quantity,
    pub(super) redis: Quantity,
    pub(super) redis_raw: Quantity,
    pub(super) drained: Quantity,
    pub(super) drained_by_eight: Quantity,
    pub(super) commits: Quantity,
    pub(super) notified: Quantity,
    pub(super) wal: Quantity,
    pub(super) late: Quantity,
    pub(super) floor: Quantity,
    pub(super) applied: Quantity,
    pub(super) applied_together: Quantity,
    /// Relay, Postgres, Redis and consumer while little comes.
    pub(super) through: [Quantity; 4],
    pub(super) takeover: Quantity,
    pub(super) store: Quantity,
    /// Of the machine on which commits were counted, which the clients shared.
    pub(super) cores: f64,
    /// By file: what it says of its machine, or nothing where it is missing.
    pub(super) machines: BTreeMap<&'static str, Option<String>>,
}

impl Known {
    /// Reads what is there.
    ///
    /// # Errors
    /// When a report is there and is none, or does not have what is wanted of it: then one of both was renamed.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let mut reports = BTreeMap::new();
        for wanted in &WANTED {
            if !reports.contains_key(wanted.file) {
                reports.insert(wanted.file, report(folder, wanted.file)?);
            }
        }
        let found: Vec<Quantity> = WANTED
            .iter()
            .map(|wanted| quantity(wanted, reports[wanted.file].as_ref()))
            .collect::<Result<_>>()?;
        let mut found = found.into_iter();
        let mut next = || {
            found
                .next()
                .ok_or_else(|| Failure::new("fewer quantities are wanted than known"))
        };
        let known = Self {
            relay: next()?,
            postgres: next()?,
            redis: next()?,
            redis_raw: next()?,
            drained: next()?,
            drained_by_eight: next()?,
            commits: next()?,
            notified: next()?,
            wal: next()?,
            late: next()?,
            floor: next()?,
            applied: next()?,
            applied_together: next()?,
            through: [next()?, next()?, next()?, next()?],
            takeover: next()?,
            store: next()?,
            cores: reports["commit"].as_ref().and_then(cores).unwrap_or(CORES),
            machines: reports
                .iter()
                .map(|(file, report)| (*file, report.as_ref().map(machine)))
                .collect(),
        };
        match found.next() {
            None => Ok(known),
            Some(more) => Err(Failure::new(format!("nobody knows {}", more.what))),
        }
    }

    /// All of them, in the order of the page.
    pub(super) fn all(&self) -> Vec<&Quantity> {
        let [relay, postgres, redis, consumer] = &self.through;
        vec![
            &self.relay,
            &self.postgres,
            &self.redis,
            &self.redis_raw,
            &self.drained,
            &self.drained_by_eight,
            &self.commits,
            &self.notified,
            &self.wal,
            &self.late,
            &self.floor,
            &self.applied,
            &self.applied_together,
            relay,
            postgres,
            redis,
            consumer,
            &self.takeover,
            &self.store,
        ]
    }
}

fn report(folder: &Path, file: &str) -> Result<Option<Value>> {
    let path = folder.join(format!("{file}.json"));
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(serde_json::from_str(&text)?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Pure. What stands in is for a file that is not there, and for nothing else.
fn quantity(wanted: &Wanted, report: Option<&Value>) -> Result<Quantity> {
    let file = wanted.file;
    let of = |value, source| Quantity {
        what: wanted.what,
        unit: wanted.unit,
        value,
        source,
    };
    let Some(report) = report else {
        return Ok(of(wanted.stand_in, Source::StandIn { file }));
    };
    let side = if wanted.is_limit { "limit" } else { "ours" };
    let lines = report["lines"].as_array();
    let line = lines.and_then(|lines| lines.iter().find(|line| line["what"] == wanted.line));
    let value = line
        .and_then(|line| line[side]["median"].as_f64())
        .filter(|value| *value > 0.0);
    let value = value.ok_or_else(|| {
        Failure::new(format!(
            "{file}.json has no line {:?} with a value above 0 ({side}): measure it again, whole, by cargo xtask bench {file}",
            wanted.line
        ))
    })?;
    let is_quick = report["quick"] == true;
    Ok(of(value, Source::Measured { file, is_quick }))
}

/// Pure.
fn cores(report: &Value) -> Option<f64> {
    report["facts"]["cores"].as_str()?.split(',').next()?.parse().ok()
}

/// Pure. What a report says of where it was made.
fn machine(report: &Value) -> String {
    let facts = ["date", "commit", "cores", "memory"]
        .map(|fact| report["facts"][fact].as_str().unwrap_or("not known"));
    facts.join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::wanted::WANTED;
    use super::{Known, Source, quantity};

    #[test]
    fn a_median_is_read_from_its_side_and_a_file_that_is_missing_is_stood_in_for_and_told()
    -> Result<(), system_tests::Failure> {
        let wanted = |what: &str| WANTED.iter().find(|wanted| wanted.what.starts_with(what));
        let (Some(redis), Some(raw)) = (wanted("Redis, behind"), wanted("Redis, the same")) else {
            panic!("both are wanted");
        };
        let report = json!({"quick": true, "lines": [
            {"what": redis.line, "ours": {"median": 2.5}, "limit": {"median": 1.5}}]});
        let (ours, limit) = (quantity(redis, Some(&report))?, quantity(raw, Some(&report))?);
        assert!((ours.value - 2.5).abs() < 1e-9 && (limit.value - 1.5).abs() < 1e-9);
        assert_eq!(
            ours.source,
            Source::Measured {
                file: "drain",
                is_quick: true
            }
        );
        let absent = quantity(redis, None)?;
        assert!((absent.value - redis.stand_in).abs() < 1e-9);
        assert!(absent.source.told().contains("cargo xtask bench drain"));
        Ok(())
    }

    #[test]
    fn a_file_that_is_there_without_its_line_is_no_stand_in() -> Result<(), system_tests::Failure> {
        let folder = tempfile::TempDir::new()?;
        let other = json!({"lines": [{"what": "another name", "ours": {"median": 2.5}}]});
        std::fs::write(folder.path().join("takeover.json"), other.to_string())?;
        let why = Known::read(folder.path()).err().map(|error| error.to_string());
        assert!(why.is_some_and(|why| why.contains("takeover.json has no line \"SIGKILL")));
        Ok(())
    }

    #[test]
    fn each_that_is_wanted_has_its_own_place() -> Result<(), system_tests::Failure> {
        let folder = tempfile::TempDir::new()?;
        let known = Known::read(folder.path())?;
        let names: Vec<&str> = known.all().into_iter().map(|quantity| quantity.what).collect();
        assert_eq!(names, WANTED.map(|wanted| wanted.what));
        assert!(known.takeover.what.contains("takeover") && known.wal.unit == "bytes");
        assert!(known.machines.values().all(Option::is_none));
        Ok(())
    }
}
