//! `outbox-relay completions`: a script for a shell.

use clap::Args;
use clap_complete::Shell;

use crate::exit::{Exit, Failure};

/// For which shell.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script of this command line.
///
/// # Errors
/// Standard output was closed.
pub fn run(arguments: &Arguments, mut of: clap::Command) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut of, "outbox-relay", &mut script);
    std::io::Write::write_all(&mut std::io::stdout().lock(), &script)?;
    Ok(Exit::Success)
}
