//! Orders in the event store: a file of orders as streams, projections of them, loyalty points that were forgotten at first, and what
//! went out put out again.
//!
//! Authoritative for the verdict is the file, loaded by `copy` into a plain table and counted in SQL (`sql/raw.sql` and
//! `sql/check_*.sql`), which no code of the example has touched.
//!
//! Invariants:
//! * Ids of events are made of order and step: what is imported again is told as it was appended, and doubles nothing.
//! * A row becomes a stream, or is named with its line and the reason: rows, streams and bad lines add up.
//! * An order is credited once for each reason, whoever does it again: a unique key says so.
//!
//! Deliberately absent: what the orders cost. The file does not say, so points are a fixed number.

mod event;

mod decider;

mod row;

mod file;

mod loyalty;

mod projections;

mod store;

mod raw;

mod reader;

mod report;

mod board;

mod stage;

mod scenes;

mod run;
pub use run::{Arguments, run};

#[cfg(test)]
mod tests;

/// Category of the streams: one per order.
const CATEGORY: &str = "order";
/// Where the events go.
const TOPIC: &str = "orders";
