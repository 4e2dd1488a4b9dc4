//! The tail's conversations with Postgres, over `tokio-postgres`.

pub mod session;

pub mod cut;

pub(crate) mod look;

pub(crate) mod far;

pub mod lay;

pub mod leases;

pub mod pieces;

pub(crate) mod one_snapshot;

pub(crate) mod reissue;

pub(crate) mod column;

mod event;

mod settled;

mod intake;

pub mod rows;

pub(crate) mod history;

pub use session::{Dial, Messages, Session};
