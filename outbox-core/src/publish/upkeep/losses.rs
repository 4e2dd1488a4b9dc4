//! Streams that lost their end: put out again behind what is left, or from the floor on if nothing is. What cannot be is recorded
//! as lost, with its range, and the rest is put out again all the same.

use std::time::Instant;

use super::holes::{LOOK_AGAIN, PAUSE, nowhere};
use super::pg::begin;
use super::pg::losses::{self as pg, Loss};
use super::pg::repairs::{Fate, Standing, lost, standing};
use super::run::{Round, Upkeep};
use super::survey::{Answer, Begin, Question, Since};
use crate::event::EntryId;
use crate::observe;
use crate::publish::redis::Streams;
use crate::publish::repair::{Beginning, Repairs};
use crate::publish::{Error, Marked};
use crate::tail::StreamId;

/// So often in a row everything behind an entry is put out again though nothing of the time before came there: somebody who writes to the
/// stream may have been quicker once. Whoever always is must be found.
const IN_VAIN: usize = 3;

/// A stream that is looked at, and for whom.
pub(super) struct Patient<'a> {
    pub(super) stream: &'a StreamId,
    pub(super) key: &'a str,
    pub(super) standing: &'a Standing,
    pub(super) asked_by: &'a str,
}

impl Upkeep {
    /// One look at the streams that were said to have lost their end.
    pub(super) async fn look_at_losses(&mut self, round: &Round) -> Result<(), Error> {
        let found = lost(&round.session).await?;
        self.refused_at.retain(|stream, _| found.contains(stream));
        for stream in &found {
            if self
                .refused_at
                .get(stream)
                .is_some_and(|at| at.elapsed() < LOOK_AGAIN)
            {
                continue;
            }
            let standing = standing(&round.session, stream).await?;
            let key = self.parts.names.key(stream);
            let patient = Patient {
                stream,
                key: &key,
                standing: &standing,
                asked_by: "the relay",
            };
            let fate = self.look_at_end(round, &patient).await?;
            if let Fate::Refused(why) = fate {
                self.refused_at.insert(stream.clone(), Instant::now());
                pg::tell_refusal(&round.session, stream, &why).await?;
                if self.troubles.insert(key.clone(), why.clone()).as_ref() != Some(&why) {
                    tracing::error!(
                        stream = key,
                        why,
                        "the stream lost entries, and the relay cannot put them out again"
                    );
                }
            }
        }
        Ok(())
    }

    /// Did it lose the entry last put on it? If it has that one, and refuses what comes next, that goes out under new ids.
    async fn look_at_end(&mut self, round: &Round, patient: &Patient<'_>) -> Result<Fate, Error> {
        let facts = &patient.standing.facts;
        if facts.chain > EntryId::MIN && !self.is_there(round, patient.key, facts.chain).await? {
            return self.mend(round, patient).await;
        }
        if !facts.lost {
            // It waits for a person for another reason.
            return Ok(Fate::Closing);
        }
        if patient.standing.seconds_since_last < PAUSE.as_secs_f64() {
            return Ok(Fate::Asked);
        }
        if let Some(refusal) = self.check_mark(round, patient).await? {
            return Ok(Fate::Refused(refusal));
        }
        if let Some((times, last)) = facts.in_vain() {
            match round.streams.generated(patient.key).await? {
                // What was put out then can go as it is.
                Some(generated) if generated.batch_id < last => {
                    pg::resume(&round.session, patient.stream).await?;
                    return Ok(Fate::Closing);
                }
                _ if times < IN_VAIN => {}
                _ => return Ok(Fate::Refused(in_vain(patient.key, times, facts.chain))),
            }
        }
        self.go_on_behind_end(round, patient).await
    }

    /// What there is behind the entry last put on it goes out under new ids; if there is nothing, the stream goes on.
    async fn go_on_behind_end(&mut self, round: &Round, patient: &Patient<'_>) -> Result<Fate, Error> {
        let facts = &patient.standing.facts;
        let question = Question {
            kept: facts.chain,
            limit: facts.chain,
            missing: EntryId::MIN,
        };
        match self.survey(patient, question).await?.map(|answer| answer.since) {
            None => Ok(Fate::Asked),
            Some(Since::Entry(begin)) if begin.measured.event_count > 0 => {
                self.order(patient, begin, facts.chain).await
            }
            Some(_) => {
                pg::resume(&round.session, patient.stream).await?;
                Ok(Fate::Closing)
            }
        }
    }

    /// What the log has; none while it is being measured.
    pub(super) async fn survey(
        &mut self,
        patient: &Patient<'_>,
        question: Question,
    ) -> Result<Option<Answer>, Error> {
        self.surveys
            .ask(&self.parts, patient.stream, patient.standing, question)
            .await
    }

