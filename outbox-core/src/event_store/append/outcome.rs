//! Pure: what came of an append.

use crate::event_store::{Error, Expected, StreamName};

const DOING: &str = "appending to streams";

/// What came of an append to one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "on a conflict nothing was appended"]
pub enum Outcome {
    /// The events are in the stream when the transaction commits.
    Appended {
        /// Version of the stream after them.
        version: u64,
        /// Their positions in the log, in order.
        positions: Vec<i64>,
    },
    /// The same events, by id, are there from before. Nothing was appended.
    AlreadyAppended {
        /// Version of the stream after them, as it was then.
        version: u64,
        /// The positions that they got then.
        positions: Vec<i64>,
    },
    /// The stream is not where it was expected. Nothing was appended; the transaction is as usable as before.
    Conflict {
        /// Where it is; 0: it has no event.
        actual: u64,
    },
}

/// What came of an append to several streams.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "on a conflict nothing was appended"]
pub enum Outcomes {
    /// All events are in their streams when the transaction commits; one answer per stream, in the order of the call.
    Appended(Vec<Appended>),
    /// The same events are in these streams from before.
    AlreadyAppended(Vec<Appended>),
    /// These streams are not where they were expected. Nothing was appended to any.
    Conflict(Vec<Conflict>),
}

/// Where events are in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Version of the stream after them.
    pub version: u64,
    /// Their positions in the log, in order.
    pub positions: Vec<i64>,
}

/// A stream that is not where it was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The stream.
    pub stream: StreamName,
    /// Where it was expected.
    pub expected: Expected,
    /// Where it is; 0: it has no event.
    pub actual: u64,
}

/// What the database says about one stream of a call.
pub(in crate::event_store) struct Answer {
    pub(in crate::event_store) outcome: String,
    pub(in crate::event_store) version: u64,
    pub(in crate::event_store) positions: Option<Vec<i64>>,
}

impl Outcome {
    /// Of a call for one stream.
    pub(super) fn of(outcomes: Outcomes) -> Result<Self, Error> {
        let single = |mut many: Vec<Appended>| match (many.pop(), many.is_empty()) {
            (Some(appended), true) => Ok(appended),
            _ => Err(Error::shape(DOING, "not one answer for one stream")),
        };
        Ok(match outcomes {
            Outcomes::Appended(many) => {
                let Appended { version, positions } = single(many)?;
                Self::Appended { version, positions }
            }
            Outcomes::AlreadyAppended(many) => {
                let Appended { version, positions } = single(many)?;
                Self::AlreadyAppended { version, positions }
            }
            Outcomes::Conflict(conflicts) => {
                let actual = conflicts.first().map(|conflict| conflict.actual);
                Self::Conflict {
                    actual: actual.ok_or_else(|| Error::shape(DOING, "a conflict of no stream"))?,
                }
            }
        })
    }
}

impl Outcomes {
    /// Of what `outbox.append_stored` said: version and position. None: nothing was appended.
    pub(super) fn of_single(place: Option<Vec<i64>>) -> Result<Option<Self>, Error> {
        let Some(place) = place else { return Ok(None) };
        match place[..] {
            [version, position] if version > 0 => Ok(Some(Self::Appended(vec![Appended {
                version: version.unsigned_abs(),
                positions: vec![position],
            }]))),
            _ => Err(Error::shape(DOING, format!("a place {place:?}"))),
        }
    }

    /// Of what was asked and what was answered, both in the order of the call.
    pub(in crate::event_store) fn of(
        asked: Vec<(StreamName, Expected)>,
        answers: Vec<Answer>,
    ) -> Result<Self, Error> {
        if asked.len() != answers.len() {
            return Err(Error::shape(
                DOING,
                format!(
                    "{} streams were asked for, {} answered",
                    asked.len(),
                    answers.len()
                ),
            ));
        }
        let is_conflict = answers.iter().any(|answer| answer.outcome == "conflict");
        if is_conflict {
            let conflicts = asked
                .into_iter()
                .zip(answers)
                .filter(|(_, answer)| answer.outcome == "conflict");
            return Ok(Self::Conflict(
                conflicts
                    .map(|((stream, expected), answer)| Conflict {
                        stream,
                        expected,
                        actual: answer.version,
                    })
                    .collect(),
            ));
        }
        let is_old = answers.iter().any(|answer| answer.outcome == "already");
        let appended = answers
            .into_iter()
            .map(|answer| match answer.outcome.as_str() {
                "appended" | "already" => Ok(Appended {
                    version: answer.version,
                    positions: answer.positions.unwrap_or_default(),
                }),
                other => Err(Error::shape(DOING, format!("an outcome {other:?}"))),
            })
            .collect::<Result<_, _>>()?;
        Ok(if is_old {
            Self::AlreadyAppended(appended)
        } else {
            Self::Appended(appended)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(names: &[&str]) -> Vec<(StreamName, Expected)> {
        names
            .iter()
            .map(|name| (name.parse().expect("a name"), Expected::NoStream))
            .collect()
    }

    fn answer(outcome: &str, version: u64) -> Answer {
        Answer {
            outcome: outcome.to_owned(),
            version,
            positions: Some(vec![30]),
        }
    }

    #[test]
    fn one_conflict_of_several_is_told_alone() {
        let outcomes = Outcomes::of(
            asked(&["a-1", "a-2"]),
            vec![answer("kept_back", 0), answer("conflict", 4)],
        )
        .expect("understood");
        let Outcomes::Conflict(conflicts) = outcomes else {
            panic!("{outcomes:?}")
        };
        assert_eq!(conflicts.len(), 1);
        assert_eq!((conflicts[0].stream.as_str(), conflicts[0].actual), ("a-2", 4));
    }

    #[test]
    fn an_answer_that_nobody_knows_is_no_success() {
        assert!(Outcomes::of(asked(&["a-1"]), vec![answer("perhaps", 1)]).is_err());
        assert!(Outcomes::of(asked(&["a-1"]), vec![]).is_err());
        assert!(Outcomes::of_single(Some(vec![3])).is_err());
        assert_eq!(Outcomes::of_single(None).expect("understood"), None);
        let one = Outcomes::of(asked(&["a-1"]), vec![answer("already", 3)]).and_then(Outcome::of);
        assert_eq!(
            one.expect("understood"),
            Outcome::AlreadyAppended {
                version: 3,
                positions: vec![30]
            }
        );
    }
}
