//! The files of the workspace, as text.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One file.
pub(crate) struct Source {
    /// Relative to the workspace.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    /// Its lines of code with their numbers: comments and everything from the unit tests on left out.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(number, line)| (number + 1, line))
            .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// True when a folder of its path, or the file without its ending, has this name.
    pub(crate) fn is_in(&self, name: &str) -> bool {
        self.path
            .trim_end_matches(".rs")
            .split('/')
            .any(|part| part == name)
    }
}

/// Every file below a folder of the workspace with one of these endings.
pub(crate) fn below(folder: &str, endings: &[&str]) -> io::Result<Vec<Source>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    let mut open = vec![root.join(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            if path.is_dir() {
                if !(name == "target" || name == ".git") {
                    open.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(Source {
                    path: relative(&root, &path),
                    text: fs::read_to_string(&path)?,
                });
            }
        }
    }
    assert!(
        !found.is_empty(),
        "nothing below {folder}: the rule looks at nothing"
    );
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

fn relative(root: &Path, path: &Path) -> String {
    let path: PathBuf = path
        .strip_prefix(root)
        .map_or_else(|_| path.to_owned(), Path::to_owned);
    path.to_string_lossy().into_owned()
}
