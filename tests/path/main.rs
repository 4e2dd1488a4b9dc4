//! The path, stage by stage, on real servers.

mod world;
