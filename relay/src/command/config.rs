//! `outbox-relay config`: what is in force and where it comes from, without secrets.

use std::io::Write as _;

use clap::Args;

use crate::config::print::{Line, lines};
use crate::config::{Config, document};
use crate::exit::{Exit, Failure};
use crate::output::{Output, table};

/// What to print.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Print the reference page (docs/configuration.md) instead
    #[arg(long)]
    document: bool,
}

/// Prints the settings or their reference.
///
/// # Errors
/// Standard output was closed.
pub fn run(config: &Config, arguments: &Arguments, output: Output) -> Result<Exit, Failure> {
    if arguments.document {
        std::io::stdout()
            .lock()
            .write_all(document::markdown().as_bytes())?;
        return Ok(Exit::Success);
    }
    output.write(&lines(config), |lines| text(lines))?;
    Ok(Exit::Success)
}

fn text(lines: &[Line]) -> String {
    let row = |line: &Line| {
        let value = match (&line.value, &line.origin) {
            (Some(value), _) if !value.is_empty() => value.clone(),
            (Some(_), _) => "\"\"".to_owned(),
            (None, Some(_)) if line.secret => "(set)".to_owned(),
            (None, _) => "(none)".to_owned(),
        };
        vec![
            line.key.clone(),
            value,
            line.origin.clone().unwrap_or_else(|| "default".to_owned()),
        ]
    };
    table(
        &["SETTING", "VALUE", "FROM"],
        &lines.iter().map(row).collect::<Vec<_>>(),
    )
}
