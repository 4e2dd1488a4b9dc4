//! Building programs of the workspace, and running one of them in this process' place.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::servers::{Error, Result};

/// Builds the relay and the examples and becomes one of these, so that signals and its exit code are its own.
///
/// # Errors
/// When it cannot be built or started.
pub(crate) fn become_program(name: &str, arguments: &[String]) -> Result<()> {
    build(
        "the relay and the examples",
        &["outbox-relay", "outbox-examples"],
        &[],
    )?;
    // Started from where cargo put it, beside this program: `cargo run` would build it once more, with other features of
    // its dependencies than beside the relay.
    become_file(&me()?.with_file_name(name), arguments)
}

/// The same with a program of the system tests, built for speed.
///
/// # Errors
/// When it cannot be built or started.
pub(crate) fn become_release(name: &str, arguments: &[String]) -> Result<()> {
    build("for speed", &["outbox-relay", "system-tests"], &["--release"])?;
    let me = me()?;
    let target = me.parent().and_then(Path::parent).unwrap_or(Path::new("."));
    become_file(&target.join("release").join(name), arguments)
}

/// The same with a program of the system tests as `cargo xtask test` builds it: with all features, so that nothing is built that it built.
///
/// # Errors
/// When it cannot be built or started.
pub(crate) fn become_tested(name: &str, arguments: &[String]) -> Result<()> {
    build("what tests build", &[], &["--workspace", "--all-features"])?;
    become_file(&me()?.with_file_name(name), arguments)
}

/// The same with a program of the fault lab, and a relay that has its crash points: built for speed, so that the machine is busy
/// with what is tested.
///
/// # Errors
/// When it cannot be built or started.
pub(crate) fn become_lab(name: &str, arguments: &[String], commit: &str) -> Result<()> {
    build(
        "the relay and the lab",
        &["outbox-relay", "fault-lab"],
        &["--all-features", "--release"],
    )?;
    let program = target()?.join("release").join(name);
    let error = Command::new(&program)
        .args(arguments)
        .env("OUTBOX_LAB_COMMIT", commit)
        .exec();
    Err(Error::io(format!("start {}", program.display()))(error))
}

/// The same with a program of the system tests, as tests build it.
///
/// # Errors
/// When it cannot be built or started.
pub(crate) fn become_test_program(name: &str, arguments: &[String]) -> Result<()> {
    build(
        "the relay and the tests' programs",
        &["outbox-relay", "system-tests"],
        &[],
    )?;
    become_file(&me()?.with_file_name(name), arguments)
}

fn build(what: &str, packages: &[&str], options: &[&str]) -> Result<()> {
    let begun = Instant::now();
    let mut words = vec!["build", "--bins"];
    words.extend(options);
    for package in packages {
        words.extend(["--package", package]);
    }
    eprintln!("Building {what} …");
    let built = Command::new(cargo())
        .args(&words)
        .status()
        .map_err(Error::io("start cargo"))?;
    if !built.success() {
        return Err(Error::new(format!(
            "cargo {} ended with {built}",
            words.join(" ")
        )));
    }
    eprintln!("Built in {} s.", begun.elapsed().as_secs());
    Ok(())
}

fn me() -> Result<PathBuf> {
    std::env::current_exe().map_err(Error::io("find this program"))
}

fn become_file(program: &Path, arguments: &[String]) -> Result<()> {
    let error = Command::new(program).args(arguments).exec();
    Err(Error::io(format!("start {}", program.display()))(error))
}

/// The folder that cargo builds into.
pub(crate) fn target() -> Result<PathBuf> {
    let me = me()?;
    let target = me.parent().and_then(Path::parent);
    target
        .map(Path::to_owned)
        .ok_or_else(|| Error::new(format!("{} is in no target folder", me.display())))
}

pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}
