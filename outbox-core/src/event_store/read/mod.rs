//! Reading what is stored: page by page, so that memory does not follow the length of what is read.
//!
//! Invariants:
//! * A page is one statement, bounded in events and bytes; what follows is read behind the last version, never by an offset.
//! * A stream is read as it is when a page is read: what is appended meanwhile comes at its end, and is not missed.
//! * Across streams a read has what could be seen when it began: see `across`.

mod across;
pub use across::{EventPage, EventRead, newest_cursor, read_events, read_events_page};

mod page;
pub use page::PageLimits;

mod listing;
pub use listing::StreamListing;

mod one_stream;
pub use one_stream::{Direction, StreamRead};

mod pg;
pub(in crate::event_store) use pg::first_page;
pub use pg::{list_streams, read_page, read_stream, stream_version};
