//! The command line of a measure: how large, how often, and where its page goes.

use std::ops::RangeInclusive;
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

    /// The rounds to make. The one with number 0 warms up and does not count; a quick run, which says nothing about speed, has none.
    pub(crate) fn rounds(&self, runs: usize) -> RangeInclusive<usize> {
        usize::from(self.quick)..=runs
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

    /// Those of the cases that are wanted.
    ///
    /// # Errors
    /// When none is, with the names of all.
    pub(crate) fn of<T>(
        &self,
        cases: impl IntoIterator<Item = T>,
        name: impl Fn(&T) -> String,
    ) -> Result<Vec<T>> {
        let (wanted, others): (Vec<T>, Vec<T>) = cases.into_iter().partition(|case| self.wants(&name(case)));
        if wanted.is_empty() {
            let names: Vec<String> = others.iter().map(name).collect();
            return Err(Failure::new(format!(
                "no case has the words of --only in its name: {}",
                names.join("; ")
            )));
        }
        Ok(wanted)
    }

    /// For a measure whose parts are nothing by themselves.
    ///
    /// # Errors
    /// When only some cases are wanted.
    pub(crate) fn whole(&self, name: &str) -> Result {
        match self.only {
            None => Ok(()),
            Some(_) => Err(Failure::new(format!(
                "{name} is measured as a whole: it does not take --only"
            ))),
        }
    }

    /// Where the page goes, if anywhere: what is published is of the whole size, so anything smaller, or other, goes where it is told to.
    /// `whole` is how many runs the measure has by itself.
    pub(crate) fn folder(&self, whole: usize) -> Option<PathBuf> {
        let is_fewer = self.runs.is_some_and(|runs| runs < whole);
        let is_usual = !self.quick && self.only.is_none() && self.events.is_none() && !is_fewer;
        self.folder.clone().or_else(|| is_usual.then(|| FOLDER.into()))
    }

    /// What was asked for, as a fact of the page; nothing where nothing was.
    pub(crate) fn told(&self) -> Option<String> {
        let words = [
            self.quick.then(|| "--quick".to_owned()),
            self.runs.map(|runs| format!("--runs {runs}")),
            self.events.map(|events| format!("{events} events or rows")),
            self.only.as_ref().map(|only| format!("--only {only}")),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::Options;

    #[test]
    fn only_what_is_wanted_is_left_and_nothing_is_an_error() {
        let only = |words: &str| Options {
            only: Some(words.to_owned()),
            ..Options::default()
        };
        let of = |options: Options| options.of(["one a", "one b", "two"], |case| (*case).to_owned());
        assert_eq!(of(Options::default()).ok().map(|cases| cases.len()), Some(3));
        assert_eq!(of(only("one")).ok(), Some(vec!["one a", "one b"]));
        assert!(of(only("three")).is_err_and(|error| error.to_string().contains("one b; two")));
        assert!(only("one").whole("it").is_err() && Options::default().whole("it").is_ok());
    }

    #[test]
    fn only_what_is_whole_goes_where_pages_are_kept() -> Result<(), system_tests::Failure> {
        let of = |words: &str| {
            let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            Options::parse(&words)
        };
        for small in ["--quick", "--only x", "--events 5", "--rows 5", "--runs 4"] {
            let options = of(small)?;
            assert_eq!(options.folder(5), None, "{small}");
            assert!(options.told().is_some(), "{small}");
            let named = of(&format!("{small} --folder f"))?;
            assert_eq!(named.folder(5), Some("f".into()), "{small}");
        }
        for whole in ["", "--runs 5", "--runs 9"] {
            assert_eq!(of(whole)?.folder(5), Some(super::FOLDER.into()), "{whole}");
        }
        assert_eq!(of("--folder f")?.told(), None);
        assert_eq!(
            of("--events 5 --runs 2")?.told().as_deref(),
            Some("--runs 2, 5 events or rows")
        );
        Ok(())
    }

    #[test]
    fn a_quick_run_has_no_round_that_warms_up() {
        let quick = Options {
            quick: true,
            ..Options::default()
        };
        assert_eq!(quick.rounds(1), 1..=1);
        assert_eq!(Options::default().rounds(5), 0..=5);
    }
}
