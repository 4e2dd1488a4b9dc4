//! The transactional outbox: append in your transaction, tail without gaps, publish CloudEvents, consume with one effect.
//!
#![doc = include_str!("../README.md")]

#[macro_use]
pub mod crash;

pub mod event;

pub mod append;

pub mod tail;

pub mod publish;

pub mod event_store;

pub mod ops;

pub mod hole;

pub mod observe;

pub mod span;

pub mod standing;

pub mod verdict;

#[cfg(feature = "redis")]
pub mod consume;

#[cfg(feature = "redis")]
pub mod dead_letter;
