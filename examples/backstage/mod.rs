//! What a demonstration needs behind the scenes: relay processes in a temporary folder that leave nothing behind.
//!
//! Invariant: whatever ends this program (return, panic, Ctrl-C, SIGKILL), a guard process that only waits for its end kills
//! the relays and removes the folder. The servers of `xtask::servers` are guarded in the same way.

mod guard;
pub use guard::Guard;

mod relay;
pub use relay::{Relay, beside_me, migrate};

mod pg;
pub use pg::{connect, create_database, with_database};