    pub(super) async fn is_there(&self, round: &Round, key: &str, id: EntryId) -> Result<bool, Error> {
        Ok(round.streams.last_in(key, (id, id)).await?.is_some())
    }

    /// Puts a stream out again that lost the entry last put on it.
    pub(super) async fn mend(&mut self, round: &Round, patient: &Patient<'_>) -> Result<Fate, Error> {
        if patient.standing.seconds_since_last < PAUSE.as_secs_f64() {
            return Ok(Fate::Asked);
        }
        if let Some(refusal) = self.check_mark(round, patient).await? {
            return Ok(Fate::Refused(refusal));
        }
        let facts = &patient.standing.facts;
        let chain = facts.chain;
        let found = last_before(round, patient.key, &facts.repairs, chain).await?;
        let beginning = self.beginning(round, patient).await?;
        let wanted = beginning.wanted(found.map(|id| facts.repairs.in_place(id)), chain);
        if let Some(after) = wanted.given_up_behind {
            let through = beginning.layout_end.min(chain);
            self.give_up(
                round,
                patient,
                (after, through),
                "generation",
                wanted.kept == chain,
            )
            .await?;
        }
        if wanted.kept == chain {
            if facts.lost && wanted.given_up_behind.is_none() {
                // Its loss was recorded, and whoever did that ended before the rest was ordered.
                return self.go_on_behind_end(round, patient).await;
            }
            return Ok(Fate::Closing);
        }
        let question = Question {
            kept: wanted.kept,
            limit: chain,
            missing: EntryId::MIN,
        };
        let Some(answer) = self.survey(patient, question).await? else {
            return Ok(Fate::Asked);
        };
        let begin = match answer.since {
            Since::Entry(begin) => Some(begin),
            Since::Nothing => None,
            Since::Unknown { oldest, since } => {
                return Ok(Fate::Refused(nowhere(
                    patient.key,
                    wanted.kept.min(chain),
                    oldest,
                    &since,
                )));
            }
        };
        self.go_on(round, patient, wanted.kept, begin).await
    }

    /// Records what is gone between the entry wanted and where the log has everything, and orders the rest.
    async fn go_on(
        &mut self,
        round: &Round,
        patient: &Patient<'_>,
        wanted: EntryId,
        begin: Option<Begin>,
    ) -> Result<Fate, Error> {
        let chain = patient.standing.facts.chain;
        let Some(begin) = begin.filter(|begin| begin.measured.event_count + begin.measured.removed > 0)
        else {
            self.give_up(round, patient, (wanted, chain), "log", true).await?;
            return Ok(Fate::Closing);
        };
        let kept = begin.behind.kept;
        self.say_accepted(round, patient, kept).await?;
        if kept > wanted {
            self.give_up(round, patient, (wanted, kept), "log", false).await?;
        }
        if begin.measured.event_count > 0 {
            return self.order(patient, begin, chain).await;
        }
        // Nothing is left to put out: what is gone behind it was removed on purpose.
        self.give_up(round, patient, (kept, chain), "removed", true)
            .await?;
        Ok(Fate::Closing)
    }

    /// What is known of the beginning of a stream.
    pub(super) async fn beginning(&self, round: &Round, patient: &Patient<'_>) -> Result<Beginning, Error> {
        let (facts, stream) = (&patient.standing.facts, patient.stream);
        let floor_end = if facts.floor > EntryId::MIN {
            let end = begin::end_before(&round.session, stream, facts.floor).await?;
            facts.repairs.end_at(before(facts.floor), end)
        } else {
            EntryId::MIN
        };
        let layout_end = match patient.standing.layout_batch_id {
            0 => EntryId::MIN,
            laid => begin::end_before(&round.session, stream, EntryId::new(laid, 1)).await?,
        };
        Ok(Beginning {
            floor: facts.floor,
            floor_end,
            layout_end,
            first_previous: round.streams.first_previous(patient.key).await?,
        })
    }

    /// What a recovery had left on the stream behind the entry that is kept is in no log: it is said, and the rest is put out again.
    async fn say_accepted(&self, round: &Round, patient: &Patient<'_>, kept: EntryId) -> Result<(), Error> {
        self.check_lease()?;
        let (chain, stream) = (patient.standing.facts.chain, patient.stream);
        let lost =
            pg::record_accepted(&round.session, stream, patient.key, (kept, chain), self.epoch()).await?;
        for lost in lost {
            metrics::counter!(observe::PUBLISH_LOST_EVENTS, "topic" => stream.topic.clone())
                .increment(lost.events.unsigned_abs());
            tracing::error!(
                stream = patient.key, after = lost.after, through = lost.through, events = lost.events, missed_by = ?lost.missed_by,
                "the stream lost entries that a recovery had left on it and that are in no log; see outbox_ops.losses and outbox.unknown_entry"
            );
        }
        Ok(())
    }

