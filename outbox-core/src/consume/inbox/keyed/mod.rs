//! Input that carries no id of its own: a sender that repeats a webhook gives it another id each time.
//!
//! Asked for per topic, an event also has an identity (its correlation id, or its content). The first event with an identity
//! stands for those that follow within the window, whatever becomes of it; they are finished as skipped. Authoritative is
//! `outbox.inbox_keyed`, entered in the applying transaction: what is undone there leaves no identity behind, and of two
//! streams that bring the same input at once the second waits for the first. The window counts from the first event; an input
//! repeated after it has a second effect.

mod identity;

mod pg;

pub(in crate::consume) use identity::Deduplication;
pub use identity::Identity;
