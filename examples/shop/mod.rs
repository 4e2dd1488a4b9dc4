//! A shop: orders are placed, paid and cancelled, and each change is an event of topic `orders` keyed by its order.
//!
//! ```text
//!   customers (library) ─┐                            ┌─▶ warehouse: takes from stock   (its own database)
//!                        ├─▶ shop.orders + outbox ──▶ │
//!   till (plain SQL) ────┘    in one transaction      └─▶ loyalty: points per order     (its own database)
//! ```
//!
//! Authoritative is `shop.orders`. A change takes the order's row lock, writes the rows, appends the event, commits: so
//! the events of one order have the order of its changes, and there is no event without a change nor the other way round.
//!
//! Deliberately absent: everything a shop needs that says nothing about events.

mod order;
pub use order::{Change, Errand, Line, State};

mod pg;
pub use pg::{Sale, Shop};

mod visit;

mod customer;
pub use customer::Customer;

mod till;
pub use till::keep_till;

mod tally;
pub use tally::Tally;

pub mod loyalty;

pub mod stock;

/// The topic of all that happens to orders.
pub const TOPIC: &str = "orders";
