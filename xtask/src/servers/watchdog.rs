//! Stops a server and removes its folder when its owner ends, however it ends.
//!
//! A shell process in a process group of its own (so that neither Ctrl-C nor a test runner's kill reaches it) waits until
//! its standard input closes, which the kernel does even for an owner that was killed with SIGKILL, or until the owner's
//! process is gone. It is the one way of cleaning up: `Drop` closes that input and waits.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::error::{Error, Result};

/// Until when a server lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifetime {
    /// Until its value is dropped or this process ends.
    #[default]
    OfValue,
    /// Until the process with this id ends; the value may be dropped before.
    OfProcess(u32),
}

/// Arguments: folder, signal that ends the server at once, process to wait for ("" waits for the end of the input).
const SCRIPT: &str = r#"
trap '' INT TERM HUP
if [ -n "$3" ]; then
    while kill -0 "$3" 2>/dev/null; do sleep 0.3; done
else
    cat >/dev/null
fi
if pid=$(cat "$1/server.pid" 2>/dev/null) && [ -n "$pid" ]; then
    kill -CONT "$pid" 2>/dev/null
    kill -"$2" "$pid" 2>/dev/null
    tries=0
    while kill -0 "$pid" 2>/dev/null && [ $tries -lt 50 ]; do sleep 0.05; tries=$((tries + 1)); done
    kill -KILL "$pid" 2>/dev/null
fi
# Most have no disk of their own.
umount -l "$1/data" 2>/dev/null
rm -rf "$1"
"#;

#[derive(Debug)]
pub(crate) struct Watchdog {
    shell: Child,
}

impl Watchdog {
    pub(crate) fn start(folder: &Path, signal: &str, lifetime: Lifetime) -> Result<Self> {
        let (input, owner) = match lifetime {
            Lifetime::OfValue => (Stdio::piped(), String::new()),
            Lifetime::OfProcess(id) => (Stdio::null(), id.to_string()),
        };
        let shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "outbox-watchdog"])
            .arg(folder)
            .args([signal, &owner])
            .stdin(input)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            .process_group(0)
            .spawn()
            .map_err(Error::io("start the watchdog /bin/sh"))?;
        Ok(Self { shell })
    }

    /// Tells it that the owner is done with the server.
    pub(crate) fn release(&mut self) {
        drop(self.shell.stdin.take());
    }

    /// Waits until it has cleaned up.
    pub(crate) fn join(&mut self) {
        // It cannot fail in a way that anything could be done about: it is our child, and it ends.
        self.shell.wait().ok();
    }
}
