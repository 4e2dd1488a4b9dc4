//! Re-issues that a person asks for: looked at, answered, ordered. `recover reissue` writes them and waits for the answer.

use super::holes::PAUSE;
use super::losses::{Patient, last_before};
use super::pg::orders::{self as pg, Answer, Asked, Put};
use super::pg::repairs::{Fate, standing};
use super::run::{Round, Upkeep};
use super::survey::{Begin, Looked, Question, Since};
use crate::event::EntryId;
use crate::publish::Error;

/// An order that fails so often is refused.
const TRIES: u32 = 3;

impl Upkeep {
    /// Answers what people ask for.
    pub(super) async fn look_at_orders(&mut self, round: &Round) -> Result<(), Error> {
        let mut failed = None;
        for (number, asked) in pg::waiting(&round.session).await? {
            let wanted = asked.as_ref().ok().map(|asked| asked.wanted);
            let outcome = match &asked {
                Ok(asked) => self.attend(round, asked).await,
                Err(error) => Ok(Some(Answer::Refused(format!(
                    "the order cannot be read: {error}"
                )))),
            };
            let answer = match outcome {
                Ok(answer) => answer,
                // The others are looked at all the same. What fails again and again fails by itself.
                Err(error) => {
                    let tries = self.failed_orders.entry(number).or_insert(0);
                    *tries += 1;
                    let answer = (*tries >= TRIES).then(|| {
                        Answer::Refused(format!(
                            "it failed {tries} times, the last time: {error}; see the relay's log"
                        ))
                    });
                    failed = failed.or(Some(error));
                    answer
                }
            };
            if let Some(answer) = answer {
                self.check_lease()?;
                pg::answer(&round.session, number, wanted, &answer).await?;
                self.failed_orders.remove(&number);
                tracing::warn!(order = number, ?answer, "a person asked for a re-issue");
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// None: not yet, a stream is put out again only every so often.
    async fn attend(&mut self, round: &Round, asked: &Asked) -> Result<Option<Answer>, Error> {
        let standing = standing(&round.session, &asked.stream).await?;
        let key = self.parts.names.key(&asked.stream);
        let asked_by = format!("order {} of {}", asked.number, asked.actor);
        let patient = Patient {
            stream: &asked.stream,
            key: &key,
            standing: &standing,
            asked_by: &asked_by,
        };
        // A leader that was killed between the cut and the answer has done it.
        if !asked.is_preview
            && let Some(done) = pg::done_before(&round.session, &asked.stream, &asked_by).await?
        {
            return Ok(Some(done));
        }
        if !asked.is_preview && standing.seconds_since_last < PAUSE.as_secs_f64() {
            return Ok(None);
        }
        let begin = match self.find_begin(round, &patient, asked.from).await? {
            None => return Ok(None),
            Some(Ok(begin)) => begin,
            Some(Err(refusal)) => return Ok(Some(Answer::Refused(refusal))),
        };
        let put = Put {
            kept: begin.behind.kept,
            events: begin.measured.event_count,
            removed: begin.measured.removed,
        };
        if asked.is_preview {
            return Ok(Some(Answer::Possible(put)));
        }
        Ok(match self.order(&patient, begin, asked.from).await? {
            Fate::Reissued(batch) => Some(Answer::Done { put, batch }),
            _ => None,
        })
    }

    /// Behind which entry it would begin, or why it may not; none while that is looked for.
    async fn find_begin(
        &mut self,
        round: &Round,
        patient: &Patient<'_>,
        from: EntryId,
    ) -> Result<Option<Result<Begin, String>>, Error> {
        let facts = &patient.standing.facts;
        let key = patient.key;
        if facts.stopped {
            return Ok(Some(Err(format!(
                "stream {key} is set aside or blocked: mend its cause and resume it first (see outbox_ops.topics)"
            ))));
        }
        if let Some(refusal) = self.check_mark(round, patient).await? {
            return Ok(Some(Err(refusal)));
        }
        if from > facts.chain {
            return Ok(Some(Err(format!(
                "nothing was published on stream {key} from {from} on: its last entry is {}",
                facts.chain
            ))));
        }
        let beginning = self.beginning(round, patient).await?;
        if beginning.layout_end > EntryId::MIN && beginning.layout_end >= from {
            return Ok(Some(Err(format!(
                "what stream {key} had up to entry {} is from before its topic got its partitions, and would come behind the end of \
                 those: ask from behind that entry on",
                beginning.layout_end
            ))));
        }
        let standing = facts.repairs.standing(from);
        let found = last_before(round, key, &facts.repairs, standing).await?;
        let found = found.map(|id| facts.repairs.in_place(id));
        // What was trimmed was acknowledged by all, and would be trimmed again.
        let least = beginning.floor_end.max(beginning.layout_end);
        let kept = found.map_or(least, |found| found.max(least));
        let question = Question {
            kept,
            limit: facts.chain,
            missing: EntryId::MIN,
        };
        let Some(answer) = self.survey(patient, question).await? else {
            return Ok(None);
        };
        Ok(Some(match (answer.since, answer.at) {
            (Since::Entry(begin), Looked::Whole(_)) if begin.measured.event_count > 0 => Ok(begin),
            (_, Looked::Whole(at)) if at.measured.removed > 0 => Err(format!(
                "nothing is left to put out behind entry {kept} of stream {key}: {} events were there, and were truncated or buried in \
                 the event store (outbox.stream_step says by whom)",
                at.measured.removed
            )),
            (_, Looked::Whole(_)) => Err(format!("nothing is behind entry {kept} of stream {key}")),
            (Since::Entry(begin), _) if begin.measured.event_count > 0 => Err(format!(
                "Postgres no longer has all of stream {key} behind entry {kept}; it has everything behind entry {}: ask --from {}",
                begin.behind.kept,
                begin.behind.kept.next()
            )),
            _ => Err(format!(
                "Postgres no longer has what was on stream {key} behind entry {kept}"
            )),
        }))
    }
}
