//! Pure: what each strategy would do, and why it is not possible.

use serde::{Serialize, Serializer};

use super::finding::{Found, MarkFinding, StreamFinding, Unfinished};
use crate::event::EntryId;

/// Ids of batches are milliseconds of the database's clock. What is further ahead of it is of nobody's clock.
const FAR_MS: u64 = 24 * 60 * 60 * 1000;

/// Which history is taken for true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Both: nothing differs, the database only moved.
    Continue,
    /// What the database does not know did not happen: it is taken off the streams.
    TrustDatabase,
    /// What is on the streams happened: it stays, and what comes next follows it.
    TrustStream,
    /// As [`Strategy::TrustDatabase`], and everything that the log still has is put out again.
    Republish,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Continue,
        Self::TrustDatabase,
        Self::TrustStream,
        Self::Republish,
    ];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::TrustDatabase => "trust-database",
            Self::TrustStream => "trust-stream",
            Self::Republish => "republish",
        }
    }

    /// The strategy of that word.
    #[must_use]
    pub fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.word() == word)
    }

    /// Whether entries that the database does not know leave their streams.
    #[must_use]
    pub fn removes(self) -> bool {
        matches!(self, Self::TrustDatabase | Self::Republish)
    }
}

/// One strategy, and what it would do.
#[derive(Clone, Debug, Serialize)]
pub struct Choice {
    /// Its word.
    pub strategy: &'static str,
    /// Why it is not possible; none if it is.
    pub refusal: Option<String>,
    /// What it would do, in a sentence.
    pub would: String,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Streams that go on behind another entry than their progress says.
    pub streams: Vec<StreamPlan>,
    /// New entries' first halves are above this.
    pub above_batch_id: u64,
    /// New positions are above this.
    pub above_position: u64,
}

/// How one stream goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StreamPlan {
    /// Its topic.
    pub topic: String,
    /// Its slot.
    pub partition: i32,
    /// Everything that stands behind this entry in the database is put out.
    #[serde(serialize_with = "halves")]
    pub behind: EntryId,
    /// The first of it names this entry as its predecessor.
    #[serde(serialize_with = "halves")]
    pub chain: EntryId,
    /// Whether that one is on the stream.
    pub there: bool,
    /// If the era has something for the stream, its first entry names this one instead: everything comes again, so groups that
    /// stand before the beginning of the stream are served by it too.
    #[serde(serialize_with = "halves_or_none")]
    pub begins: Option<EntryId>,
    /// Whether that one is on the stream.
    pub begins_there: bool,
}

fn halves<S: Serializer>(id: &EntryId, serializer: S) -> Result<S::Ok, S::Error> {
    [id.batch_id, id.position].serialize(serializer)
}

fn halves_or_none<S: Serializer>(id: &Option<EntryId>, serializer: S) -> Result<S::Ok, S::Error> {
    id.map(|id| [id.batch_id, id.position]).serialize(serializer)
}

/// What `strategy` does about what was found.
///
/// # Errors
/// Why it is not possible: all that can be refused, of the database's own refusals too.
pub fn plan(found: &Found, strategy: Strategy) -> Result<Plan, String> {
    if let Some(why) = obstacle(found, strategy) {
        return Err(why);
    }
    Ok(Plan {
        streams: changed(found, strategy)
            .map(|stream| go_on(stream, strategy))
            .collect(),
        above_batch_id: found.highest_batch_id_seen,
        above_position: found.highest_position_seen,
    })
}

/// Streams that go on behind another entry than their progress says, or with other ids.
fn changed(found: &Found, strategy: Strategy) -> impl Iterator<Item = &StreamFinding> {
    found.streams.iter().filter(move |stream| {
        stream.is_ours()
            && (comes_again(stream, strategy)
                || stream.is_ahead()
                || (stream.is_current && stream.outruns(found.ledger_batch_id)))
    })
}

fn comes_again(stream: &StreamFinding, strategy: Strategy) -> bool {
    strategy == Strategy::Republish && stream.is_current
}

fn go_on(stream: &StreamFinding, strategy: Strategy) -> StreamPlan {
    let recorded = stream.recorded.unwrap_or(EntryId::MIN);
    let again = comes_again(stream, strategy);
    let on_stream = match strategy {
        Strategy::TrustStream => stream.last,
        _ => stream.known,
    };
    StreamPlan {
        topic: stream.topic.clone(),
        partition: stream.slot,
        behind: if again {
            EntryId::MIN
        } else {
            stream.known.unwrap_or(recorded)
        },
        chain: on_stream.unwrap_or(recorded),
        there: on_stream.is_some(),
        begins: again.then(|| stream.layout_end.unwrap_or(EntryId::MIN)),
        begins_there: stream.layout_end_there,
    }
}

