//! What is missing on streams: read at the sink, checked against the ledger, put there again by a re-issue, shown.
//!
//! Groups ask in a hash at the sink. A stream that lost its end too is mended as a whole ([`super::losses`]). Two groups that ask
//! for the same are one re-issue.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::losses::{Patient, before, last_before};
use super::pg::begin;
use super::pg::losses::{self, TakenBy};
use super::pg::repairs::{self as pg, Fate, Located, Standing};
use super::run::{Round, Upkeep};
use super::survey::{Begin, Looked, Question, Since};
use crate::event::EntryId;
use crate::hole::{self, Hole};
use crate::observe;
use crate::publish::Error;
use crate::publish::pg::load_streams;
use crate::publish::repair::Step;
use crate::tail::StreamId;

/// A stream is re-issued at most this often, whatever is asked.
pub(super) const PAUSE: Duration = Duration::from_secs(10);
/// What was refused or is on its way is looked at again after this long; what is new, at once.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(5);

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
    /// One look at what groups miss.
    pub(super) async fn look_at_holes(&mut self, round: &Round) -> Result<(), Error> {
        let asked: Vec<Hole> = round
            .streams
            .holes(&hole::key(&self.parts.prefix))
            .await?
            .iter()
            .filter_map(|(field, value)| Hole::read(field, value))
            .collect();
        // What a leader before showed, and nobody asks for any more, goes with the first look.
        if asked.is_empty() && self.holes.is_empty() && self.has_closed {
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
        for hole in &asked {
            if let Some(stream) = ours.get(&hole.stream) {
                self.tend_hole(round, stream, hole).await?;
            }
        }
        pg::close(&round.session, &asked).await?;
        self.has_closed = true;
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

    async fn judge(&mut self, round: &Round, miss: &Miss<'_>) -> Result<Fate, Error> {
        let standing = pg::standing(&round.session, miss.stream).await?;
        // What was put out again since may be behind something else that the group has not had.
        let missing = standing.facts.awaited(miss.missing, miss.passed);
        let reissued = standing.facts.reissued(missing);
        match standing.facts.step(missing) {
            Step::Trimmed => self.explain(round, miss, &standing, missing).await,
            Step::Stopped => Ok(Fate::Refused(format!(
                "stream {} is set aside or blocked: mend its cause and resume it first (see outbox_ops.topics)",
                miss.key
            ))),
            Step::OnItsWay => Ok(reissued.map_or(Fate::Asked, Fate::Reissued)),
            Step::LookFor(id) if self.is_there(round, miss.key, id).await? => {
                Ok(reissued.map_or(Fate::Closing, Fate::Reissued))
            }
            Step::LookFor(id) => {
                let patient = Patient {
                    stream: miss.stream,
                    key: miss.key,
                    standing: &standing,
                    asked_by: miss.asked_by,
                };
                // One re-issue serves all groups of a stream that lost its end as well.
                if self.is_there(round, miss.key, standing.facts.chain).await? {
                    self.repair(round, miss, &patient, id).await
                } else {
                    self.mend(round, &patient).await
                }
            }
        }
    }

    /// What is missing is below a floor. A group that has passed nothing begins there, and is told: it could not know whether what
    /// precedes was trimmed or lost. One that was known to wait for what was lost for good is not: a person passes that.
    async fn explain(
        &self,
        round: &Round,
        miss: &Miss<'_>,
        standing: &Standing,
        missing: EntryId,
    ) -> Result<Fate, Error> {
        let floor = standing.facts.floor;
        Ok(
            match losses::taken_by(&round.session, miss.stream, missing, miss.asked_by).await? {
                TakenBy::Retention | TakenBy::Cap | TakenBy::Loss { was_missed: false }
                    if miss.passed.is_none() =>
                {
                    let (key, field) = (
                        hole::beginnings(&self.parts.prefix),
                        hole::field(miss.key, miss.asked_by),
                    );
                    round.streams.tell(&key, &field, &missing.to_string()).await?;
                    Fate::Closing
                }
                TakenBy::Retention | TakenBy::Cap => Fate::Refused(format!(
                    "entry {missing} was trimmed (the floor is {floor}) while this group was not registered, or by the hard cap; pass the hole, \
                 or rebuild the consumer from Postgres"
                )),
                TakenBy::Loss { .. } => Fate::Refused(format!(
                    "stream {} lost entry {missing} at the sink, and what is behind entry {} up to and with it cannot be put out again: \
                 see outbox_ops.losses; what follows is there. Pass the hole, or rebuild the consumer from Postgres",
                    miss.key,
                    miss.passed.unwrap_or(EntryId::MIN)
                )),
            },
        )
    }

    /// Orders a re-issue from behind the last entry before `missing`, which is in its place and not on the stream.
    async fn repair(
        &mut self,
        round: &Round,
        miss: &Miss<'_>,
        patient: &Patient<'_>,
        missing: EntryId,
    ) -> Result<Fate, Error> {
        let standing = patient.standing;
        if standing.seconds_since_last < PAUSE.as_secs_f64() {
            return Ok(Fate::Asked);
        }
        if let Some(refusal) = self.check_mark(round, patient).await? {
            return Ok(Fate::Refused(refusal));
        }
        match pg::locate(&round.session, miss.stream, missing).await? {
            Located::At(_) => {}
            Located::Accepted { era, .. } => {
                return Ok(Fate::Refused(format!(
                    "entry {missing} was on stream {} when era {era} began, and this database never had it: what it was is in \
                     outbox.unknown_entry; pass the hole, or rebuild the consumer from Postgres",
                    miss.key
                )));
            }
            Located::Nowhere { oldest, since } => {
                return Ok(Fate::Refused(nowhere(miss.key, missing, oldest, &since)));
            }
        }
        let repairs = &standing.facts.repairs;
        let found = last_before(round, miss.key, repairs, missing).await?;
        let beginning = self.beginning(round, patient).await?;
        let kept = repairs.keep(found, miss.passed).unwrap_or(beginning.floor_end);
        if beginning.layout_end >= missing {
            return Ok(Fate::Refused(format!(
                "entry {missing} of stream {} is from before its topic got {} partitions: entries that are put out again would come \
                 behind the end of that layout, which consumers may have passed; pass the hole, or rebuild the consumer from Postgres",
                miss.key, standing.partitions
            )));
        }
        let kept = kept.max(beginning.layout_end);
        // Whoever has passed less holds all the same, and is told what is gone; what follows is there for everybody.
        let end = begin::end_before(&round.session, miss.stream, missing).await?;
        let question = Question {
            kept,
            limit: repairs.end_at(before(missing), end),
            missing,
        };
        let Some(answer) = self.survey(patient, question).await? else {
            return Ok(Fate::Asked);
        };
        match answer.since {
            Since::Entry(begin) if begin.measured.event_count > 0 => {
                self.order(patient, begin, missing).await
            }
            _ => Ok(Fate::Refused(match answer.at {
                Looked::Whole(begin) | Looked::Lacks(begin) => lacks(miss.key, &begin),
                Looked::Nowhere { oldest, since } => nowhere(miss.key, kept, oldest, &since),
            })),
        }
    }
}

fn lacks(key: &str, begin: &Begin) -> String {
    let measured = &begin.measured;
    if measured.event_count == 0 && measured.removed > 0 {
        return format!(
            "what stood behind entry {} of stream {key}, {} events, was truncated or buried in the event store, and nothing of it is left to \
             put out (outbox.stream_step says by whom); pass the hole",
            begin.behind.kept, measured.removed
        );
    }
    format!(
        "Postgres no longer has all of stream {key} behind entry {}: of {} events of its batch {} are left, of {} cut after it {}, and \
         the missing one is {}; pass the hole, what is gone stays gone",
        begin.behind.kept,
        measured.cut_own,
        measured.found_own,
        measured.cut_later,
        measured.found_later,
        if measured.has_missing { "there" } else { "gone" }
    )
}

pub(super) fn nowhere(key: &str, id: EntryId, oldest: u64, since: &str) -> String {
    if id.batch_id < oldest {
        format!(
            "entry {id} of stream {key} is older than what Postgres keeps: its ledger goes back to batch {oldest}, of {since}; pass the \
             hole, what was between is gone"
        )
    } else {
        format!(
            "the ledger never put entry {id} on stream {key}: who wrote the entry that names it is not this relay"
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
