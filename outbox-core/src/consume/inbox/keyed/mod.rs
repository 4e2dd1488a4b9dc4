//! Input that carries no id of its own: a sender that repeats a webhook gives it another id each time.
//!
//! Asked for per topic, an event also has an identity (its correlation id, or its content). The first event with an identity
//! stands for those that follow within the window, whatever becomes of it; they are finished as skipped. Authoritative is
//! `outbox.inbox_keyed`, entered in the applying transaction: what is undone there leaves no identity behind, and of two
//! streams that bring the same input at once the second waits for the first.
//!
//! The window counts from when the first event was recorded, if it says so, and not from when the group came to it: a group that
//! was off, or is rebuilt, skips what it would have skipped at its time. An input repeated after the window has a second effect.
//! One row is kept per identity, that of the latest: what repeats one from before it, and comes only after it, may be taken for new.
//! What the inbox is made to forget leaves no identity behind.

mod identity;

mod leader;

mod pg;

pub(in crate::consume) use identity::Deduplication;
pub use identity::Identity;
pub(in crate::consume) use pg::Keyed;
