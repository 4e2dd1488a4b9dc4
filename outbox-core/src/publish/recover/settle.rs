//! Keeps what the database does not know, page by page, and takes it off its stream if a person chose that.
//!
//! A page is one commit, and is durable before anything of it goes; that entries go at all is recorded before the first one does.
//! What was kept and taken off before is not found a second time: killed anywhere, the next run goes on with the rest.

use super::apply::Work;
use super::finding::{Found, StreamFinding};
use super::inspect::{Judge, KNOWN_IN_A_ROW, Walk};
use super::pg;
use crate::event::EntryId;
use crate::publish::Error;
use crate::publish::redis::Whole;

impl Work<'_> {
    /// Everything that was found. Returns how many entries.
    pub(super) async fn settle(&self, recovery: i64, found: &Found) -> Result<u64, Error> {
        let mut settled = 0;
        for stream in found.streams.iter().filter(|stream| stream.unknown.count > 0) {
            settled += self.settle_stream(recovery, stream, Judge::Ledger).await?;
        }
        Ok(settled)
    }

    /// What landed between the look and the era, of a process that nobody stopped. `is_fresh`: the look was in this run, and a stream
    /// that had no id since has nothing new.
    pub(super) async fn settle_late(
        &self,
        recovery: i64,
        found: &Found,
        is_fresh: bool,
    ) -> Result<u64, Error> {
        let mut settled = 0;
        for stream in found.streams.iter().filter(|stream| stream.is_ours()) {
            let mark = self.ends.names.mark(&stream.stream);
            let now = self.ends.streams.outside(&stream.key, &mark).await?;
            if is_fresh && now.generated == stream.generated {
                continue;
            }
            settled += self.settle_stream(recovery, stream, Judge::Late).await?;
        }
        if settled > 0 {
            tracing::warn!(
                entries = settled,
                "entries that the database does not know landed while the era was opened: somebody else still publishes"
            );
        }
        Ok(settled)
    }

    async fn settle_stream(&self, recovery: i64, stream: &StreamFinding, judge: Judge) -> Result<u64, Error> {
        let mark = self.ends.names.mark(&stream.stream);
        let page = self.ends.streams.outside(&stream.key, &mark).await?.page;
        let mut walk = Walk::new(&stream.key, &stream.stream, judge, page);
        let (mut settled, mut in_a_row) = (0, 0);
        while in_a_row < KNOWN_IN_A_ROW {
            let judged = walk.next(self.ends).await?;
            if judged.is_empty() {
                break;
            }
            let mut unknown: Vec<Whole> = Vec::new();
            for (entry, why) in judged {
                if why.is_none() {
                    in_a_row += 1;
                } else {
                    in_a_row = 0;
                    unknown.push(entry);
                }
            }
            settled += unknown.len() as u64;
            if !unknown.is_empty() {
                self.settle_page(recovery, stream, &unknown).await?;
            }
        }
        Ok(settled)
    }

    async fn settle_page(
        &self,
        recovery: i64,
        stream: &StreamFinding,
        entries: &[Whole],
    ) -> Result<(), Error> {
        let removes = self.request.strategy.removes();
        let fate = if removes { "removed" } else { "accepted" };
        self.hold.check()?;
        let session = &self.ends.session;
        pg::keep(session, recovery, (&stream.key, &stream.stream), entries, fate).await?;
        crash_point!(ENTRIES_KEPT);
        if !removes {
            return Ok(());
        }
        pg::note_removing(session, recovery).await?;
        self.hold.check()?;
        let ids: Vec<EntryId> = entries.iter().map(|entry| entry.id).collect();
        self.ends.streams.take_off(&stream.key, &ids).await?;
        crash_point!(ENTRIES_TAKEN_OFF);
        Ok(())
    }
}
