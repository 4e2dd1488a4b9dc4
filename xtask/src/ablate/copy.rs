//! A copy of the sources beside what cargo builds, in which things may be broken.
//!
//! Authoritative are the sources as they are, committed or not. Only files that differ are written, so that little is built again.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::servers::{Error, Result};

/// What cargo builds of the copy is kept from run to run.
const BUILT: &str = "target";

/// A copy that is as the sources are, but for one patch.
pub(super) struct Copy {
    sources: PathBuf,
    pub(super) folder: PathBuf,
}

impl Copy {
    pub(super) fn new(sources: &Path, folder: PathBuf) -> Self {
        Self {
            sources: sources.to_owned(),
            folder,
        }
    }

    /// Makes it as the sources are.
    pub(super) fn refresh(&self) -> Result<()> {
        let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let listed = git(&self.sources, &list)?;
        let text = String::from_utf8_lossy(&listed.stdout);
        let mut wanted = HashSet::new();
        for path in text.split('\0').filter(|path| !path.is_empty()) {
            let (from, to) = (self.sources.join(path), self.folder.join(path));
            // One that was deleted and not committed is listed too.
            if !from.is_file() {
                continue;
            }
            let content = fs::read(&from).map_err(Error::io(format!("read {path}")))?;
            if fs::read(&to).ok().as_ref() != Some(&content) {
                let folder = to.parent().unwrap_or(&self.folder);
                fs::create_dir_all(folder).map_err(Error::io("make a folder of the copy"))?;
                fs::write(&to, content).map_err(Error::io(format!("copy {path}")))?;
            }
            wanted.insert(to);
        }
        remove_others(&self.folder, &wanted)
    }

    /// Takes out what the patch takes out.
    pub(super) fn apply(&self, patch: &Path) -> Result<()> {
        let patch = patch.to_string_lossy();
        git(&self.folder, &["apply", "--whitespace=nowarn", &patch]).map(drop)
    }

    /// Whether the patch could be applied.
    pub(super) fn check(sources: &Path, patch: &Path) -> Result<()> {
        let patch = patch.to_string_lossy();
        git(sources, &["apply", "--check", "--whitespace=nowarn", &patch]).map(drop)
    }
}

/// What an earlier state of the sources left behind.
fn remove_others(folder: &Path, wanted: &HashSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(Error::io("look at the copy"))? {
        let path = entry.map_err(Error::io("look at the copy"))?.path();
        if path.is_dir() {
            if !path.ends_with(BUILT) {
                remove_others(&path, wanted)?;
            }
        } else if !wanted.contains(&path) {
            fs::remove_file(&path).map_err(Error::io(format!("remove {}", path.display())))?;
        }
    }
    Ok(())
}

fn git(folder: &Path, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new("git");
    // The copy is no repository of its own, and git must not take it for a part of the one around it.
    command.current_dir(folder).args(arguments);
    if arguments.first() == Some(&"apply") {
        command.env("GIT_CEILING_DIRECTORIES", folder.parent().unwrap_or(folder));
    }
    let output = command.output().map_err(Error::io("start git"))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(format!(
        "git {}: {}",
        arguments.join(" "),
        said.trim()
    )))
}
