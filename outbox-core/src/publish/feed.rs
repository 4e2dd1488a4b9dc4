//! Rows into lanes: with the cut that brought them, or read from the log where a lane is behind.
//!
//! Memory is bounded by what all lanes hold together; a lane that finds no room reads its rows later.

use std::collections::{BTreeMap, VecDeque};

use super::lane::{Gate, Lane, Place, Portion};
use super::leader::Leader;
use super::sink::Halt;
use super::{Error, work};
use crate::event::EntryId;
use crate::tail::StreamId;
use crate::tail::batch::{BoundShare, Cut, Row};

/// How many reads from the log may be in flight: they share one connection.
const READS_IN_FLIGHT: usize = 4;

impl Leader {
    /// Takes a cut: each lane learns how far the ledger goes for it.
    pub(super) fn take(&mut self, cut: Cut) {
        let mut by_stream: BTreeMap<StreamId, VecDeque<Row>> = BTreeMap::new();
        for row in cut.rows {
            by_stream.entry(row.stream.clone()).or_default().push_back(row);
        }
        self.head.batch = cut.batch.clone();
        for share in cut.shares {
            let target = Place {
                batch_number: cut.batch.number,
                position: share.last_position,
            };
            let rows = by_stream.remove(&share.stream).unwrap_or_default();
            let portion = Portion {
                batch_number: cut.batch.number,
                batch_id: cut.batch.batch_id,
                rows,
            };
            let room = self.room();
            let lane = self.lanes.entry(share.stream.clone()).or_insert_with(|| {
                Lane::new(
                    share.stream.clone(),
                    Place::default(),
                    EntryId::MIN,
                    Place::default(),
                )
            });
            let bound = BoundShare {
                batch_number: cut.batch.number,
                batch_id: cut.batch.batch_id,
                snapshot: cut.batch.snapshot.clone(),
                before: cut.before.clone(),
                share,
            };
            lane.follow(target, bound, portion, room);
        }
    }

    pub(super) fn room(&self) -> usize {
        let held: usize = self.lanes.values().map(Lane::held_bytes).sum();
        self.options.memory_bytes.saturating_sub(held)
    }

    pub(super) fn start_reads(&mut self) {
        let (rows, bytes) = (self.options.chunk_rows, self.options.chunk_bytes);
        // Each read may bring this much; it counts before it arrives.
        let expected = self.widest.max(bytes.unsigned_abs() as usize);
        let mut room = self.room().saturating_sub(self.reads * expected);
        while self.reads < READS_IN_FLIGHT && room > 0 {
            let Some(stream) = self.next_in_turn(&self.read_last, Lane::wants_rows) else {
                return;
            };
            let Some(lane) = self.lanes.get_mut(&stream) else {
                return;
            };
            lane.reading = true;
            self.reads += 1;
            room = room.saturating_sub(expected);
            self.in_flight
                .push(work::read(self.reader.clone(), lane, rows, bytes));
            self.read_last = stream;
        }
    }

    pub(super) async fn take_rows(
        &mut self,
        stream: &StreamId,
        stretch: u64,
        found: Option<(BoundShare, Portion)>,
    ) -> Result<(), Error> {
        let Some(lane) = self.lanes.get_mut(stream) else {
            return Ok(());
        };
        lane.reading = false;
        if lane.gate != Gate::Open || lane.stretch() != stretch {
            return Ok(());
        }
        match found {
            Some((share, portion)) if !portion.rows.is_empty() => {
                self.widest = self.widest.max(portion.bytes());
                lane.hold(portion);
                lane.reading_share = Some(share);
                Ok(())
            }
            _ => {
                let why = format!(
                    "the ledger has events of {stream} up to batch {} position {}, the log does not: rows are gone",
                    lane.target.batch_number, lane.target.position
                );
                self.halt(stream, Halt::Rejected(why)).await
            }
        }
    }
}
