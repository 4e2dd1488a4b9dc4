//! Whether consumers gave something up that waits for a person.

use serde_json::{Map, Value};

use super::Check;

/// Judges the rows of the view of dead letters by group.
#[must_use]
pub fn dead_letters(groups: &[Map<String, Value>]) -> Check {
    const NAME: &str = "consumers.dead_letters";
    let sum = |column: &str| -> i64 {
        groups
            .iter()
            .filter_map(|group| group.get(column)?.as_i64())
            .sum()
    };
    let (letters, waiting) = (sum("events"), sum("waiting_events"));
    let seen = format!(
        "{letters} in {} groups, {waiting} later events wait behind them",
        groups.len()
    );
    match letters {
        0 => Check::passed(NAME, "none"),
        _ => Check::found(
            NAME,
            seen,
            "these events had no effect, and a person must say what becomes of them; later events of their keys wait meanwhile",
            "outbox-relay dead-letters groups shows what went wrong; mend it, then outbox-relay dead-letters redrive --group …",
        ),
    }
}
