//! Upkeep of streams in Postgres.

pub(super) mod begin;

pub(super) mod losses;

pub(super) mod orders;

pub(super) mod repairs;

pub(super) mod streams;
