//! One file per command: its arguments, what it does, what it reports.

pub mod run;

pub mod migrate;

pub mod config;

pub mod completions;

pub mod version;
