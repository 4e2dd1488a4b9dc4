//! What is missing on streams: read at the sink, checked against the ledger, put there again by a re-issue, shown.
//!
//! Groups ask in a hash at the sink; the relay itself asks for streams that it set aside because they lost their end. Order
//! of a repair: the lease, what the sink holds, what the log holds, the cut. The statement that cuts checks again whether the
//! stream was re-issued meanwhile: two groups that ask for the same are one re-issue.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::pg::repairs::{self as pg, Fate, Located, Standing};
use super::run::{Round, Upkeep};
use crate::event::EntryId;
use crate::hole::{self, Hole};
use crate::observe;
use crate::publish::pg::load_streams;
use crate::publish::repair::Step;
use crate::publish::{Error, Kind, Marked};
use crate::tail::pg::{Session, reissue};
use crate::tail::reissue::{Behind, Order};
use crate::tail::{self, StreamId};

/// A stream is re-issued at most this often, whatever is asked.
const PAUSE: Duration = Duration::from_secs(10);
/// What was refused or is on its way is looked at again after this long; what is new, at once.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// The tail cuts within a moment; behind a huge batch it may take as long as that.
const CUT_LIMIT: Duration = Duration::from_secs(900);

/// What was made of a hole, and when.
pub(super) struct Judged {
    missing: EntryId,
    fate: Fate,
    at: Instant,
}

/// Who misses what.
struct Miss<'a> {
    stream: &'a StreamId,
    key: &'a str,
    missing: EntryId,
    passed: Option<EntryId>,
    asked_by: &'a str,
}

impl Upkeep {
    /// One look at what groups miss, and at streams that lost their end.
    pub(super) async fn look_at_holes(&mut self, round: &Round) -> Result<(), Error> {
        let asked: Vec<Hole> = round
            .streams
            .holes(&hole::key(&self.parts.prefix))
            .await?
            .iter()
            .filter_map(|(field, value)| Hole::read(field, value))
            .collect();
        let stopped = match self.ends_at {
            Some(at) if at.elapsed() < LOOK_AGAIN => Vec::new(),
            _ => pg::set_aside(&round.session).await?,
        };
        if asked.is_empty() && stopped.is_empty() && self.holes.is_empty() {
            return Ok(());
        }
        let ours: BTreeMap<String, StreamId> = load_streams(&round.session, None)
            .await?
            .into_iter()
            .map(|stored| (self.parts.names.key(&stored.stream), stored.stream))
            .collect();
        let asked: Vec<Hole> = asked
            .into_iter()
            .filter(|hole| ours.contains_key(&hole.stream))
            .collect();
        if !stopped.is_empty() {
            self.ends_at = Some(Instant::now());
        }
        for stream in &stopped {
            self.look_at_end(round, stream).await?;
        }
        for hole in &asked {
            if let Some(stream) = ours.get(&hole.stream) {
                self.tend_hole(round, stream, hole).await?;
            }
        }
        pg::close(&round.session, &asked).await?;
        self.holes.retain(|(stream, group), _| {
            asked
                .iter()
                .any(|hole| hole.stream == *stream && hole.group == *group)
        });
        let refused = self
            .holes
            .values()
            .filter(|judged| matches!(judged.fate, Fate::Refused(_)));
        metrics::gauge!(observe::PUBLISH_HOLES, "state" => "refused").set(refused.count() as f64);
        metrics::gauge!(observe::PUBLISH_HOLES, "state" => "asked").set(asked.len() as f64);
        Ok(())
    }

    async fn tend_hole(&mut self, round: &Round, stream: &StreamId, hole: &Hole) -> Result<(), Error> {
        let place = (hole.stream.clone(), hole.group.clone());
        let known = self
            .holes
            .get(&place)
            .filter(|judged| judged.missing == hole.missing);
        if known.is_some_and(|judged| judged.at.elapsed() < LOOK_AGAIN) {
            return Ok(());
        }
        let said = known.map(|judged| judged.fate.clone());
        let miss = Miss {
            stream,
            key: &hole.stream,
            missing: hole.missing,
            passed: hole.passed,
            asked_by: &hole.group,
        };
        let fate = self.judge(round, &miss).await?;
        if said.as_ref() != Some(&fate) {
            tell(hole, &fate);
        }
        pg::show(&round.session, stream, hole, &fate, self.epoch()).await?;
        let judged = Judged {
            missing: hole.missing,
            fate,
            at: Instant::now(),
        };
        self.holes.insert(place, judged);
        Ok(())
    }

