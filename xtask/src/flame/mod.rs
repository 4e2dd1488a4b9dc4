//! `cargo xtask flame FILE OUT TITLE`: the samples of a process that `perf record` took, as a picture.
//!
//! Names of functions go in, and nothing else: no paths, no names of machines or processes.

mod svg;
mod tree;

use std::path::Path;
use std::process::Command;

use crate::servers::{Error, Result};

/// Draws what was recorded.
///
/// # Errors
/// On other arguments, where `perf` is missing or cannot read the file, and where the picture cannot be written.
pub fn run(arguments: &[String]) -> Result<()> {
    let [recorded, out, title] = arguments else {
        return Err(Error::new(
            "flame: it takes a file of perf record, the picture to write, and a title",
        ));
    };
    let asked = Command::new("perf")
        .args(["script", "--no-inline", "-F", "comm,ip,sym", "-i", recorded])
        .output()
        .map_err(|error| Error::new(format!("flame: perf cannot be run: {error}")))?;
    if !asked.status.success() {
        return Err(Error::new(format!(
            "flame: perf script: {}",
            String::from_utf8_lossy(&asked.stderr).trim()
        )));
    }
    let root = tree::of(&String::from_utf8_lossy(&asked.stdout));
    let picture = svg::draw(title, &root);
    std::fs::write(Path::new(out), &picture)
        .map_err(|error| Error::new(format!("flame: {out} cannot be written: {error}")))?;
    println!("{out}: {} samples, {} bytes", root.samples, picture.len());
    Ok(())
}
