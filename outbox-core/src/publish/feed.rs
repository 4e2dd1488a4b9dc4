//! Rows into lanes: with the cut that brought them, or read from the log where a lane is behind.
//!
//! Memory is bounded by what all lanes hold together; a lane that finds no room reads its rows later.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::chunk::Chunk;
use super::gather::{Brought, gather, waited_for, waits};
use super::lane::{Gate, Lane, Place, Portion};
use super::leader::Leader;
use super::sink::Halt;
use super::{Error, Mode, work};
use crate::event::EntryId;
use crate::tail::StreamId;
use crate::tail::batch::{Batch, BoundShare, Cut, Share};
use crate::tail::row::{Form, Row};

/// How many reads from the log may be in flight: they share one connection.
const READS_IN_FLIGHT: usize = 4;

impl Leader {
    /// Takes a cut: each lane learns how far the ledger goes for it.
    pub(super) fn take(&mut self, cut: Cut) {
        let mut by_stream: BTreeMap<Arc<StreamId>, VecDeque<Row>> = BTreeMap::new();
        for row in cut.rows {
            by_stream.entry(row.stream.clone()).or_default().push_back(row);
        }
        if let Some(laid) = &cut.laid {
            self.lay(laid);
            for share in &cut.shares {
                let row = laid.row(&share.stream, &self.publisher.database_id);
                by_stream.insert(row.stream.clone(), VecDeque::from([row]));
            }
        }
        self.head.batch = cut.batch.clone();
        if let Some(behind) = &cut.behind {
            self.take_reissue(&cut.batch, &cut.shares, behind.kept);
            return;
        }
        let mut room = self.room();
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
                is_again: false,
            };
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
                passed: Vec::new(),
                era_floor: 0,
                share,
                laid: cut.laid.clone(),
            };
            let held = lane.held_bytes();
            lane.follow(target, bound, portion, room);
            room = room.saturating_sub(lane.held_bytes() - held);
        }
    }

    /// A stream goes on behind an entry that was kept, whatever it was about to send.
    fn take_reissue(&mut self, batch: &Batch, shares: &[Share], kept: EntryId) {
        let place = |position| Place {
            batch_number: batch.number,
            position,
        };
        for share in shares {
            let lane = self.lanes.entry(share.stream.clone()).or_insert_with(|| {
                Lane::new(
                    share.stream.clone(),
                    Place::default(),
                    EntryId::MIN,
                    Place::default(),
                )
            });
            // It may have been cut before the streams were loaded, and be half sent.
            if lane.progress.batch_number < batch.number {
                lane.jump(place(share.first_position - 1), kept, place(share.last_position));
            } else {
                lane.target = lane.target.max(place(share.last_position));
            }
        }
    }

    pub(super) fn room(&self) -> usize {
        let held: usize = self.lanes.values().map(Lane::held_bytes).sum();
        self.options.memory_bytes.saturating_sub(held)
    }

    pub(super) fn start_reads(&mut self) {
        let chunk = Chunk {
            rows: self.options.chunk_rows,
            bytes: self.options.chunk_bytes,
        };
        // Each read may bring this much; it counts before it arrives.
        let mut room = self.room().saturating_sub(self.expected_bytes);
        while self.reads < READS_IN_FLIGHT && room > 0 {
            let waited_for = waited_for(&self.lanes, chunk);
            // Who waits for an older stream to begin gets no more than it holds: that stream needs the room.
            let may_send = |lane: &Lane| self.openings.admits(lane);
            let may_begin = |lane: &Lane| {
                lane.wants_rows(chunk) && may_send(lane) && !waits(&self.lanes, &waited_for, lane, chunk)
            };
            let Some(stream) = self.next_in_turn(&self.read_last, may_begin) else {
                return;
            };
            let Some(reading) = gather(&self.lanes, &stream, chunk, may_send) else {
                return;
            };
            for reader in &reading.readers {
                if let Some(lane) = self.lanes.get_mut(&reader.stream) {
                    lane.reading = true;
                }
            }
            let expected = self.widest.max(reading.expected_bytes());
            room = room.saturating_sub(expected);
            self.reads += 1;
            self.expected_bytes += expected;
            let wanted = work::Wanted {
                expected,
                database_id: self.publisher.database_id.clone(),
                form: match self.options.mode {
                    Mode::Structured => Form::Written,
                    Mode::Binary => Form::Event,
                },
            };
            self.in_flight
                .push(work::read(self.reader.clone(), reading, wanted));
            self.read_last = stream;
        }
    }

    /// Rows for the lanes that read together came.
    pub(super) async fn take_rows(&mut self, brought: Vec<Brought>) -> Result<(), Error> {
        let bytes = brought
            .iter()
            .flat_map(|brought| &brought.rows)
            .map(|row| row.bytes)
            .sum();
        self.widest = self.widest.max(bytes);
        for brought in brought {
            self.take_portion(brought).await?;
        }
        Ok(())
    }

    async fn take_portion(&mut self, brought: Brought) -> Result<(), Error> {
        let Some(lane) = self.lanes.get_mut(&brought.stream) else {
            return Ok(());
        };
        lane.reading = false;
        if lane.gate != Gate::Open || lane.stretch() != brought.stretch {
            return Ok(());
        }
        if brought.lacks_rows() {
            let why = format!(
                "the ledger has events of {} up to batch {} position {}, the log does not: rows are gone",
                brought.stream, lane.target.batch_number, lane.target.position
            );
            return self.halt(&brought.stream, Halt::Rejected(why)).await;
        }
        if let Some(share) = brought.share {
            lane.hold(Portion {
                batch_number: share.batch_number,
                batch_id: share.batch_id,
                rows: brought.rows,
                is_again: !share.passed.is_empty(),
            });
            lane.seen = Place {
                batch_number: share.batch_number,
                position: brought.seen,
            };
            lane.reading_share = Some(share);
        }
        Ok(())
    }
}
