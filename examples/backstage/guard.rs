//! Kills what was started and removes its folder when this program ends, however it ends.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::Result;

/// Waits for the end of its input, which the kernel closes even for a program that was killed; then kills every process
/// whose id is in a file `*.pid` of the folder, and removes the folder.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
for file in "$1"/*.pid; do
    [ -f "$file" ] && kill -KILL "$(cat "$file")" 2>/dev/null
done
rm -rf "$1"
"#;

/// A temporary folder with a guard.
#[derive(Debug)]
pub struct Guard {
    folder: TempDir,
    shell: Child,
}

impl Guard {
    /// Makes the folder and posts the guard.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn post() -> Result<Self> {
        use std::os::unix::process::CommandExt;

        let folder = tempfile::Builder::new().prefix("outbox-demo-").tempdir()?;
        let shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "outbox-guard"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            // Ctrl-C is for us; the guard ends after us.
            .process_group(0)
            .spawn()?;
        Ok(Self { folder, shell })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // It is our child and it ends; there is nothing to do about it if it could not be waited for.
        self.shell.wait().ok();
    }
}
