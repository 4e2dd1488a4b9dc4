//! Looking at dead letters: groups, lists, one letter whole, all of them one after the other.
//!
//! Authoritative are the views of `outbox_ops` and, for payloads and what handlers said, `outbox.dead_letter`, which only
//! `outbox_operator` and the consumer may read. Nothing here changes anything. How it fails: with the server's words.

mod pg;

pub(super) use pg::parse;
pub use pg::{Page, export, groups, list, whole};
