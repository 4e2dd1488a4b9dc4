//! The binary `outbox-relay`: parse, then do what [`outbox_relay::cli`] says.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    outbox_relay::connect::install_provider();
    outbox_relay::cli::run(outbox_relay::cli::Cli::parse())
}
