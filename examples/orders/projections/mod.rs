//! What is asked of all orders, beside their points.

mod days;
pub(super) use days::Days;

mod deliveries;
pub(super) use deliveries::Deliveries;

mod statuses;
pub(super) use statuses::Statuses;
