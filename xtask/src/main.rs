//! `cargo xtask <task>`: what a person needs to try the project and to prove it.

use std::process::ExitCode;

use xtask::{import_check, test};

const USAGE: &str = "\
cargo xtask test [--quick] [--install-deny] [arguments of cargo nextest run …]
    Everything a change must pass, on private servers: formatting, clippy, cargo-deny, doctests, all tests.
    --quick         only the tests, without the fault tests
    --install-deny  installs cargo-deny if it is missing, instead of skipping it

cargo xtask import-check --data FOLDER
    Imports real files (olist-orders.csv, github-webhooks.ndjson.gz) and compares the streams with them.";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let outcome = match arguments.next().as_deref() {
        Some("test") => test::run(arguments.collect()),
        Some("import-check") => import_check::run(&arguments.collect::<Vec<_>>()),
        Some("help" | "--help" | "-h") => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        other => {
            eprintln!(
                "{}\n{USAGE}",
                other.map_or("no task given".to_owned(), |task| format!("no task {task:?}"))
            );
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
