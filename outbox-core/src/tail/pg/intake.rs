//! Rows of one topic as they arrive: written at once, each stream's on pages of its own.

use std::sync::Arc;

use time::OffsetDateTime;
use tokio_postgres::Row as PgRow;
use uuid::Uuid;

use super::event::{Columns, Read, event_row, partition};
use crate::event::envelope::{Page, Written};
use crate::tail::row::{Content, Form, Row};
use crate::tail::{Error, Kind, StreamId};

/// The rows of a statement, in their order.
pub(super) struct Intake<'a> {
    topic: &'a str,
    partitions: u16,
    form: Form,
    columns: Option<Columns>,
    /// By slot of the stream.
    streams: Vec<Option<Stream>>,
    rows: Vec<Taken>,
    has_left_out: bool,
}

struct Stream {
    id: Arc<StreamId>,
    page: Page,
    /// Which rows are on the page.
    on_page: Vec<usize>,
}

enum Taken {
    /// On a page that is not full yet.
    OnPage {
        position: i64,
        stream: Arc<StreamId>,
        id: Uuid,
        recorded_at: OffsetDateTime,
        bytes: usize,
    },
    Row(Row),
}

impl<'a> Intake<'a> {
    /// For rows of a topic that has so many partitions.
    pub(super) fn new(topic: &'a str, partitions: u16, form: Form) -> Self {
        Self {
            topic,
            partitions,
            form,
            columns: None,
            streams: Vec::new(),
            rows: Vec::new(),
            has_left_out: false,
        }
    }

    /// Takes the next row.
    pub(super) fn take(&mut self, row: &PgRow) -> Result<(), Error> {
        let columns = match self.columns.take() {
            Some(columns) => columns,
            None => Columns::of(row)?,
        };
        let taken = self.take_with(row, &columns);
        self.columns = Some(columns);
        taken
    }

    fn take_with(&mut self, row: &PgRow, columns: &Columns) -> Result<(), Error> {
        // Behind one that was left out all are read again.
        if self.has_left_out {
            return Ok(());
        }
        let read = Read::of(row, columns)?;
        if read.is_left_out()? {
            self.has_left_out = true;
            return Ok(());
        }
        let partition = partition(&read, self.partitions)?;
        let slot = partition.map_or(0, |partition| usize::from(partition) + 1);
        if self.streams.len() <= slot {
            self.streams.resize_with(slot + 1, || None);
        }
        let stream = self.streams[slot].get_or_insert_with(|| Stream {
            id: Arc::new(StreamId {
                topic: self.topic.to_owned(),
                partition,
            }),
            page: Page::default(),
            on_page: Vec::new(),
        });
        if self.form == Form::Event || read.broken().is_some() {
            self.rows.push(Taken::Row(event_row(&read, stream.id.clone())?));
            return Ok(());
        }
        stream.page.write(&read.view()?);
        stream.on_page.push(self.rows.len());
        self.rows.push(Taken::OnPage {
            position: read.position,
            stream: stream.id.clone(),
            id: read.id,
            recorded_at: read.recorded_at,
            bytes: read.bytes,
        });
        if stream.page.is_full() {
            stream.turn(&mut self.rows);
        }
        Ok(())
    }

    /// The rows; none if a payload was left out, and they must be read in another way.
    pub(super) fn finish(mut self) -> Result<Option<Vec<Row>>, Error> {
        if self.has_left_out {
            return Ok(None);
        }
        for stream in self.streams.iter_mut().flatten() {
            stream.turn(&mut self.rows);
        }
        let rows = self.rows.into_iter().map(|taken| match taken {
            Taken::Row(row) => Ok(row),
            Taken::OnPage { .. } => Err(Error::new(Kind::Shape, "a row was not written")),
        });
        rows.collect::<Result<_, _>>().map(Some)
    }
}

impl Stream {
    /// The page is done: its rows take their events from it.
    fn turn(&mut self, rows: &mut [Taken]) {
        for (at, event) in self.on_page.drain(..).zip(self.page.take()) {
            rows[at].receive(event);
        }
    }
}

impl Taken {
    fn receive(&mut self, event: Written) {
        if let Self::OnPage {
            position,
            stream,
            id,
            recorded_at,
            bytes,
        } = self
        {
            *self = Self::Row(Row {
                position: *position,
                stream: stream.clone(),
                content: Content::Written {
                    event,
                    id: *id,
                    recorded_at: *recorded_at,
                },
                bytes: *bytes,
            });
        }
    }
}
