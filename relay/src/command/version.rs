//! `outbox-relay version`: of the binary, and of the schemas it makes and needs.

use outbox_migrations::{INBOX_VERSION, LOG_VERSION};
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Prints the versions.
///
/// # Errors
/// Standard output was closed.
pub fn run(output: Output) -> Result<Exit, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let report = json!({ "version": version, "log_schema": LOG_VERSION, "inbox_schema": INBOX_VERSION });
    output.write(&report, |_| {
        format!("outbox-relay {version}\nlog schema {LOG_VERSION}, inbox schema {INBOX_VERSION}\n")
    })?;
    Ok(Exit::Success)
}