fn obstacle(found: &Found, strategy: Strategy) -> Option<String> {
    if found.identity.in_recovery {
        return Some("the server is a standby: promote it, or point DATABASE_URL at the primary".to_owned());
    }
    if let Some(unfinished) = &found.unfinished {
        if unfinished.batch_id.is_some() && unfinished.strategy == strategy.word() {
            // The era is there: only marks are left to write.
            return None;
        }
        if let Some(why) = chosen_otherwise(unfinished, strategy) {
            return Some(why);
        }
    }
    if let Some(key) = found.layouts_ahead.first() {
        return Some(format!(
            "{key} tells of more partitions than this ledger: entries of a layout that the database does not know cannot be followed; \
             publish to another redis.prefix, and have the consumers rebuild; if another database laid them, set outbox.settings.writer in one \
             of the two, and delete the key"
        ));
    }
    if !found.prepared.is_empty() {
        return Some(format!(
            "an era begins when everybody who appended has ended, and these end when a person ends them: {}; commit them or roll them \
             back first",
            found.prepared.join(", ")
        ));
    }
    if let Some(why) = far_ahead(found) {
        return Some(why);
    }
    let ahead = found
        .streams
        .iter()
        .find(|stream| stream.is_ours() && stream.is_ahead());
    match (strategy, ahead) {
        (Strategy::Continue, Some(stream)) => Some(format!(
            "stream {} has what this database does not know ({} entries): choose which of the two is right",
            stream.key, stream.unknown.count
        )),
        (Strategy::Republish, _) => owing(found, strategy),
        (_, None)
            if found.unfinished.is_none()
                && found.server_refusal.is_none()
                && found.refused.is_none()
                && !has_moved(found) =>
        {
            Some("the database and the streams agree: there is nothing to recover".to_owned())
        }
        _ => owing(found, strategy),
    }
}

/// Another strategy than the one begun is possible while nothing was taken off, or if it takes off the same.
fn chosen_otherwise(begun: &Unfinished, strategy: Strategy) -> Option<String> {
    if begun.strategy == strategy.word() {
        return None;
    }
    let number = begun.number;
    if begun.batch_id.is_some() {
        return Some(format!(
            "recovery {number} was begun with {} and not finished, and its era is there: run it again with that strategy",
            begun.strategy
        ));
    }
    let takes_off_the_same =
        Strategy::read(&begun.strategy).is_some_and(Strategy::removes) && strategy.removes();
    if !begun.removing || takes_off_the_same {
        return None;
    }
    Some(format!(
        "recovery {number} was begun with {} and not finished, and has taken entries off streams: run it again with that strategy, or \
         give it up with `recover abandon`",
        begun.strategy
    ))
}

/// New ids are above every id that a stream ever had: one far ahead of the clock would make all ids so, for ever.
fn far_ahead(found: &Found) -> Option<String> {
    let most = found.clock_ms.max(found.ledger_batch_id).saturating_add(FAR_MS);
    let stream = found
        .streams
        .iter()
        .find(|stream| stream.is_ours() && stream.highest_batch_id() > most)?;
    let highest = stream.highest_batch_id();
    Some(format!(
        "stream {key} or its mark had an entry with an id of {highest}, far ahead of the database's clock ({}), and every new id would have \
         to be above it: a stranger wrote there, or a clock was wrong; take such entries off (XDEL), set the end of the stream back \
         (XSETID {key} and the id of its last entry; a mark is written anew if its key is deleted), and look again; or publish to \
         another redis.prefix",
        found.clock_ms,
        key = stream.key,
    ))
}

fn owing(found: &Found, strategy: Strategy) -> Option<String> {
    let stream = changed(found, strategy).find(|stream| stream.owes)?;
    Some(format!(
        "topic {} got more partitions while stream {} had events to publish, and something differs there: they cannot come behind its \
         end; publish to another redis.prefix, and have the consumers rebuild",
        stream.topic, stream.key
    ))
}

/// The recovery that may be given up.
///
/// # Errors
/// Why there is none.
pub(super) fn abandonable(unfinished: Option<Unfinished>) -> Result<Unfinished, String> {
    match unfinished {
        None => Err("no recovery was begun and not finished: there is nothing to give up".to_owned()),
        Some(opened) if opened.batch_id.is_some() => Err(format!(
            "the era of recovery {} is there, and what is left is to say so beside the streams: run `recover apply --strategy {}` again",
            opened.number, opened.strategy
        )),
        Some(begun) => Ok(begun),
    }
}

fn has_moved(found: &Found) -> bool {
    found
        .streams
        .iter()
        .any(|stream| matches!(stream.mark, MarkFinding::Moved { .. }))
}

/// Every strategy with what it would do.
#[must_use]
pub fn choices(found: &Found) -> Vec<Choice> {
    let unknown: u64 = found.streams.iter().map(|stream| stream.unknown.count).sum();
    let would = |strategy| match strategy {
        Strategy::Continue => format!(
            "open a new era; put out what is on no stream yet ({} events); change nothing on the streams",
            found.events_in_no_batch
        ),
        Strategy::TrustDatabase => format!(
            "take the {unknown} entries that the database does not know off the streams (kept in outbox.unknown_entry) and go on behind \
             the last one that it knows; effects that groups had of them stay, and are for people to reconcile"
        ),
        Strategy::TrustStream => format!(
            "leave the {unknown} entries that the database does not know (copied to outbox.unknown_entry) and go on behind them; the \
             database lacks their rows, which are for people to reconcile"
        ),
        Strategy::Republish => format!(
            "as trust-database ({unknown} entries), and put out again everything that the log still has; inboxes leave out what they had"
        ),
    };
    Strategy::ALL
        .into_iter()
        .map(|strategy| Choice {
            strategy: strategy.word(),
            refusal: obstacle(found, strategy),
            would: would(strategy),
        })
        .collect()
}

#[cfg(test)]
mod tests;
