//! `import-check DATA`: `cargo xtask import-check` builds and runs it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Imports real files on private servers and compares the streams with them.
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder with olist-orders.csv and github-webhooks.ndjson.gz
    data: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    match outbox_examples::import_check::run(&Arguments::parse().data).await {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("import-check FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}
