//! What may happen to an order, and what the event about it says. Pure.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Where an order is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Ordered, to be paid.
    Placed,
    /// Paid for.
    Paid,
    /// Given up; what was paid is paid back.
    Cancelled,
}

/// What a customer comes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// A new order.
    Place,
    /// Pay for one.
    Pay,
    /// Give one up.
    Cancel,
}

impl State {
    /// Where an errand takes the order; none when it does not apply any more.
    #[must_use]
    pub fn after(self, errand: Errand) -> Option<Self> {
        match (self, errand) {
            (Self::Placed, Errand::Pay) => Some(Self::Paid),
            (Self::Placed | Self::Paid, Errand::Cancel) => Some(Self::Cancelled),
            _ => None,
        }
    }

    /// As the tables have it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Paid => "paid",
            Self::Cancelled => "cancelled",
        }
    }

    /// From what the tables have.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::Placed, Self::Paid, Self::Cancelled]
            .into_iter()
            .find(|state| state.word() == word)
    }
}

/// Some pieces of one kind of goods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The goods.
    pub sku: String,
    /// How many.
    pub quantity: i32,
    /// The price of one.
    pub cents: i64,
}

/// The payload of an event: the order after the change, whole, so that no consumer has to ask back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The order.
    pub order: Uuid,
    /// The how-manieth change of it this is, from 1.
    pub step: i32,
    /// Its state from now on.
    pub state: State,
    /// Whose it is.
    pub customer: i32,
    /// What was ordered.
    pub lines: Vec<Line>,
    /// For how much.
    pub total_cents: i64,
}

impl Change {
    /// The type of its event, past tense.
    #[must_use]
    pub fn event_type(&self) -> String {
        format!("{}.{}", super::TOPIC, self.state.word())
    }
}

/// What these goods cost together.
#[must_use]
pub(super) fn total_cents(lines: &[Line]) -> i64 {
    lines
        .iter()
        .map(|line| i64::from(line.quantity) * line.cents)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_paid_once_and_cancelled_once() {
        assert_eq!(State::Placed.after(Errand::Pay), Some(State::Paid));
        assert_eq!(State::Paid.after(Errand::Pay), None);
        assert_eq!(State::Paid.after(Errand::Cancel), Some(State::Cancelled));
        assert_eq!(State::Cancelled.after(Errand::Cancel), None);
        assert_eq!(State::Cancelled.after(Errand::Pay), None);
    }

    #[test]
    fn a_state_is_written_as_it_is_read() {
        for state in [State::Placed, State::Paid, State::Cancelled] {
            assert_eq!(State::of(state.word()), Some(state));
            assert_eq!(
                serde_json::to_string(&state).expect("a word"),
                format!("{:?}", state.word())
            );
        }
    }
}
