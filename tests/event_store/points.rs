//! A domain for the tests: loyalty points, earned and spent, never below nothing.

use std::fmt;

use outbox_core::event_store::StreamName;
use outbox_core::event_store::decide::Decider;
use outbox_core::event_store::typed::{EventType, TypedEvent};
use serde::{Deserialize, Serialize};

pub(crate) struct Points;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub(crate) enum PointsEvent {
    #[serde(rename = "points.earned")]
    Earned { points: u64 },
    #[serde(rename = "points.spent")]
    Spent { points: u64 },
}

impl TypedEvent for PointsEvent {
    const TYPES: &'static [EventType] = &[
        EventType::new("points.earned", 1),
        EventType::new("points.spent", 1),
    ];
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Command {
    Earn(u64),
    Spend(u64),
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Balance {
    pub(crate) points: u64,
    pub(crate) moves: u64,
}

#[derive(Debug, PartialEq)]
pub(crate) struct TooFew {
    pub(crate) there_are: u64,
}

impl fmt::Display for TooFew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there are only {}", self.there_are)
    }
}

impl std::error::Error for TooFew {}

impl Decider for Points {
    type Command = Command;
    type Event = PointsEvent;
    type State = Balance;
    type Refusal = TooFew;

    fn initial() -> Balance {
        Balance::default()
    }

    fn evolve(balance: Balance, event: &PointsEvent) -> Balance {
        let points = match event {
            PointsEvent::Earned { points } => balance.points + points,
            PointsEvent::Spent { points } => balance.points - points,
        };
        Balance {
            points,
            moves: balance.moves + 1,
        }
    }

    fn decide(command: &Command, balance: &Balance) -> Result<Vec<PointsEvent>, TooFew> {
        match *command {
            Command::Earn(0) | Command::Spend(0) => Ok(Vec::new()),
            Command::Earn(points) => Ok(vec![PointsEvent::Earned { points }]),
            Command::Spend(points) if points > balance.points => Err(TooFew {
                there_are: balance.points,
            }),
            // Two events, so that what belongs together is seen to stay together.
            Command::Spend(points) => Ok(vec![
                PointsEvent::Spent { points: points - 1 },
                PointsEvent::Spent { points: 1 },
            ]),
        }
    }
}

pub(crate) fn points_of(customer: u32) -> StreamName {
    StreamName::new("points", customer).expect("a good name")
}
