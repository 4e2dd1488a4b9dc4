//! Pure: which mechanisms are to be taken out, and what is to be run then.

use super::patch::Ablation;
use super::{NOTHING, PATCHES};
use crate::servers::{Error, Result};

/// What was asked for on the command line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    /// The minute of kills, instead of the tests.
    pub(super) is_for_fire: bool,
    pub(super) seed: Option<u64>,
    /// A filterset, instead of the tests that are named.
    pub(super) tests: Option<String>,
    names: Vec<String>,
}

impl Request {
    pub(super) fn parse(arguments: &[String]) -> Result<Self> {
        let mut request = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--fire" => request.is_for_fire = true,
                "--seed" => {
                    let seed = arguments.next().and_then(|seed| seed.parse().ok());
                    request.seed = Some(seed.ok_or_else(|| Error::new("--seed takes a number"))?);
                }
                "--tests" => {
                    let filterset = arguments.next().cloned();
                    request.tests = Some(filterset.ok_or_else(|| Error::new("--tests takes a filterset"))?);
                }
                name if name.starts_with('-') => {
                    return Err(Error::new(format!("ablate does not know {name}")));
                }
                name => request.names.push(name.to_owned()),
            }
        }
        if request.seed.is_some() && !request.is_for_fire {
            return Err(Error::new("--seed is for --fire"));
        }
        if request.tests.is_some() && request.is_for_fire {
            return Err(Error::new("--tests and --fire exclude each other"));
        }
        Ok(request)
    }

    /// What to take out. Nothing comes first: what fails then already shows nothing later.
    pub(super) fn choose(&self, all: Vec<Ablation>) -> Result<Vec<Ablation>> {
        let named = |ablation: &Ablation| self.names.contains(&ablation.name);
        if let Some(unknown) = self
            .names
            .iter()
            .find(|name| *name != NOTHING && !all.iter().any(|ablation| ablation.name == **name))
        {
            return Err(Error::new(format!("{PATCHES} has no {unknown}.patch")));
        }
        // Nothing alone is for the tests of all.
        let mut of_all: Vec<String> = all.iter().flat_map(|one| one.tests.clone()).collect();
        let mut chosen: Vec<Ablation> = all
            .into_iter()
            .filter(|ablation| match self.names.is_empty() {
                true => ablation.is_for_fire || !self.is_for_fire,
                false => named(ablation),
            })
            .collect();
        if self.names.is_empty() || self.names.iter().any(|name| name == NOTHING) {
            if !chosen.is_empty() {
                of_all = chosen.iter().flat_map(|one| one.tests.clone()).collect();
            }
            of_all.sort_unstable();
            of_all.dedup();
            let nothing = Ablation {
                name: NOTHING.to_owned(),
                what: "nothing".to_owned(),
                tests: of_all,
                is_for_fire: true,
            };
            chosen.insert(0, nothing);
        }
        Ok(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::{Ablation, Request};

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn ablation(name: &str, is_for_fire: bool) -> Ablation {
        Ablation {
            name: name.to_owned(),
            what: String::new(),
            tests: vec!["shared".to_owned(), format!("of_{name}")],
            is_for_fire,
        }
    }

    #[test]
    fn arguments_are_refused_before_anything_is_copied() {
        for bad in [
            "--fast",
            "--seed",
            "--fire --seed x",
            "--seed 1",
            "--tests",
            "--fire --tests test(a)",
        ] {
            assert!(Request::parse(&words(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_comes_first_and_fire_takes_only_what_is_for_it() {
        let chosen = |text: &str| {
            let all = vec![ablation("breaker", false), ablation("claim", true)];
            let chosen = Request::parse(&words(text)).and_then(|request| request.choose(all));
            chosen.map(|chosen| chosen.into_iter().map(|one| one.name).collect::<Vec<_>>())
        };
        assert_eq!(chosen("").ok(), Some(words("nothing breaker claim")));
        assert_eq!(chosen("--fire").ok(), Some(words("nothing claim")));
        assert_eq!(chosen("claim").ok(), Some(words("claim")));
        assert_eq!(chosen("nothing").ok(), Some(words("nothing")));
        assert!(chosen("claims").is_err());
        let all = vec![ablation("breaker", false), ablation("claim", true)];
        let nothing = Request::parse(&words("nothing")).and_then(|request| request.choose(all));
        let tests = nothing.map(|chosen| chosen.into_iter().flat_map(|one| one.tests).collect::<Vec<_>>());
        assert_eq!(tests.ok(), Some(words("of_breaker of_claim shared")));
    }
}
