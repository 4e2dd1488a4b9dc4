//! A person's order to put streams out again, and what became of it.

mod pg;

pub use pg::{order_reissue, reissue_orders};

/// What is to be put out again, or only looked at.
#[derive(Clone, Copy, Debug)]
pub struct ReissueOrder<'a> {
    /// The topic.
    pub topic: &'a str,
    /// One partition of it; none for all of its streams.
    pub partition: Option<i32>,
    /// From where on: an entry id or a time.
    pub from: &'a str,
    /// Up to where it is missed; none for the end.
    pub to: Option<&'a str>,
    /// Whether it is only asked what it would be.
    pub is_preview: bool,
    /// Why, for the audit.
    pub reason: &'a str,
}
