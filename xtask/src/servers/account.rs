//! As whom servers run: Postgres and PgBouncer refuse root, so root starts them as `postgres` or, without it, `nobody`.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::error::{Error, Result};

/// The user and group of a server process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// Whoever runs this program.
    Mine,
    /// Another one, which only root can choose.
    Other {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
    },
}

impl Account {
    /// The account for servers that refuse to run as root.
    ///
    /// # Errors
    /// When this is root and the machine has neither `postgres` nor `nobody`.
    pub fn unprivileged() -> Result<Self> {
        if id(&["-u"]) != Some(0) {
            return Ok(Self::Mine);
        }
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| Some(Self::Other { uid: id(&["-u", name])?, gid: id(&["-g", name])? }))
            .ok_or_else(|| {
                Error::new(
                    "this runs as root, Postgres refuses root, and there is no user `postgres` or `nobody`: add one",
                )
            })
    }

    /// True for root, who may install packages and change accounts.
    #[must_use]
    pub fn is_root() -> bool {
        id(&["-u"]) == Some(0)
    }

    /// The number of whoever runs this program; 0 if `id` does not say.
    pub(crate) fn number() -> u32 {
        id(&["-u"]).unwrap_or_default()
    }

    pub(crate) fn apply(self, command: &mut Command) -> &mut Command {
        match self {
            Self::Mine => command,
            Self::Other { uid, gid } => command.uid(uid).gid(gid),
        }
    }
}

fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().parse().ok())?
}
