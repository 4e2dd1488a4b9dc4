//! The transactional outbox: append in your transaction, tail without gaps, publish CloudEvents, consume with one effect.

pub mod standing;

pub mod verdict;
