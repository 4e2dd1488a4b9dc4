//! What the project's own tooling shares with its tests: private servers that leave nothing behind.
//!
//! Uses the standard library only, so that `cargo xtask …` is there within seconds on a fresh clone.

pub mod servers;

pub mod test;

pub mod upgrade;

mod example;

pub mod demo;

pub mod import_check;

pub mod orders;

pub mod bench;

pub mod flame;

pub mod ablate;

pub mod chaos;

pub mod model;
