//! Before anything is sent on a new connection, and on a schedule: is each stream ours, and does it still hold what was
//! confirmed? A stream that was deleted or flushed says nothing by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::lane::{Gate, Lane};
use super::leader::Leader;
use super::retry::Breaker;
use super::sink::{Halt, Mark, Marked, Predecessor, SinkConnection, foreign, is_elsewhere};
use super::work::Link;
use super::{Error, Kind, pg};
use crate::event::EntryId;
use crate::observe;
use crate::standing::Standing;
use crate::tail::{StreamId, ledger};

/// How often it is read how long entries stay, which a person changes now and then, and whether another leader refused.
const RETENTIONS_EVERY: Duration = Duration::from_secs(30);

/// So many bytes of entries are read in a round of comparisons, a second after the one before: one that is larger is paid for by the
/// rounds after it.
const ROUND_BYTES: u64 = 4 << 20;
/// Of so many streams that are compared in a round, one is of those whose length is as it was.
const ONE_OF: usize = 4;

/// A stream, how long it is, and what is asked of it.
type Turn = (StreamId, Option<u64>, (String, EntryId));

/// Streams with their lengths, and beside each what is asked of it.
type Asked = (Vec<(StreamId, Option<u64>)>, Vec<(String, EntryId)>);

/// Quiet streams by the round in which they were last compared: those whose length says that something happened, and the others.
#[derive(Default)]
struct Turns {
    changed: Vec<(u64, Turn)>,
    same: Vec<(u64, Turn)>,
}

impl Turns {
    fn add(&mut self, lane: &Lane, key: String, length: Option<u64>) {
        let turn = (lane.stream.clone(), length, (key, lane.chain));
        match lane.compared {
            Some((chain, before, round)) if chain == lane.chain && Some(before) == length => {
                self.same.push((round, turn));
            }
            Some((_, _, round)) => self.changed.push((round, turn)),
            None => self.changed.push((0, turn)),
        }
    }

    /// Who waited longest comes first.
    fn in_order(mut self) -> Asked {
        self.changed.sort_by_key(|(round, _)| *round);
        self.same.sort_by_key(|(round, _)| *round);
        let (mut changed, mut same) = (self.changed.into_iter(), self.same.into_iter());
        let (mut streams, mut entries) = (Vec::new(), Vec::new());
        loop {
            let next = if streams.len() % ONE_OF == ONE_OF - 1 {
                same.next().or_else(|| changed.next())
            } else {
                changed.next().or_else(|| same.next())
            };
            let Some((_, (stream, length, entry))) = next else {
                return (streams, entries);
            };
            streams.push((stream, length));
            entries.push(entry);
        }
    }
}

impl Leader {
    pub(super) fn breaker_may_try(&self) -> bool {
        match self.breaker {
            Breaker::Open(until) => Instant::now() >= until,
            Breaker::Closed | Breaker::HalfOpen | Breaker::Probing => true,
        }
    }

