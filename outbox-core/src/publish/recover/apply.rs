//! Does what a person chose, in steps that can be done again: keep what the database does not know, take it off or leave it,
//! open the era, move the marks.
//!
//! Until the era is open the marks still tell of batches that this ledger never cut, so no relay publishes, whenever this was
//! killed. What was kept and taken off before is not found a second time; the era is one transaction, and says that it is there;
//! marks only rise.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::finding::{Found, MarkFinding};
use super::inspect::{Connected, Ends, Walk, look};
use super::pg;
use super::plan::{Strategy, plan};
use crate::event::EntryId;
use crate::publish::pg::{load_layouts, load_retentions};
use crate::publish::{Error, Kind, Mark};
use crate::tail::pg::leases;
use crate::tail::{self, StreamId};

/// How long the leases are held without being renewed: longer than any step between two renewals.
const LEASE: Duration = Duration::from_secs(60);
/// A relay that refuses takes the leases for a moment every few seconds. One that leads keeps them.
const LEASE_PATIENCE: Duration = Duration::from_secs(10);
/// How often the lock against appends is tried, each time for two seconds.
const LOCK_TRIES: u32 = 5;
/// Unknown entries end here: a stream of which more in a row are known has none before them.
const KNOWN_IN_A_ROW: u64 = 2_000;

/// What was done.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Applied {
    /// Number of the recovery, in `outbox.recovery`.
    pub recovery: i64,
    /// The era that it opened; none if an earlier run had.
    pub era: Option<i32>,
    /// The first half of the ids that go out next.
    pub batch_id: u64,
    /// Events that the era puts on their streams.
    pub events: i64,
    /// Entries that this run took off, or left and kept.
    pub entries: u64,
}

/// Who does it, and why.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is chosen.
    pub strategy: Strategy,
    /// Why, for the audit.
    pub reason: String,
    /// Unique name of this process, shown as the holder of the leases.
    pub holder: String,
}

/// Does it.
///
/// # Errors
/// A relay leads, the strategy is not possible, or one of the ends failed: run it again.
pub async fn apply(ends: &Ends, request: &Request) -> Result<Applied, Error> {
    let connected = ends.connect().await?;
    if connected.head.in_recovery {
        return Err(Error::new(
            Kind::Refused,
            tail::ledger::Refusal::Standby.to_string(),
        ));
    }
    let epoch = take_leases(&connected, &request.holder).await?;
    let work = Work {
        ends: &connected,
        request,
        epoch,
    };
    let done = work.run().await;
    // Given back also after a failure. It runs out by itself.
    if let Err(error) = leases::release(&connected.session, &request.holder).await {
        tracing::warn!(%error, "could not give the leases back; they run out by themselves");
    }
    done
}

async fn take_leases(ends: &Connected, holder: &str) -> Result<i64, Error> {
    let until = Instant::now() + LEASE_PATIENCE;
    loop {
        if let Some(lease) = leases::take(&ends.session, holder, LEASE).await? {
            return Ok(lease.epoch);
        }
        if Instant::now() >= until {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "a relay leads ({}): stop every relay of this database first",
                    pg::holders(&ends.session).await?
                ),
            ));
        }
        tokio::time::sleep(
            leases::remaining(&ends.session)
                .await?
                .min(Duration::from_millis(200)),
        )
        .await;
    }
}

struct Work<'a> {
    ends: &'a Connected,
    request: &'a Request,
    epoch: i64,
}

