//! One run: the faults of a schedule, healing, quiet, verdict.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use system_tests::arrival::entries_of;
use system_tests::journal::{Journal, Outcome as Fate};
use system_tests::{Failure, Result};
use time::OffsetDateTime;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::fault::{Kind, Party};
use super::ground::{AUDITED, Ground, POISONED};
use super::history::History;
use super::inflict::{self, Standing};
use super::load::{Bank, Load};
use super::processes::Processes;
use super::schedule::{Injection, Schedule};
use super::verdict::{self, Findings};

const TICK: Duration = Duration::from_millis(15);
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How much longer than drawn a fault waits for something to meet.
const MEETS_WITHIN: Duration = Duration::from_secs(8);
/// How long producers go on after everything was healed.
const CALM: Duration = Duration::from_secs(1);
/// Everything must have arrived within this long after the producers ended; and something must move within that.
const QUIET_AT_MOST: Duration = Duration::from_secs(90);
const STANDS_STILL: Duration = Duration::from_secs(25);
/// Fewer transactions a second than this show nothing.
const COMMITS_A_SECOND: u64 = 5;

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

/// A fault that was done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Done {
    /// What.
    pub kind: Kind,
    /// For how long, in milliseconds.
    pub lasted_ms: u64,
    /// It met something.
    pub has_met: bool,
    /// From its end to the effect of the first event committed after it; none if there was no such event.
    pub recovered_ms: Option<u64>,
}

/// How a run went.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// Every fault.
    pub done: Vec<Done>,
    /// Events that were committed.
    pub committed: usize,
    /// Events whose commit was not answered.
    pub unknown: usize,
    /// Effects at both consumers.
    pub applied: usize,
    /// Events given up, as they must be.
    pub dead: usize,
    /// Events that wait behind those.
    pub parked: usize,
    /// Committed and missing somewhere.
    pub lost: usize,
    /// There, and never committed.
    pub phantom: usize,
    /// With two effects.
    pub doubled: usize,
    /// Twice on a stream, while Redis kept its data.
    pub doubled_on_stream: usize,
    /// Before an earlier event of the same key.
    pub reordered: usize,
    /// Processes that were started.
    pub started: usize,
    /// How long it took until all had arrived, in milliseconds.
    pub quiet_ms: u64,
    /// Why it failed; none if it did not.
    pub failed: Option<String>,
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
            // What still waits for something to meet is in the way of the next one at the same place.
            let is_free = |injection: &Injection, standing: &[(Standing, Instant)]| {
                let subject = injection.kind.subject();
                standing
                    .iter()
                    .all(|(other, _)| other.injection.kind.subject() != subject)
            };
            while let Some(at) = coming
                .iter()
                .position(|next| next.at_ms <= now && is_free(next, &standing))
            {
                let injection = coming.remove(at);
                self.history.note("fault", json!(injection))?;
                let begun = inflict::begin(injection, &mut self.ground, &mut self.processes).await?;
                standing.push((begun, Instant::now()));
            }
            let mut at = 0;
            while at < standing.len() {
                let (fault, since) = &mut standing[at];
                let wanted = Duration::from_millis(fault.injection.lasts_ms);
                let is_over = since.elapsed() >= wanted
                    && (fault.has_met(&mut self.ground).await? || since.elapsed() >= wanted + MEETS_WITHIN);
                if is_over {
                    let (fault, since) = standing.remove(at);
                    self.end(fault, since).await?;
                } else {
                    at += 1;
                }
            }
            self.processes.look()?;
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                self.tell(began.elapsed(), "faults", standing.len());
            }
        }
        Ok(())
    }

    async fn end(&mut self, mut fault: Standing, since: Instant) -> Result {
        let has_met = fault.has_met(&mut self.ground).await?;
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
        for party in [Party::Relay, Party::Member] {
            self.processes.resume(party)?;
        }
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
        let has_lost = self
            .done
            .iter()
            .any(|(done, _)| Kind::losses().contains(&done.kind));
        let findings = verdict::judge(&self.ground, &journal, &bank, has_lost, &mut self.history).await?;
        let done = recovered(self.done, &bank, &findings);
        let mut failed: Vec<String> = Vec::new();
        let is_settled = settled.is_ok();
        failed.extend(settled.err().map(|failure| failure.to_string()));
        failed.extend(findings.wrong());
        failed.extend(std::mem::take(&mut self.processes.surprises));
        let missed: Vec<String> = done
            .iter()
            .filter(|done| !done.has_met)
            .map(|done| done.kind.to_string())
            .collect();
        if !missed.is_empty() {
            failed.push(format!("faults that met nothing: {}", missed.join(", ")));
        }
        let wanted = self.schedule.faults_ms / 1_000 * COMMITS_A_SECOND;
        if (committed as u64) < wanted || findings.applied == 0 || findings.dead == 0 {
            failed.push(format!(
                "too little happened: {committed} transactions of at least {wanted}, {} effects, {} dead letters",
                findings.applied, findings.dead
            ));
        }
        let started = self.processes.started();
        if is_settled && let Err(failure) = self.processes.end().await {
            failed.push(failure.to_string());
        }
        let sum = |of: fn(&system_tests::witness::Verdict) -> usize| {
            of(&findings.streams) + of(&findings.consumers)
        };
        let outcome = Outcome {
            seed: self.schedule.seed,
            committed: journal.count(Fate::Committed),
            unknown: journal.count(Fate::Unknown),
            applied: findings.applied,
            dead: findings.dead,
            parked: findings.parked,
            lost: sum(|verdict| verdict.lost.len()),
            phantom: sum(|verdict| verdict.phantom.len()),
            doubled: findings.consumers.doubled.len(),
            doubled_on_stream: findings.streams.doubled.len(),
            reordered: sum(|verdict| verdict.reordered.len() + verdict.overtaken.len()),
            started,
            quiet_ms,
            done,
            failed: (!failed.is_empty()).then(|| failed.join("\n")),
        };
        self.history.note("end", json!({ "failed": outcome.failed }))?;
        self.history.end()?;
        if outcome.failed.is_some() {
            eprintln!("the history is in {}", self.history.path().display());
        }
        Ok(outcome)
    }
}

