//! The importer as a process.

use std::path::Path;
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use crate::Result;
use crate::backstage::beside_me;

fn command(database_url: &str, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(beside_me("import")?);
    command
        .env("DATABASE_URL", database_url)
        .args(arguments)
        .kill_on_drop(true)
        .stdin(Stdio::null());
    Ok(command)
}

/// Imports a file to its end and returns what the importer said.
pub(super) async fn import(
    database_url: &str,
    file: &Path,
    name: &str,
    arguments: &[&str],
) -> Result<String> {
    let mut command = command(database_url, arguments)?;
    let Output { status, stderr, .. } = command.arg("--name").arg(name).arg(file).output().await?;
    let said = String::from_utf8_lossy(&stderr).trim().to_owned();
    if status.success() {
        Ok(said)
    } else {
        Err(format!("import of {name} ended with {status}: {said}").into())
    }
}

/// Begins to import a CSV whose bytes are handed over bit by bit, so that it is at work when it is killed.
pub(super) fn begin(database_url: &str, bytes: Vec<u8>, name: &str, arguments: &[&str]) -> Result<Child> {
    let mut command = command(database_url, arguments)?;
    command.args(["--name", name, "--format=csv", "--batch=20", "-"]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut input = child.stdin.take().ok_or("the importer has no input")?;
    tokio::spawn(async move {
        // It is killed meanwhile, and then there is nobody to write to; what it got until then is what matters.
        input.write_all(&bytes).await.ok();
        // Left open: the end of the input would be the end of the import.
        std::future::pending::<()>().await;
    });
    Ok(child)
}