    /// Connects to the sink and compares every stream with the ledger, before anything is sent.
    pub(super) async fn connect(&mut self) -> Result<(), Error> {
        match self.connect_and_compare().await {
            Ok(()) => Ok(()),
            Err(error) if matches!(error.kind(), Kind::SinkDown | Kind::SinkUnfit) => {
                self.sink_failed(&error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    pub(super) async fn connect_and_compare(&mut self) -> Result<(), Error> {
        let sink: Arc<dyn SinkConnection> = self.sink.connect().await?.into();
        self.check_marks(sink.as_ref()).await?;
        self.check_ends(sink.as_ref()).await?;
        self.check_layouts(sink.as_ref()).await?;
        self.search_first(sink.as_ref()).await?;
        self.note_timeline().await?;
        self.compared.send_replace(true);
        self.announce_layouts(sink.as_ref()).await?;
        self.links += 1;
        self.link = Some(Link {
            number: self.links,
            sink,
        });
        self.breaker.half_open();
        self.compare_chains().await?;
        if self.link.is_some() {
            self.standing.send_replace(Standing::Leading);
            metrics::gauge!(observe::PUBLISH_SINK_UP).set(1.0);
        }
        Ok(())
    }

    pub(super) async fn check_marks(&mut self, connection: &dyn SinkConnection) -> Result<(), Error> {
        let streams: Vec<StreamId> = self.lanes.keys().cloned().collect();
        let keys: Vec<String> = streams
            .iter()
            .map(|stream| self.publisher.names.mark(stream))
            .collect();
        if keys.is_empty() {
            return Ok(());
        }
        let marks = connection.marks(&keys).await?;
        self.compare_marks(streams.into_iter().zip(marks).collect()).await
    }

    /// A standby that was promoted with everything goes on; that it did is recorded.
    async fn note_timeline(&mut self) -> Result<(), Error> {
        if let Some((timeline, earlier)) = pg::note_timeline(&self.session).await?
            && earlier > 0
        {
            tracing::warn!(
                timeline,
                "the server is on another timeline than before, and has everything that was published: the relay goes on"
            );
        }
        Ok(())
    }

    /// What a parcel found in the mark that it moved: if it is not what this relay left there, it must be of this ledger.
    pub(super) async fn compare_found(
        &mut self,
        stream: &StreamId,
        found: Option<Mark>,
        left: Option<u64>,
    ) -> Result<(), Error> {
        let Some(lane) = self.lanes.get_mut(stream) else {
            return Ok(());
        };
        let expected = lane.marked;
        lane.marked = left.or(expected);
        let Some(mark) = found else {
            return Ok(());
        };
        self.refuse_moved(stream, &mark)?;
        // That of another database is no batch of ours: the stream is set aside.
        if mark.database_id != self.publisher.database_id || Some(mark.batch_id) == expected {
            return Ok(());
        }
        self.verify_batches(&[(stream.clone(), mark.batch_id)]).await
    }

    /// A copy of this database, or this one before it was moved, wrote there: which of the two goes on is for a person to say.
    fn refuse_moved(&self, stream: &StreamId, mark: &Mark) -> Result<(), Error> {
        if !is_elsewhere(&mark.database_id, &self.publisher.database_id) {
            return Ok(());
        }
        Err(ledger::Refusal::MovedMark {
            key: self.publisher.names.mark(stream),
            theirs: mark.database_id.clone(),
            ours: self.publisher.database_id.clone(),
        }
        .into())
    }

    async fn verify_batches(&mut self, marked: &[(StreamId, u64)]) -> Result<(), Error> {
        let batches: Vec<u64> = marked.iter().map(|(_, batch_id)| *batch_id).collect();
        let unknown = pg::unknown_batches(&self.session, &batches).await?;
        for (stream, batch_id) in marked {
            let key = self.publisher.names.mark(stream);
            ledger::verify_mark(&self.head, &key, *batch_id, !unknown.contains(batch_id))?;
        }
        Ok(())
    }

    /// A stream has one writing database, and its mark is of a batch that the ledger knows.
    pub(super) async fn compare_marks(&mut self, marks: Vec<(StreamId, Marked)>) -> Result<(), Error> {
        for (stream, marked) in &marks {
            if let Marked::By(mark) = marked {
                self.refuse_moved(stream, mark)?;
            }
        }
        let ours = |marked: &Marked| match marked {
            Marked::By(mark) if mark.database_id == self.publisher.database_id => Some(mark.batch_id),
            _ => None,
        };
        let known = |stream: &StreamId, batch_id: u64| {
            self.lanes
                .get(stream)
                .is_some_and(|lane| lane.marked == Some(batch_id))
        };
        let news: Vec<(StreamId, u64)> = marks
            .iter()
            .filter_map(|(stream, marked)| Some((stream.clone(), ours(marked)?)))
            .filter(|(stream, batch_id)| !known(stream, *batch_id))
            .collect();
        if !news.is_empty() {
            self.verify_batches(&news).await?;
        }
        for (stream, batch_id) in news {
            if let Some(lane) = self.lanes.get_mut(&stream) {
                lane.marked = Some(batch_id);
            }
        }
        for (stream, marked) in marks {
            self.vet(&stream, marked).await?;
        }
        Ok(())
    }

    /// Lets a stream move if it is ours or nobody's.
    pub(super) async fn vet(&mut self, stream: &StreamId, marked: Marked) -> Result<(), Error> {
        let Some(lane) = self.lanes.get_mut(stream) else {
            return Ok(());
        };
        lane.vetted = !matches!(marked, Marked::Unreadable(_));
        match marked {
            _ if lane.gate == Gate::SetAside => Ok(()),
            Marked::Never => Ok(()),
            Marked::By(mark) if mark.database_id == self.publisher.database_id => Ok(()),
            Marked::By(mark) => {
                let why = foreign(
                    &self.publisher.names.key(stream),
                    &mark.database_id,
                    &self.publisher.database_id,
                );
                self.halt(stream, Halt::Rejected(why)).await
            }
            Marked::Unreadable(why) => self.halt(stream, Halt::Blocked(why)).await,
        }
    }

    /// Whether each quiet stream still holds the entry last confirmed. How long they are is asked of all at once: what became shorter or longer
    /// is asked for its entry first, the others in turn. For that the whole entry is read, so a round ends by bytes.
    pub(super) async fn compare_chains(&mut self) -> Result<(), Error> {
        let Some(link) = self.link.clone() else {
            return Ok(());
        };
        self.round += 1;
        self.owed = self.owed.saturating_sub(ROUND_BYTES);
        let quiet: Vec<(StreamId, String)> = self
            .lanes
            .values()
            .filter(|lane| {
                lane.gate == Gate::Open
                    && !lane.publishing
                    && lane.predecessor() >= lane.floor.max(EntryId::MIN.next())
            })
            .map(|lane| (lane.stream.clone(), self.publisher.names.key(&lane.stream)))
            .collect();
        if quiet.is_empty() {
            return Ok(());
        }
        let (streams, keys): (Vec<StreamId>, Vec<String>) = quiet.into_iter().unzip();
        let lengths = match link.sink.lengths(&keys).await {
            Ok(lengths) => lengths,
            Err(error) => {
                self.sink_failed(&error);
                return Ok(());
            }
        };
        let mut turns = Turns::default();
        for ((stream, key), length) in streams.into_iter().zip(keys).zip(lengths) {
            let Some(lane) = self.lanes.get(&stream) else {
                continue;
            };
            if length == Some(0) {
                self.misses(&stream, &key, lane.chain).await?;
            } else {
                turns.add(lane, key, length);
            }
        }
        let bytes = ROUND_BYTES.saturating_sub(self.owed);
        if bytes == 0 {
            return Ok(());
        }
        let (asked, entries) = turns.in_order();
        let (answers, brought) = match link.sink.holds(&entries, bytes).await {
            Ok(held) => held,
            Err(error) => {
                self.sink_failed(&error);
                return Ok(());
            }
        };
        self.owed += brought;
        for (((stream, length), (key, id)), answer) in asked.iter().zip(&entries).zip(answers) {
            match answer {
                Predecessor::Present => {
                    if let Some(lane) = self.lanes.get_mut(stream) {
                        lane.compared = length.map(|length| (*id, length, self.round));
                    }
                }
                Predecessor::Missing => self.misses(stream, key, *id).await?,
                Predecessor::Unreadable(why) => self.halt(stream, Halt::Blocked(why)).await?,
            }
        }
        Ok(())
    }

    async fn misses(&mut self, stream: &StreamId, key: &str, id: EntryId) -> Result<(), Error> {
        let why = format!("stream {key} no longer holds entry {id}, which was confirmed before");
        self.halt(stream, Halt::Lost(why)).await
    }

    /// The schedule: compares quiet streams, and looks for decisions of people.
    pub(super) async fn compare(&mut self) -> Result<(), Error> {
        self.compare_chains().await?;
        self.compare_quiet_marks().await?;
        self.compare_layouts().await?;
        self.search_on();
        if self.retentions_at.elapsed() >= RETENTIONS_EVERY {
            self.retentions_at = Instant::now();
            self.publisher.retentions = pg::load_retentions(&self.session).await?;
            self.look_for_refusals().await?;
        }
        let halted: Vec<StreamId> = self
            .lanes
            .values()
            .filter(|lane| lane.gate != Gate::Open)
            .map(|lane| lane.stream.clone())
            .collect();
        metrics::gauge!(observe::PUBLISH_HALTED).set(halted.len() as f64);
        self.halted
            .send_if_modified(|said| std::mem::replace(said, !halted.is_empty()) == halted.is_empty());
        if halted.is_empty() {
            return Ok(());
        }
        for (stream, action) in pg::latest_actions(&self.session, &halted).await? {
            if action == "resume" || action == "skip" {
                self.reopen(&stream).await?;
            }
        }
        Ok(())
    }

    /// Another relay that publishes for a copy of this database moves the marks of quiet streams too.
    async fn compare_quiet_marks(&mut self) -> Result<(), Error> {
        let Some(link) = self.link.clone() else {
            return Ok(());
        };
        let quiet: Vec<StreamId> = self
            .lanes
            .values()
            .filter(|lane| lane.gate == Gate::Open && lane.vetted && !lane.publishing)
            .map(|lane| lane.stream.clone())
            .collect();
        let keys: Vec<String> = quiet
            .iter()
            .map(|stream| self.publisher.names.mark(stream))
            .collect();
        if keys.is_empty() {
            return Ok(());
        }
        match link.sink.marks(&keys).await {
            Ok(marks) => self.compare_marks(quiet.into_iter().zip(marks).collect()).await,
            Err(error) => {
                self.sink_failed(&error);
                Ok(())
            }
        }
    }

    /// Whether what a stream seems to have lost was trimmed. A leader that was stopped while this one loaded the streams may have
    /// recorded more since, and the floor that followed it is above where this one stands. Then the stream goes on from there.
    pub(super) async fn was_trimmed(&mut self, stream: &StreamId) -> Result<bool, Error> {
        let stored = pg::load_streams(&self.session, Some(stream)).await?;
        let (Some(stored), Some(lane)) = (stored.into_iter().next(), self.lanes.get_mut(stream)) else {
            return Ok(false);
        };
        if stored.floor <= lane.floor {
            return Ok(false);
        }
        tracing::info!(
            %stream, floor = %stored.floor, known = %lane.floor,
            "the stream was trimmed since it was loaded: it goes on from what is recorded"
        );
        lane.floor = stored.floor;
        lane.reopen(stored.progress, stored.chain, stored.kept);
        lane.vetted = false;
        Ok(true)
    }

    pub(super) async fn reopen(&mut self, stream: &StreamId) -> Result<(), Error> {
        let stored = pg::load_streams(&self.session, Some(stream)).await?;
        if let (Some(stored), Some(lane)) = (stored.into_iter().next(), self.lanes.get_mut(stream)) {
            tracing::info!(%stream, action = stored.latest_action, "the stream goes on");
            lane.floor = lane.floor.max(stored.floor);
            lane.reopen(stored.progress, stored.chain, stored.kept);
            lane.vetted = false;
        }
        Ok(())
    }
}
