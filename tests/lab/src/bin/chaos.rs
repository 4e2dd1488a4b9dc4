//! `cargo xtask chaos` builds and runs this.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use fault_lab::chaos::campaign::{Campaign, campaign};
use fault_lab::chaos::minimise::minimise;
use fault_lab::chaos::{Kind, Outcome, Schedule, Settings, report, run};
use system_tests::Result;
use xtask::chaos::{Request, Work};
use xtask::servers::{Permission, ensure};

/// Where a campaign's page goes, in the folder in which it is started.
const PAGE: &str = "docs/chaos-report.md";
const PLOT: &str = "docs/chaos-report.svg";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match work(&arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("{failure:?}");
            ExitCode::FAILURE
        }
    }
}

async fn work(arguments: &[String]) -> Result<bool> {
    let request = Request::parse(arguments)?;
    let mut kinds = Kind::all();
    if request.losses {
        kinds.extend(Kind::losses());
    }
    if request.work == Work::List {
        for kind in kinds {
            println!("{kind}");
        }
        return Ok(true);
    }
    ensure(
        &[xtask::servers::Kind::Postgres, xtask::servers::Kind::Redis],
        Permission::LookOnly,
    )?;
    let folder = PathBuf::from(&request.folder);
    std::fs::create_dir_all(&folder)?;
    let seed = request.seed.unwrap_or_else(rand::random);
    match &request.work {
        Work::CrashPoints => crash_points(seed).await,
        Work::Faults(faults) => {
            let results = folder.join("results.jsonl");
            let outcomes = campaign(&Campaign {
                seed,
                faults: *faults,
                kinds,
                results,
                folder,
            })
            .await?;
            std::fs::write(PAGE, report::page(&outcomes, "chaos-report.svg")?)?;
            std::fs::write(PLOT, report::plot(&outcomes)?)?;
            println!("written: {PAGE}, {PLOT}");
            Ok(true)
        }
        Work::Replay(path) => {
            let schedule: Schedule = serde_json::from_str(&std::fs::read_to_string(path)?)?;
            once(schedule, &request, &folder).await
        }
        Work::Seconds(seconds) => {
            once(Schedule::draw(seed, seconds * 1_000, &kinds), &request, &folder).await
        }
        Work::List => Ok(true),
    }
}

/// One run; if it fails, with what it can be repeated.
async fn once(schedule: Schedule, request: &Request, folder: &Path) -> Result<bool> {
    let seed = schedule.seed;
    println!("seed {seed}, {} faults", schedule.injections.len());
    let outcome = run(Settings {
        schedule: schedule.clone(),
        history: folder.join(format!("chaos-{seed}.ndjson")),
        tells: true,
    })
    .await?;
    tell(&outcome);
    let Some(failed) = &outcome.failed else {
        return Ok(true);
    };
    println!("\nFAILED, seed {seed}:\n{failed}\n");
    let smallest = minimise(&schedule, request.minimise, folder).await?;
    let path = folder.join(format!("chaos-{seed}.json"));
    std::fs::write(&path, serde_json::to_string_pretty(&smallest)?)?;
    println!(
        "{} faults are left in {}; again with: cargo xtask chaos --replay {}",
        smallest.injections.len(),
        path.display(),
        path.display()
    );
    Ok(false)
}

fn tell(outcome: &Outcome) {
    let met = outcome.done.iter().filter(|done| done.has_met).count();
    println!(
        "\nseed {}: {met} faults, {} processes started",
        outcome.seed, outcome.started
    );
    for (what, count) in [
        ("committed", outcome.committed),
        ("commit not answered", outcome.unknown),
        ("effects", outcome.applied),
        ("given up, as they must be", outcome.dead),
        ("waiting behind those", outcome.parked),
        ("LOST", outcome.lost),
        ("PHANTOM", outcome.phantom),
        ("DOUBLED", outcome.doubled),
        ("REORDERED", outcome.reordered),
        ("TWICE ON A STREAM", outcome.doubled_on_stream),
    ] {
        println!("{count:>9}  {what}");
    }
    println!("{:>9}  ms until all had arrived", outcome.quiet_ms);
}

#[cfg(feature = "crash-points")]
async fn crash_points(seed: u64) -> Result<bool> {
    use fault_lab::crash::{Action, TABLE, visit_all};
    let all = TABLE
        .iter()
        .flat_map(|row| Action::ALL.map(|action| (*row, action)))
        .collect();
    visit_all(all, seed).await?;
    Ok(true)
}

#[cfg(not(feature = "crash-points"))]
#[expect(clippy::unused_async, reason = "as with the feature")]
async fn crash_points(_seed: u64) -> Result<bool> {
    Err(system_tests::Failure::new(
        "this was built without its crash points: cargo xtask chaos builds it with them",
    ))
}
