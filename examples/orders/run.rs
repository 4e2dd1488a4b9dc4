//! One run, from its options to its report.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::Parser;

use super::board::Board;
use super::file::Orders;
use super::raw;
use super::report::Report;
use super::scenes::Show;
use super::stage::Stage;
use super::store::{Numbered, Store, Written};
use crate::Result;

const FILE: &str = "olist-orders.csv";
/// Made up, with every status, and lines that are no orders.
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/orders/sample.csv");

/// Orders in the event store, on servers of its own: imported, projected, credited with points that were forgotten, built anew, put out
/// again; everything compared with what SQL counts in the file itself.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "orders",
    version,
    after_help = "Exit codes: 0 all is right, 1 something differs or went wrong, 2 usage, 5 all is right, and some lines are no orders"
)]
pub struct Arguments {
    /// Folder with olist-orders.csv; without it, a small file that is made up
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
}

/// The file, as far as it was read.
pub(super) struct Source {
    orders: Orders<File>,
    pub(super) bad: Vec<(u64, String)>,
}

impl Source {
    pub(super) fn open(file: &Path) -> Result<Self> {
        let named = |error: std::io::Error| format!("{}: {error}", file.display());
        Ok(Self {
            orders: Orders::new(File::open(file).map_err(named)?)?,
            bad: Vec::new(),
        })
    }

    /// So many orders more, fewer at the end.
    pub(super) fn take(&mut self, max: u64) -> Result<Vec<Numbered>> {
        let mut taken = Vec::new();
        while (taken.len() as u64) < max
            && let Some((line, order)) = self.orders.next_line()?
        {
            match order {
                Ok(order) => taken.push((line, order)),
                Err(why) => self.bad.push((line, why)),
            }
        }
        Ok(taken)
    }
}

/// Runs it.
///
/// # Errors
/// With what did not work. What differs is in the report.
pub async fn run(arguments: Arguments) -> Result<Report> {
    let file = arguments
        .data
        .map_or_else(|| PathBuf::from(SAMPLE), |folder| folder.join(FILE));
    let source = Source::open(&file)?;
    let board = Board::new();
    let stage = Stage::set().await?;
    let total = raw::load(&stage.pool, &file).await?;
    board.say(&format!(
        "a Postgres, a Redis and a relay of its own; {total} orders in {}",
        file.display()
    ));
    let store = Store::new(stage.pool.clone())?;
    let mut show = Show {
        board,
        stage,
        store,
        source,
        written: Written::default(),
        total,
    };
    let mut report = Report {
        file: file.display().to_string(),
        ..Report::default()
    };
    let played = show.play(&file, &mut report.checks).await;
    played.map_err(|error| {
        format!(
            "{error}; end of the relay's log:\n{}",
            show.stage.relay.log_tail()
        )
    })?;
    report.bad = show.source.bad;
    report.bad.extend(show.written.refused);
    report.bad.sort();
    report.took = board.begun().elapsed();
    show.stage.strike().await?;
    Ok(report)
}
