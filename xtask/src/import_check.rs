//! `cargo xtask import-check`: real files through importer and relay, where such files are.

use std::path::PathBuf;

use crate::example::become_program;
use crate::servers::{Error, Result};

const FILES: [&str; 2] = ["olist-orders.csv", "github-webhooks.ndjson.gz"];

/// Runs the check, or says loudly that there is nothing to check.
///
/// # Errors
/// On other arguments, and when the program cannot be built.
pub fn run(arguments: &[String]) -> Result<()> {
    let [flag, folder] = arguments else {
        return Err(Error::new("import-check takes --data FOLDER"));
    };
    if flag != "--data" {
        return Err(Error::new(format!(
            "import-check takes --data FOLDER, got {flag:?}"
        )));
    }
    let folder = PathBuf::from(folder);
    if let Some(missing) = FILES
        .iter()
        .map(|file| folder.join(file))
        .find(|file| !file.is_file())
    {
        eprintln!(
            "SKIPPED: import of real files. {} is not there",
            missing.display()
        );
        return Ok(());
    }
    become_program("import-check", &[folder.display().to_string()])
}
