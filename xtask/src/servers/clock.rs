//! A clock of a process's own that can be set, forwards and backwards, while it runs: `libfaketime` reads a file.
//!
//! Only the time of day is changed. What measures spans (the monotonic clock) goes on as it does, as on a real machine.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::account::Account;
use super::error::{Error, Result};
use super::find::Kind;
use super::folder;
use super::install::{Permission, ensure};

/// In the folder of its owner.
const FILE: &str = "clock";
const LIBRARY: &str = "libfaketimeMT.so.1";

/// The clock of one process and its children.
#[derive(Debug)]
pub struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// A clock that shows the machine's time, for a process that may read in `folder`.
    ///
    /// # Errors
    /// When `libfaketime` is missing and cannot be installed.
    pub fn in_folder(folder: &Path, account: Account) -> Result<Self> {
        ensure(&[Kind::Faketime], Permission::Install)?;
        let clock = Self {
            library: library()?,
            file: folder.join(FILE),
        };
        folder::write(&clock.file, "+0", account)?;
        Ok(clock)
    }

    /// From now on it is so many seconds ahead of the machine's clock, or behind it. A process sees it within a second.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_ahead(&self, seconds: i64) -> Result<()> {
        fs::write(&self.file, format!("{seconds:+}"))
            .map_err(Error::io(format!("write {}", self.file.display())))
    }

    /// What a process needs in its environment to live by it.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("LD_PRELOAD", self.library.clone().into()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.clone().into()),
            ("FAKETIME_CACHE_DURATION", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("DONT_FAKE_MONOTONIC", "1".into()),
            ("FAKETIME_DISABLE_SHM", "1".into()),
        ]
    }
}

/// Debian puts it into a folder that is named after the machine's kind.
fn library() -> Result<PathBuf> {
    let folders = fs::read_dir("/usr/lib").map_err(Error::io("read /usr/lib"))?;
    folders
        .filter_map(std::result::Result::ok)
        .map(|folder| folder.path().join("faketime").join(LIBRARY))
        .chain([PathBuf::from("/usr/lib/faketime").join(LIBRARY)])
        .find(|path| path.is_file())
        .ok_or_else(|| {
            Error::new(format!(
                "faketime is installed, and {LIBRARY} is in no folder of /usr/lib"
            ))
        })
}
