//! A copy of a server's data, as it was at one moment. Dropped: gone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::account::Account;
use super::error::{Error, Result};
use super::folder;
use super::watchdog::{Lifetime, Watchdog};

/// The copy.
#[derive(Debug)]
pub struct Backup {
    folder: PathBuf,
    watchdog: Watchdog,
}

impl Backup {
    /// A place for a copy, removed however its owner ends.
    pub(crate) fn room(kind: &str, account: Account) -> Result<Self> {
        let folder = folder::make(kind, account)?;
        let watchdog = Watchdog::start(&folder, "KILL", Lifetime::OfValue)?;
        Ok(Self { folder, watchdog })
    }

    /// Where the copy is.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Puts a copy of the copy where a server that does not run has its data.
    pub(crate) fn put_in_place_of(&self, data: &Path) -> Result<()> {
        fs::remove_dir_all(data).map_err(Error::io(format!("remove {}", data.display())))?;
        copy(&self.data(), data)
    }

    /// Takes a copy of a folder.
    pub(crate) fn take(&self, from: &Path) -> Result<()> {
        copy(from, &self.data())
    }
}

impl Drop for Backup {
    fn drop(&mut self) {
        self.watchdog.release();
        self.watchdog.join();
    }
}

/// With owners and rights as they are.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp")
        .arg("-a")
        .args([from, to])
        .status()
        .map_err(Error::io("start cp"))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::new(format!(
        "copying {} to {} ended with {status}",
        from.display(),
        to.display()
    )))
}
