//! What happens: who does what. The same words in every model, in printed traces and in the replay against the real code.

use std::fmt;

use serde::Serialize;

/// Who does a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// A producer's transaction.
    Writer(u8),
    /// A relay, which may be a zombie.
    Relay(u8),
    /// A member of a consumer group.
    Member(u8),
    /// The database of the log.
    Postgres,
    /// The sink.
    Redis,
    /// An operator.
    Person,
}

/// One step of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Step {
    /// Who.
    pub who: Who,
    /// Does what.
    pub does: &'static str,
    /// To which event, batch or entry, where that is not clear.
    pub what: u8,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Writer(number) => write!(f, "writer {number}"),
            Self::Relay(number) => write!(f, "relay {number}"),
            Self::Member(number) => write!(f, "member {number}"),
            Self::Postgres => f.write_str("postgres"),
            Self::Redis => f.write_str("redis"),
            Self::Person => f.write_str("person"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.who, self.does, self.what)
    }
}

/// The steps that are possible in a state, and where each leads.
#[derive(Debug)]
pub struct Next<S> {
    pub(crate) steps: Vec<(Step, bool, S)>,
}

impl<S> Next<S> {
    pub(crate) fn new() -> Self {
        Self { steps: Vec::new() }
    }

    /// Something that the protocol does.
    pub fn step(&mut self, who: Who, does: &'static str, what: u8, reached: S) {
        self.steps.push((Step { who, does, what }, false, reached));
    }

    /// Something that is done to it.
    pub fn fault(&mut self, who: Who, does: &'static str, what: u8, reached: S) {
        self.steps.push((Step { who, does, what }, true, reached));
    }
}

/// A trace as JSON, one object a step.
pub fn to_json(trace: &[Step]) -> String {
    serde_json::to_string(trace).expect("a trace has no value that JSON has not")
}
