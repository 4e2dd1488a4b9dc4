//! Pure: the decisions of a domain.

/// What a service decides about one kind of thing: functions on plain values, without input or output. The implementing type
/// only names them, and has no values.
pub trait Decider {
    /// What is asked for, with everything from outside that the decision needs: prices, times, who asks.
    type Command;
    /// What has happened. [`Repository`](super::Repository) wants it to be a [`TypedEvent`](crate::event_store::typed::TypedEvent).
    type Event;
    /// What decisions are made on.
    type State;
    /// Why the domain says no.
    type Refusal;

    /// Before anything has happened.
    fn initial() -> Self::State;

    /// After one more event. It takes everything that was ever decided: an event is a fact, and is not refused here.
    fn evolve(state: Self::State, event: &Self::Event) -> Self::State;

    /// What follows from a command. No events: there is nothing to do.
    ///
    /// # Errors
    /// When the domain says no.
    fn decide(command: &Self::Command, state: &Self::State) -> Result<Vec<Self::Event>, Self::Refusal>;
}
