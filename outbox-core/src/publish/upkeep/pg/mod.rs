//! Upkeep of streams in Postgres.

pub(super) mod repairs;

pub(super) mod streams;
