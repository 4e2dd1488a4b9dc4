//! Looks how much of a stream the log still has behind an entry, and from which entry on it has all.
//!
//! Counting rows may take long, minutes where there are very many: each stream is measured in a task and on a connection of its own, and whoever
//! asks comes again. Nothing else that is looked after waits for it. A measure that is no longer asked for is ended, here and at the server.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::pg::begin;
use super::pg::repairs::{self as pg, Located};
use super::run::Parts;
use crate::event::EntryId;
use crate::publish::earliest::Earliest;
use crate::publish::repair::Repairs;
use crate::publish::{Error, Kind};
use crate::tail::pg::{Session, reissue};
use crate::tail::reissue::{Behind, Measured};
use crate::tail::{self, StreamId};

/// So many are measured at once, each on a connection of its own; others wait.
const AT_ONCE: usize = 4;
/// Most are measured in less: whoever asks waits for that, and otherwise looks again.
const WAITED_FOR: Duration = Duration::from_millis(500);
/// Whoever wants an answer asks every few seconds.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// What is asked of the log about a stream: what it has behind `kept`, and if not all, from which later entry on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub(super) kept: EntryId,
    /// The last entry that may be kept instead. It moves with a stream that goes on; what was found for an earlier one stays right.
    pub(super) limit: EntryId,
    /// The log must have the event at this entry; 0-0 if that is not known.
    pub(super) missing: EntryId,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Answer {
    /// Behind the entry that was asked for.
    pub(super) at: Looked,
    /// From where on the log has everything.
    pub(super) since: Since,
}

/// Streams that are being measured: each for itself, so that none waits for another, nor anything else for them.
#[derive(Debug, Default)]
pub(super) struct Surveys(BTreeMap<Place, Running>);

/// A stream, the entry behind which it is measured, and what is missing.
type Place = (StreamId, EntryId, EntryId);

#[derive(Debug)]
struct Running {
    asked_at: Instant,
    task: JoinHandle<Result<Answer, Error>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Surveys {
    /// The answer, if it is there; none: it is being looked for, ask again.
    pub(super) async fn ask(
        &mut self,
        parts: &Parts,
        stream: &StreamId,
        standing: &pg::Standing,
        question: Question,
    ) -> Result<Option<Answer>, Error> {
        let place = (stream.clone(), question.kept, question.missing);
        // What nobody comes for any more is ended.
        self.0.retain(|_, running| running.asked_at.elapsed() < FORGOTTEN);
        if !self.0.contains_key(&place) {
            if self.0.len() >= AT_ONCE {
                return Ok(None);
            }
            let session =
                Session::open(&parts.dial, "streams", parts.pooled, reissue::LONGEST_MEASURE).await?;
            let survey = Survey {
                // Given up here, or with the whole relay, it must not go on counting there.
                session: session.bind().await?,
                stream: stream.clone(),
                partitions: standing.partitions,
                repairs: standing.facts.repairs.clone(),
                missing: question.missing,
            };
            let task = tokio::spawn(async move { survey.answer(question).await });
            let asked_at = Instant::now();
            self.0.insert(place.clone(), Running { asked_at, task });
        }
        let Some(running) = self.0.get_mut(&place) else {
            return Ok(None);
        };
        running.asked_at = Instant::now();
        let Ok(joined) = tokio::time::timeout(WAITED_FOR, &mut running.task).await else {
            return Ok(None);
        };
        self.0.remove(&place);
        let over = |error| {
            Error::new(
                Kind::Tail(tail::Kind::Shape),
                format!("measuring a stream ended: {error}"),
            )
        };
        joined.map_err(over)?.map(Some)
    }
}

/// One stream, and what is missing on it.
struct Survey {
    session: Session,
    stream: StreamId,
    partitions: u16,
    repairs: Repairs,
    missing: EntryId,
}

/// An entry, how the rows behind it are told, and how many there are.
#[derive(Clone, Debug)]
pub(super) struct Begin {
    pub(super) behind: Behind,
    pub(super) measured: Measured,
}

/// From where on the log has everything of a stream.
#[derive(Debug)]
pub(super) enum Since {
    /// Behind this entry.
    Entry(Begin),
    /// Behind none of those that were looked for.
    Nothing,
    /// The ledger does not tell where the last of them stands: the log may have everything.
    Unknown { oldest: u64, since: String },
}

/// What a look says.
#[derive(Clone, Debug)]
pub(super) enum Looked {
    /// The log has everything behind the entry.
    Whole(Begin),
    /// Something is gone.
    Lacks(Begin),
    /// The ledger goes back to this batch, of then, and has no such entry.
    Nowhere { oldest: u64, since: String },
}

impl Survey {
    async fn answer(&self, question: Question) -> Result<Answer, Error> {
        let kept = question.kept;
        let at = self.look(kept).await?;
        let since = match &at {
            Looked::Whole(begin) => Since::Entry(begin.clone()),
            // What the ledger could know and does not is no proof that the log lacks anything.
            Looked::Nowhere { oldest, since } if kept.batch_id >= *oldest => Since::Unknown {
                oldest: *oldest,
                since: since.clone(),
            },
            Looked::Lacks(_) | Looked::Nowhere { .. } => self.earliest(kept, question.limit).await?,
        };
        Ok(Answer { at, since })
    }

    /// What the log has behind `kept`.
    async fn look(&self, kept: EntryId) -> Result<Looked, Error> {
        let behind = match pg::locate(&self.session, &self.stream, kept).await? {
            // What precedes it is on the stream; what it is itself, the log need not have.
            Located::At(behind) | Located::Accepted { behind, .. } => behind,
            Located::Nowhere { oldest, since } => {
                let start = match kept {
                    EntryId::MIN => begin::locate_start(&self.session, &self.stream).await?,
                    _ => None,
                };
                match start {
                    Some(start) => start,
                    None => return Ok(Looked::Nowhere { oldest, since }),
                }
            }
        };
        let is_end = begin::end_before(&self.session, &self.stream, kept.next()).await? == kept;
        let measured = reissue::measure(
            &self.session,
            &self.stream,
            self.partitions,
            &behind,
            self.missing,
        )
        .await?;
        let is_whole = measured.has_all_behind(is_end);
        let begin = Begin { behind, measured };
        Ok(if is_whole {
            Looked::Whole(begin)
        } else {
            Looked::Lacks(begin)
        })
    }

    /// The earliest entry behind `gone` and at or before `limit` behind which the log has everything.
    async fn earliest(&self, gone: EntryId, limit: EntryId) -> Result<Since, Error> {
        if limit <= gone {
            return Ok(Since::Nothing);
        }
        let mut begin = match self.look(limit).await? {
            Looked::Whole(begin) => begin,
            Looked::Nowhere { oldest, since } if limit.batch_id >= oldest => {
                return Ok(Since::Unknown { oldest, since });
            }
            Looked::Lacks(_) | Looked::Nowhere { .. } => return Ok(Since::Nothing),
        };
        let mut search = Earliest::new(gone, limit);
        while let Some(batch) = search.next() {
            let end = begin::end_before(&self.session, &self.stream, EntryId::new(batch + 1, 0)).await?;
            let kept = self.repairs.end_at(EntryId::new(batch, u64::MAX), end);
            if kept <= gone {
                search.is_gone(batch);
                continue;
            }
            match self.look(kept).await? {
                Looked::Whole(found) => {
                    search.is_whole(kept);
                    begin = found;
                }
                Looked::Lacks(_) | Looked::Nowhere { .. } => search.is_gone(batch),
            }
        }
        Ok(Since::Entry(begin))
    }
}
