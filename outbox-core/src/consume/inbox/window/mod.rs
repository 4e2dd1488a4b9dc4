//! How long the ids of finished events are remembered, and what must be known for it.
//!
//! An id must be kept for as long as its event can come again: while it may stay on a stream, while a dead letter may be put
//! back, while the relay may publish it again. The longest of these is the floor; `outbox.inbox_floor` computes it from what
//! is recorded. How long streams keep their entries only the relay knows: it says so in the mark beside each stream, and the
//! members of a group look at the marks of their streams and keep them in `outbox.stream_mark`.
//!
//! Old days are dropped whole ([`keep`]). An older event that comes after that, and is not in the inbox, is recognised as
//! too old in the very statement that would enter it: it becomes a dead letter of kind `too_old` and is never applied.
//!
//! Failure: a mark that cannot be read leaves what was known; a day that cannot be dropped is dropped later.

pub(in crate::consume) mod mark;

mod pg;

mod redis;

pub(in crate::consume) mod keep;

pub(in crate::consume) use mark::Mark;

/// How long ids are kept, and why.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::consume) struct Window {
    /// The least that is safe, in seconds; none for ever.
    pub(in crate::consume) floor: Option<f64>,
    /// What makes the floor.
    pub(in crate::consume) reason: String,
    /// How long they are really kept, in seconds; none for ever.
    pub(in crate::consume) kept: Option<f64>,
    /// Whether a person set them to be kept for shorter than the floor.
    pub(in crate::consume) is_forced: bool,
    /// How many days the inbox has.
    pub(in crate::consume) days: i64,
}
