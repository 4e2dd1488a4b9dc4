//! The command line of a measure: how large, how often, and where its page goes.

use std::path::PathBuf;

use system_tests::{Failure, Result};

/// Where pages are kept.
const FOLDER: &str = "docs/benchmarks";

/// What a measure is told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Small, to see that it works: nothing is judged, and nothing written unless a folder is named.
    pub(crate) quick: bool,
    runs: Option<usize>,
    folder: Option<PathBuf>,
    /// Rows or events, where a measure has a choice.
    pub(crate) events: Option<i64>,
    /// Only the cases with these words.
    pub(crate) only: Option<String>,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            if word == "--quick" {
                options.quick = true;
                continue;
            }
            let value = words
                .next()
                .ok_or_else(|| Failure::new(format!("{word} has no value")))?;
            match word.as_str() {
                "--runs" => options.runs = Some(value.parse()?),
                "--events" | "--rows" => options.events = Some(value.parse()?),
                "--only" => options.only = Some(value.clone()),
                "--folder" => options.folder = Some(value.into()),
                _ => return Err(Failure::new(format!("bench does not know {word}"))),
            }
        }
        Ok(options)
    }

    /// How many rounds count, besides the one that warms up.
    pub(crate) fn runs(&self, whole: usize, quick: usize) -> usize {
        self.runs.unwrap_or(if self.quick { quick } else { whole }).max(1)
    }

    /// One of two sizes.
    pub(crate) fn size<T>(&self, whole: T, quick: T) -> T {
        if self.quick { quick } else { whole }
    }

    /// True when a case is wanted.
    pub(crate) fn wants(&self, case: &str) -> bool {
        self.only
            .as_ref()
            .is_none_or(|words| case.contains(words.as_str()))
    }

    /// Where the page goes, if anywhere.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        let usual = (!self.quick && self.only.is_none()).then(|| FOLDER.into());
        self.folder.clone().or(usual)
    }
}
