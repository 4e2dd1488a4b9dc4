//! Building the examples and the relay, and running one of them in this process' place.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Instant;

use crate::servers::{Error, Result};

/// Builds what is needed and becomes the program, so that signals and its exit code are its own.
///
/// # Errors
/// When it cannot be built or started.
pub(crate) fn become_program(name: &str, arguments: &[String]) -> Result<()> {
    let begun = Instant::now();
    let build = [
        "build",
        "--package",
        "outbox-relay",
        "--package",
        "outbox-examples",
        "--bins",
    ];
    eprintln!("Building the relay and the examples …");
    let built = Command::new(cargo())
        .args(build)
        .status()
        .map_err(Error::io("start cargo"))?;
    if !built.success() {
        return Err(Error::new(format!(
            "cargo {} ended with {built}",
            build.join(" ")
        )));
    }
    eprintln!("Built in {} s.", begun.elapsed().as_secs());
    // Started from where cargo put it, beside this program: `cargo run` would build it once more, with other features of
    // its dependencies than beside the relay.
    let me = std::env::current_exe().map_err(Error::io("find this program"))?;
    let program = me.with_file_name(name);
    let error = Command::new(&program).args(arguments).exec();
    Err(Error::io(format!("start {}", program.display()))(error))
}

fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}
