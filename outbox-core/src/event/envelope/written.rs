//! Events written in structured mode before it is known what precedes them on their stream.
//!
//! All of an event but `previousid` is known when its row is read, and `previousid` stands in the middle. So an event is written once,
//! in two parts, behind the others of its page; what is sent are the two parts with the one member between them. No event of
//! a backlog has texts of its own on the heap.

use std::fmt;
use std::sync::Arc;

use super::super::{EntryId, View};
use super::structured::{write_head, write_previous, write_tail};

/// Bytes at which a page is full: some hundred events, and less than what an allocator asks the system for each time.
const PAGE_BYTES: usize = 64 << 10;

/// Events that are being written, one behind the other. Its memory is kept for the next ones.
#[derive(Debug, Default)]
pub struct Page {
    bytes: Vec<u8>,
    /// Where the two parts of each end.
    ends: Vec<(usize, usize)>,
}

impl Page {
    /// Writes an event behind the others. Its `previous_id` is left out: it is said when the event is sent.
    pub fn write(&mut self, event: &View<'_>) {
        write_head(event, &mut self.bytes);
        let middle = self.bytes.len();
        write_tail(event, &mut self.bytes);
        self.ends.push((middle, self.bytes.len()));
    }

    /// Whether what is written should be taken: the memory of a page is free when the last of its events is gone, so one that
    /// waits holds no more than this for the others.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= PAGE_BYTES
    }

    /// Takes the events, in the order in which they were written.
    pub fn take(&mut self) -> impl Iterator<Item = Written> {
        let page: Arc<[u8]> = self.bytes.as_slice().into();
        self.bytes.clear();
        let mut start = 0;
        self.ends.drain(..).map(move |(middle, end)| Written {
            page: page.clone(),
            start: std::mem::replace(&mut start, end),
            middle,
            end,
        })
    }
}

/// An event of a page.
#[derive(Clone)]
pub struct Written {
    page: Arc<[u8]>,
    start: usize,
    middle: usize,
    end: usize,
}

impl Written {
    /// The event in structured mode, behind the entry of this id.
    #[must_use]
    pub fn structured(&self, previous: EntryId) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.end - self.start + 64);
        self.write_structured(previous, &mut out);
        out
    }

    /// Appends the event in structured mode, behind the entry of this id.
    pub fn write_structured(&self, previous: EntryId, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.page[self.start..self.middle]);
        write_previous(previous, out);
        out.extend_from_slice(&self.page[self.middle..self.end]);
    }

    /// How many bytes that is.
    #[must_use]
    pub fn structured_bytes(&self, previous: EntryId) -> usize {
        const MEMBER: usize = br#","previousid":"""#.len();
        self.end - self.start + MEMBER + previous.text_bytes()
    }
}

/// How large it is, never the content.
impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Written({} bytes)", self.end - self.start)
    }
}
