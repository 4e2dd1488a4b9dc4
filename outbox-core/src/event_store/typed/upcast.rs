//! Pure: how older data becomes what the program knows, one version at a time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

/// From JSON to JSON; a text says why that cannot be. It must not quote the data.
type Change = dyn Fn(Value) -> Result<Value, String> + Send + Sync;

/// Steps from one version of a type to the next, or to a type of another name. They are pure: the same data always becomes the same.
#[derive(Clone, Default)]
pub struct Upcasters {
    steps: BTreeMap<String, BTreeMap<u32, Step>>,
    /// Two steps from one place: said when a decoder is made.
    twice: Vec<(String, u32)>,
}

#[derive(Clone)]
pub(super) struct Step {
    pub(super) to: (String, u32),
    pub(super) change: Arc<Change>,
}

impl Upcasters {
    /// None.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// From this version of a type to the next one.
    ///
    /// The data comes as a tree: a number with more digits than a double has is no longer what it was. What needs no upcaster is
    /// never made a tree.
    #[must_use]
    pub fn upcast(
        self,
        name: &str,
        from: u32,
        change: impl Fn(Value) -> Result<Value, String> + Send + Sync + 'static,
    ) -> Self {
        self.upcast_to(name, from, name, from.saturating_add(1), change)
    }

    /// From this version of a type to a version of another type, for one that has another name now.
    #[must_use]
    pub fn upcast_to(
        mut self,
        name: &str,
        from: u32,
        to_name: &str,
        to: u32,
        change: impl Fn(Value) -> Result<Value, String> + Send + Sync + 'static,
    ) -> Self {
        let step = Step {
            to: (to_name.to_owned(), to),
            change: Arc::new(change),
        };
        if self
            .steps
            .entry(name.to_owned())
            .or_default()
            .insert(from, step)
            .is_some()
        {
            self.twice.push((name.to_owned(), from));
        }
        self
    }

    /// The step from this version of a type.
    pub(super) fn step(&self, name: &str, version: u32) -> Option<&Step> {
        self.steps.get(name)?.get(&version)
    }

    /// The last version of a type that a step begins from.
    pub(super) fn last_version(&self, name: &str) -> Option<u32> {
        self.steps
            .get(name)?
            .last_key_value()
            .map(|(version, _)| *version)
    }

    /// Where steps begin.
    pub(super) fn places(&self) -> impl Iterator<Item = (&str, u32)> {
        self.steps
            .iter()
            .flat_map(|(name, steps)| steps.keys().map(move |version| (name.as_str(), *version)))
    }

    pub(super) fn twice(&self) -> &[(String, u32)] {
        &self.twice
    }

    /// No chain is longer: each step is used once at most.
    pub(super) fn len(&self) -> usize {
        self.steps.values().map(BTreeMap::len).sum()
    }
}

/// Where the steps lead.
impl fmt::Debug for Upcasters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrows = self.steps.iter().flat_map(|(name, steps)| {
            steps
                .iter()
                .map(move |(from, step)| format!("{name}@{from} -> {}@{}", step.to.0, step.to.1))
        });
        f.debug_set().entries(arrows).finish()
    }
}
