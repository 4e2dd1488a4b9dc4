//! The transactional outbox: append in your transaction, tail without gaps, publish CloudEvents, consume with one effect.

pub mod event;

pub mod append;

pub mod standing;

pub mod verdict;
