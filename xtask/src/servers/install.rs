//! Missing servers: installed with apt-get where that is allowed, told as exact commands where it is not.

use std::fs::File;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::account::Account;
use super::error::{Error, Result};
use super::find::{Kind, find};

/// May packages be installed on this machine?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Yes, saying so on standard error.
    Install,
    /// No: a missing server is an error that tells the commands.
    LookOnly,
}

/// The programs of these kinds, installing what is missing if that is allowed.
///
/// # Errors
/// Names what is missing and the commands that would install it.
pub fn ensure(kinds: &[Kind], permission: Permission) -> Result<Vec<PathBuf>> {
    if !missing(kinds).is_empty() {
        if permission == Permission::LookOnly {
            return Err(Error::new(advice(
                &missing(kinds),
                "installing was not asked for",
            )));
        }
        // apt-get takes no second one beside it, and tests begin together.
        let turn = std::env::temp_dir().join(format!("outbox-install-{}", Account::number()));
        let turn = File::create(&turn).map_err(Error::io(format!("create {}", turn.display())))?;
        turn.lock().map_err(Error::io("wait for another installation"))?;
        let missing = missing(kinds);
        if !missing.is_empty() {
            install(&missing)?;
        }
    }
    kinds
        .iter()
        .map(|kind| {
            find(*kind).ok_or_else(|| {
                Error::new(format!(
                    "this system's packages have no {}: {}",
                    kind.title(),
                    match kind {
                        Kind::Postgres => "install a newer one as https://www.postgresql.org/download/ says",
                        Kind::Redis => "install a newer one as https://redis.io/docs/latest/operate/oss_and_stack/install/ says",
                        Kind::PgBouncer | Kind::Faketime => "install it and put it on the PATH",
                    }
                ))
            })
        })
        .collect()
}

fn missing(kinds: &[Kind]) -> Vec<Kind> {
    kinds
        .iter()
        .copied()
        .filter(|kind| find(*kind).is_none())
        .collect()
}

fn install(missing: &[Kind]) -> Result<()> {
    if !Path::new("/usr/bin/apt-get").exists() {
        return Err(Error::new(advice(missing, "there is no apt-get here")));
    }
    let root = Account::is_root();
    if !root && !may_sudo() {
        return Err(Error::new(advice(
            missing,
            "this is not root and sudo would need a password on a terminal",
        )));
    }
    let packages = packages(missing);
    eprintln!(
        "Not found: {}. Installing the packages {} with apt-get{}.",
        missing
            .iter()
            .map(|kind| kind.title())
            .collect::<Vec<_>>()
            .join(", "),
        packages.join(" "),
        if root { "" } else { " through sudo" }
    );
    apt_get(root, &["update", "-qq"])?;
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(packages);
    apt_get(root, &arguments)
}

fn apt_get(root: bool, arguments: &[&str]) -> Result<()> {
    let mut command = if root {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    } else {
        let mut command = Command::new("sudo");
        command.args(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        command
    };
    command.args(arguments).stdout(Stdio::null());
    eprintln!("  apt-get {}", arguments.join(" "));
    let status = command.status().map_err(Error::io("start apt-get"))?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::new(format!(
            "apt-get {} ended with {status}; its own message is above",
            arguments.join(" ")
        )))
    }
}

fn may_sudo() -> bool {
    let without_password = Command::new("sudo")
        .args(["-n", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let sudo = ["/usr/bin/sudo", "/bin/sudo", "/usr/local/bin/sudo"]
        .iter()
        .any(|path| Path::new(path).exists());
    without_password || (sudo && std::io::stdin().is_terminal())
}

fn packages(kinds: &[Kind]) -> Vec<&'static str> {
    kinds
        .iter()
        .map(|kind| match kind {
            Kind::Postgres => "postgresql",
            Kind::Redis => "redis-server",
            Kind::PgBouncer => "pgbouncer",
            Kind::Faketime => "faketime",
        })
        .collect()
}

fn advice(missing: &[Kind], why: &str) -> String {
    let brew: Vec<&str> = missing
        .iter()
        .map(|kind| match kind {
            Kind::Postgres => "postgresql@17",
            Kind::Redis => "redis",
            Kind::PgBouncer => "pgbouncer",
            Kind::Faketime => "libfaketime",
        })
        .collect();
    format!(
        "not found: {}. Nothing was installed, because {why}. Run one of these and try again:\n  \
         Debian, Ubuntu: sudo apt-get update && sudo apt-get install -y {}\n  \
         macOS:          brew install {}",
        missing
            .iter()
            .map(|kind| kind.title())
            .collect::<Vec<_>>()
            .join(", "),
        packages(missing).join(" "),
        brew.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::{Kind, advice};

    #[test]
    fn without_permission_the_exact_commands_are_told() {
        let text = advice(&[Kind::Postgres, Kind::Redis], "this is a test");
        assert!(
            text.contains("sudo apt-get install -y postgresql redis-server"),
            "{text}"
        );
        assert!(text.contains("brew install postgresql@17 redis"), "{text}");
        assert!(
            text.contains("Postgres 15 or newer, Redis 6.2 or newer"),
            "{text}"
        );
    }
}
