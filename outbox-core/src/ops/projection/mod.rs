//! What a person sees of projections and decides about them: building anew, pausing.
//!
//! Authoritative is the database: the view `outbox_ops.projections`, and functions that leave who did what and why. An order to build
//! anew is only written here; a process that runs the projection carries it out.

mod pg;

pub use pg::{
    cancel_rebuild, order_rebuild, pause_subscription, projections, release_rebuild, resume_subscription,
};