impl Work<'_> {
    async fn run(&self) -> Result<Applied, Error> {
        let found = look(self.ends, 10).await?;
        let (recovery, opened) = match &found.unfinished {
            Some(unfinished) if unfinished.strategy != self.request.strategy.word() => {
                return Err(refused(plan(&found, self.request.strategy, |_| false).err()));
            }
            Some(unfinished) => (unfinished.number, unfinished.batch_id),
            None => {
                self.plan(&found).await?;
                let seen = serde_json::to_string(&found).map_err(|error| {
                    Error::new(
                        Kind::Tail(tail::Kind::Shape),
                        format!("what was found cannot be written: {error}"),
                    )
                })?;
                let (strategy, reason) = (self.request.strategy, &self.request.reason);
                (
                    pg::begin(&self.ends.session, strategy, reason, &seen).await?,
                    None,
                )
            }
        };
        let mut applied = Applied {
            recovery,
            era: None,
            batch_id: opened.map_or(0, i64::unsigned_abs),
            events: 0,
            entries: 0,
        };
        if opened.is_none() {
            let unknown: Vec<&str> = found.unknown_streams.iter().map(String::as_str).collect();
            pg::know_topics(&self.ends.session, &unknown).await?;
            for stream in found.streams.iter().filter(|stream| stream.unknown.count > 0) {
                applied.entries += self.settle_entries(recovery, &stream.key, &stream.stream).await?;
            }
            let opened = self.open(recovery, &found).await?;
            (applied.era, applied.batch_id, applied.events) =
                (Some(opened.era), opened.batch_id, opened.events);
        }
        self.move_marks(&found, applied.batch_id).await?;
        pg::finish(&self.ends.session, recovery).await?;
        Ok(applied)
    }

    async fn plan(&self, found: &Found) -> Result<super::Plan, Error> {
        let layouts = load_layouts(&self.ends.session).await?;
        let now: BTreeMap<&str, u16> = layouts
            .iter()
            .map(|(topic, layout)| (topic.as_str(), layout.partitions()))
            .collect();
        // The streams of an earlier layout take nothing more.
        let is_of_now = |stream: &StreamId| match now.get(stream.topic.as_str()) {
            Some(partitions) => stream.partition.is_some_and(|partition| partition < *partitions),
            None => stream.partition.is_none(),
        };
        plan(found, self.request.strategy, is_of_now).map_err(|why| refused(Some(why)))
    }

    /// Still ours? Another process that took the leases meanwhile leads.
    async fn renew(&self) -> Result<(), Error> {
        match leases::take(&self.ends.session, &self.request.holder, LEASE).await? {
            Some(lease) if lease.epoch == self.epoch => Ok(()),
            _ => Err(Error::new(
                Kind::Tail(tail::Kind::Superseded),
                "the leases ran out and another process took them: stop it, and run this again",
            )),
        }
    }

    /// Keeps every entry of one stream that the database does not know, and takes it off if so chosen.
    async fn settle_entries(&self, recovery: i64, key: &str, stream: &StreamId) -> Result<u64, Error> {
        let removes = self.request.strategy.removes();
        let fate = if removes { "removed" } else { "accepted" };
        let page = self
            .ends
            .streams
            .outside(key, &self.ends.names.mark(stream))
            .await?
            .page;
        let mut walk = Walk::new(key, stream, page);
        let (mut settled, mut in_a_row) = (0, 0);
        while in_a_row < KNOWN_IN_A_ROW {
            let judged = walk.next(self.ends).await?;
            if judged.is_empty() {
                break;
            }
            self.renew().await?;
            let mut ids: Vec<EntryId> = Vec::new();
            for (entry, why) in &judged {
                if why.is_none() {
                    in_a_row += 1;
                    continue;
                }
                in_a_row = 0;
                pg::keep(&self.ends.session, recovery, (key, stream), entry, fate).await?;
                ids.push(entry.id);
            }
            settled += ids.len() as u64;
            if removes && !ids.is_empty() {
                self.ends.streams.take_off(key, &ids).await?;
            }
        }
        Ok(settled)
    }

    /// The streams are as they were found but for what was taken off: what was planned then holds.
    async fn open(&self, recovery: i64, found: &Found) -> Result<pg::Opened, Error> {
        let mut found = found.clone();
        found.unfinished = None;
        let plan = match self.plan(&found).await {
            // Everything was taken off by an earlier run, and its marks still tell of it.
            Err(_) if self.request.strategy.removes() => {
                found.server_refusal = Some("begun".to_owned());
                self.plan(&found).await?
            }
            planned => planned?,
        };
        let mut tries = 0;
        loop {
            self.renew().await?;
            match pg::open_era(&self.ends.session, recovery, self.epoch, &plan).await {
                Ok(opened) => return Ok(opened),
                Err(error) if error.kind() == tail::Kind::Timeout && tries < LOCK_TRIES => tries += 1,
                Err(error) if error.kind() == tail::Kind::Timeout => {
                    return Err(Error::new(
                        Kind::Tail(tail::Kind::Timeout),
                        format!(
                            "an era begins when everybody who appended has ended, and these have not: {}; end them and run this again \
                             ({error})",
                            pg::appenders(&self.ends.session).await?
                        ),
                    ));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The marks of our streams tell of the new era: a copy of this database that publishes too is noticed, and notices.
    async fn move_marks(&self, found: &Found, batch_id: u64) -> Result<(), Error> {
        let retentions = load_retentions(&self.ends.session).await?;
        for stream in &found.streams {
            if !stream.is_ours() || matches!(stream.mark, MarkFinding::Absent) {
                continue;
            }
            self.renew().await?;
            let mark = Mark {
                batch_id,
                database_id: self.ends.head.database_id.clone(),
                epoch: self.epoch,
                retention: retentions.of(&stream.stream.topic),
            };
            let key = self.ends.names.mark(&stream.stream);
            self.ends.streams.move_mark(&key, &mark).await?;
        }
        Ok(())
    }
}

fn refused(why: Option<String>) -> Error {
    Error::new(
        Kind::Refused,
        why.unwrap_or_else(|| "the strategy is not possible".to_owned()),
    )
}