    /// A stream that was set aside: did it lose the entry last put on it, and does it still hold one before?
    async fn look_at_end(&mut self, round: &Round, stream: &StreamId) -> Result<(), Error> {
        let standing = pg::standing(&round.session, stream).await?;
        let (key, chain) = (self.parts.names.key(stream), standing.facts.chain);
        if chain == EntryId::MIN || round.streams.last_in(&key, (chain, chain)).await?.is_some() {
            return Ok(());
        }
        let miss = Miss {
            stream,
            key: &key,
            missing: chain,
            passed: None,
            asked_by: "the relay",
        };
        let fate = self.repair(round, &miss, &standing, chain).await?;
        if let Fate::Refused(why) = fate
            && self.troubles.insert(key.clone(), why.clone()).as_ref() != Some(&why)
        {
            tracing::error!(
                stream = key,
                why,
                "the stream lost its end, and the relay cannot put it there again"
            );
        }
        Ok(())
    }

    async fn judge(&self, round: &Round, miss: &Miss<'_>) -> Result<Fate, Error> {
        let standing = pg::standing(&round.session, miss.stream).await?;
        let reissued = standing.facts.reissued(miss.missing);
        Ok(match standing.facts.step(miss.missing) {
            Step::Trimmed => Fate::Refused(format!(
                "entry {} was trimmed (the floor is {}) while this group was not registered, or by the hard cap; pass the hole, \
                 or rebuild the consumer from Postgres",
                miss.missing, standing.facts.floor
            )),
            Step::Stopped => Fate::Refused(format!(
                "stream {} is set aside or blocked: mend its cause and resume it first (see outbox_ops.topics)",
                miss.key
            )),
            Step::OnItsWay => reissued.map_or(Fate::Asked, Fate::Reissued),
            Step::LookFor(id) => {
                if round.streams.last_in(miss.key, (id, id)).await?.is_some() {
                    reissued.map_or(Fate::Closing, Fate::Reissued)
                } else {
                    self.repair(round, miss, &standing, id).await?
                }
            }
        })
    }

    /// Orders a re-issue from behind the last entry before `missing`, which is in its place and not on the stream.
    async fn repair(
        &self,
        round: &Round,
        miss: &Miss<'_>,
        standing: &Standing,
        missing: EntryId,
    ) -> Result<Fate, Error> {
        if standing.seconds_since_last < PAUSE.as_secs_f64() {
            return Ok(Fate::Asked);
        }
        if let Some(refusal) = self.check_mark(round, miss).await? {
            return Ok(Fate::Refused(refusal));
        }
        if let Located::Nowhere { oldest, since } = pg::locate(&round.session, miss.stream, missing).await? {
            return Ok(Fate::Refused(nowhere(miss, missing, oldest, &since)));
        }
        let repairs = &standing.facts.repairs;
        let mut found = None;
        for stretch in repairs.before(missing) {
            found = round.streams.last_in(miss.key, stretch).await?;
            if found.is_some() {
                break;
            }
        }
        let Some(kept) = repairs.keep(found, miss.passed) else {
            return Ok(Fate::Refused(format!(
                "stream {} holds no entry of ours before {missing}: what its groups had is not known; restore it, or have its consumers rebuild",
                miss.key
            )));
        };
        if kept.batch_id < standing.layout_batch_id {
            return Ok(Fate::Refused(format!(
                "entry {missing} of stream {} is from before its topic got {} partitions: entries that are put out again would come \
                 behind the end of that layout, which consumers may have passed; pass the hole, or rebuild the consumer from Postgres",
                miss.key, standing.partitions
            )));
        }
        match pg::locate(&round.session, miss.stream, kept).await? {
            Located::Nowhere { oldest, since } => Ok(Fate::Refused(nowhere(miss, kept, oldest, &since))),
            Located::At(behind) => self.order(miss, standing.partitions, behind, missing).await,
        }
    }

