//! One run: the faults of a schedule, healing, quiet, verdict.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use system_tests::Result;
use system_tests::journal::{Journal, Outcome as Fate};
use system_tests::witness::Verdict;
use time::OffsetDateTime;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::ground::Ground;
use super::history::History;
use super::inflict::{self, Standing};
use super::load::Load;
use super::outcome::{Done, Outcome, recovered};
use super::processes::Processes;
use super::schedule::{Injection, Schedule};
use super::settle::settle;
use super::sight;
use super::verdict::{self, Findings};

const TICK: Duration = Duration::from_millis(15);
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How much longer than drawn a fault waits for something to meet.
const MEETS_WITHIN: Duration = Duration::from_secs(20);
/// How long producers go on after everything was healed.
const CALM: Duration = Duration::from_secs(1);
/// Fewer transactions a second than this show nothing.
const COMMITS_A_SECOND: u64 = 5;
/// Fewer effects a second in either group show nothing.
const EFFECTS_A_SECOND: u64 = 3;

/// How to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is done.
    pub schedule: Schedule,
    /// Where the history goes.
    pub history: PathBuf,
    /// Tell every second how it goes.
    pub tells: bool,
}

struct Running {
    schedule: Schedule,
    ground: Ground,
    processes: Processes,
    load: Load,
    history: History,
    tells: bool,
    done: Vec<(Done, OffsetDateTime)>,
}

/// Runs a schedule to its verdict.
///
/// # Errors
/// When the servers do not start or do not take what is done to them. What is found about the product is in the outcome.
pub async fn run(settings: Settings) -> Result<Outcome> {
    let seed = settings.schedule.seed;
    let mut history = History::begin(&settings.history)?;
    history.note("begin", json!({ "seed": seed, "schedule": settings.schedule }))?;
    let ground = Ground::prepare(seed).await?;
    let mut processes = Processes::start(ground.relays()?, ground.members()?)?;
    processes.ready().await?;
    let load = Load::start(&ground, seed).await?;
    let mut running = Running {
        schedule: settings.schedule,
        ground,
        processes,
        load,
        history,
        tells: settings.tells,
        done: Vec::new(),
    };
    running.faults().await?;
    running.calm().await?;
    running.judge().await
}

