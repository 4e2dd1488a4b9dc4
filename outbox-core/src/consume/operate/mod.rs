//! What a person does to a consumer from outside: pause and resume it, take a stream away from a member that is
//! stuck, pass an entry that is missing, and keep nothing more for one that is gone.
//!
//! Authoritative are the functions of the consumer's database: they check, change and write the audit in one transaction, and
//! members look at what they left every second. Here is only their call. What they refuse changed nothing.

mod pg;

pub use pg::{claim, forget, pass_hole, pause, resume};