    /// Only what this database wrote is its to write again.
    async fn check_mark(&self, round: &Round, miss: &Miss<'_>) -> Result<Option<String>, Error> {
        let keys = [(miss.key.to_owned(), self.parts.names.mark(miss.stream))];
        let looks = round.streams.look(&keys).await?;
        Ok(match looks.into_iter().next() {
            Some(Ok((Marked::By(mark), _))) if mark.database_id == self.parts.database_id => None,
            Some(Err(why)) => Some(why),
            _ => Some(format!("stream {} has no mark of this database", miss.key)),
        })
    }

    async fn order(
        &self,
        miss: &Miss<'_>,
        partitions: u16,
        behind: Behind,
        missing: EntryId,
    ) -> Result<Fate, Error> {
        // On a connection of its own: it may take long, and what else is looked after does not wait for it.
        let session = Session::open(
            &self.parts.dial,
            "streams",
            self.parts.pooled,
            reissue::LONGEST_MEASURE,
        )
        .await?;
        let measured = reissue::measure(&session, miss.stream, partitions, &behind, missing).await?;
        if !measured.is_whole() {
            return Ok(Fate::Refused(format!(
                "Postgres no longer has all of stream {} behind entry {}: of {} events of its batch {} are left, of {} cut after it \
                 {}, and the missing one is {}; pass the hole, what is gone stays gone",
                miss.key,
                behind.kept,
                measured.cut_own,
                measured.found_own,
                measured.cut_later,
                measured.found_later,
                if measured.has_missing { "there" } else { "gone" }
            )));
        }
        self.check_lease()?;
        let (done, answer) = oneshot::channel();
        let (kept, events) = (behind.kept, measured.event_count);
        let order = Order {
            stream: miss.stream.clone(),
            partitions,
            behind,
            measured,
            missing,
            asked_by: miss.asked_by.to_owned(),
            done,
        };
        let over = || {
            Error::new(
                Kind::Tail(tail::Kind::Superseded),
                "the tail ended before it cut a re-issue",
            )
        };
        self.parts.orders.send(order).await.map_err(|_| over())?;
        let cut = tokio::time::timeout(CUT_LIMIT, answer).await;
        let number = cut.map_err(|_| over())?.map_err(|_| over())?;
        let Some(number) = number else {
            return Ok(Fate::Asked);
        };
        metrics::counter!(observe::PUBLISH_REISSUES, "topic" => miss.stream.topic.clone()).increment(1);
        tracing::warn!(
            stream = miss.key, %missing, %kept, events, batch = number, asked_by = miss.asked_by,
            "the stream lost entries: everything behind the last one that was kept is put out again"
        );
        Ok(Fate::Reissued(number))
    }
}

fn nowhere(miss: &Miss<'_>, id: EntryId, oldest: u64, since: &str) -> String {
    if id.batch_id < oldest {
        format!(
            "entry {id} of stream {} is older than what Postgres keeps: its ledger goes back to batch {oldest}, of {since}; pass the hole, \
             what was between is gone",
            miss.key
        )
    } else {
        format!(
            "the ledger never put entry {id} on stream {}: who wrote the entry that names it is not this relay",
            miss.key
        )
    }
}

fn tell(hole: &Hole, fate: &Fate) {
    let (stream, group, missing) = (&hole.stream, &hole.group, hole.missing);
    match fate {
        Fate::Refused(why) => {
            tracing::error!(stream, group, %missing, why, "a group misses an entry, and the relay cannot put it out again");
        }
        Fate::Asked | Fate::Closing | Fate::Reissued(_) => {
            tracing::warn!(stream, group, %missing, ?fate, "a group misses an entry");
        }
    }
}
