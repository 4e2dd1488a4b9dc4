//! Many runs, until so many faults were done. Every run is a line of a file, so that a campaign goes on where it stopped; a run
//! that failed stays there with its seed, its schedule and its history beside it, and the campaign goes on with the next seed. One
//! that could not be made at all is a line of another file, with what it ended with, and no campaign is whole that had one.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use system_tests::{Failure, Result};
use tokio::runtime::Builder;

use super::fault::Kind;
use super::minimise::minimise;
use super::outcome::Outcome;
use super::record::{Record, append, faults, read};
use super::run::{Settings, run};
use super::schedule::Schedule;

/// How long faults come in one run of a campaign.
const RUN_MS: u64 = 60_000;
/// A run that cannot be made is passed over; after so many the campaign gives up.
const BROKEN_AT_MOST: usize = 5;
const THREADS: usize = 2;

/// What a campaign is to do.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The seed of its first run; the next ones count on from the last run on file.
    pub seed: u64,
    /// How many faults, those on file included: of runs with losses, or of those without.
    pub faults: usize,
    /// With the kinds by which Redis loses data.
    pub losses: bool,
    /// How many runs at a time.
    pub jobs: usize,
    /// How many runs may be made to find fewer faults with which a failed one still fails.
    pub minimise: usize,
    /// The machine has other work.
    pub shared: bool,
    /// What the sources are.
    pub commit: String,
    /// One line of JSON for each run.
    pub results: PathBuf,
    /// For histories and schedules.
    pub folder: PathBuf,
}

/// What its runs share.
struct Progress {
    next: u64,
    done: usize,
    broken: Vec<u64>,
    failed: Vec<u64>,
}

impl Progress {
    /// What there is to say against it.
    fn verdict(&self, wanted: usize, folder: &Path) -> Result {
        let mut against = Vec::new();
        if self.done < wanted {
            against.push(format!("given up after {} of {wanted} faults", self.done));
        }
        if !self.broken.is_empty() {
            against.push(format!("these seeds could not be run: {:?}", self.broken));
        }
        if !self.failed.is_empty() {
            against.push(format!("these seeds failed: {:?}", self.failed));
        }
        if against.is_empty() {
            return Ok(());
        }
        let folder = folder.display();
        Err(Failure::new(format!(
            "{}; what is left of each is in {folder}",
            against.join("; ")
        )))
    }
}

impl Campaign {
    /// Runs until there are as many faults as wanted.
    ///
    /// # Errors
    /// At the end: when it gave up, or with the seeds that failed or could not be run.
    pub fn run(&self) -> Result<Vec<Record>> {
        let records = read(&self.results)?;
        let next = records
            .iter()
            .map(|record| record.outcome.seed.wrapping_add(1))
            .max();
        let progress = Mutex::new(Progress {
            next: next.unwrap_or(self.seed),
            done: faults(records.iter().filter(|record| record.losses == self.losses)),
            broken: Vec::new(),
            failed: Vec::new(),
        });
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.jobs.max(1))
                .map(|_| scope.spawn(|| self.work(&progress)))
                .collect();
            let ended = workers.into_iter().map(|worker| {
                let ended = worker.join();
                ended.unwrap_or_else(|_| Err(Failure::new("a run panicked")))
            });
            ended.collect::<Result<Vec<()>>>()
        })?;
        let progress = progress.into_inner().unwrap_or_else(PoisonError::into_inner);
        progress.verdict(self.faults, &self.folder)?;
        read(&self.results)
    }

    /// Makes one run after the other, with the next seed each.
    fn work(&self, progress: &Mutex<Progress>) -> Result {
        let lock = || progress.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let seed = {
                let mut progress = lock();
                if progress.done >= self.faults || progress.broken.len() > BROKEN_AT_MOST {
                    return Ok(());
                }
                progress.next = progress.next.wrapping_add(1);
                progress.next.wrapping_sub(1)
            };
            let runtime = Builder::new_multi_thread()
                .worker_threads(THREADS)
                .enable_all()
                .build()?;
            let record = runtime.block_on(self.one(seed));
            let mut progress = lock();
            match record {
                Ok(record) => {
                    append(&self.results, &record)?;
                    progress.done += record.outcome.met();
                    if record.outcome.failed.is_some() {
                        progress.failed.push(seed);
                    }
                    eprintln!("seed {seed}: {} of {} faults", progress.done, self.faults);
                }
                Err(failure) => {
                    eprintln!("seed {seed} could not be run: {failure:?}");
                    keep_broken(&self.folder, seed, &failure)?;
                    progress.broken.push(seed);
                }
            }
        }
    }

    async fn one(&self, seed: u64) -> Result<Record> {
        let schedule = Schedule::draw(seed, RUN_MS, &Kind::of_a_run(self.losses));
        let began = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let (outcome, fewest) = kept(&schedule, self.minimise, &self.folder, false).await?;
        if outcome.failed.is_none() {
            // Some megabytes of each run would fill a disk.
            std::fs::remove_file(history_of(seed, &self.folder))?;
        }
        Ok(Record {
            commit: self.commit.clone(),
            began,
            faults_ms: RUN_MS,
            losses: self.losses,
            shared: self.shared,
            fewest,
            outcome,
        })
    }
}

