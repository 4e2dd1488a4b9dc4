//! A small disk of a server's own, which can be filled: a `tmpfs` mounted where the server keeps its data.
//!
//! Mounting is root's. Without it there is no disk to fill, and that is an error, never a test that passes unseen. The watchdog
//! unmounts it with the end of its owner.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::account::Account;
use super::error::{Error, Result};

/// What takes the room away.
const BALLAST: &str = "ballast";
const PIECE_BYTES: usize = 64 * 1024;

/// A mounted disk.
#[derive(Debug)]
pub struct Disk {
    at: PathBuf,
}

impl Disk {
    /// Mounts a disk of so many bytes over the empty folder `at`.
    pub(crate) fn mount(at: &Path, bytes: u64, account: Account) -> Result<Self> {
        if !Account::is_root() {
            return Err(Error::new(
                "a small disk to be filled is a tmpfs, and only root may mount one: run the tests as root, or leave this one out \
                 by name",
            ));
        }
        let owner = match account {
            Account::Mine => String::new(),
            Account::Other { uid, gid } => format!(",uid={uid},gid={gid}"),
        };
        let output = Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={bytes},mode=0700{owner}"),
                "outbox-disk",
            ])
            .arg(at)
            .output()
            .map_err(Error::io("start mount"))?;
        if !output.status.success() {
            return Err(Error::new(format!(
                "no tmpfs can be mounted at {}, though this is root (a container without CAP_SYS_ADMIN?): {}",
                at.display(),
                String::from_utf8_lossy(&output.stderr).trim()
            )));
        }
        Ok(Self { at: at.to_owned() })
    }

    /// Takes all the room that is left.
    ///
    /// # Errors
    /// When something else than the room ends.
    pub fn fill(&self) -> Result<()> {
        let path = self.at.join(BALLAST);
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(Error::io(format!("create {}", path.display())))?;
        let piece = vec![0; PIECE_BYTES];
        for length in [PIECE_BYTES, 4096, 1] {
            loop {
                match file.write_all(&piece[..length]) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(Error::io(format!("fill {}", path.display()))(error)),
                }
            }
        }
        Ok(())
    }

    /// Gives the room back.
    ///
    /// # Errors
    /// When it was not filled.
    pub fn clear(&self) -> Result<()> {
        let path = self.at.join(BALLAST);
        fs::remove_file(&path).map_err(Error::io(format!("remove {}", path.display())))
    }
}
