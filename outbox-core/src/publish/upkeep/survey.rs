//! Looks how much of a stream the log still has behind an entry, and from which entry on it has all.
//!
//! On a connection of its own: counting rows may take long, and what else is looked after does not wait for that connection.

use super::pg::begin;
use super::pg::repairs::{self as pg, Located};
use super::run::Parts;
use crate::event::EntryId;
use crate::publish::Error;
use crate::publish::earliest::Earliest;
use crate::publish::repair::Repairs;
use crate::tail::StreamId;
use crate::tail::pg::{Session, reissue};
use crate::tail::reissue::{Behind, Measured};

/// One stream, and what is missing on it.
pub(super) struct Survey<'a> {
    session: Session,
    stream: &'a StreamId,
    partitions: u16,
    repairs: &'a Repairs,
    missing: EntryId,
}

/// An entry, how the rows behind it are told, and how many there are.
#[derive(Debug)]
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
#[derive(Debug)]
pub(super) enum Looked {
    /// The log has everything behind the entry.
    Whole(Begin),
    /// Something is gone.
    Lacks(Begin),
    /// The ledger goes back to this batch, of then, and has no such entry.
    Nowhere { oldest: u64, since: String },
}

impl<'a> Survey<'a> {
    /// Connects. The log must have the event at `missing`; 0-0 if that is not known.
    pub(super) async fn open(
        parts: &Parts,
        stream: &'a StreamId,
        standing: &'a pg::Standing,
        missing: EntryId,
    ) -> Result<Self, Error> {
        let session = Session::open(&parts.dial, "streams", parts.pooled, reissue::LONGEST_MEASURE).await?;
        Ok(Self {
            session,
            stream,
            partitions: standing.partitions,
            repairs: &standing.facts.repairs,
            missing,
        })
    }

    /// What the log has behind `kept`.
    pub(super) async fn look(&self, kept: EntryId) -> Result<Looked, Error> {
        let behind = match pg::locate(&self.session, self.stream, kept).await? {
            // What precedes it is on the stream; what it is itself, the log need not have.
            Located::At(behind) | Located::Accepted { behind, .. } => behind,
            Located::Nowhere { oldest, since } => {
                let start = match kept {
                    EntryId::MIN => begin::locate_start(&self.session, self.stream).await?,
                    _ => None,
                };
                match start {
                    Some(start) => start,
                    None => return Ok(Looked::Nowhere { oldest, since }),
                }
            }
        };
        let is_end = begin::end_before(&self.session, self.stream, kept.next()).await? == kept;
        let measured =
            reissue::measure(&self.session, self.stream, self.partitions, &behind, self.missing).await?;
        let is_whole = measured.has_all_behind(is_end);
        let begin = Begin { behind, measured };
        Ok(if is_whole {
            Looked::Whole(begin)
        } else {
            Looked::Lacks(begin)
        })
    }

    /// The earliest entry behind `gone` and at or before `limit` behind which the log has everything.
    pub(super) async fn earliest(&self, gone: EntryId, limit: EntryId) -> Result<Since, Error> {
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
            let end = begin::end_before(&self.session, self.stream, EntryId::new(batch + 1, 0)).await?;
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
