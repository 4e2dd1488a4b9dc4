//! One form for all that is measured: a table with ratios and ranges, as a page, as JSON and as a picture, with the facts of the
//! machine. The page is written as a whole, so that no number is typed by hand.
//!
//! Deliberately absent: averages, and ratios of medians. A ratio is of two runs of the same round.

mod facts;

mod line;

mod picture;

mod series;

use std::path::Path;

use serde_json::{Value, json};
use system_tests::{Failure, Result};

pub(crate) use facts::{Facts, cores};
pub(crate) use line::Line;
pub(crate) use series::{Better, Series};

/// What one measure found.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// On the command line, and of its files.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What was done, as the page tells it.
    pub(crate) head: &'static str,
    /// In which order runs were made, and which of them count: what follows "Medians of the runs ...;".
    pub(crate) order: &'static str,
    pub(crate) lines: Vec<Line>,
    /// Below the table, an item each.
    pub(crate) notes: Vec<String>,
    pub(crate) facts: Facts,
    /// A small run, which says nothing about speed.
    pub(crate) is_quick: bool,
    /// Rounds that count where nobody asked for others.
    pub(crate) runs: usize,
}

/// The order of a measure whose cases take turns.
pub(crate) const TURNS: &str = "ours and what it is compared with take turns, each round begins with another of them and each second one goes
backwards, the first round of all is thrown away";

impl Report {
    /// One line each, with the columns that [`Line`] has.
    pub(crate) fn table(&self) -> String {
        let mut table =
            row(&Line::COLUMNS.map(str::to_owned)) + &row(&Line::COLUMNS.map(|_| "---".to_owned()));
        for line in &self.lines {
            table += &row(&line.cells());
        }
        table
    }

    /// The whole page.
    pub(crate) fn markdown(&self) -> String {
        let Self {
            name,
            title,
            head,
            order,
            ..
        } = self;
        let mut page = format!(
            "# {title}\n\nRepeat it with\n\n```sh\ncargo xtask bench {name}            # --quick: small, to see that it works; --runs N\n```\n\n{head}\n"
        );
        if self.is_quick {
            page += "**A quick run:** small, and beside whatever else the machine did. It shows that the measure works, not how fast anything is.\n\n";
        }
        page += &format!(
            "Medians of the runs that were asked for (below), with their ranges where there are several; {order}. A ratio is of two runs of the same round, and there is none where a delay or a cost\n\
             is not above zero. *Undecided* is a line whose median keeps its floor while a run does not; *not judged*, one that has nothing to be\n\
             judged by.\n\n"
        );
        page += &self.table();
        page += "\n";
        for note in &self.notes {
            page += &format!("* {note}\n");
        }
        page += &format!("\n![{title}]({name}.svg)\n\nThe same as [JSON]({name}.json). Measured on:\n\n");
        for (what, value) in self.facts.rows() {
            page += &format!("* {what}: {value}\n");
        }
        page
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        json!({
            "name": self.name,
            "title": self.title,
            "quick": self.is_quick,
            "lines": self.lines.iter().map(Line::json).collect::<Vec<_>>(),
            "notes": self.notes,
            "facts": self.facts.rows().iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        })
    }

    pub(crate) fn svg(&self) -> String {
        picture::picture(self.title, &self.lines)
    }

    /// Prints it, and writes page, JSON and picture into a folder, if one is given.
    pub(crate) fn write(&self, folder: Option<&Path>) -> Result {
        println!("## {}\n\n{}", self.title, self.table());
        for note in &self.notes {
            println!("* {note}");
        }
        if let Some(folder) = folder {
            let file = |ending: &str| folder.join(format!("{}.{ending}", self.name));
            std::fs::create_dir_all(folder)?;
            std::fs::write(file("md"), self.markdown())?;
            std::fs::write(file("svg"), self.svg())?;
            std::fs::write(file("json"), serde_json::to_string_pretty(&self.json())? + "\n")?;
            println!("\nWritten: {}", file("md").display());
        }
        Ok(())
    }

    /// A quick run judges nothing, but that something happened.
    ///
    /// # Errors
    /// With the lines whose floors do not hold, or of which nothing was measured.
    pub(crate) fn verdict(&self) -> Result {
        let nothing = self.lines.iter().find(|line| !line.has_happened());
        if let Some(line) = nothing {
            return Err(Failure::new(format!(
                "{}: nothing happened: {}",
                self.name, line.what
            )));
        }
        if self.lines.is_empty() {
            return Err(Failure::new(format!("{}: nothing was measured", self.name)));
        }
        let missed: Vec<&str> = self
            .lines
            .iter()
            .filter(|line| !line.is_met())
            .map(|line| line.what.as_str())
            .collect();
        match missed.is_empty() || self.is_quick {
            true => Ok(()),
            false => Err(Failure::new(format!(
                "{}: below the floor, or not judged: {}",
                self.name,
                missed.join("; ")
            ))),
        }
    }
}

fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// With three digits that count, or all before the point.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Facts, Line, Report, Series};

    #[test]
    fn a_report_says_the_same_as_page_and_as_json_and_judges_only_whole_runs() {
        let of = |values: [f64; 2]| {
            let mut series = Series::rate();
            values.into_iter().for_each(|value| series.push(value));
            series
        };
        let mut report = Report {
            name: "thing",
            title: "A thing",
            head: "Done so.\n",
            order: "in an order of its own",
            runs: 2,
            lines: vec![
                Line::new("first", of([40.0, 60.0]))
                    .against("raw", of([100.0, 100.0]))
                    .must_reach(0.6, 0.8),
            ],
            notes: vec!["noted".to_owned()],
            facts: Facts::default(),
            is_quick: false,
        };
        let page = report.markdown();
        assert!(page.contains(
            "| first | 50.0 per s (40.0 to 60.0) | raw | 100 per s (100 to 100) | 0.50 (0.40 to 0.60) | ≥ 0.60 | ≥ 0.80 | **no** |"
        ), "{page}");
        assert!(page.contains("* noted"));
        assert!(
            page.contains("several; in an order of its own. A ratio"),
            "{page}"
        );
        let ratio = &report.json()["lines"][0]["ratio"];
        assert_eq!(ratio["median"], 0.5);
        assert!(report.svg().contains("first"));
        assert!(report.verdict().is_err());
        report.is_quick = true;
        assert!(report.verdict().is_ok());
        report.lines.push(Line::new("second", of([0.0, 0.0])));
        assert!(
            report
                .verdict()
                .is_err_and(|error| error.to_string().contains("nothing happened: second"))
        );
        report.lines.clear();
        assert!(report.verdict().is_err());
        assert!(report.markdown().contains("A quick run"));
    }
}
