//! Does what a person chose, in steps that can be done again: keep what the database does not know, take it off or leave it,
//! open the era, move the marks.
//!
//! Whatever can be refused is refused before the first of these steps. Until the era is open the marks still tell of batches that
//! this ledger never cut, so no relay publishes, whenever this was killed. What was kept and taken off before is not found a second
//! time; the era is one transaction, and says that it is there; marks only rise.

use super::finding::{Found, MarkFinding};
use super::hold::Hold;
use super::inspect::{Connected, Ends, look};
use super::pg;
use super::plan::{Plan, Strategy, plan};
use crate::publish::pg::load_retentions;
use crate::publish::{Error, Kind, Mark};
use crate::tail;

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
    /// Those of them that landed while the era was opened: somebody else still publishes.
    pub late: u64,
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
    let hold = Hold::take(ends, &request.holder).await?;
    let work = Work {
        ends: &connected,
        request,
        hold: &hold,
    };
    let done = work.run().await;
    // Given back also after a failure.
    hold.release().await;
    done
}

/// A recovery at work.
pub(super) struct Work<'a> {
    pub(super) ends: &'a Connected,
    pub(super) request: &'a Request,
    pub(super) hold: &'a Hold,
}

impl Work<'_> {
    async fn run(&self) -> Result<Applied, Error> {
        let found = look(self.ends, 10).await?;
        // Whatever is to be refused is refused here, before anything is changed.
        let plan = plan(&found, self.request.strategy).map_err(|why| Error::new(Kind::Refused, why))?;
        self.hold.check()?;
        let strategy = self.request.strategy;
        let same = found
            .unfinished
            .as_ref()
            .filter(|unfinished| unfinished.strategy == strategy.word());
        let mut applied = Applied {
            recovery: 0,
            era: None,
            batch_id: 0,
            events: 0,
            entries: 0,
            late: 0,
        };
        applied.recovery = match same {
            Some(unfinished) => unfinished.number,
            None => self.begin(&found).await?,
        };
        let opened = same.and_then(|unfinished| unfinished.batch_id);
        match opened {
            Some(batch_id) => applied.batch_id = batch_id.unsigned_abs(),
            None => {
                let unknown: Vec<&str> = found.unknown_streams.iter().map(String::as_str).collect();
                pg::know_topics(&self.ends.session, &unknown).await?;
                applied.entries = self.settle(applied.recovery, &found).await?;
                let opened = self.open(applied.recovery, &plan).await?;
                crash_point!(ERA_OPENED);
                (applied.era, applied.batch_id, applied.events) =
                    (Some(opened.era), opened.batch_id, opened.events);
            }
        }
        applied.late = self
            .settle_late(applied.recovery, &found, opened.is_none())
            .await?;
        applied.entries += applied.late;
        self.move_marks(&found, applied.batch_id).await?;
        pg::finish(&self.ends.session, applied.recovery).await?;
        Ok(applied)
    }

    /// Records what was seen and chosen. One that was begun otherwise and has taken nothing off is given up by it.
    async fn begin(&self, found: &Found) -> Result<i64, Error> {
        let seen = serde_json::to_string(found).map_err(|error| {
            Error::new(
                Kind::Tail(tail::Kind::Shape),
                format!("what was found cannot be written: {error}"),
            )
        })?;
        let replaced = found.unfinished.as_ref().map(|unfinished| unfinished.number);
        let (strategy, reason) = (self.request.strategy, &self.request.reason);
        pg::begin(&self.ends.session, strategy, reason, &seen, replaced).await
    }

    /// The streams are as they were found but for what was taken off: what was planned then holds.
    async fn open(&self, recovery: i64, plan: &Plan) -> Result<pg::Opened, Error> {
        self.hold.check()?;
        let appenders = pg::appenders(&self.ends.session).await?;
        if !appenders.is_empty() {
            tracing::warn!(%appenders, "an era begins when everybody who appended has ended: waiting for these");
        }
        let error = match pg::open_era(&self.ends.session, recovery, self.hold.epoch, plan).await {
            Ok(opened) => return Ok(opened),
            Err(error) if error.kind() != tail::Kind::Timeout => return Err(error.into()),
            Err(error) => error,
        };
        let appenders = pg::appenders(&self.ends.session).await?;
        if appenders.is_empty() {
            return Err(error.into());
        }
        Err(Error::new(
            Kind::Tail(tail::Kind::Timeout),
            format!(
                "an era begins when everybody who appended has ended, and these have not: {appenders}; end them and run this again ({error})"
            ),
        ))
    }

    /// The marks of our streams tell of the new era: a copy of this database that publishes too is noticed, and notices.
    async fn move_marks(&self, found: &Found, batch_id: u64) -> Result<(), Error> {
        let retentions = load_retentions(&self.ends.session).await?;
        for stream in &found.streams {
            if !stream.is_ours() || matches!(stream.mark, MarkFinding::Absent) {
                continue;
            }
            self.hold.check()?;
            let mark = Mark {
                batch_id,
                database_id: self.ends.head.database_id.clone(),
                epoch: self.hold.epoch,
                retention: retentions.of(&stream.stream.topic),
            };
            let key = self.ends.names.mark(&stream.stream);
            self.ends.streams.move_mark(&key, &mark).await?;
        }
        Ok(())
    }
}
