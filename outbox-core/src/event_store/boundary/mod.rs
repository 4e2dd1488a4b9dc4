//! The dynamic consistency boundary: a decision is made on the events with some tags and types, of any streams, and is appended only if
//! no such event came that the read before it did not see.
//!
//! ```no_run
//! use futures_util::TryStreamExt as _;
//! use outbox_core::append::NewEvent;
//! use outbox_core::event_store::boundary::{Condition, Conditional, Matching, TaggedRead, append_if, read_tagged};
//! use outbox_core::event_store::{Expected, StreamName};
//!
//! # async fn take(pool: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
//! let name_is_taken = Condition::of(Matching::tag("name:ada").types(["account.opened", "account.closed"]));
//! let mut transaction = pool.begin().await?;
//! let pages: Vec<_> = read_tagged(&mut transaction, TaggedRead::of(&name_is_taken)).try_collect().await?;
//! let (events, cursor) = (pages.iter().map(|page| page.events.len()).sum::<usize>(), &pages[pages.len() - 1].cursor);
//! if events % 2 == 0 {
//!     let opened = NewEvent::stored("account.opened").tag("name:ada");
//!     let account = StreamName::new("account", 7)?;
//!     match append_if(&mut transaction, &name_is_taken, cursor, &account, Expected::NoStream, vec![opened]).await? {
//!         Conditional::Appended(_) | Conditional::AlreadyAppended(_) => transaction.commit().await?,
//!         other => println!("{other:?}: read and decide again"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Repository::execute_within`](crate::event_store::decide::Repository::execute_within) does all of it for a decider.
//!
//! Authoritative: `outbox.append_to_streams_if` and `outbox.read_tagged` (0030_boundary.sql), and `outbox.hold_tags` (0029_tags.sql).
//!
//! Invariants:
//! * What was seen is told by a snapshot: an event of a transaction that was open during the read breaks the condition when it
//!   commits, wherever its position lies.
//! * Of each item of a condition the first tag is locked alone until the transaction ends; who appends an event with it, by whatever
//!   function, holds it in share mode. So the events of a condition and those of an append under it are in one order, that of the
//!   commits, and that of their positions.
//! * Tags, and thereby locks, are bounded in each call and each transaction.
//!
//! Failure: a broken condition is an outcome, after which the transaction is as usable as before. Two transactions that hold tags of
//! earlier calls may wait for each other in a circle: Postgres ends one of them, which is to be repeated.
//!
//! Deliberately absent: a condition without a tag, whose lock every append would have to take.

mod condition;
pub use condition::{Condition, Matching};

mod outcome;
pub use outcome::{Conditional, Unseen};

mod pg;
pub use pg::{append_if, append_streams_if, read_tagged, read_tagged_page};

mod read;
pub use read::TaggedRead;

pub mod tokio_postgres;
