//! What a redrive or a discard would do, before it is asked for. Pure.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What a redrive would do to one consumer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// The consumer group.
    pub consumer: String,
    /// Letters that would go back.
    pub letters: i64,
    /// Their keys.
    pub keys: i64,
    /// At most ten of them.
    pub some_keys: Vec<String>,
    /// Later events of those keys that wait and would go along, in their order.
    pub followers: i64,
    /// Letters that would only take their place in line: their keys wait for other dead letters, in front of or behind them.
    pub behind_others: i64,
    /// Keys that no letter holds: newer events of theirs may have been applied already, so these would come late.
    pub keys_gone_on: i64,
    /// Letters of events from before what the inbox remembers.
    pub older_than_inbox: i64,
    /// Letters whose data was edited.
    pub edited: i64,
    /// Letters that were put back before and died again.
    pub redriven_before: i64,
    /// When the first of them died.
    #[serde(with = "time::serde::rfc3339::option")]
    pub first_dead_at: Option<OffsetDateTime>,
    /// When the last of them died.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_dead_at: Option<OffsetDateTime>,
    /// Letters left out because they are no events: a handler cannot take them.
    pub left_unreadable: i64,
    /// Letters left out because nobody can say whether they had their effect; a filter with that kind takes them.
    pub left_too_old: i64,
    /// Letters left out because an operation under way will put them back.
    pub left_going: i64,
    /// Members of the group seen within 30 seconds; without one nothing moves.
    pub members: i64,
    /// A person paused the group: nothing moves until it is resumed.
    pub is_paused: bool,
}

/// What discarding would do to one consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscardPreview {
    /// The consumer group.
    pub consumer: String,
    /// Letters that would be given up for good.
    pub letters: i64,
    /// Their keys; none counted for who may not see keys.
    pub keys: i64,
    /// Later events of those keys that wait and would go on without them.
    pub followers: i64,
    /// When the first of them died.
    #[serde(with = "time::serde::rfc3339")]
    pub first_dead_at: OffsetDateTime,
    /// When the last of them died.
    #[serde(with = "time::serde::rfc3339")]
    pub last_dead_at: OffsetDateTime,
}

/// Without keys, which are business data.
impl std::fmt::Debug for Preview {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Preview")
            .field("consumer", &self.consumer)
            .field("letters", &self.letters)
            .field("keys", &self.keys)
            .field("followers", &self.followers)
            .finish_non_exhaustive()
    }
}
