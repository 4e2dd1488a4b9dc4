//! `dead-letters export`: NDJSON for other tools, one letter in memory at a time.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::PathBuf;
use std::pin::pin;

use clap::Args;
use futures_util::TryStreamExt as _;
use outbox_core::dead_letter;

use super::page::count;
use super::selection::{Became, Selection};
use crate::command::within;
use crate::config::Config;
use crate::connect::{self, Role};
use crate::exit::{Exit, Failure};

/// What to write, and where.
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    selection: Selection,
    /// What became of them
    #[arg(long, value_enum, default_value_t)]
    state: Became,
    /// The file to write, which must not be there yet [default: standard output]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

pub(super) async fn run(config: &Config, arguments: &Export) -> Result<Exit, Failure> {
    let mut out: Box<dyn Write> = match &arguments.to {
        None => Box::new(BufWriter::new(std::io::stdout().lock())),
        Some(path) => {
            let file = File::create_new(path)
                .map_err(|error| Failure::new(Exit::Usage, format!("--to {}: {error}", path.display())))?;
            Box::new(BufWriter::new(file))
        }
    };
    let filter = arguments.selection.filter();
    let states = arguments.state.states();
    let mut connection = connect::connection(config, Role::Report).await?;
    let mut letters = pin!(dead_letter::export(&mut connection, &filter, &states));
    let mut written: i64 = 0;
    while let Some(letter) = within(config, "Postgres", async { Ok(letters.try_next().await?) }).await? {
        match writeln!(out, "{}", letter.to_json()) {
            // Whoever reads has enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(Exit::Success),
            outcome => outcome?,
        }
        written += 1;
    }
    match out.flush() {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(Exit::Success),
        outcome => outcome?,
    }
    eprintln!("{} written", count(written, "dead letter"));
    Ok(Exit::Success)
}
