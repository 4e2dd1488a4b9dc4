//! One run: appends by a schedule until each event has its effect, and what was seen meanwhile.

use std::collections::{BTreeMap, HashMap};

use sqlx::{Connection, Executor};
use system_tests::{Database, Failure, Relay, Result, World};

use super::super::quantile::Quantiles;
use super::super::schedule::{Produced, Schedule};
use super::super::servers::Processes;
use super::super::usage::{Usage, sessions};
use super::{LIMIT, effects};

/// What one run showed.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// Milliseconds from the schedule to the commit record, of all events.
    pub(super) record: Quantiles,
    /// To another client, of each fiftieth.
    pub(super) seen: Quantiles,
    /// To the answer of the producer's commit.
    pub(super) appended: Quantiles,
    /// Seconds of CPU for a million events.
    pub(super) cpu: [f64; 4],
    /// Of Postgres' sessions, by login.
    pub(super) sessions: BTreeMap<String, f64>,
}

/// What relay, Postgres, Redis and consumer used so far, and Postgres' sessions by login.
struct Look {
    parts: [Usage; 4],
    sessions: BTreeMap<String, Usage>,
}

impl Look {
    fn take(processes: Processes, relay: &Relay, consumer: &Relay) -> Result<Self> {
        Ok(Self {
            parts: [
                Usage::of(relay.process_id())?,
                Usage::of_family(processes.postgres)?,
                Usage::of(processes.redis)?,
                Usage::of(consumer.process_id())?,
            ],
            sessions: sessions(processes.postgres)?,
        })
    }
}

/// Appends, waits, checks.
pub(super) async fn once(
    world: &World,
    shop: &Database,
    schedule: Schedule,
    processes: Processes,
    [relay, consumer]: [&Relay; 2],
) -> Result<Run> {
    let mut connection = shop.connect().await?;
    connection
        .execute("truncate shop.effect restart identity")
        .await?;
    let hearing = effects::hear(shop).await?;
    let events = schedule.events.unwrap_or_default();
    let producing = schedule.start(world).await?;
    let before = Look::take(processes, relay, consumer)?;
    let produced = producing.finished().await?;
    effects::all_there(&mut connection, events, LIMIT).await?;
    let after = Look::take(processes, relay, consumer)?;
    let records = effects::read(&mut connection, events).await?;
    connection.close().await?;
    let (record, seen) = lateness(&produced, &records, &hearing.stop().await?)?;
    let millionth = 1e6 / events as f64;
    let mut cpu = [0.0; 4];
    for (cpu, (after, before)) in cpu.iter_mut().zip(after.parts.iter().zip(&before.parts)) {
        *cpu = after.ran_since(before).as_secs_f64() * millionth;
    }
    let nothing = Usage::default();
    let of_session = |(who, usage): (&String, &Usage)| {
        let before = before.sessions.get(who).unwrap_or(&nothing);
        (who.clone(), usage.ran_since(before).as_secs_f64() * millionth)
    };
    let appended = produced.events.iter();
    Ok(Run {
        record,
        seen,
        appended: Quantiles::of(appended.map(|event| (event.committed - event.due).as_secs_f64() * 1e3)),
        cpu,
        sessions: after.sessions.iter().map(of_session).collect(),
    })
}

/// Milliseconds from the schedule to the records of commits, and to hearing of them.
fn lateness(
    produced: &Produced,
    records: &HashMap<i64, i64>,
    heard: &HashMap<i64, i64>,
) -> Result<(Quantiles, Quantiles)> {
    let (mut late, mut late_to_hear) = (Vec::new(), Vec::new());
    for event in &produced.events {
        let due = produced.due_on_the_wall(event)?;
        let number = i64::try_from(event.number)?;
        let record = records
            .get(&number)
            .ok_or_else(|| Failure::new(format!("event {number} has no effect")))?;
        late.push((record - due) as f64 / 1e3);
        if let Some(heard) = heard.get(&number) {
            late_to_hear.push((heard - due) as f64 / 1e3);
        }
    }
    Ok((Quantiles::of(late), Quantiles::of(late_to_hear)))
}
