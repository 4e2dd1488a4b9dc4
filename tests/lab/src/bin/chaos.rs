//! `cargo xtask chaos` builds and runs this.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use fault_lab::chaos::campaign::{Campaign, kept};
use fault_lab::chaos::{Kind, Outcome, Schedule, record, report};
use system_tests::Result;
use xtask::chaos::{Request, Work};
use xtask::servers::{Permission, ensure};

/// The page about a campaign, in the folder in which it is asked for.
const PAGE: &str = "docs/chaos-report.md";
const FAULTS: &str = "docs/chaos-faults.svg";
const RECOVERY: &str = "docs/chaos-recovery.svg";
/// What the sources are; `cargo xtask chaos` says it.
const COMMIT: &str = "OUTBOX_LAB_COMMIT";

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
    let kinds = Kind::of_a_run(request.losses);
    match &request.work {
        Work::List => {
            kinds.iter().for_each(|kind| println!("{kind}"));
            return Ok(true);
        }
        Work::Report(results) => {
            write_report(&record::read(Path::new(results))?)?;
            return Ok(true);
        }
        _ => {}
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
            let results = request.results.as_ref().map(PathBuf::from);
            let results = results.unwrap_or_else(|| folder.join("results.ndjson"));
            let campaign = Campaign {
                seed,
                faults: *faults,
                losses: request.losses,
                jobs: request.jobs,
                minimise: request.minimise,
                shared: request.shared,
                commit: std::env::var(COMMIT).unwrap_or_else(|_| "unknown".to_owned()),
                results,
                folder,
            };
            let records = tokio::task::spawn_blocking(move || campaign.run()).await??;
            println!(
                "{} runs on file, {} faults",
                records.len(),
                record::faults(&records)
            );
            Ok(true)
        }
        Work::Replay(path) => {
            let schedule: Schedule = serde_json::from_str(&std::fs::read_to_string(path)?)?;
            once(schedule, &request, &folder).await
        }
        Work::Seconds(seconds) => {
            once(Schedule::draw(seed, seconds * 1_000, &kinds), &request, &folder).await
        }
        Work::List | Work::Report(_) => Ok(true),
    }
}

/// One run; if it fails, with what it can be repeated.
async fn once(schedule: Schedule, request: &Request, folder: &Path) -> Result<bool> {
    println!("seed {}, {} faults", schedule.seed, schedule.injections.len());
    let (outcome, _) = kept(&schedule, request.minimise, folder, true).await?;
    tell(&outcome);
    Ok(outcome.failed.is_none())
}

/// Renews what is counted on the page, and the plots.
fn write_report(records: &[record::Record]) -> Result {
    let page = report::renew(&std::fs::read_to_string(PAGE)?, records)?;
    std::fs::write(PAGE, page)?;
    std::fs::write(FAULTS, report::faults_by_kind(records)?)?;
    std::fs::write(RECOVERY, report::recovery_by_kind(records)?)?;
    println!("written: {PAGE}, {FAULTS}, {RECOVERY}");
    Ok(())
}

fn tell(outcome: &Outcome) {
    println!(
        "\nseed {}: {} faults, {} processes started, the lead changed hands {} times",
        outcome.seed,
        outcome.met(),
        outcome.started,
        outcome.takeovers
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
        ("put out again after a loss", outcome.put_out_again),
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
