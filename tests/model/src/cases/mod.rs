//! Every exploration that is run: the protocol whole, which must hold, and with one mechanism taken away, which must not.

mod tail;

mod stream;

mod consume;

mod park;

mod doorbell;

mod pieces;

mod eras;

mod partitions;

mod groups;

use std::fmt::Debug;

use crate::explore::{Protocol, Report, look_for, walk};
use crate::step::Step;

/// Steps, and what of the code each stands for.
pub type Stands = &'static [(&'static str, &'static str)];

/// A walk that broke a property, with what it did.
pub type Broken = Option<(&'static str, Vec<Step>)>;

/// One exploration.
pub struct Case {
    /// The model.
    pub model: &'static str,
    /// Which part of it; empty where there is one.
    pub part: &'static str,
    /// What is taken away; empty: nothing.
    pub without: &'static str,
    /// The property that must be broken; none: everything must hold.
    pub breaks: Option<&'static str>,
    /// Within which bounds.
    pub bounds: String,
    run: Box<dyn Fn(usize) -> Report + Send + Sync>,
    walk: Box<dyn Fn(u64, usize) -> (usize, Broken) + Send + Sync>,
}

impl Case {
    fn new<P: Protocol + Debug + Copy + Send + Sync + 'static>(
        name: &'static str,
        without: &'static str,
        breaks: Option<&'static str>,
        protocol: P,
    ) -> Self {
        let (model, part) = name.split_once(", ").unwrap_or((name, ""));
        let all = format!("{protocol:?}");
        let inner = all.split_once('{').map_or("", |(_, inner)| inner);
        let bounds = inner.trim_end_matches('}').trim().split(", ");
        let bounds: Vec<&str> = bounds
            .filter(|bound| {
                !bound.starts_with("without") && !bound.ends_with(": 0") && !bound.ends_with(": false")
            })
            .collect();
        Self {
            model,
            part,
            without,
            breaks,
            bounds: bounds.join(", "),
            run: Box::new(move |bound| look_for(&protocol, bound, breaks)),
            walk: Box::new(move |seed, walks| walk(&protocol, seed, walks, 400)),
        }
    }

    /// Explores, but no more states than `bound`.
    #[must_use]
    pub fn run(&self, bound: usize) -> Report {
        (self.run)(bound)
    }

    /// Walks at random: so many walks.
    #[must_use]
    pub fn walk(&self, seed: u64, walks: usize) -> (usize, Broken) {
        (self.walk)(seed, walks)
    }
}

/// How much is explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Within seconds, at every change.
    Small,
    /// Within minutes, by hand.
    Large,
}

/// The models, and what their steps stand for.
pub const MODELS: [(&str, Stands); 9] = [
    ("tail", tail::STEPS),
    ("stream", stream::STEPS),
    ("consume", consume::STEPS),
    ("park", park::STEPS),
    ("doorbell", doorbell::STEPS),
    ("pieces", pieces::STEPS),
    ("eras", eras::STEPS),
    ("partitions", partitions::STEPS),
    ("groups", groups::STEPS),
];

/// All explorations.
#[must_use]
pub fn all(size: Size) -> Vec<Case> {
    let mut cases = tail::cases(size);
    cases.extend(stream::cases(size));
    cases.extend(consume::cases(size));
    cases.extend(park::cases());
    cases.extend(doorbell::cases());
    cases.extend(pieces::cases());
    cases.extend(eras::cases());
    cases.extend(partitions::cases());
    cases.extend(groups::cases());
    cases
}
