//! Given, when, then: tests of a decider, without a database.
//!
//! ```
//! # use outbox_core::event_store::decide::Decider;
//! use outbox_core::event_store::decide::scenario::given;
//! # #[derive(Debug, PartialEq)] enum Event { Earned(u64), Spent(u64) }
//! # #[derive(Debug, PartialEq)] struct TooFew;
//! # struct Spend(u64);
//! # struct Points;
//! # impl Decider for Points {
//! #     type Command = Spend; type Event = Event; type State = u64; type Refusal = TooFew;
//! #     fn initial() -> u64 { 0 }
//! #     fn evolve(balance: u64, event: &Event) -> u64 {
//! #         match event { Event::Earned(points) => balance + points, Event::Spent(points) => balance - points }
//! #     }
//! #     fn decide(Spend(points): &Spend, balance: &u64) -> Result<Vec<Event>, TooFew> {
//! #         if points > balance { Err(TooFew) } else { Ok(vec![Event::Spent(*points)]) }
//! #     }
//! # }
//!
//! given::<Points>([Event::Earned(50)])
//!     .when(Spend(30))
//!     .then([Event::Spent(30)])
//!     .then_state(20)
//!     .when(Spend(30))
//!     .then_refused(TooFew);
//! ```
//!
//! What is not as it should be is a panic that shows both, line by line.

use std::fmt;

use super::decider::Decider;

mod diff;

/// What has happened, and what it makes.
pub struct Given<D: Decider> {
    state: D::State,
}

/// What came of a command.
pub struct When<D: Decider> {
    state: D::State,
    decided: Result<Vec<D::Event>, D::Refusal>,
}

/// These events have happened.
#[must_use = "a scenario says nothing before `then`"]
pub fn given<D: Decider>(events: impl IntoIterator<Item = D::Event>) -> Given<D> {
    let state = events
        .into_iter()
        .fold(D::initial(), |state, event| D::evolve(state, &event));
    Given { state }
}

impl<D: Decider> Given<D> {
    /// This command is given.
    #[must_use = "a scenario says nothing before `then`"]
    pub fn when(self, command: D::Command) -> When<D> {
        let decided = D::decide(&command, &self.state);
        let state = match &decided {
            Ok(events) => events.iter().fold(self.state, D::evolve),
            Err(_) => self.state,
        };
        When { state, decided }
    }

    /// This is the state.
    ///
    /// # Panics
    /// When it is another.
    #[track_caller]
    pub fn then_state(self, expected: D::State) -> Self
    where
        D::State: PartialEq + fmt::Debug,
    {
        same("the state", &expected, &self.state);
        self
    }
}

impl<D: Decider<Event: fmt::Debug, Refusal: fmt::Debug>> When<D> {
    /// Exactly these events happen, in this order.
    ///
    /// # Panics
    /// When others do, or the command is refused.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = D::Event>) -> Self
    where
        D::Event: PartialEq,
    {
        let expected: Vec<D::Event> = expected.into_iter().collect();
        match &self.decided {
            Ok(events) => same("the events", &expected, events),
            Err(refusal) => {
                panic!("the command was refused: {refusal:#?}\nexpected these events: {expected:#?}")
            }
        }
        self
    }

    /// Nothing happens, and nothing is refused.
    ///
    /// # Panics
    /// When something does.
    #[track_caller]
    pub fn then_nothing(self) -> Self
    where
        D::Event: PartialEq,
    {
        self.then([])
    }

    /// The domain refuses the command, for this reason.
    ///
    /// # Panics
    /// When it takes it, or refuses it for another.
    #[track_caller]
    pub fn then_refused(self, expected: D::Refusal) -> Self
    where
        D::Refusal: PartialEq,
    {
        match &self.decided {
            Ok(events) => {
                panic!("the command was not refused: {events:#?}\nexpected the refusal: {expected:#?}")
            }
            Err(refusal) => same("the refusal", &expected, refusal),
        }
        self
    }

    /// This is the state after it.
    ///
    /// # Panics
    /// When it is another.
    #[track_caller]
    pub fn then_state(self, expected: D::State) -> Self
    where
        D::State: PartialEq + fmt::Debug,
    {
        same("the state", &expected, &self.state);
        self
    }

    /// And then this command is given.
    #[must_use = "a scenario says nothing before `then`"]
    pub fn when(self, command: D::Command) -> Self {
        Given { state: self.state }.when(command)
    }
}

#[track_caller]
fn same<T: PartialEq + fmt::Debug + ?Sized>(what: &str, expected: &T, actual: &T) {
    assert!(
        expected == actual,
        "{what} differ from what was expected (- expected, + actual):\n{}",
        diff::of(&format!("{expected:#?}"), &format!("{actual:#?}"))
    );
}

#[cfg(test)]
mod tests;