impl Running {
    /// The first phase.
    async fn faults(&mut self) -> Result {
        let began = Instant::now();
        let mut coming = self.schedule.injections.clone();
        let mut standing: Vec<(Standing, Instant)> = Vec::new();
        let (mut tick, mut told) = (interval(TICK), Instant::now());
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let lasts = Duration::from_millis(self.schedule.faults_ms);
        while !coming.is_empty() || !standing.is_empty() || began.elapsed() < lasts {
            tick.tick().await;
            let now = u64::try_from(began.elapsed().as_millis())?;
            self.begin_due(&mut coming, &mut standing, now).await?;
            self.end_over(&mut standing).await?;
            self.processes.look()?;
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                self.tell(began.elapsed(), "faults", standing.len());
            }
        }
        Ok(())
    }

    async fn begin_due(
        &mut self,
        coming: &mut Vec<Injection>,
        standing: &mut Vec<(Standing, Instant)>,
        now: u64,
    ) -> Result {
        // What still waits for something to meet is in the way of the next one at the same place.
        let is_free = |injection: &Injection, standing: &[(Standing, Instant)]| {
            let subjects = injection.kind.subjects();
            let mut busy = standing
                .iter()
                .flat_map(|(other, _)| other.injection.kind.subjects());
            !busy.any(|subject| subjects.contains(&subject))
        };
        while let Some(at) = coming
            .iter()
            .position(|next| next.at_ms <= now && is_free(next, standing))
        {
            let injection = coming.remove(at);
            self.history.note("fault", json!(injection))?;
            let begun = inflict::begin(injection, &mut self.ground, &mut self.processes).await?;
            standing.push((begun, Instant::now()));
        }
        Ok(())
    }

    async fn end_over(&mut self, standing: &mut Vec<(Standing, Instant)>) -> Result {
        let mut at = 0;
        while at < standing.len() {
            let (fault, since) = &mut standing[at];
            let wanted = Duration::from_millis(fault.injection.lasts_ms);
            let is_over = since.elapsed() >= wanted
                && (fault.has_met(&mut self.ground, &mut self.processes).await?
                    || since.elapsed() >= wanted + MEETS_WITHIN);
            if is_over {
                let (fault, since) = standing.remove(at);
                self.end(fault, since).await?;
            } else {
                at += 1;
            }
        }
        Ok(())
    }

    async fn end(&mut self, mut fault: Standing, since: Instant) -> Result {
        let has_met = fault.has_met(&mut self.ground, &mut self.processes).await?;
        let kind = fault.injection.kind;
        let lasted_ms = u64::try_from(since.elapsed().as_millis())?;
        fault.end(&mut self.ground, &mut self.processes).await?;
        self.history.note(
            "fault over",
            json!({ "kind": kind, "lasted_ms": lasted_ms, "has_met": has_met }),
        )?;
        let done = Done {
            kind,
            lasted_ms,
            has_met,
            recovered_ms: None,
        };
        self.done.push((done, OffsetDateTime::now_utc()));
        Ok(())
    }

    /// The second phase: whatever was done is undone; producers go on for a moment.
    async fn calm(&mut self) -> Result {
        self.history.note("healed", json!({}))?;
        for is_member in [false, true] {
            self.processes.resume(is_member)?;
        }
        self.ground.is_followed().await?;
        let began = Instant::now();
        while began.elapsed() < CALM {
            self.processes.look()?;
            tokio::time::sleep(TICK).await;
        }
        Ok(())
    }

    fn tell(&self, elapsed: Duration, phase: &str, standing: usize) {
        if self.tells {
            eprintln!(
                "seed {} · {:>3} s · {phase} · {} faults done, {standing} under way · {} transactions · {} processes started",
                self.schedule.seed,
                elapsed.as_secs(),
                self.done.len(),
                self.load.committed(),
                self.processes.started(),
            );
        }
    }

    /// The third phase, and what comes of it all.
    async fn judge(mut self) -> Result<Outcome> {
        let committed = self.load.committed();
        let (journal, bank) = self.load.end().await?;
        self.history.journal(&journal)?;
        let began = Instant::now();
        let settled = settle(&self.ground, &mut self.processes, &journal).await;
        let quiet_ms = u64::try_from(began.elapsed().as_millis())?;
        self.history.note("quiet", json!({ "ms": quiet_ms }))?;
        let seen = sight::look(&self.ground, &journal, &mut self.history).await?;
        let has_lost = self.done.iter().any(|(done, _)| done.kind.is_loss());
        let findings = verdict::judge(&seen, &journal, &bank, has_lost);
        let counted = Counted {
            seed: self.schedule.seed,
            takeovers: self.ground.watch.seen().epoch.unsigned_abs(),
            started: self.processes.started(),
            done: recovered(self.done, &bank, &findings),
        };
        let mut outcome = counted.outcome(&journal, &findings);
        let mut failed: Vec<String> = Vec::new();
        let is_settled = settled.is_ok();
        failed.extend(settled.err().map(|failure| failure.to_string()));
        failed.extend(findings.wrong());
        failed.extend(std::mem::take(&mut self.processes.surprises));
        failed.extend(outcome.unmet());
        let seconds = self.schedule.faults_ms / 1_000;
        failed.extend(findings.idle(usize::try_from(seconds * EFFECTS_A_SECOND)?));
        let wanted = seconds * COMMITS_A_SECOND;
        if (committed as u64) < wanted || findings.dead == 0 {
            failed.push(format!(
                "too little happened: {committed} transactions of at least {wanted}, {} dead letters",
                findings.dead
            ));
        }
        if is_settled && let Err(failure) = self.processes.end().await {
            failed.push(failure.to_string());
        }
        outcome.quiet_ms = quiet_ms;
        outcome.failed = (!failed.is_empty()).then(|| failed.join("\n"));
        self.history.note("end", json!({ "failed": outcome.failed }))?;
        self.history.end()?;
        if outcome.failed.is_some() {
            eprintln!("the history is in {}", self.history.path().display());
        }
        Ok(outcome)
    }
}

/// What is counted.
struct Counted {
    seed: u64,
    takeovers: u64,
    started: usize,
    done: Vec<Done>,
}

impl Counted {
    fn outcome(self, journal: &Journal, findings: &Findings) -> Outcome {
        let sum = |of: fn(&Verdict) -> usize| of(&findings.streams) + of(&findings.consumers);
        Outcome {
            seed: self.seed,
            committed: journal.count(Fate::Committed),
            unknown: journal.count(Fate::Unknown),
            applied: findings.effects(),
            dead: findings.dead,
            parked: findings.parked,
            lost: sum(|verdict| verdict.lost.len()),
            phantom: sum(|verdict| verdict.phantom.len()),
            doubled: findings.consumers.doubled.len(),
            doubled_on_stream: findings.streams.doubled.len(),
            put_out_again: findings.put_out_again,
            reordered: sum(|verdict| verdict.reordered.len() + verdict.overtaken.len()),
            takeovers: self.takeovers,
            started: self.started,
            done: self.done,
            ..Outcome::default()
        }
    }
}
