//! Where the servers' programs are: on the PATH, in Debian's versioned folders, or with Homebrew. The newest one wins.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `postgres` (with `initdb` beside it), at least 15.
    Postgres,
    /// `redis-server`, at least 6.2.
    Redis,
    /// `pgbouncer`, any version.
    PgBouncer,
    /// `faketime`, any version; what is used is the library that comes with it.
    Faketime,
}

impl Kind {
    /// What people call it, with the lowest version that will do.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Postgres => "Postgres 15 or newer",
            Self::Redis => "Redis 6.2 or newer",
            Self::PgBouncer => "PgBouncer",
            Self::Faketime => "libfaketime",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis-server",
            Self::PgBouncer => "pgbouncer",
            Self::Faketime => "faketime",
        }
    }

    fn at_least(self) -> (u32, u32) {
        match self {
            Self::Postgres => (15, 0),
            Self::Redis => (6, 2),
            Self::PgBouncer | Self::Faketime => (0, 0),
        }
    }
}

/// The newest program of this kind that is new enough, or nothing.
#[must_use]
pub fn find(kind: Kind) -> Option<PathBuf> {
    folders()
        .into_iter()
        .map(|folder| folder.join(kind.program()))
        .filter(|program| program.is_file())
        .filter(|program| kind != Kind::Postgres || program.with_file_name("initdb").is_file())
        .filter_map(|program| Some((version(&program)?, program)))
        .filter(|(version, _)| *version >= kind.at_least())
        .max_by_key(|(version, _)| *version)
        .map(|(_, program)| program)
}

fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    folders.extend(["/usr/bin", "/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from));
    folders.extend(children_with_bin(Path::new("/usr/lib/postgresql"), ""));
    folders.extend(children_with_bin(Path::new("/opt/homebrew/opt"), "postgresql"));
    folders.extend(children_with_bin(Path::new("/usr/local/opt"), "postgresql"));
    folders
}

fn children_with_bin(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join("bin"))
        .collect()
}

fn version(program: &Path) -> Option<(u32, u32)> {
    let output = Command::new(program).arg("--version").output().ok()?;
    output
        .status
        .success()
        .then(|| parse(&String::from_utf8_lossy(&output.stdout)))?
}

/// The first number of the form `a.b` or `a` that begins a word, an optional `v=` before it left out.
fn parse(text: &str) -> Option<(u32, u32)> {
    text.split_whitespace()
        .map(|word| word.trim_start_matches("v="))
        .find_map(|word| {
            let mut numbers = word.split(|c: char| !c.is_ascii_digit());
            let major = numbers.next()?.parse().ok()?;
            Some((
                major,
                numbers.next().and_then(|minor| minor.parse().ok()).unwrap_or(0),
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn versions_are_read_as_the_programs_print_them() {
        assert_eq!(
            parse("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"),
            Some((15, 18))
        );
        assert_eq!(parse("postgres (PostgreSQL) 19rc1"), Some((19, 0)));
        assert_eq!(
            parse("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64"),
            Some((7, 0))
        );
        assert_eq!(parse("PgBouncer 1.18.0\nlibevent 2.1.12-stable"), Some((1, 18)));
        assert_eq!(parse("no version here"), None);
    }
}
