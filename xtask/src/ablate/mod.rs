//! `cargo xtask ablate`: takes one mechanism at a time out of a copy of the sources, and shows that it is missed.
//!
//! Each patch of `tests/ablations` says what it takes out and which tests fail then. A test that passes all the same shows
//! nothing, and is a failure here. With `--fire` a group without the mechanism goes through the minute of kills, and the
//! witness counts what that does to it. The product has no switch for any of this.

mod copy;

mod outcome;

mod patch;

mod request;

mod run;

use std::fs;
use std::path::{Path, PathBuf};

use self::copy::Copy;
use self::patch::Ablation;
use self::request::Request;
use self::run::{fire, tests};
use crate::servers::{Error, Kind, Permission, Result, ensure};
use crate::test::need_tool;

const PATCHES: &str = "tests/ablations";
/// What takes nothing out.
const NOTHING: &str = "nothing";

/// Takes out one after the other, and tells what became of the tests.
///
/// # Errors
/// On other arguments, when a patch does not apply any more or does not build, and when a mechanism was not missed.
pub fn run(arguments: &[String]) -> Result<()> {
    let request = Request::parse(arguments)?;
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let chosen = request.choose(patches(&sources)?)?;
    ensure(
        &[Kind::Postgres, Kind::Redis, Kind::PgBouncer],
        Permission::Install,
    )?;
    need_tool("nextest", "cargo-nextest")?;
    let copy = Copy::new(&sources, place()?);
    fs::create_dir_all(&copy.folder).map_err(Error::io("make the copy"))?;
    let mut wrong = Vec::new();
    for ablation in &chosen {
        println!("\n{}: {}", ablation.name, ablation.what);
        copy.refresh()?;
        if ablation.name != NOTHING {
            copy.apply(&sources.join(PATCHES).join(format!("{}.patch", ablation.name)))?;
        }
        let missed = if request.is_for_fire {
            fire(&copy, ablation, request.seed.unwrap_or(1))?
        } else {
            tests(&copy, ablation, request.tests.as_deref())?
        };
        if !missed {
            wrong.push(ablation.name.as_str());
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Error::new(format!("not as expected: {}", wrong.join(", ")))),
    }
}

/// Whether every patch applies to the sources as they are, and says what it should.
///
/// # Errors
/// Names the first that does not.
pub fn check() -> Result<Vec<String>> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut names = Vec::new();
    for ablation in patches(&sources)? {
        let file = sources.join(PATCHES).join(format!("{}.patch", ablation.name));
        Copy::check(&sources, &file)?;
        names.push(ablation.name);
        names.extend(ablation.tests);
    }
    Ok(names)
}

fn patches(sources: &Path) -> Result<Vec<Ablation>> {
    let looking = || Error::io(format!("look for {PATCHES}"));
    let mut patches = Vec::new();
    for entry in fs::read_dir(sources.join(PATCHES)).map_err(looking())? {
        let path = entry.map_err(looking())?.path();
        let (Some(name), Some("patch")) = (
            path.file_stem().and_then(|name| name.to_str()),
            path.extension().and_then(|ending| ending.to_str()),
        ) else {
            continue;
        };
        let text = fs::read_to_string(&path).map_err(Error::io(format!("read {}", path.display())))?;
        patches.push(Ablation::parse(name, &text)?);
    }
    patches.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(patches)
}

/// Beside what cargo builds of the sources.
fn place() -> Result<PathBuf> {
    let me = std::env::current_exe().map_err(Error::io("find this program"))?;
    let target = me.parent().and_then(Path::parent).unwrap_or(Path::new("."));
    Ok(target.join("ablations"))
}
