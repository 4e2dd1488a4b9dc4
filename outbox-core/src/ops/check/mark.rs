//! Whether the streams' marks are of this database and its ledger.

use super::{Check, LogFacts};
use crate::publish::{Mark, Marked};

/// Compares the mark beside each stream, by its key, with the ledger, of which `unknown` are batch ids that it never cut.
#[must_use]
pub fn marks(log: &LogFacts, marks: &[(String, Marked)], unknown: &[u64]) -> Check {
    const NAME: &str = "log.marks";
    let known: Vec<(&str, &Mark)> = marks
        .iter()
        .filter_map(|(key, marked)| match marked {
            Marked::By(mark) => Some((key.as_str(), mark)),
            Marked::Never | Marked::Unreadable(_) => None,
        })
        .collect();
    let ours = |mark: &Mark| mark.database_id == log.database_id;
    let last = u64::try_from(log.last_batch_id).unwrap_or(0);
    // A ledger that went back in time goes on, and is soon younger than the mark: its end alone tells nothing.
    let is_lost = |mark: &Mark| mark.batch_id > last || unknown.contains(&mark.batch_id);
    if let Some((key, mark)) = known.iter().find(|(_, mark)| ours(mark) && is_lost(mark)) {
        return Check::refused(
            NAME,
            format!(
                "{key} says batch {} was published, the ledger, which ends at {last}, never cut it",
                mark.batch_id
            ),
            "Postgres went back in time behind the streams (a restore, or a standby that lost its end)",
            "do not publish from it; find out which copy is the newest",
        );
    }
    if let Some((key, mark)) = known.iter().find(|(_, mark)| !ours(mark)) {
        return Check::found(
            NAME,
            format!(
                "{key} is of database {}, this is {}",
                mark.database_id, log.database_id
            ),
            "a stream has one writing database; this one sets its topic aside",
            "set outbox.settings.writer in one of the two, so that each has a stream of its own, or use another redis.prefix",
        );
    }
    if let Some(why) = marks.iter().find_map(|(_, marked)| match marked {
        Marked::Unreadable(why) => Some(why),
        Marked::Never | Marked::By(_) => None,
    }) {
        return Check::found(
            NAME,
            why.clone(),
            "whose the stream is cannot be known; the relay does not publish to it",
            "mend what the server says; the relay goes on by itself",
        );
    }
    Check::passed(
        NAME,
        format!(
            "{} of {} streams are marked, all by this ledger",
            known.len(),
            marks.len()
        ),
    )
}
