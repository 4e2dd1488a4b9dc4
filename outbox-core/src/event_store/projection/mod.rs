//! Projections: tables made of stored events, each projection in a schema of its own, which its handler finds without naming it.
//!
//! *Asynchronous*: a subscription applies the events, soon after their commit. *Inline*: they are applied in the transaction that
//! appends, and what was written can be read at once ([`append_projected`]).
//!
//! **Built anew** beside the live one: the same code fills a schema `<name>_next`, as the next generation of the same subscription. When
//! it has caught up, one transaction takes all partitions of both from whoever has them, brings both to the same snapshot, compares each
//! table by its rows and a checksum that does not depend on their order, and renames the schemas. Until then the live one is live,
//! and after it the new one is; a crash leaves one of the two.
//!
//! Authoritative: `outbox.projection` for which generation is live, `outbox.projection_rebuild` for what people ordered. A command only
//! writes the order; a process that runs the projection carries it out.
//!
//! Invariants:
//! * A handler writes to the schema of its generation, decided in its transaction, which no switch can overtake: a switch waits
//!   for the leases and, where events are applied inline, for the lock that those share.
//! * What differs is not switched to, unless a person said that differences are wanted.
//! * Nothing is dropped on which something outside the schema depends.
//!
//! Failure: a rebuild that was killed goes on where its checkpoint is. One that cannot be switched to is held, and says why.
//!
//! Deliberately absent: guessing which tables a change of code touches (a rebuild builds all of them), and keeping the one that was
//! replaced.

mod catalogue;

mod compare;

mod definition;
pub use definition::Projection;

mod inline;
pub use inline::{InlineProjections, append_projected};

mod pg;

mod rebuild;

mod run;
pub use run::ProjectionRunner;

mod switch;