/// Waits until everything arrived everywhere, as long as something moves.
async fn settle(ground: &Ground, processes: &mut Processes, journal: &Journal) -> Result {
    let began = Instant::now();
    let mut topics: Vec<String> = AUDITED.iter().map(|topic| (*topic).to_owned()).collect();
    topics.push(POISONED.to_owned());
    let mut last = (Vec::new(), Instant::now());
    loop {
        processes.look()?;
        let seen = count(ground, &topics).await?;
        let [logged, on_streams, poisonable, shop, busy, auditable, audit] = seen;
        if on_streams >= logged && shop >= poisonable && busy == 0 && audit >= auditable {
            return Ok(());
        }
        if seen.to_vec() != last.0 {
            last = (seen.to_vec(), Instant::now());
        }
        if last.1.elapsed() > STANDS_STILL || began.elapsed() > QUIET_AT_MOST {
            return Err(Failure::new(format!(
                "it stands still: {} events committed, {logged} in the log, {on_streams} on the streams; of {poisonable} the shop \
                 has {shop} ({busy} keys under way), of {auditable} the audit has {audit}\n{}\n{}",
                journal.count(Fate::Committed),
                views(ground).await.unwrap_or_else(|failure| failure.to_string()),
                processes.testimony().await
            )));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// In the log, on the streams; of the shop's topic in the log, at the shop, under way there; of the audit's, at the audit.
async fn count(ground: &Ground, topics: &[String]) -> Result<[i64; 7]> {
    let mut connection = ground.world.connect().await?;
    let (logged, poisonable): (i64, i64) =
        sqlx::query_as("select count(*), count(*) filter (where topic = $1) from outbox.log")
            .bind(POISONED)
            .fetch_one(&mut connection)
            .await?;
    let shop = ground.shop.seen().await?;
    let audit: i64 = sqlx::query_scalar("select count(*) from public.effect")
        .fetch_one(&ground.audit_pool)
        .await?;
    Ok([
        logged,
        i64::try_from(entries_of(&ground.world, topics).await?)?,
        poisonable,
        shop.applied + shop.dead + shop.parked,
        shop.busy,
        logged - poisonable,
        audit,
    ])
}

/// What the operators' views say.
async fn views(ground: &Ground) -> Result<String> {
    let mut said = String::new();
    let mut connection = ground.world.connect().await?;
    for view in [
        "summary",
        "relays",
        "topics",
        "backlog",
        "streams",
        "holes",
        "waiting_transactions",
    ] {
        let statement = format!("select coalesce(json_agg(row)::text, '') from outbox_ops.{view} row");
        let rows: String = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .fetch_one(&mut connection)
            .await?;
        writeln!(said, "{view}: {rows}")?;
    }
    for view in ["consumers", "consumer_partitions", "retries"] {
        let statement = format!("select coalesce(json_agg(row)::text, '') from outbox_ops.{view} row");
        let rows: String = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .fetch_one(&ground.audit_pool)
            .await?;
        writeln!(said, "{view} (audit): {rows}")?;
    }
    Ok(said)
}

/// How long after each fault something committed after it had its effect.
fn recovered(done: Vec<(Done, OffsetDateTime)>, bank: &Bank, findings: &Findings) -> Vec<Done> {
    let beats: BTreeMap<OffsetDateTime, OffsetDateTime> = bank
        .beats
        .iter()
        .filter_map(|(id, at)| Some((*at, *findings.beats.get(id)?)))
        .collect();
    done.into_iter()
        .map(|(mut done, over)| {
            let first = beats.range(over..).next();
            done.recovered_ms = first
                .and_then(|(_, applied)| u64::try_from((*applied - over).whole_milliseconds().max(0)).ok());
            done
        })
        .collect()
}
