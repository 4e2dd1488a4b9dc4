//! Pure: what a test run printed, in numbers.

use std::collections::BTreeSet;

/// The tests of a run, by the last part of their names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) passed: BTreeSet<String>,
    /// Failed, ended by a signal or for taking too long.
    pub(super) failed: BTreeSet<String>,
}

impl Outcome {
    /// Reads the lines that nextest writes for each test.
    pub(super) fn read(output: &str) -> Self {
        let mut outcome = Self::default();
        for line in output.lines() {
            let mut words = line.split_whitespace();
            let (Some(word), Some(time)) = (words.next(), words.next()) else {
                continue;
            };
            let name = words.next_back().and_then(|name| name.rsplit("::").next());
            let Some(name) = name.filter(|_| time.starts_with('[')) else {
                continue;
            };
            match word {
                "PASS" => drop(outcome.passed.insert(name.to_owned())),
                "FAIL" | "TIMEOUT" | "ABORT" => drop(outcome.failed.insert(name.to_owned())),
                signal if signal.starts_with("SIG") => drop(outcome.failed.insert(name.to_owned())),
                _ => {}
            }
        }
        outcome
    }
}

/// What a witness found: a number and what it counts, in its order.
pub(super) type Findings = Vec<(u64, String)>;

/// The verdicts of the witness, in the order in which it gave them.
pub(super) fn verdicts(output: &str) -> Vec<Findings> {
    let mut verdicts = Vec::new();
    for told in output.split("witness: ").skip(1) {
        const END: &str = "doubled with a declared cause";
        let Some(end) = told.find(END) else {
            continue;
        };
        // Examples stand between the numbers, on lines of their own.
        let findings = told[..end + END.len()].split(", ").filter_map(|part| {
            let (number, what) = part.lines().next()?.split_once(' ')?;
            Some((number.parse().ok()?, what.to_owned()))
        });
        verdicts.push(findings.collect());
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use super::{Outcome, verdicts};

    #[test]
    fn tests_are_told_apart_by_how_they_ended() {
        let output = "
        PASS [   0.752s] (1/3) system-tests::path consume::gate::one
        FAIL [   1.742s] ( 2/3) system-tests::path consume::effect::two
     TIMEOUT [  90.001s] (3/3) outbox-core window::tests::three
     SIGKILL [   0.001s] (3/3) outbox-core four
        SLOW [> 60.000s] (───) system-tests::fault five
     Summary [   2.149s] 3 tests run: 1 passed, 2 failed
        FAIL [   1.742s] ( 2/3) system-tests::path consume::effect::two";
        let outcome = Outcome::read(output);
        assert!(outcome.passed.iter().eq(["one"]), "{outcome:?}");
        assert!(outcome.failed.iter().eq(["four", "three", "two"]), "{outcome:?}");
    }

    #[test]
    fn a_verdict_is_read_with_its_examples_between() {
        let output = "    OUTBOX_TEST_SEED=1
    witness: 1573 events committed, 91 seen, 1482 lost
        01a1 (number 4 of key key-72) at consumer stock, 0 phantom, 1 overtaken
        01a2 was applied, though number 3 was given up before it, 0 doubled with a declared cause
    Error: 1573 events committed, 91 seen, 1482 lost";
        let told = verdicts(output);
        let told: Vec<(u64, &str)> = told
            .iter()
            .flatten()
            .map(|(number, what)| (*number, what.as_str()))
            .collect();
        let wanted = [
            (1573, "events committed"),
            (91, "seen"),
            (1482, "lost"),
            (0, "phantom"),
            (1, "overtaken"),
            (0, "doubled with a declared cause"),
        ];
        assert_eq!(told, wanted);
    }
}
