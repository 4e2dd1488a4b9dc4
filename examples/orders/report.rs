//! What was compared, and whether all of it is right. Pure.

use std::fmt;
use std::time::Duration;

const SOME_LINES_BAD: u8 = 5;

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) what: String,
    pub(super) compared: u64,
    pub(super) different: u64,
}

impl Check {
    /// A comparison of rows.
    pub(super) fn of(what: impl Into<String>, compared: u64, different: u64) -> Self {
        Self {
            what: what.into(),
            compared,
            different,
        }
    }

    /// What compares nothing shows nothing.
    fn is_right(&self) -> bool {
        self.different == 0 && self.compared > 0
    }
}

/// What a run showed.
#[derive(Debug, Default)]
pub struct Report {
    pub(super) file: String,
    pub(super) bad: Vec<(u64, String)>,
    pub(super) checks: Vec<Check>,
    pub(super) took: Duration,
}

impl Report {
    /// 0: all is right; 5: it is, and some lines of the file were no orders; 1: something differs.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match (self.is_right(), self.bad.is_empty()) {
            (false, _) => 1,
            (true, true) => 0,
            (true, false) => SOME_LINES_BAD,
        }
    }

    fn is_right(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(Check::is_right)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}, in {:.1} s", self.file, self.took.as_secs_f64())?;
        for (line, why) in &self.bad {
            writeln!(f, "  line {line} is no order: {why}")?;
        }
        writeln!(f, "\n  {:<78}{:>10}{:>11}", "", "compared", "different")?;
        for check in &self.checks {
            let mark = if check.is_right() { '✓' } else { '✗' };
            writeln!(
                f,
                "{mark} {:<78}{:>10}{:>11}",
                check.what, check.compared, check.different
            )?;
        }
        write!(f, "\n{}", if self.is_right() { "PASS" } else { "FAIL" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_difference_or_nothing_compared_fails_and_bad_lines_alone_do_not() {
        let of = |checks: &[Check]| Report {
            checks: checks.to_vec(),
            ..Report::default()
        };
        let right = Check::of("streams", 7, 0);
        assert_eq!(of(std::slice::from_ref(&right)).exit_code(), 0);
        assert_eq!(of(&[]).exit_code(), 1);
        assert_eq!(of(&[right.clone(), Check::of("points", 7, 1)]).exit_code(), 1);
        assert_eq!(of(&[right.clone(), Check::of("points", 0, 0)]).exit_code(), 1);
        let bad = Report {
            bad: vec![(4, "3 fields".to_owned())],
            ..of(&[right])
        };
        assert_eq!(bad.exit_code(), 5);
        let text = bad.to_string();
        assert!(
            text.contains("line 4 is no order: 3 fields")
                && text.contains("✓ streams")
                && text.ends_with("PASS"),
            "{text}"
        );
    }
}
