//! Traces of the model `stream`, and of the one before it, on whole relays: what a leader that was stopped or died still had on its
//! way, and what was said of a stream in between.

mod died;
mod skipped;
mod zombie;