    async fn give_up(
        &self,
        round: &Round,
        patient: &Patient<'_>,
        (after, through): (EntryId, EntryId),
        why: &'static str,
        goes_on: bool,
    ) -> Result<(), Error> {
        self.check_lease()?;
        let loss = Loss {
            stream: patient.stream,
            key: patient.key,
            after,
            through,
            why,
            goes_on,
        };
        let (events, missed_by) = pg::record(&round.session, &loss, self.epoch()).await?;
        crash_point!(LOSS_RECORDED);
        metrics::counter!(observe::PUBLISH_LOST_EVENTS, "topic" => patient.stream.topic.clone())
            .increment(events.unsigned_abs());
        tracing::error!(
            stream = patient.key, %after, %through, events, why, ?missed_by,
            "the stream lost a range that cannot be put out again; see outbox_ops.losses"
        );
        Ok(())
    }

    /// Only what this database wrote, or nobody, is its to write again; and only where its ids are above what is there.
    pub(super) async fn check_mark(
        &self,
        round: &Round,
        patient: &Patient<'_>,
    ) -> Result<Option<String>, Error> {
        let keys = [(patient.key.to_owned(), self.parts.names.mark(patient.stream))];
        if let Some((why, highest)) = too_high(&round.streams, patient.key, patient.standing).await? {
            // It may have been cut since.
            let next = standing(&round.session, patient.stream).await?.next_batch_id;
            if highest.batch_id >= next {
                return Ok(Some(why));
            }
        }
        let looks = round.streams.look(&keys).await?;
        Ok(match looks.into_iter().next() {
            Some(Ok((Marked::By(mark), _))) if mark.database_id == self.parts.database_id => None,
            // The sink lost the mark as well.
            Some(Ok((Marked::Never, _))) => None,
            Some(Err(why) | Ok((Marked::Unreadable(why), _))) => Some(why),
            _ => Some(format!("stream {} has the mark of another database", patient.key)),
        })
    }
}

/// What the sink takes nothing behind, where the next batch would have a lower id: the last entry, or one that is gone. What is said names
/// no time: it is said once.
async fn too_high(
    streams: &Streams,
    key: &str,
    standing: &Standing,
) -> Result<Option<(String, EntryId)>, Error> {
    let is_ahead = |id: &EntryId| id.batch_id >= standing.next_batch_id;
    let top = streams
        .last_in(key, (EntryId::MIN, EntryId::new(u64::MAX, u64::MAX)))
        .await?;
    if let Some(top) = top.filter(is_ahead) {
        let why = format!(
            "stream {key} ends with entry {top}: it is ahead of the ledger and of the database's clock, so nothing can be put behind it. \
             Find out who wrote it, and delete the stream: everything is put out again. Or take off what is ahead (XDEL {key} {top}) and \
             set the last id of the stream back to the entry before (XSETID {key} <id>)"
        );
        return Ok(Some((why, top)));
    }
    let Some(generated) = streams.generated(key).await?.filter(is_ahead) else {
        return Ok(None);
    };
    let last = top.unwrap_or(EntryId::MIN);
    let why = format!(
        "stream {key} had entry {generated}, which is gone, and takes no id at or below it: it is ahead of the ledger and of the database's \
         clock, so nothing can be put behind it. Find out who wrote it, and set the last id of the stream back to its last entry (XSETID \
         {key} {last}), or delete the stream: everything is put out again"
    );
    Ok(Some((why, generated)))
}

fn in_vain(key: &str, times: usize, kept: EntryId) -> String {
    format!(
        "everything of stream {key} behind entry {kept} was put out again {times} times, and nothing of it was taken: somebody else writes to \
         the stream, and is quicker. Find out who, take those entries off (XDEL) and set the last id of the stream back (XSETID {key} {kept}): \
         it goes on by itself. The relay's user needs xinfo|stream to see it"
    )
}

/// The last entry that is on the stream of those that stand before `missing`.
pub(super) async fn last_before(
    round: &Round,
    key: &str,
    repairs: &Repairs,
    missing: EntryId,
) -> Result<Option<EntryId>, Error> {
    for stretch in repairs.before(missing) {
        let found = round.streams.last_in(key, stretch).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The id before `id`.
pub(super) fn before(id: EntryId) -> EntryId {
    match id.position.checked_sub(1) {
        Some(position) => EntryId::new(id.batch_id, position),
        None => EntryId::new(id.batch_id.saturating_sub(1), u64::MAX),
    }
}
