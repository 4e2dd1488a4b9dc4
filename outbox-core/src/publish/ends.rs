//! Whose the entries at the end of each stream are: asked before anything is sent on a new connection.
//!
//! A mark can be lost, a position can be used again, and a relay that died between a parcel and its judgement left a mark of its
//! own where another's was. So the last entry of each stream is looked up in the ledger, and every one that came since progress was
//! last recorded: an entry of a copy that stands before one of ours is among them, since nothing that was not judged is recorded.

use std::collections::BTreeSet;

use super::lane::Gate;
use super::leader::Leader;
use super::sink::{Halt, SinkConnection, Top};
use super::{Error, pg};
use crate::event::EntryId;
use crate::tail::{StreamId, ledger};

/// Entries that are read at once behind the progress: each may be large.
const AT_ONCE: usize = 100;
/// So many of one stream are looked at. Progress is recorded ten times a second: behind it there are fewer.
const AT_MOST: usize = 10_000;

impl Leader {
    /// The last entry of each stream, and those that came since its progress was recorded, must be of this ledger.
    pub(super) async fn check_ends(&mut self, connection: &dyn SinkConnection) -> Result<(), Error> {
        // A stream that another database writes is set aside, and its entries are not ours to judge.
        let streams: Vec<StreamId> = self
            .lanes
            .values()
            .filter(|lane| lane.gate != Gate::SetAside && lane.vetted)
            .map(|lane| lane.stream.clone())
            .collect();
        let keys: Vec<String> = streams
            .iter()
            .map(|stream| self.publisher.names.key(stream))
            .collect();
        let tops = connection.tops(&keys).await?;
        let mut tops: Vec<(&StreamId, &Top)> = streams
            .iter()
            .zip(&tops)
            .filter_map(|(stream, top)| Some((stream, top.as_ref()?)))
            .collect();
        let strange = self.set_aside_strange(&tops).await?;
        tops.retain(|(stream, _)| !strange.contains(stream));
        for (stream, top) in tops {
            self.check_behind(connection, stream, top.id).await?;
        }
        Ok(())
    }

    /// A database that published leaves its mark with the entry. So where the mark of a stream is of this ledger and its last entry
    /// is not, somebody put that one there by hand, in the shape of ours: one stream stops, and not all of them.
    async fn set_aside_strange(&mut self, tops: &[(&StreamId, &Top)]) -> Result<BTreeSet<StreamId>, Error> {
        let mut strange = BTreeSet::new();
        if tops.is_empty() {
            return Ok(strange);
        }
        for (place, why) in pg::unknown_entries(&self.session, tops).await? {
            let Some(&(stream, top)) = tops.get(place) else {
                continue;
            };
            if self.lanes.get(stream).is_none_or(|lane| lane.marked.is_none()) {
                return Err(self.unknown(stream, top, why).into());
            }
            let key = self.publisher.names.key(stream);
            let said = format!(
                "stream {key} ends with entry {} (event {}), which is not of this ledger ({}), though its mark is: somebody put it there \
                 by hand; take it off (XDEL {key} {}), set the last id of the stream back to the entry before it (XSETID {key} <id>), or \
                 nothing below {} is taken, and resume the topic",
                top.id,
                top.event_id,
                why.said(),
                top.id,
                top.id
            );
            strange.insert(stream.clone());
            self.halt(stream, Halt::Rejected(said)).await?;
        }
        Ok(strange)
    }

    fn unknown(&self, stream: &StreamId, entry: &Top, why: ledger::Unknown) -> ledger::Refusal {
        ledger::Refusal::UnknownEntry {
            key: self.publisher.names.key(stream),
            id: entry.id,
            event_id: entry.event_id.clone(),
            why,
        }
    }

    /// What stands between the entry last recorded as published and the last one there is.
    async fn check_behind(
        &mut self,
        connection: &dyn SinkConnection,
        stream: &StreamId,
        top: EntryId,
    ) -> Result<(), Error> {
        let Some(recorded) = self.lanes.get(stream).map(|lane| lane.chain) else {
            return Ok(());
        };
        let key = self.publisher.names.key(stream);
        let (mut below, mut seen) = (top, 0);
        while below > recorded && seen < AT_MOST {
            let page = connection.between(&key, recorded, below, AT_ONCE).await?;
            let Some((lowest, _)) = page.last() else {
                break;
            };
            (below, seen) = (*lowest, seen + page.len());
            let ours: Vec<Top> = page
                .into_iter()
                .filter_map(|(id, event_id)| event_id.map(|event_id| Top { id, event_id }))
                .collect();
            let ours: Vec<(&StreamId, &Top)> = ours.iter().map(|top| (stream, top)).collect();
            self.judge(&ours).await?;
        }
        Ok(())
    }

    /// Refuses if one of these is not of this ledger.
    async fn judge(&mut self, entries: &[(&StreamId, &Top)]) -> Result<(), Error> {
        if entries.is_empty() {
            return Ok(());
        }
        let unknown = pg::unknown_entries(&self.session, entries).await?;
        let Some((place, why)) = unknown.into_iter().next() else {
            return Ok(());
        };
        let Some((stream, entry)) = entries.get(place) else {
            return Ok(());
        };
        Err(self.unknown(stream, entry, why).into())
    }
}
