//! The temporary folder of one server. The watchdog removes it; this only makes it.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};

use super::account::Account;
use super::error::{Error, Result};

/// Makes a folder that only `account` can enter.
///
/// Root's own temporary folder may be closed to other users, so root's servers live in `/tmp`.
pub(crate) fn make(kind: &str, account: Account) -> Result<PathBuf> {
    let parent = match account {
        Account::Mine => std::env::temp_dir(),
        Account::Other { .. } => PathBuf::from("/tmp"),
    };
    let name = format!(
        "outbox-{kind}-{}-{:08x}",
        std::process::id(),
        RandomState::new().hash_one(kind) >> 32
    );
    let path = parent.join(name);
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&path)
        .map_err(Error::io(format!("create {}", path.display())))?;
    hand_over(&path, account)?;
    Ok(path)
}

/// Makes a folder of `account` inside one of its own.
pub(crate) fn make_inside(path: &Path, account: Account) -> Result<()> {
    fs::DirBuilder::new()
        .mode(0o700)
        .create(path)
        .map_err(Error::io(format!("create {}", path.display())))?;
    hand_over(path, account)
}

/// Writes a file that `account` can read and nobody else.
pub(crate) fn write(path: &Path, content: &str, account: Account) -> Result<()> {
    fs::write(path, content).map_err(Error::io(format!("write {}", path.display())))?;
    hand_over(path, account)
}

fn hand_over(path: &Path, account: Account) -> Result<()> {
    match account {
        Account::Mine => Ok(()),
        Account::Other { uid, gid } => chown(path, Some(uid), Some(gid))
            .map_err(Error::io(format!("give {} to user {uid}", path.display()))),
    }
}
