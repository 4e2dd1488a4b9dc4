//! What people do about dead letters: preview, put back, cancel, resume, edit, discard.
//!
//! Authoritative are the functions of schema `outbox` for role `outbox_operator`; each change is one call of one of them,
//! audited with who and why, and may share a transaction with others. A redrive only writes an operation: the members of
//! the group carry it out, so whoever asked may go away. How it fails: with the server's words, and then nothing was done.
//!
//! Invariants, which the database holds:
//! * A letter goes back to its old place in its lane, before the events that wait behind it.
//! * It takes effect at most once more: the inbox says whether it had one.
//! * What came is kept, whatever a person makes of it.
//!
//! Deliberately absent: applying anything here. The handler lives with the members.

mod pg;

pub use pg::{
    cancel, discard, edit, operation, operations, preview, preview_discard, redrive, resume, takes_everything,
};
