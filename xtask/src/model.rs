//! Explores the models of the protocol within their large bounds: docs/model.md says what came out last.

use std::process::Command;

use crate::servers::{Error, Result};

/// Runs it, with the words of a case's name if some are given.
///
/// # Errors
/// Something came out that must not, or cargo is missing.
pub fn run(words: &[String]) -> Result<()> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--release", "--package", "protocol-model", "--", "large"]);
    let status = cargo.args(words).status();
    let status = status.map_err(|error| Error::new(format!("cannot run cargo: {error}")))?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::new(
            "the model found something that must not be: see above",
        ))
    }
}