/// What a run ended with that could not be made, as a line of its own.
fn keep_broken(folder: &Path, seed: u64, failure: &Failure) -> Result {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("broken.ndjson"))?;
    let line = serde_json::json!({ "seed": seed, "failure": format!("{failure:?}") });
    writeln!(file, "{line}")?;
    Ok(())
}

fn history_of(seed: u64, folder: &Path) -> PathBuf {
    folder.join(format!("chaos-{seed}.ndjson"))
}

/// Makes one run. If it fails, its history and its schedule are kept in the folder, as well as the smallest schedule that still
/// fails within so many more runs, and it is said how it is repeated.
///
/// # Errors
/// When the run cannot be made.
pub async fn kept(
    schedule: &Schedule,
    runs: usize,
    folder: &Path,
    tells: bool,
) -> Result<(Outcome, Option<usize>)> {
    let seed = schedule.seed;
    let history = history_of(seed, folder);
    let outcome = run(Settings {
        schedule: schedule.clone(),
        history: history.clone(),
        tells,
    })
    .await?;
    let Some(failed) = &outcome.failed else {
        return Ok((outcome, None));
    };
    let path = folder.join(format!("chaos-{seed}.json"));
    std::fs::write(&path, serde_json::to_string_pretty(schedule)?)?;
    eprintln!(
        "\nFAILED, seed {seed}:\n{failed}\n\nits history: {}\nagain with: cargo xtask chaos --replay {}",
        history.display(),
        path.display()
    );
    if runs == 0 {
        return Ok((outcome, None));
    }
    let smallest = minimise(schedule, runs, folder).await?;
    let fewest = smallest.injections.len();
    let path = folder.join(format!("chaos-{seed}-fewest.json"));
    std::fs::write(&path, serde_json::to_string_pretty(&smallest)?)?;
    eprintln!(
        "{fewest} of {} faults are left: cargo xtask chaos --replay {}",
        schedule.injections.len(),
        path.display()
    );
    Ok((outcome, Some(fewest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_campaign_that_gave_up_or_had_broken_runs_is_not_whole() {
        let of = |done, broken: &[u64], failed: &[u64]| Progress {
            next: 9,
            done,
            broken: broken.to_vec(),
            failed: failed.to_vec(),
        };
        let says = |progress: Progress| match progress.verdict(100, Path::new("there")) {
            Ok(()) => String::new(),
            Err(failure) => failure.to_string(),
        };
        assert_eq!(says(of(100, &[], &[])), "");
        assert!(says(of(99, &[], &[])).contains("given up after 99 of 100"));
        assert!(says(of(100, &[3], &[])).contains("[3]"));
        assert!(says(of(120, &[], &[7])).contains("[7]"));
    }
}
