//! `demo`: `cargo xtask demo` builds and runs it.

use std::process::ExitCode;

use clap::Parser;
use outbox_examples::demo::{Arguments, run};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("demo FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}
