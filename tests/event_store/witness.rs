//! What every writer saw of its streams, against what is stored: versions dense, nothing lost, nothing that nobody appended, no
//! update lost, and no conflict but where somebody else was first.

use std::collections::{BTreeMap, HashMap};

use sqlx::PgConnection;
use system_tests::{Failure, Result};
use uuid::Uuid;

/// One append, as its writer saw it.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) stream: String,
    /// The version that it was decided at, and that was expected.
    pub(crate) seen: u64,
    pub(crate) ids: Vec<Uuid>,
    pub(crate) fate: Fate,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Committed; the stream is at this version after it.
    Committed(u64),
    /// Refused: the stream was here.
    Conflict(u64),
    /// Rolled back, by the writer.
    RolledBack,
}

/// What was counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) committed: usize,
    pub(crate) conflicts: usize,
    pub(crate) rolled_back: usize,
    pub(crate) events: usize,
}

/// Compares.
///
/// # Errors
/// Naming the first thing that is not as it must be.
pub(crate) async fn judge(connection: &mut PgConnection, attempts: &[Attempt]) -> Result<Counts> {
    let rows: Vec<(String, i64, Uuid, Option<String>)> = sqlx::query_as(
        "select stream, version, id, data::json ->> 'behind' from outbox.stored_event order by stream, version",
    )
    .fetch_all(connection)
    .await?;
    let mut stored: BTreeMap<String, Vec<(Uuid, Option<String>)>> = BTreeMap::new();
    for (stream, version, id, behind) in rows {
        let events = stored.entry(stream.clone()).or_default();
        events.push((id, behind));
        if usize::try_from(version)? != events.len() {
            return Err(Failure::new(format!(
                "{stream}: version {version} follows {}",
                events.len() - 1
            )));
        }
    }
    let mut counts = Counts::default();
    let mut owner: HashMap<Uuid, usize> = HashMap::new();
    for (n, attempt) in attempts.iter().enumerate() {
        let events = stored.get(&attempt.stream).map_or(&[][..], Vec::as_slice);
        match attempt.fate {
            Fate::Committed(after) => {
                counts.committed += 1;
                if after != attempt.seen + attempt.ids.len() as u64 {
                    return Err(Failure::new(format!(
                        "appended at {} and came to {after}: {attempt:?}",
                        attempt.seen
                    )));
                }
                for (offset, id) in attempt.ids.iter().enumerate() {
                    let at = usize::try_from(attempt.seen)? + offset;
                    if events.get(at).map(|event| event.0) != Some(*id) {
                        return Err(Failure::new(format!(
                            "lost, or elsewhere than at version {}: {attempt:?}",
                            at + 1
                        )));
                    }
                    owner.insert(*id, n);
                }
            }
            Fate::Conflict(actual) => {
                counts.conflicts += 1;
                if actual <= attempt.seen || usize::try_from(actual)? > events.len() {
                    return Err(Failure::new(format!(
                        "a conflict where nobody was first (the stream has {} events): {attempt:?}",
                        events.len()
                    )));
                }
            }
            Fate::RolledBack => counts.rolled_back += 1,
        }
    }
    for (stream, events) in &stored {
        let mut before: Option<Uuid> = None;
        for (id, behind) in events {
            let Some(_) = owner.get(id) else {
                return Err(Failure::new(format!("{stream} has {id}, which nobody committed")));
            };
            // Each names the event that its writer saw last: another one in between would be a lost update.
            if *behind != before.map(|before| before.to_string()) {
                return Err(Failure::new(format!(
                    "{stream}: {id} was decided behind {behind:?} and is behind {before:?}"
                )));
            }
            before = Some(*id);
            counts.events += 1;
        }
    }
    Ok(counts)
}
