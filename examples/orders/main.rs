//! `orders`: `cargo xtask orders` builds and runs it.

use std::process::ExitCode;

use clap::Parser;
use outbox_examples::orders::{Arguments, run};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(report) => {
            println!("{report}");
            ExitCode::from(report.exit_code())
        }
        Err(error) => {
            eprintln!("orders FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}
