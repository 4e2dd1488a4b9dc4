//! Pure: what each strategy would do, and why it is not possible.

use serde::{Serialize, Serializer};

use super::finding::{Found, MarkFinding, StreamFinding};
use crate::event::EntryId;
use crate::tail::StreamId;

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
}

fn halves<S: Serializer>(id: &EntryId, serializer: S) -> Result<S::Ok, S::Error> {
    [id.batch_id, id.position].serialize(serializer)
}

/// What `strategy` does about what was found; `republished` says whether everything of a stream can be put out again.
///
/// # Errors
/// Why it is not possible.
pub fn plan(
    found: &Found,
    strategy: Strategy,
    republished: impl Fn(&StreamId) -> bool,
) -> Result<Plan, String> {
    if let Some(why) = obstacle(found, strategy) {
        return Err(why);
    }
    let ahead = |stream: &StreamFinding| stream.is_ours() && stream.is_ahead(found.ledger_batch_id);
    let streams = found
        .streams
        .iter()
        .filter_map(|stream| {
            let again = strategy == Strategy::Republish && stream.is_ours() && republished(&stream.stream);
            (again || ahead(stream)).then(|| go_on(stream, strategy, again))
        })
        .collect();
    Ok(Plan {
        streams,
        above_batch_id: found.highest_batch_id_seen,
        above_position: found.highest_position_seen,
    })
}

fn go_on(stream: &StreamFinding, strategy: Strategy, again: bool) -> StreamPlan {
    let recorded = stream.recorded.unwrap_or(EntryId::MIN);
    let on_stream = match strategy {
        Strategy::TrustStream => stream.last,
        _ => stream.known,
    };
    StreamPlan {
        topic: stream.stream.topic.clone(),
        partition: stream.stream.slot(),
        behind: if again {
            EntryId::MIN
        } else {
            stream.known.unwrap_or(recorded)
        },
        chain: on_stream.unwrap_or(recorded),
        there: on_stream.is_some(),
    }
}

fn obstacle(found: &Found, strategy: Strategy) -> Option<String> {
    if found.identity.in_recovery {
        return Some("the server is a standby: promote it, or point DATABASE_URL at the primary".to_owned());
    }
    if let Some(unfinished) = &found.unfinished
        && unfinished.strategy != strategy.word()
    {
        return Some(format!(
            "recovery {} was begun with {} and not finished: run it again with that strategy",
            unfinished.number, unfinished.strategy
        ));
    }
    if let Some(key) = found.layouts_ahead.first() {
        return Some(format!(
            "{key} tells of more partitions than this ledger: entries of a layout that the database does not know cannot be followed; \
             publish to another redis.prefix, and have the consumers rebuild"
        ));
    }
    let ahead = found
        .streams
        .iter()
        .find(|stream| stream.is_ours() && stream.is_ahead(found.ledger_batch_id));
    match (strategy, ahead) {
        (Strategy::Continue, Some(stream)) => Some(format!(
            "stream {} has what this database does not know ({} entries): choose which of the two is right",
            stream.key, stream.unknown.count
        )),
        (Strategy::Republish, _) => None,
        (_, None)
            if found.unfinished.is_none()
                && found.server_refusal.is_none()
                && found.refused.is_none()
                && !has_moved(found) =>
        {
            Some("the database and the streams agree: there is nothing to recover".to_owned())
        }
        _ => None,
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
