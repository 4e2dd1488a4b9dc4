//! Aggregates: a command is decided on the state that the events of one stream make, and what follows is appended at the version
//! that the decision was made on.
//!
//! ```no_run
//! use outbox_core::event_store::StreamName;
//! use outbox_core::event_store::decide::{Context, Decider, Repository};
//! use outbox_core::event_store::typed::{EventType, TypedEvent};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! #[serde(tag = "type", content = "data")]
//! enum PointsEvent {
//!     #[serde(rename = "points.earned")]
//!     Earned { points: u64 },
//!     #[serde(rename = "points.spent")]
//!     Spent { points: u64 },
//! }
//!
//! impl TypedEvent for PointsEvent {
//!     const TYPES: &'static [EventType] = &[EventType::new("points.earned", 1), EventType::new("points.spent", 1)];
//! }
//!
//! struct Points;
//! struct Spend(u64);
//! #[derive(Debug, PartialEq)]
//! struct TooFew { there_are: u64 }
//! # impl std::fmt::Display for TooFew {
//! #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "there are {}", self.there_are) }
//! # }
//! # impl std::error::Error for TooFew {}
//!
//! impl Decider for Points {
//!     type Command = Spend;
//!     type Event = PointsEvent;
//!     type State = u64;
//!     type Refusal = TooFew;
//!
//!     fn initial() -> u64 {
//!         0
//!     }
//!
//!     fn evolve(balance: u64, event: &PointsEvent) -> u64 {
//!         match event {
//!             PointsEvent::Earned { points } => balance + points,
//!             PointsEvent::Spent { points } => balance - points,
//!         }
//!     }
//!
//!     fn decide(Spend(points): &Spend, balance: &u64) -> Result<Vec<PointsEvent>, TooFew> {
//!         if points > balance {
//!             return Err(TooFew { there_are: *balance });
//!         }
//!         Ok(vec![PointsEvent::Spent { points: *points }])
//!     }
//! }
//!
//! # async fn spend(pool: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
//! let points = Repository::<Points>::new()?;
//! let mut transaction = pool.begin().await?;
//! let stream = StreamName::new("points", 7)?;
//! points.execute(&mut transaction, &stream, &Spend(30), &Context::none()).await?;
//! transaction.commit().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Authoritative: the stream. A state is what its events make of it, and is kept nowhere else.
//!
//! Invariants:
//! * What is appended was decided on the state at the very version that it is appended behind, or nothing is appended.
//! * Or, within a boundary ([`Repository::execute_within`]), on a state of events of any streams, and no such event came since.
//! * A command with an id is carried out once per stream: its events have ids made of it, and the same command again is answered
//!   with what it did then, for as long as those events are in the store.
//! * Events are folded page by page: memory follows the state, not the length of the stream.
//! * A snapshot is a shortcut that is never needed: one that is stale, of another shape, touched, or ahead of the stream is passed over.
//!
//! Failure: [`ExecuteError`] tells apart what the domain refused, a conflict that attempts did not overcome, and the store.
//!
//! Deliberately absent: input and output in a decision. What it needs of the world comes in its command.

mod bounded;
pub use bounded::BoundedDecider;

mod command;
pub use command::{Context, event_id};

mod decider;
pub use decider::Decider;

mod folded;

mod outcome;
pub use outcome::{Decided, DecidedWithin, ExecuteError, Loaded};

mod pg;

mod repository;
pub use repository::Repository;

pub mod scenario;

mod snapshot;
pub use snapshot::Snapshots;
