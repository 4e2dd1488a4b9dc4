//! `import`: NDJSON or CSV into the outbox. `import --help` tells the rest.

use std::process::ExitCode;

use clap::Parser;
use outbox_examples::import::{Arguments, run};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(summary) => {
            eprintln!("{summary}");
            ExitCode::from(summary.exit_code())
        }
        Err(error) => {
            eprintln!("import: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
