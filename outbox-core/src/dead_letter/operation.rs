//! What an operator asked for, and how far it is. Pure.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The members carry it out.
    Running,
    /// Nothing more is put back until it is resumed.
    Cancelled,
    /// Every letter is done.
    Finished,
}

/// Something that an operator asked for.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Its number.
    pub number: i64,
    /// What is done: `redrive`.
    pub kind: String,
    /// The consumer group.
    pub consumer: String,
    /// Where it stands.
    pub state: Stage,
    /// The login that asked for it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// What was selected, as given; without the key for who may not see keys.
    pub filter: Value,
    /// Letters put back per second; none for as fast as they are applied.
    pub rate: Option<f64>,
    /// Letters selected.
    pub total: i64,
    /// Still to be put back.
    pub waiting: i64,
    /// Put back and not applied yet.
    pub released: i64,
    /// Had their effect.
    pub applied: i64,
    /// Died again.
    pub dead: i64,
    /// Were no longer dead when their turn came.
    pub dropped: i64,
    /// When it was asked for.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was resumed last.
    #[serde(with = "time::serde::rfc3339")]
    pub resumed_at: OffsetDateTime,
    /// When the last letter was done.
    #[serde(with = "time::serde::rfc3339::option")]
    pub finished_at: Option<OffsetDateTime>,
}

impl Operation {
    /// Letters that need nothing more of this operation.
    #[must_use]
    pub fn done(&self) -> i64 {
        self.applied + self.dead + self.dropped
    }

    /// Whether nothing more will happen unless a person asks for it.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        match self.state {
            Stage::Running => false,
            Stage::Cancelled => self.released == 0,
            Stage::Finished => true,
        }
    }
}

/// Without the filter, which may name a key.
impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operation")
            .field("number", &self.number)
            .field("state", &self.state)
            .field("total", &self.total)
            .field("waiting", &self.waiting)
            .field("released", &self.released)
            .field("applied", &self.applied)
            .field("dead", &self.dead)
            .field("dropped", &self.dropped)
            .finish_non_exhaustive()
    }
}
