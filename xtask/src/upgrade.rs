//! `cargo xtask upgrade [COMMIT]`: relays and members of an older version beside those of this version.
//!
//! Not part of what every change must pass: it builds the older version from the history, which takes minutes the first time, and a
//! shallow clone has none. docs/testing.md says when it is run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::example::{become_test_program, cargo, target};
use crate::servers::{Error, Kind, Permission, Result, ensure};

/// The version before this one: the last one that could be had. Its migrations (log 0032, inbox 0010) never change.
const PREVIOUS: &str = "c441945ba601e448abf6ef55c78a05e4bd10f227";

/// Builds both versions and becomes the program that runs them side by side.
///
/// # Errors
/// On other arguments, when the older version is not in this clone, when a server is missing and may not be installed, and when
/// something cannot be built.
pub fn run(arguments: &[String]) -> Result<()> {
    let commit = match arguments {
        [] => PREVIOUS,
        [commit] if is_commit(commit) => commit.as_str(),
        _ => {
            return Err(Error::new(
                "upgrade takes: [COMMIT], a commit in hexadecimal digits",
            ));
        }
    };
    ensure(&[Kind::Postgres, Kind::Redis], Permission::Install)?;
    let older = build(commit)?;
    become_test_program("upgrade", &[older.display().to_string()])
}

fn is_commit(text: &str) -> bool {
    (7..=40).contains(&text.len()) && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// The binary of an older version, in a folder of its own below the target folder.
fn build(commit: &str) -> Result<PathBuf> {
    let folder = target()?.join("older").join(commit);
    let source = folder.join("source");
    if !source.join("Cargo.toml").is_file() {
        unpack(commit, &source)?;
    }
    eprintln!("Building the relay of {commit} …");
    let built = Command::new(cargo())
        .args(["build", "--locked", "--package", "outbox-relay", "--target-dir"])
        .arg(folder.join("target"))
        .current_dir(&source)
        .status()
        .map_err(Error::io("start cargo"))?;
    if built.success() {
        Ok(folder.join("target/debug/outbox-relay"))
    } else {
        Err(Error::new(format!(
            "cargo build of {commit} ended with {built}; its own message is above"
        )))
    }
}

fn unpack(commit: &str, to: &Path) -> Result<()> {
    let known = Command::new("git")
        .args(["cat-file", "-e", &format!("{commit}^{{commit}}")])
        .stderr(Stdio::null())
        .status()
        .map_err(Error::io("start git"))?;
    if !known.success() {
        return Err(Error::new(format!(
            "commit {commit} is not in this clone: a shallow one has no history, so run `git fetch --unshallow`; where there is \
             no git at all, this cannot be run"
        )));
    }
    std::fs::create_dir_all(to).map_err(Error::io(format!("create {}", to.display())))?;
    let script = r#"git archive "$0" | tar -x -C "$1""#;
    let unpacked = Command::new("sh")
        .args(["-c", script, commit])
        .arg(to)
        .status()
        .map_err(Error::io("start sh"))?;
    if unpacked.success() {
        Ok(())
    } else {
        Err(Error::new(format!(
            "git archive {commit} | tar -x ended with {unpacked}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::{PREVIOUS, is_commit, run};

    #[test]
    fn arguments_are_refused_before_anything_is_built() {
        assert!(is_commit(PREVIOUS));
        for bad in ["main", "--help", "HEAD~1", "123", "; rm"] {
            assert!(run(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
