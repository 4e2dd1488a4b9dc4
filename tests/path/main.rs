//! The path, stage by stage, on real servers.

mod naive_tail;

mod world;
