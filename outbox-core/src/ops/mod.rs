//! What operators see: the views of schema `outbox_ops`, and what is checked before and while a relay runs.
//!
//! Authoritative for what is shown is the database: the views are public and this only reads them. Authoritative for what a
//! server must be like is [`check`]. Nothing here changes anything, except that the probe of Redis asks for an entry on a
//! stream that does not exist, which Redis then does not make. Payloads and the text of queries and handlers' errors are in
//! none of it. How it fails: a view that cannot be read is an error with the server's words; a check that cannot be made is
//! a finding.

pub mod check;

pub mod consumer;

pub mod trace;

mod view;

mod lag;

mod reissue;

mod projection;

mod pg;

#[cfg(feature = "redis")]
mod redis;

mod error;

pub use self::error::Error;
pub use self::lag::{Lag, TopicLag};
pub use self::pg::{
    forget_group, halves, lag, log_facts, open_refusal, resume_topic, server_facts, set_stream, set_topic,
    skip_event, streams, unknown_batches, view,
};
pub use self::projection::{
    cancel_rebuild, order_rebuild, pause_subscription, projections, release_rebuild, resume_subscription,
};
#[cfg(feature = "redis")]
pub use self::redis::redis_facts;
pub use self::reissue::{ReissueOrder, order_reissue, reissue_orders};
pub use self::view::{Halves, View};
