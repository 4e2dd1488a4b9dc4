//! The end: what was counted, and whether that is a pass. Pure.

use std::fmt;

use super::audit::Findings;
use super::fault::Fault;
use super::pg::Books;

const KILLS: usize = 2;

/// Everything the verdict is made of.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Orders in the shop's table.
    pub(super) orders: u64,
    /// Changes of orders in the shop's table.
    pub(super) changes: u64,
    /// Of which by plain SQL.
    pub(super) at_the_till: u64,
    pub(super) rolled_back: u64,
    pub(super) held: u64,
    pub(super) failed: u64,
    pub(super) failure: Option<String>,
    /// Log, stream, stock, loyalty.
    pub(super) places: Vec<(&'static str, Findings)>,
    pub(super) shop_books: Books,
    pub(super) consumers_books: Books,
    pub(super) dead_letters: u64,
    pub(super) faults: Vec<Fault>,
    /// Whether Redis was ours to restart.
    pub(super) own_redis: bool,
}

impl Report {
    /// What is wrong; nothing for a pass.
    pub(super) fn complaints(&self) -> Vec<String> {
        let kills = self
            .faults
            .iter()
            .filter(|fault| matches!(fault, Fault::Kill { .. }))
            .count();
        let restarts = self.faults.len() - kills;
        let mut complaints = Vec::new();
        let mut need = |is_met: bool, complaint: &str| {
            if !is_met {
                complaints.push(complaint.to_owned());
            }
        };
        need(self.changes > 0, "nothing was sold");
        need(self.at_the_till > 0, "nothing was sold by plain SQL");
        need(self.rolled_back > 0, "no transaction was rolled back");
        need(self.held > 0, "no transaction was held open");
        need(kills == KILLS, "the leading relay was not killed twice");
        need(restarts == usize::from(self.own_redis), "Redis was not restarted");
        need(
            self.shop_books == self.consumers_books,
            "the books of shop and consumers differ",
        );
        need(self.dead_letters == 0, "there are dead letters");
        for (place, findings) in &self.places {
            need(
                findings.is_clean() && findings.rows as u64 == self.changes,
                &format!("{place} differs from the shop"),
            );
        }
        if self.failed > 0 {
            let why = self
                .failure
                .as_deref()
                .unwrap_or("for a reason that was not kept");
            complaints.push(format!("{} sales failed, the last one: {why}", self.failed));
        }
        complaints
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n{} orders with {} changes, {} of them by plain SQL; {} more rolled back, {} held open for a while",
            grouped(self.orders),
            grouped(self.changes),
            grouped(self.at_the_till),
            grouped(self.rolled_back),
            self.held
        )?;
        for fault in &self.faults {
            writeln!(f, "  {fault}")?;
        }
        if !self.own_redis {
            writeln!(f, "  Redis was given, so it was not restarted")?;
        }
        writeln!(
            f,
            "\n{:<28}{:>10}{:>8}{:>10}{:>10}{:>15}",
            "against the shop's tables", "count", "lost", "doubled", "phantom", "out of order"
        )?;
        writeln!(f, "{:<28}{:>10}", "changes of orders", grouped(self.changes))?;
        for (place, findings) in &self.places {
            writeln!(
                f,
                "{place:<28}{:>10}{:>8}{:>10}{:>10}{:>15}",
                grouped(findings.rows as u64),
                findings.lost,
                findings.doubled,
                findings.phantom,
                findings.out_of_order
            )?;
        }
        writeln!(
            f,
            "\npieces taken from stock {} (shop {}); points given {} (shop {}); dead letters {}",
            self.consumers_books.pieces,
            self.shop_books.pieces,
            self.consumers_books.points,
            self.shop_books.points,
            self.dead_letters
        )?;
        match self.complaints().as_slice() {
            [] => write!(f, "\nPASS"),
            complaints => write!(f, "\nFAIL: {}", complaints.join("; ")),
        }
    }
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn passed() -> Report {
        let kill = Fault::Kill {
            victim: "relay A".to_owned(),
            heir: "relay B".to_owned(),
            taken_over: Duration::from_secs(4),
            first_event: Duration::from_secs(4),
        };
        let redis = Fault::Redis {
            away: Duration::from_secs(1),
            first_event: Duration::from_millis(10),
        };
        Report {
            orders: 1_000,
            changes: 1_234,
            at_the_till: 10,
            rolled_back: 5,
            held: 2,
            places: vec![(
                "log",
                Findings {
                    rows: 1_234,
                    ..Findings::default()
                },
            )],
            faults: vec![kill.clone(), redis, kill],
            own_redis: true,
            ..Report::default()
        }
    }

    #[test]
    fn a_run_with_everything_in_it_passes() {
        let report = passed();
        assert!(report.complaints().is_empty(), "{report}");
        assert!(
            report.to_string().ends_with("PASS") && report.to_string().contains("1,234"),
            "{report}"
        );
    }

    #[test]
    fn a_run_without_a_kill_or_a_sale_fails() {
        let mut without_kill = passed();
        without_kill.faults.pop();
        assert_eq!(
            without_kill.complaints(),
            ["the leading relay was not killed twice"]
        );
        let without_sale = Report {
            changes: 0,
            places: Vec::new(),
            ..passed()
        };
        assert_eq!(without_sale.complaints(), ["nothing was sold"]);
        let without_restart = Report {
            faults: passed()
                .faults
                .into_iter()
                .filter(|fault| !matches!(fault, Fault::Redis { .. }))
                .collect(),
            ..passed()
        };
        assert_eq!(without_restart.complaints(), ["Redis was not restarted"]);
    }

    #[test]
    fn a_place_that_differs_and_a_sale_that_failed_are_told() {
        let mut report = passed();
        report.places[0].1.doubled = 1;
        report.failed = 1;
        report.failure = Some("no disk".to_owned());
        assert_eq!(
            report.complaints(),
            [
                "log differs from the shop",
                "1 sales failed, the last one: no disk"
            ]
        );
    }

    #[test]
    fn thousands_are_apart() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
