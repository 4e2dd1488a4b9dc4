//! Pure: the decisions of a domain that are made on more than one stream.

use super::decider::Decider;
use crate::event_store::boundary::Condition;

/// A decider whose decisions are made on events of any streams, found by their tags: the rules that no single stream can keep.
pub trait BoundedDecider: Decider {
    /// The events that a decision about this command is made on. Name the types that `evolve` takes: another one is an error.
    fn boundary(command: &Self::Command) -> Condition;

    /// What an event concerns: it is found by these, and guarded by them. 32 at most.
    fn tags(event: &Self::Event) -> Vec<String>;
}
