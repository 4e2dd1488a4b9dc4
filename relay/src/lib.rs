//! The relay as a program: settings, connections, health, commands. What happens to events is in `outbox-core`.

pub mod config;

pub mod connect;

pub mod exit;

pub mod telemetry;

pub mod otlp;

pub mod signal;

pub mod http;

pub mod lag;

pub mod output;

pub mod compose;

pub mod command;

pub mod cli;
