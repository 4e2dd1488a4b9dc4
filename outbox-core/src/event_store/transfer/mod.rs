//! Streams as a file and back: NDJSON, one CloudEvent a line, and a last line that says what the file must be.
//!
//! ```no_run
//! use outbox_core::event_store::StreamName;
//! use outbox_core::event_store::transfer::{Topics, export_streams, import_streams};
//! use tokio::fs::File;
//! use tokio::io::BufReader;
//!
//! # async fn carry(from: sqlx::PgPool, to: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
//! let orders = [StreamName::new("order", 7)?, StreamName::new("order", 8)?];
//! let mut file = File::create("orders.ndjson").await?;
//! export_streams(&mut *from.acquire().await?, &orders, &mut file, |_| {}).await?;
//!
//! let mut file = BufReader::new(File::open("orders.ndjson").await?);
//! let done = import_streams(&mut *to.acquire().await?, &mut file, Topics::Private, |_| {}).await?;
//! println!("{} events, {} of them new", done.events, done.appended);
//! # Ok(())
//! # }
//! ```
//!
//! A line is the event in the CloudEvents JSON format with the members `streamname` and `streamversion`, and `streamtags` (a JSON
//! array as text) and `streamtopic` where it has them. The last line is
//! `{"streamexport":1,"streams":…,"events":…,"sha256":"…"}`, the digest that of all lines before it.
//!
//! Invariants:
//! * JSON is carried byte for byte. What would not fit a line as it is goes as `data_base64`, with `streamdata` `json`.
//! * A file is read twice: nothing is appended before all of it was found whole: the count, the digest, each stream from version 1
//!   on without gaps.
//! * What is in the store already is compared, and not appended again: an import can be repeated, and goes on where it ended.
//!
//! Failure: [`Error::File`](crate::event_store::Error::File) names the line. What was appended before, batch by batch, stays, unless
//! all of it is in a transaction of yours.
//!
//! Deliberately absent: positions, transaction ids and recorded times of the store before (an event without a time gets that of its
//! recording), and the keys of what is sealed: it stays sealed.

mod lines;

mod pg;
pub use pg::{export_streams, import_streams};

mod progress;
pub use progress::{Exported, Imported, Topics};

mod row;

mod summary;
