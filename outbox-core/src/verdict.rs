//! What to do about an error: every stage's error kind answers with one of three words and a sentence for the operator.
//!
//! The list of what is retried is kept narrow on purpose: a cause that nobody has thought about stops, and says so.

/// What follows from an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The cause passes by itself: try again after a backoff, hold everything behind it.
    Retry,
    /// This one item will never go through: set it (and what must follow it) aside, go on with the rest.
    Park,
    /// Going on could do harm or cannot help: stop, say why, wait for a person.
    Stop,
}
