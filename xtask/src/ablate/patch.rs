//! Pure: what a patch of `tests/ablations` says of itself, above its first hunk.

use crate::servers::{Error, Result};

/// One mechanism, to be taken out of a copy of the sources.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ablation {
    /// The name of its file, without the ending.
    pub(super) name: String,
    /// The mechanism, in one sentence.
    pub(super) what: String,
    /// The tests that fail without it, by the last part of their names.
    pub(super) tests: Vec<String>,
    /// The witness counts what the minute of kills does to a group without it.
    pub(super) is_for_fire: bool,
}

impl Ablation {
    /// Reads `What: …`, one or more `Fails: …` with the name of a test, and perhaps `Fire: yes`.
    pub(super) fn parse(name: &str, text: &str) -> Result<Self> {
        let mut ablation = Self {
            name: name.to_owned(),
            what: String::new(),
            tests: Vec::new(),
            is_for_fire: false,
        };
        let (head, hunks) = text
            .split_once("\ndiff --git ")
            .ok_or_else(|| Error::new(format!("{name}: no `diff --git` begins its changes")))?;
        for line in head.lines().filter(|line| !line.trim().is_empty()) {
            match line.split_once(": ") {
                Some(("What", what)) => what.clone_into(&mut ablation.what),
                Some(("Fails", test)) => ablation.tests.push(test.to_owned()),
                Some(("Fire", "yes")) => ablation.is_for_fire = true,
                _ => {
                    return Err(Error::new(format!(
                        "{name}: {line:?} is none of `What: …`, `Fails: …`, `Fire: yes`"
                    )));
                }
            }
        }
        let is_whole = !ablation.what.is_empty() && !ablation.tests.is_empty() && hunks.contains("\n@@ ");
        if is_whole {
            Ok(ablation)
        } else {
            Err(Error::new(format!(
                "{name}: it must say what it takes out, name a test that fails then, and change something"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Ablation;

    const PATCH: &str = "What: the claim\nFails: one\nFails: two\nFire: yes\n\ndiff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-x\n+y\n";

    #[test]
    fn a_patch_says_what_it_takes_out_and_what_fails_then() {
        let read = Ablation::parse("claim", PATCH);
        let wanted = Ablation {
            name: "claim".to_owned(),
            what: "the claim".to_owned(),
            tests: vec!["one".to_owned(), "two".to_owned()],
            is_for_fire: true,
        };
        assert_eq!(read.ok(), Some(wanted));
    }

    #[test]
    fn one_that_does_not_is_refused() {
        for (part, by) in [
            ("What: the claim\n", ""),
            ("Fails: one\nFails: two\n", ""),
            ("Fire: yes", "Fire: perhaps"),
            ("@@ -1", "-1"),
            ("diff --git", "diff"),
        ] {
            let broken = PATCH.replace(part, by);
            assert!(Ablation::parse("claim", &broken).is_err(), "{broken}");
        }
    }
}
